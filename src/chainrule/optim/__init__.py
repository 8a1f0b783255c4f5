"""Optimizers: update rules as graph expressions, step-size schedules, clipping."""

from chainrule.optim.clipping import clip_norm, clip_value, gradient_norm
from chainrule.optim.lbfgs import LBFGS, LBFGSResult
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.parameter_groups import Groups, groups
from chainrule.optim.rules import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop
from chainrule.optim.schedules import (
    Constant,
    CosineDecay,
    InverseTime,
    OneCycle,
    Rate,
    StepDecay,
    Table,
    Warmup,
    tabulate,
    traceable,
)

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Constant",
    "CosineDecay",
    "Groups",
    "InverseTime",
    "LBFGSResult",
    "NAdam",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "Rate",
    "StepDecay",
    "Table",
    "Warmup",
    "clip_norm",
    "clip_value",
    "gradient_norm",
    "groups",
    "tabulate",
    "traceable",
]

"""Optimizers: update rules as graph expressions, schedules of the learning rate, clipping."""

from typing import TYPE_CHECKING

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

if not TYPE_CHECKING:
    from chainrule.torch_names import missing

    def __getattr__(name: str) -> object:
        """Say what is in place of one of PyTorch's names."""
        raise missing(__name__, name)


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

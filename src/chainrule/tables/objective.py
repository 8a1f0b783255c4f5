"""What training on a table minimises."""

from __future__ import annotations

from functools import partial

from chainrule import nn
from chainrule.data import Target
from chainrule.tables.settings import TrainingSettings
from chainrule.training.step import Loss, Penalty


def loss_of(target: Target, settings: TrainingSettings) -> Loss:
    """What is minimised, apart from the penalty: a function of outputs and encoded targets."""
    if target.task == "regression":
        return nn.squared_error
    return partial(nn.cross_entropy, label_smoothing=settings.label_smoothing)


def penalty_of(settings: TrainingSettings) -> Penalty | None:
    """The penalty on the weights, if one was asked for."""
    return nn.l2(settings.penalty) if settings.penalty else None

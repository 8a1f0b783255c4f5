"""What training on a table minimises."""

from __future__ import annotations

from functools import partial

from chainrule import nn
from chainrule.data import Target
from chainrule.tables.settings import TrainingSettings
from chainrule.tensor import Tensor
from chainrule.training.step import Loss, Penalty


def loss_of(target: Target, settings: TrainingSettings, networks: int = 1) -> Loss:
    """What is minimised, apart from the penalty: a function of outputs and encoded targets.

    Of several ``networks`` side by side, whose outputs are [batch, networks, outputs], it is the mean of their losses.
    """
    one: Loss = nn.squared_error
    if target.task == "classification":
        one = partial(nn.cross_entropy, label_smoothing=settings.label_smoothing)
    return one if networks == 1 else partial(mean_loss, one)


def mean_loss(loss: Loss, outputs: Tensor, target: Tensor) -> Tensor:
    """The mean of the losses of several networks, whose outputs are [batch, networks, outputs]."""
    networks = outputs.shape[1]
    return (
        sum((loss(outputs[:, i], target) for i in range(1, networks)), loss(outputs[:, 0], target)) / networks
    )


def penalty_of(settings: TrainingSettings, networks: int = 1) -> Penalty | None:
    """The penalty on the weights, if one was asked for; as strong for each of several networks side by side."""
    return nn.l2(settings.penalty / networks) if settings.penalty else None

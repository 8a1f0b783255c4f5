"""What training on a table minimises."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from chainrule import functions as f
from chainrule import nn
from chainrule.data import Target
from chainrule.tables.mixture import names_side_by_side
from chainrule.tables.settings import TrainingSettings
from chainrule.tensor import Tensor
from chainrule.training.parts import MeanOfParts
from chainrule.training.step import Loss, Penalty


def loss_of(target: Target, settings: TrainingSettings, networks: int = 1, *, weighted: bool = False) -> Loss:
    """What is minimised, apart from the penalty: a function of outputs and encoded targets.

    ``weighted`` says that the targets come with a weight as their last column. Of several ``networks`` side by side,
    whose outputs are [batch, networks, outputs], it is the mean of their losses: each keeps its own best epoch.
    """
    one: Callable[..., Tensor] = nn.squared_error
    if target.task == "classification":
        one = partial(nn.cross_entropy, label_smoothing=settings.label_smoothing)
    if weighted:
        one = partial(weighted_loss, one, target.task == "classification")
    return one if networks == 1 else MeanOfParts(partial(losses_of_each, one), names_side_by_side(networks))


def weighted_loss(loss: Callable[..., Tensor], labels: bool, outputs: Tensor, target: Tensor) -> Tensor:
    """The mean of the rows' losses times their weights, which are the last column of ``target`` [batch, 2]."""
    truth, weights = target[:, :1], target[:, 1]
    if labels:
        truth = truth.reshape((target.shape[0],)).astype(np.int64)
    each = loss(outputs, truth, "none").reshape((target.shape[0],))
    return f.mean(weights * each)


def losses_of_each(loss: Loss, outputs: Tensor, target: Tensor) -> list[Tensor]:
    """The loss of each of several networks, whose outputs are [batch, networks, outputs]."""
    return [loss(outputs[:, i], target) for i in range(outputs.shape[1])]


def penalty_of(settings: TrainingSettings, networks: int = 1) -> Penalty | None:
    """The penalty on the weights, if one was asked for; as strong for each of several networks side by side."""
    return nn.l2(settings.penalty / networks) if settings.penalty else None

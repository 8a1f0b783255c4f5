"""Losses by name, each with its link from outputs to predictions, and the weighted, penalised loss of a minibatch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Protocol

import numpy as np

from chainrule import functions as f
from chainrule import nn
from chainrule.errors import DataError, SettingError
from chainrule.estimators.parameters import LossSetting
from chainrule.foreign_text import quoted
from chainrule.nn.choices import choose
from chainrule.nn.focal import binary_focal_cross_entropy, focal_cross_entropy
from chainrule.nn.regression_losses import poisson, quantile
from chainrule.ops.record import Array
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class LossChoice:
    """A loss for each row or output, and the link from outputs to predictions that goes with it.

    ``function(prediction, target, "none")`` gives elements [batch] or [batch, outputs]; without
    ``has_reduction`` it gives the mean itself, and rows cannot be weighted. ``settings`` are keyword arguments.
    ``mean_over_outputs`` says how several outputs are reported; their gradients are always summed.
    """

    function: Callable[..., Tensor]
    settings: tuple[tuple[str, object], ...] = ()
    link: str = "identity"
    mean_over_outputs: bool = False
    has_reduction: bool = True
    least: float | None = None  # targets below are refused

    def elements(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each row [batch], summed over outputs."""
        each = self.function(prediction, target, "none", **dict(self.settings))
        return f.sum(each, tuple(range(1, each.ndim))) if each.ndim > 1 else each

    def mean(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean loss, by a function without ``reduction``."""
        return self.function(prediction, target, **dict(self.settings))

    def with_settings(self, **settings: object) -> LossChoice:
        """The same loss with more keyword arguments."""
        return replace(self, settings=(*self.settings, *settings.items()))


REGRESSION = {
    "squared_error": LossChoice(nn.half_squared_error, mean_over_outputs=True),
    "poisson": LossChoice(poisson, link="exp", least=0.0),
    "huber": LossChoice(nn.huber),
    "absolute_error": LossChoice(nn.absolute_error),
    "quantile": LossChoice(quantile),
}
MULTICLASS = {
    "log_loss": LossChoice(nn.cross_entropy, link="softmax"),
    "focal": LossChoice(focal_cross_entropy, link="softmax"),
}
BINARY = {
    "log_loss": LossChoice(nn.binary_cross_entropy, link="logistic"),
    "focal": LossChoice(binary_focal_cross_entropy, link="logistic"),
}


def find_loss(loss: LossSetting, table: dict[str, LossChoice], link: str) -> LossChoice:
    """Find a loss by name, or wrap a function of (prediction, target); SettingError for anything else.

    A function that is in the table keeps its link. Any other is given the outputs themselves, and ``link`` turns these
    into predictions.
    """
    if isinstance(loss, str):
        return choose("loss", loss, table)
    if not callable(loss):
        raise SettingError(
            "loss must be a name or a function",
            expected=f"one of {', '.join(table)}, or a function of (prediction, target)",
            got=quoted(loss),
        )
    function: Callable[..., Tensor] = loss
    settings: tuple[tuple[str, object], ...] = ()
    if isinstance(loss, partial) and not loss.args:
        function, settings = loss.func, tuple(sorted(loss.keywords.items()))
        if "reduction" in loss.keywords:
            raise SettingError(
                "loss must not fix the reduction: an estimator weights and averages the rows' losses itself",
                expected="a function of (prediction, target, reduction)",
                got=f"reduction={loss.keywords['reduction']!r}",
                hint="leave out reduction; cr.fit takes totals",
            )
    for choice in table.values():
        if choice.function is function:
            return choice.with_settings(**dict(settings))
    return LossChoice(function, settings, link, has_reduction="reduction" in _parameters(function))


def _parameters(function: Callable[..., Tensor]) -> list[str]:
    try:
        return list(signature(function).parameters)
    except (TypeError, ValueError):
        return []


class Penalised(Protocol):
    """A network with a penalty."""

    training: bool

    def penalty(self) -> Tensor:
        """What is added to the loss, times the number of rows."""


@dataclass(frozen=True)
class WeightedLoss:
    """The mean loss of a minibatch, with weights where the last column of the target holds them.

    While training, 1/2 alpha times the sum of squared weights over the minibatch's rows (or their weights) is
    added, as scikit-learn does. ``labels``: the target is one of class numbers, whatever its dtype.
    """

    choice: LossChoice
    weighted: bool
    labels: bool
    network: Penalised

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar."""
        weight = None
        if self.weighted:
            target, weight = target[:, :-1], target[:, -1]
        if self.labels:
            target = target.reshape((target.shape[0],)).astype(np.int64)
        total: Tensor | float
        if weight is None:
            total = rows = float(prediction.shape[0])
            value = self._unweighted(prediction, target, rows)
        else:
            # a minibatch without any weight changes nothing
            total = f.maximum(f.sum(weight), np.finfo(prediction.dtype).tiny)
            value = f.sum(weight * self.choice.elements(prediction, target)) / total
        outputs = prediction.shape[1] if prediction.ndim > 1 else 1
        if self.choice.mean_over_outputs and outputs > 1:
            # reported as the mean over outputs, differentiated as their sum
            value = value + (value * (1.0 / outputs - 1.0)).detach()
        if self.network.training:
            penalty = self.network.penalty()
            value = value + (
                penalty / total if weight is None else f.where(f.sum(weight) > 0, penalty / total, 0)
            )
        return value

    def _unweighted(self, prediction: Tensor, target: Tensor, total: float) -> Tensor:
        if not self.choice.has_reduction:
            return self.choice.mean(prediction, target)
        return f.sum(self.choice.elements(prediction, target)) / total


def check_targets(choice: LossChoice, y: Array) -> None:
    """Raise DataError for targets that the loss does not allow."""
    if choice.least is not None and len(y) and y.min() < choice.least:
        raise DataError(
            "y: targets out of range for this loss",
            expected=f"numbers >= {choice.least:g}",
            got=f"{y.min():g}",
            hint='use loss="squared_error"',
        )


def apply_link(link: str, outputs: Array) -> Array:
    """Predictions from a network's outputs [rows, outputs]: float64, unless outputs are taken as they are."""
    if link == "identity":
        return outputs
    if link == "exp":
        with np.errstate(over="ignore"):
            return np.exp(outputs.astype(np.float64))
    return np.exp(log_probabilities(link, outputs))


def log_probabilities(link: str, outputs: Array) -> Array:
    """Logarithms of what a softmax or a logistic function makes of outputs [rows, outputs], in float64.

    Finite for all finite outputs: a probability that is too small for float64 still has a logarithm.
    """
    from scipy.special import log_expit, log_softmax

    wide = outputs.astype(np.float64)
    return np.asarray(log_softmax(wide, 1) if link == "softmax" else log_expit(wide))

"""The focal loss: cross-entropy in which rows that are predicted well count for less (Lin et al., 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.nn.losses import _need_classes, _reduced
from chainrule.nn.targets import aligned, check_binary_targets, known, labels_of
from chainrule.tensor import Tensor, as_tensor


def focal_cross_entropy(
    prediction: Any, target: Any, reduction: str = "mean", *, gamma: float = 2.0
) -> Tensor:
    """-(1 - p)^gamma log p, for the softmax probability p of the label.

    ``prediction`` [batch, classes] holds logits, ``target`` [batch] integers from 0 to classes - 1. With
    gamma = 0 it is ``cross_entropy``. Raises SettingError for gamma < 0 and DataError for labels out of range,
    where values are known.

    >>> import chainrule as cr
    >>> round(focal_cross_entropy(cr.tensor([[0.0, 0.0]]), [1]).item(), 6)  # log(2) / 4
    0.173287
    """
    _need_gamma(gamma)
    logits = as_tensor(prediction)
    classes = _need_classes(logits)
    labels = labels_of(target, logits.shape[:-1], classes)
    mine = f.equal(f.expand_dims(labels, -1), np.arange(classes))
    log_p = f.sum(f.where(mine, logits, 0), -1) - f.logsumexp(logits, -1)
    return _reduced(-_attenuation(log_p, gamma) * log_p, reduction)


def binary_focal_cross_entropy(
    prediction: Any, target: Any, reduction: str = "mean", *, gamma: float = 2.0
) -> Tensor:
    """-y (1 - p)^gamma log p - (1 - y) p^gamma log(1 - p), for p = logistic(z) of a logit z.

    ``prediction`` [batch] or [batch, outputs] holds logits; targets are 0 or 1, or between. With gamma = 0 it
    is ``binary_cross_entropy``. Raises SettingError for gamma < 0 and DataError for targets outside [0, 1],
    where values are known.

    >>> import chainrule as cr
    >>> round(binary_focal_cross_entropy(cr.tensor([0.0]), [1]).item(), 6)  # log(2) / 4
    0.173287
    """
    _need_gamma(gamma)
    prediction, target = aligned("binary_focal_cross_entropy", prediction, target)
    if known(target):
        check_binary_targets(target)
    yes, no = f.softplus(-prediction), f.softplus(prediction)  # -log p and -log(1 - p)
    elements = target * _attenuation(-yes, gamma) * yes + (1.0 - target) * _attenuation(-no, gamma) * no
    return _reduced(elements, reduction)


def _attenuation(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma; of p = 1 the derivative is taken as 0."""
    if gamma == 0:
        return 1.0 + 0.0 * log_p
    rest = -f.expm1(log_p)
    safe = f.where(rest > 0, rest, 1)  # keeps the logarithm, and with it the derivative, finite
    return f.where(rest > 0, f.exp(gamma * f.log(safe)), 0)


def _need_gamma(gamma: float) -> None:
    if not gamma >= 0:
        raise SettingError("focal loss: gamma is an exponent", expected=">= 0", got=gamma)

"""The focal loss: cross-entropy that gives well predicted rows less weight (Lin et al., 2017)."""

from __future__ import annotations

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.nn.losses import _need_classes, _reduced
from chainrule.nn.targets import aligned, check_binary_targets, known, labels_of
from chainrule.tensor import Tensor, TensorLike, as_tensor


def focal_cross_entropy(
    prediction: TensorLike, target: TensorLike, reduction: str = "mean", *, gamma: float = 2.0
) -> Tensor:
    """-(1 - p)^gamma log p, where p is the softmax probability of the label (Lin et al., 2017).

    ``prediction`` [batch, classes] holds logits, ``target`` [batch] integers from 0 to classes - 1. ``gamma = 0``
    gives ``cross_entropy``; larger values give less weight to rows that are already predicted well. Raises
    SettingError for gamma < 0, and DataError for labels out of range (not inside compiled functions, where the
    labels have no values yet).

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
    prediction: TensorLike, target: TensorLike, reduction: str = "mean", *, gamma: float = 2.0
) -> Tensor:
    """-y (1 - p)^gamma log p - (1 - y) p^gamma log(1 - p), where p = logistic(z) for a logit z (Lin et al., 2017).

    ``prediction`` [batch] or [batch, outputs] holds logits; targets are 0 or 1, or probabilities. ``gamma = 0``
    gives ``binary_cross_entropy``. Raises SettingError for gamma < 0, and DataError for targets outside [0, 1]
    (not inside compiled functions, where targets have no values yet).

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
    """(1 - p)^gamma; the derivative at p = 1 is taken to be 0."""
    if gamma == 0:
        return 1.0 + 0.0 * log_p
    rest = -f.expm1(log_p)
    safe = f.where(rest > 0, rest, 1)  # keeps the logarithm, and with it the derivative, finite
    return f.where(rest > 0, f.exp(gamma * f.log(safe)), 0)


def _need_gamma(gamma: float) -> None:
    if not gamma >= 0:
        raise SettingError("focal loss: gamma must not be negative", expected=">= 0", got=gamma)

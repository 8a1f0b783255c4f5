"""Losses for counts and for quantiles, with the conventions of ``losses.py``."""

from __future__ import annotations

from chainrule import functions as f
from chainrule.errors import DataError, SettingError, caller_line
from chainrule.nn.losses import _reduced
from chainrule.nn.targets import aligned, known, looked_at
from chainrule.tensor import Tensor, TensorLike


def poisson(prediction: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """Half the Poisson deviance of counts y given a log-rate z: exp(z) - y z + y log y - y.

    ``prediction`` [batch] or [batch, outputs] holds logarithms of rates; ``target`` holds counts, or any numbers
    >= 0. The loss is 0 where exp(z) = y, and its derivative with respect to z is exp(z) - y. Raises DataError for
    negative targets (not inside compiled functions). Source: McCullagh and Nelder (1989), section 2.3.

    >>> import chainrule as cr
    >>> poisson(cr.tensor([0.0, 0.0]), [1.0, 0.0], "none").tolist()
    [0.0, 1.0]
    """
    prediction, target = aligned("poisson", prediction, target)
    if known(target) and (looked_at(target) < 0).any():
        raise DataError(
            "poisson: targets must not be negative",
            expected="numbers >= 0",
            got=f"{looked_at(target).min():g}",
            where=caller_line(),
        )
    # the inner where keeps the logarithm finite at a count of 0
    constant = target * f.log(f.where(target > 0, target, 1)) - target
    return _reduced(f.exp(prediction) - target * prediction + constant, reduction)


def quantile(
    prediction: TensorLike, target: TensorLike, reduction: str = "mean", *, quantile: float = 0.5
) -> Tensor:
    """The pinball loss: q r where r = target - prediction is positive, else (q - 1) r (Koenker and Bassett, 1978).

    The prediction that minimises its mean is the q-quantile: a fraction q of the targets lies below. q = 1/2
    gives half the absolute error. ``prediction`` and ``target`` are [batch] or [batch, outputs]. The derivative
    at r = 0 is 1/2 - q. Raises SettingError unless 0 < q < 1.

    >>> import chainrule as cr
    >>> quantile(cr.tensor([0.0, 0.0]), [1.0, -1.0], "none", quantile=0.75).tolist()
    [0.75, 0.25]
    """
    if not 0.0 < quantile < 1.0:
        raise SettingError("quantile must be a fraction", expected="0 < quantile < 1", got=quantile)
    prediction, target = aligned("quantile", prediction, target)
    residual = target - prediction
    # q r for r > 0, (q - 1) r for r < 0, as one term with the absolute value and one that is linear
    return _reduced(0.5 * f.abs(residual) + (quantile - 0.5) * residual, reduction)

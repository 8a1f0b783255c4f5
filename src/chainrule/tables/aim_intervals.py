"""How far chance alone may have moved a score that is no plain share: the 95% intervals of the aims' measures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from chainrule.inspect.diagnosis.ranks import ranks
from chainrule.tables.metrics import row_losses
from chainrule.tables.score_interval import NORMAL

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Ends = tuple[float, float] | None
DRAWS, CLASSES = 1_000, 100  # tables of counts that are drawn, and classes up to which they are


def aim_interval(metric: str, probabilities: Floats, actual: Labels, said: Labels, weights: Floats) -> Ends:
    """The ends of the interval of a measure of these rows; None where there is none that is known to hold.

    ``weights`` [rows] say how much each counts: the rows are as so many alike as tell as much (Kish, 1965).
    """
    shares = weights / weights.sum()
    if metric == "log loss":
        return mean_interval(row_losses(probabilities, actual), shares)
    if metric == "AUC" and probabilities.shape[1] == 2 and (weights == weights[0]).all():
        return area_interval(probabilities[:, 1], actual == 1)
    classes = probabilities.shape[1]
    if metric not in {"balanced accuracy", "macro F1"} or classes > CLASSES:
        return None
    counts = np.asarray(np.bincount(actual * classes + said, shares, classes * classes), np.float64)
    return counts_interval(metric, counts.reshape(classes, classes), round(1 / float(shares @ shares)))


def mean_interval(values: Floats, shares: Floats) -> Ends:
    """That of the mean of values >= 0 by its standard error, the rows counting as their ``shares`` of 1."""
    mean = float(values @ shares)
    reach = NORMAL * math.sqrt(float(np.square(values - mean) @ np.square(shares)))
    return max(mean - reach, 0.0), mean + reach


def area_interval(scores: Floats, is_one: NDArray[np.bool_]) -> Ends:
    """That of the area under the ROC curve by its variance (DeLong et al., 1988), on the scale of its logit.

    >>> low, high = area_interval(np.arange(100) % 61 / 61, np.arange(100) >= 40)
    >>> bool(low < high)
    True
    """
    ones, zeros = int(is_one.sum()), int((~is_one).sum())
    if min(ones, zeros) < 2:
        return None
    together = ranks(scores)
    of_ones = (together[is_one] - ranks(scores[is_one])) / zeros
    of_zeros = 1 - (together[~is_one] - ranks(scores[~is_one])) / ones
    area = float(of_ones.mean())
    if not 0 < area < 1:
        return None
    deviation = math.sqrt(float(of_ones.var(ddof=1)) / ones + float(of_zeros.var(ddof=1)) / zeros)
    logit, reach = math.log(area / (1 - area)), NORMAL * deviation / (area * (1 - area))
    return 1 / (1 + math.exp(min(reach - logit, 700))), 1 / (1 + math.exp(-logit - reach))


def counts_interval(metric: str, shares: Floats, rows: int) -> Ends:
    """That of a measure of actual and predicted classes, whose ``shares`` [classes, classes] add up to 1.

    The middle 95% of the measure of tables of counts that are drawn with these shares: the bootstrap, at a cost that
    does not depend on the rows.
    """
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(rows, shares.ravel() / shares.sum(), DRAWS).reshape(DRAWS, *shares.shape)
    right, actual, given = drawn.diagonal(0, 1, 2), drawn.sum(2), drawn.sum(1)
    there = actual > 0
    size = actual if metric == "balanced accuracy" else (actual + given) / 2
    each = np.where(there, right / np.where(there, size, 1), 0.0)
    found = each.sum(1) / np.maximum(there.sum(1), 1)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)

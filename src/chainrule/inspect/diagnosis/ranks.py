"""Ranks of numbers, and how well scores put rows in order.

Written out: SciPy's statistics take most of a second to import, more than a small table takes to train.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
RANKED = 200  # classes whose ranks are looked at


class Ranks(NamedTuple):
    """2 AUC - 1, of each class against the others, weighted by its rows, and the deviation that chance gives it."""

    gini: float
    chance: float


def ranks(values: ArrayLike) -> Floats:
    """The place of each value [n] in ascending order, from 1; equal ones share the mean of their places.

    >>> ranks([0.3, 0.1, 0.3, 0.9])
    array([2.5, 1. , 2.5, 4. ])
    """
    _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's correlation of two series of numbers [n]; NaN where one of them is constant.

    >>> rank_correlation([1.0, 2.0, 3.0], [1.0, 8.0, 27.0])
    1.0
    """
    first, second = (found - found.mean() for found in (ranks(a), ranks(b)))
    spread = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / spread if spread > 0 else float("nan")


def area_below(scores: ArrayLike, is_one: NDArray[np.bool_], weights: Floats | None = None) -> float:
    """The area under the ROC curve: how often a row of the class [n] has the larger score; ties count half.

    With ``weights`` [n] a row counts as so many.

    >>> area_below([0.1, 0.4, 0.35, 0.8], np.array([False, False, True, True]))
    0.75
    """
    if weights is not None:
        place = np.unique(np.asarray(scores), return_inverse=True)[1]
        below = np.bincount(place, np.where(is_one, 0.0, weights))
        before = np.cumsum(below) - below / 2
        mine = weights[is_one]
        return float(mine @ before[place[is_one]]) / float(mine.sum() * below.sum())
    ones = int(is_one.sum())
    zeros = len(is_one) - ones
    return float(ranks(scores)[is_one].sum() - ones * (ones + 1) / 2) / (ones * zeros)


def ranks_of(scores: Floats, labels: NDArray[np.int64]) -> Ranks:
    """How well scores [rows, classes] order the rows: chance's deviation is that of the Mann-Whitney statistic.

    Of more than 200 classes, the 200 with most rows are looked at.

    >>> ranks_of(np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.1, 0.9]]), np.array([0, 0, 1, 1])).gini
    1.0
    """
    n, total, weight, variance = len(labels), 0.0, 0.0, 0.0
    counts = np.bincount(labels, minlength=scores.shape[1])
    for c in np.sort(np.argsort(-counts, kind="stable")[:RANKED]).tolist():
        mine = int(counts[c])
        if not 0 < mine < n:
            continue
        total += mine * (2 * area_below(scores[:, c], labels == c) - 1)
        variance += mine * np.sqrt((n + 1) / (3 * mine * (n - mine)))
        weight += mine
    if not weight:
        return Ranks(float("nan"), float("nan"))
    return Ranks(float(total / weight), float(variance / weight))

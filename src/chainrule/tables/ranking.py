"""How well probabilities put rows in order, threshold by threshold: ROC and precision-recall curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.report import ClassCurve

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

Floats = NDArray[np.float64]
CLASSES = 6  # at most, that have curves
FINE = 250  # steps of a drawn curve in each direction: less is not seen


class Ranked(NamedTuple):
    """At each threshold [thresholds], from the highest: shares of other rows and of the class's above it, precision."""

    false_rate: Floats
    recall: Floats
    precision: Floats

    @property
    def area(self) -> float:
        """The area under the ROC curve."""
        rate, recall = np.append(0.0, self.false_rate), np.append(0.0, self.recall)
        return float(np.sum(np.diff(rate) * (recall[1:] + recall[:-1]) / 2))

    @property
    def average_precision(self) -> float:
        """The mean precision, weighted by how much recall each threshold adds."""
        return float(np.sum(np.diff(self.recall, prepend=0.0) * self.precision))


def ranked(scores: Floats, is_one: NDArray[np.bool_], weights: Floats | None = None) -> Ranked:
    """The curves of scores [rows], of rows of the class and others; both must be there. Rows count by ``weights``.

    >>> found = ranked(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    >>> found.recall.tolist(), found.false_rate.tolist(), found.area
    ([0.5, 0.5, 1.0, 1.0], [0.0, 0.5, 0.5, 1.0], 0.75)
    """
    order = np.argsort(-scores, kind="stable")
    counts = np.ones(len(scores)) if weights is None else weights[order]
    ones = np.cumsum(counts * is_one[order])
    others = np.cumsum(counts * ~is_one[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # equal scores come together
    ends = ends[ones[ends] + others[ends] > 0]
    ones, others = ones[ends], others[ends]
    return Ranked(others / others[-1], ones / ones[-1], ones / (ones + others))


def class_curves(trained: Trained) -> tuple[ClassCurve, ...]:
    """The curves of the second of two classes, or of each of up to six against the others; of none for more."""
    classes, scored = trained.model.classes, trained.scored
    if not 2 <= len(classes) <= CLASSES:
        return ()
    found = []
    for label in [1] if len(classes) == 2 else range(len(classes)):
        is_one = scored.actual == label
        counted = is_one if scored.weights is None else is_one[scored.weights > 0]
        if not counted.any() or counted.all():
            continue
        curve = ranked(scored.predicted[:, label], is_one, scored.weights)
        share = float(np.average(is_one, weights=scored.weights))
        roc = _drawn(np.append(0.0, curve.false_rate), np.append(0.0, curve.recall))
        precision = _drawn(np.append(0.0, curve.recall), np.append(curve.precision[0], curve.precision))
        found.append(ClassCurve(classes[label], roc, precision, curve.area, curve.average_precision, share))
    return tuple(found)


def _drawn(x: Floats, y: Floats) -> Floats:
    """The points [points, 2] of a curve without those that would be drawn on another."""
    points = np.round(np.column_stack([x, y]) * FINE)
    kept = np.append(True, (np.diff(points, axis=0) != 0).any(1))
    kept[-1] = True
    return np.column_stack([x, y])[kept]

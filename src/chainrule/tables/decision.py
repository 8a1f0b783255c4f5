"""Which class a row is said to be of, given its probabilities: the likeliest one, or the best one for a stated aim.

A decision is a weight for each class: a row is of the class whose probability times its weight is largest. Of two
classes that is a threshold: with weights t and 1 - t the second class is said from a probability of t on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from chainrule.foreign_text import clipped

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Decision = tuple[float, ...]

#: what may be aimed at, and the measure that it is
AIMS: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "accuracy",
        "balanced-accuracy": "balanced accuracy",
        "f1": "macro F1",
        "log-loss": "log loss",
        "auc": "AUC",
    }
)
OF_LABELS = ("accuracy", "balanced-accuracy", "f1")  # which depend on the class that is said
CELLS = 20_000_000  # rows * classes^2, up to which every row is looked at
FEWEST = 5  # rows a class, of which a decision is made at all
ROUNDS = 5
LEAST = 1e-9  # more of the measure is a gain, less is rounding

Term = Callable[[Floats, Floats, Floats], Floats]
"""What classes add to a measure, by the weight of rows that is right, that is given to them, and that they have."""


def decided(probabilities: Floats, decision: Decision) -> Labels:
    """The class that is said of each row [rows], given probabilities [rows, classes]; without a decision the likeliest.

    >>> decided(np.array([[0.7, 0.3], [0.9, 0.1]]), (0.2, 0.8)).tolist()
    [1, 0]
    """
    weighted = probabilities * np.array(decision) if decision else probabilities
    return weighted.argmax(1)


def find_decision(probabilities: Floats, actual: Labels, aim: str, weights: Floats | None = None) -> Decision:
    """The decision with the best ``aim`` on rows that training did not see; none where the likeliest class is best.

    ``probabilities`` [rows, classes], ``actual`` [rows] and ``weights`` [rows] are theirs. For two classes it is the
    best of all thresholds; for more, the weight of one class after the other is the best of all, until none gains. Of
    very many rows every n-th is looked at; where that leaves fewer than five rows a class, there is none.
    """
    classes = probabilities.shape[1]
    step = max(-(-len(actual) * classes**2 // CELLS), 1)
    p, y = probabilities[::step], actual[::step]
    if aim not in OF_LABELS or (step > 1 and len(y) < FEWEST * classes):
        return ()
    each = np.ones(len(y)) if weights is None else weights[::step]
    rows = _sums(y, each, classes)
    if not rows.any():
        return ()
    judge = _Judge(p, y, each, rows, _MEASURES[aim])
    starts = [np.ones(classes)]
    if classes > 2 and aim != "accuracy":
        starts.append(rows.sum() / np.where(rows > 0, rows, rows.sum()))
    best, chosen = max((_improved(judge, start) for start in starts), key=lambda one: one[0])
    if best <= judge.value(starts[0]) + LEAST:
        return ()
    return tuple((chosen / chosen.sum()).tolist())


@dataclass(frozen=True, eq=False)
class _Judge:
    """Rows with probabilities ``p`` [rows, classes], labels ``y`` and weights ``each``; ``rows`` [classes] are sums."""

    p: Floats
    y: Labels
    each: Floats
    rows: Floats
    term: Term

    def value(self, chosen: Floats) -> float:
        """The measure where the classes have the weights ``chosen`` [classes]."""
        said, classes = (self.p * chosen).argmax(1), len(self.rows)
        right = _sums(self.y, self.each * (said == self.y), classes)
        return float(self.term(right, _sums(said, self.each, classes), self.rows).sum())


def _improved(judge: _Judge, start: Floats) -> tuple[float, Floats]:
    """The measure and the weights of the classes when none of them gains any more by itself."""
    chosen, best = start.copy(), judge.value(start)
    classes = len(start)
    for _ in range(ROUNDS):
        before = best
        for one in range(1 if classes == 2 else 0, classes):
            gained, weight = _best_weight(judge, chosen, one)
            if gained > best + LEAST:
                best, chosen[one] = gained, weight
        if best <= before + LEAST or classes == 2:
            break
    return best, chosen


def _best_weight(judge: _Judge, chosen: Floats, one: int) -> tuple[float, float]:
    """The best measure by the weight of one class, and that weight: rows become its own in the order of their odds."""
    others = judge.p * chosen
    others[:, one] = -1.0
    other = others.argmax(1)
    with np.errstate(divide="ignore"):
        odds = others[np.arange(len(other)), other] / judge.p[:, one]
    order = np.argsort(odds, kind="stable")
    odds = odds[order]
    measured = _by_cuts(judge, order, other[order], one)
    ends = np.concatenate([[odds[0] / 4 if odds[0] > 0 else 1e-12], odds, [odds[-1] * 4]])
    low, high = ends[:-1], ends[1:]
    possible = (high > low * (1 + 1e-9)) & np.isfinite(high)  # equal odds change sides together
    if not possible.any():
        return -np.inf, float(chosen[one])
    weight = np.sqrt(np.maximum(low, high * 1e-6) * high)
    measured = np.where(possible, measured, -np.inf)
    best = np.flatnonzero(measured >= measured.max() - LEAST)
    near = best[np.argmin(np.abs(np.log(weight[best] / chosen[one])))]  # of equals the nearest to what was
    return float(measured[near]), float(weight[near])


def _by_cuts(judge: _Judge, order: Labels, other: Labels, one: int) -> Floats:
    """The measure when the first 0, 1, 2, ... rows in this order become class ``one``, the rest stays ``other``."""
    y, each = judge.y[order], judge.each[order]
    hits = each * (other == y)
    given, right = (_sums(other, weight, len(judge.rows)) for weight in (each, hits))
    by_class = np.argsort(other, kind="stable")  # rows of one class in their order, class after class
    lost = np.empty(len(y))
    mine, w, hit = other[by_class], each[by_class], hits[by_class]
    left, kept = (_left(total[mine], part, mine) for total, part in ((given, w), (right, hit)))
    rows = judge.rows[mine]
    lost[by_class] = judge.term(kept, left, rows) - judge.term(kept + hit, left + w, rows)
    gained = judge.term(np.cumsum(each * (y == one)), np.cumsum(each), judge.rows[one])
    nothing = judge.term(right, given, judge.rows).sum()
    return np.concatenate([[nothing], nothing + np.cumsum(lost) + gained])


def _sums(labels: Labels, weights: Floats, classes: int) -> Floats:
    """The sum of the weights of each class, [classes]."""
    return np.asarray(np.bincount(labels, weights, classes), np.float64)


def _left(total: Floats, part: Floats, group: Labels) -> Floats:
    """What is left of each group's total after each of its rows, which come group after group."""
    gone = np.cumsum(part)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    before = np.repeat(gone[starts] - part[starts], np.diff([*starts, len(group)]))
    return np.maximum(total - (gone - before), 0.0)


def _accuracy(right: Floats, given: Floats, rows: Floats) -> Floats:
    return right


def _recall(right: Floats, given: Floats, rows: Floats) -> Floats:
    return np.where(rows > 0, right / np.where(rows > 0, rows, 1.0), 0.0)


def _f1(right: Floats, given: Floats, rows: Floats) -> Floats:
    return np.where(rows > 0, 2 * right / np.where(rows > 0, rows + given, 1.0), 0.0)


_MEASURES: Mapping[str, Term] = MappingProxyType(
    {"accuracy": _accuracy, "balanced-accuracy": _recall, "f1": _f1}
)


def describe_decision(decision: Decision, classes: tuple[str, ...]) -> str:
    """A decision in words; nothing for the likeliest class.

    >>> describe_decision((0.2, 0.8), ("no", "yes")), describe_decision((0.9, 0.1), ("no", "yes"))
    ('yes from a probability of 0.2 on', 'no from a probability of 0.1 on')
    """
    if not decision:
        return ""
    if len(decision) == 2:
        favoured = int(np.argmax(decision))  # which is said below one half
        return f"{clipped(classes[favoured])} from a probability of {min(decision) / sum(decision):.3g} on"
    return "the class whose probability times its weight is largest"

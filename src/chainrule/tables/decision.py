"""Which class a row is said to be of, given its probabilities: the likeliest one, or the best one for a stated aim.

A decision is a weight for each class: a row is of the class whose probability times its weight is largest. Of two
classes that is a threshold: with weights t and 1 - t the second class is said from a probability of t on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
ROUNDS = 5

Value = Callable[[Floats, Floats, Floats], Floats]
"""Of the weight that is right and that is given by class [cuts, classes], and that there is [classes]: [cuts]."""


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
    best of all thresholds; for more, the weight of one class after the other is the best of all, until none gains.
    """
    if aim not in OF_LABELS or not len(actual):
        return ()
    classes = probabilities.shape[1]
    step = -(-len(actual) * classes**2 // CELLS)
    p, y = probabilities[::step], actual[::step]
    each = np.ones(len(y)) if weights is None else weights[::step]
    rows = np.bincount(y, each, classes).astype(np.float64)
    if not rows.sum():
        return ()
    value = _MEASURES[aim]
    starts = [np.ones(classes)]
    if classes > 2 and aim != "accuracy":
        starts.append(rows.sum() / np.where(rows > 0, rows, rows.sum()))
    neutral = _of(p, y, each, rows, starts[0], value)
    found = [_improved(p, y, each, rows, start, value) for start in starts]
    best, chosen = max(found, key=lambda one: one[0])
    if best <= neutral + 1e-12:
        return ()
    return tuple((chosen / chosen.sum()).tolist())


def _improved(
    p: Floats, y: Labels, each: Floats, rows: Floats, start: Floats, value: Value
) -> tuple[float, Floats]:
    """The measure and the weights of the classes when none of them gains any more by itself."""
    chosen, best = start.copy(), _of(p, y, each, rows, start, value)
    for _ in range(ROUNDS):
        before = best
        for one in range(1 if p.shape[1] == 2 else 0, p.shape[1]):
            gained, weight = _best_weight(p, y, each, rows, chosen, one, value)
            if gained > best + 1e-12:
                best, chosen[one] = gained, weight
        if best <= before + 1e-12 or p.shape[1] == 2:
            break
    return best, chosen


def _of(p: Floats, y: Labels, each: Floats, rows: Floats, chosen: Floats, value: Value) -> float:
    """The measure of weights of the classes."""
    said, classes = (p * chosen).argmax(1), len(rows)
    right, given = np.bincount(y, each * (said == y), classes), np.bincount(said, each, classes)
    return float(value(right[None].astype(float), given[None].astype(float), rows)[0])


def _best_weight(
    p: Floats, y: Labels, each: Floats, rows: Floats, chosen: Floats, one: int, value: Value
) -> tuple[float, float]:
    """The best measure by the weight of one class, and that weight: rows become its own in the order of their odds."""
    others = p * chosen
    others[:, one] = -1.0
    other = others.argmax(1)
    with np.errstate(divide="ignore"):
        odds = others[np.arange(len(y)), other] / p[:, one]
    order = np.argsort(odds, kind="stable")
    odds, other, y, each = odds[order], other[order], y[order], each[order]
    given = np.zeros((len(y) + 1, len(rows)))
    right = np.zeros_like(given)
    place = np.arange(1, len(y) + 1)
    given[0], right[0] = (np.bincount(other, w, len(rows)) for w in (each, each * (other == y)))
    np.add.at(given, (place, other), -each)
    given[1:, one] += each
    np.add.at(right, (place, other), -each * (other == y))
    right[1:, one] += each * (y == one)
    measured = value(np.maximum(right.cumsum(0), 0), np.maximum(given.cumsum(0), 0), rows)
    ends = np.concatenate([[odds[0] / 4 if odds[0] > 0 else 1e-12], odds, [odds[-1] * 4]])
    low, high = ends[:-1], ends[1:]
    possible = (high > low * (1 + 1e-9)) & np.isfinite(high)  # equal odds change sides together
    if not possible.any():
        return -np.inf, float(chosen[one])
    weight = np.sqrt(np.maximum(low, high * 1e-6) * high)
    measured = np.where(possible, measured, -np.inf)
    best = np.flatnonzero(measured >= measured.max() - 1e-12)
    near = best[np.argmin(np.abs(np.log(weight[best] / chosen[one])))]  # of equals the nearest to what was
    return float(measured[near]), float(weight[near])


def _accuracy(right: Floats, given: Floats, rows: Floats) -> Floats:
    return right.sum(1) / rows.sum()


def _balanced_accuracy(right: Floats, given: Floats, rows: Floats) -> Floats:
    present = rows > 0
    return np.mean(right[:, present] / rows[present], axis=1)


def _macro_f1(right: Floats, given: Floats, rows: Floats) -> Floats:
    present = rows > 0
    return np.mean(2 * right[:, present] / (rows + given)[:, present], axis=1)


_MEASURES: Mapping[str, Value] = MappingProxyType(
    {"accuracy": _accuracy, "balanced-accuracy": _balanced_accuracy, "f1": _macro_f1}
)


def describe_decision(decision: Decision, classes: tuple[str, ...]) -> str:
    """A decision in words; nothing for the likeliest class.

    >>> describe_decision((0.2, 0.8), ("no", "yes")), describe_decision((), ("no", "yes"))
    ('yes from a probability of 0.2 on', '')
    """
    if not decision:
        return ""
    if len(decision) == 2:
        return f"{clipped(classes[1])} from a probability of {decision[0] / sum(decision):.3g} on"
    return "the class whose probability times its weight is largest"

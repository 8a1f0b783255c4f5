"""How good predictions are by several measures, beside those of a constant and of a linear model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Target
from chainrule.foreign_text import clipped
from chainrule.inspect.diagnosis.ranks import area_below
from chainrule.number_text import readable
from chainrule.tables.intervals import interval_score
from chainrule.tables.sureness import calibration_of

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """One measure of the predictions for the rows that the score is of.

    ``baseline`` is the same measure of always predicting the training rows' shares of the classes, or their mean;
    ``linear`` that of a linear model trained on the same rows; each None where it is not defined. ``better`` says
    which way is better: "higher" or "lower". ``unit`` is "target" where the figure is in the target's units. ``of`` is
    the class that the figure is of: precision and recall are of the second of two classes, of more their mean.

    >>> Metric("accuracy", 0.9, 0.5, 0.8, "higher").value
    0.9
    >>> Metric("recall", 0.9, 0.0, 0.8, "higher", of="yes").title
    'recall of yes'
    """

    name: str
    value: float | None
    baseline: float | None
    linear: float | None
    better: Literal["higher", "lower"]
    unit: Literal["", "target"] = ""
    of: str = ""

    @property
    def title(self) -> str:
        """What it is called in tables."""
        return titled(self.name, self.of)


def titled(name: str, of: str) -> str:
    """The name of a measure with the class that it is of, if there is one."""
    return f"{name} of {clipped(of, CLASS)}" if of else name


def class_of(name: str, classes: Sequence[str]) -> str:
    """The class that a measure of these classes is of: the second of two, or none.

    >>> class_of("recall", ["no", "yes"]), class_of("recall", ["a", "b", "c"]), class_of("AUC", ["no", "yes"])
    ('yes', '', '')
    """
    return classes[1] if name in OF_A_CLASS and len(classes) == 2 else ""


BETTER: Mapping[str, Literal["higher", "lower"]] = {
    "accuracy": "higher",
    "balanced accuracy": "higher",
    "log loss": "lower",
    "AUC": "higher",
    "macro F1": "higher",
    "precision": "higher",
    "recall": "higher",
    "Brier score": "lower",
    "calibration error": "lower",
    "RMSE": "lower",
    "MAE": "lower",
    "median error": "lower",
    "pinball loss": "lower",
    "R2": "higher",
}
MOST_CLASSES = 200  # of which each is measured by itself, and for which a linear model is trained
OF_A_CLASS = {"precision", "recall"}
CLASS = 24  # characters of its name
BETWEEN = 0.8  # of the rows lie between the 10% and the 90% quantile
IN_UNITS = {"RMSE", "MAE", "median error", "pinball loss"}
TO_FOUR_PLACES = {name for name, better in BETTER.items() if better == "higher"} | {
    "Brier score",
    "calibration error",
}


def measure_text(name: str, value: float | None, absent: str) -> str:
    """A measure as tables show it: shares to four places, as more of them are chance on any table.

    >>> measure_text("R2", -0.00004, "-"), measure_text("RMSE", 0.00004, "-"), measure_text("AUC", None, "-")
    ('0', '4.000e-05', '-')
    """
    if value is None:
        return absent
    return readable(round(value, 4) + 0.0 if name in TO_FOUR_PLACES else value)


def class_metrics(
    probabilities: Floats, actual: Labels, weights: Floats | None = None, said: Labels | None = None
) -> dict[str, float | None]:
    """The measures of probabilities [rows, classes] against labels [rows], by name.

    Balanced accuracy is the mean recall of the classes that occur, macro F1 the unweighted mean of their F1, AUC the
    area under the ROC curve, of each class against the others and averaged. AUC is None where only one class occurs,
    and for more than 200 classes, each of which would be ranked by itself.

    Precision and recall are those of the second of two classes, of more the mean over the classes that occur;
    precision is 0 where a class is never predicted, and of two classes recall is None where the second does not occur.
    With ``weights`` [rows] a row counts as so many, as scikit-learn's measures have it. ``said`` [rows] are the classes
    that are predicted, if not the likeliest ones.

    The Brier score is the mean of the squared differences between probabilities and truth, summed over the classes;
    of two classes half of it, which is the mean of (p - y)^2. The calibration error is over ten bins of equal width
    (``sureness.calibration_of``).

    >>> found = class_metrics(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]))
    >>> {name: round(value, 3) for name, value in found.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'accuracy': 0.667, 'balanced accuracy': 0.75, 'log loss': 0.415, 'AUC': 1.0, 'macro F1': 0.667,
     'precision': 1.0, 'recall': 0.5, 'Brier score': 0.137, 'calibration error': 0.3}
    """
    predicted, classes = probabilities.argmax(1) if said is None else said, probabilities.shape[1]
    rows, given = (np.bincount(labels, weights, classes) for labels in (actual, predicted))
    hit = predicted == actual
    right = np.bincount(actual[hit], None if weights is None else weights[hit], classes)
    present = rows > 0  # a matrix of classes by classes would not fit in memory for thousands of them
    told = np.array([False, True]) if classes == 2 else present
    return {
        "accuracy": float(right.sum() / rows.sum()),
        "balanced accuracy": float(np.mean(right[present] / rows[present])),
        "log loss": log_loss(probabilities, actual, weights),
        "AUC": None if classes > MOST_CLASSES else area_under_curve(probabilities, actual, weights),
        "macro F1": float(np.mean(2 * right[present] / (rows + given)[present])),
        "precision": float(np.mean(right[told] / np.where(given[told] > 0, given[told], 1))),
        "recall": float(np.mean(right[told] / rows[told])) if rows[told].all() else None,
        "Brier score": brier_score(probabilities, actual, weights),
        "calibration error": calibration_of(probabilities, actual, weights).error,
    }


def brier_score(probabilities: Floats, actual: Labels, weights: Floats | None = None) -> float:
    """The mean squared distance of probabilities [rows, classes] from labels [rows]; of two classes half of it.

    >>> round(brier_score(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])), 6)
    0.025
    """
    mine = probabilities[np.arange(len(actual)), actual]
    squares = np.einsum("rc,rc->r", probabilities, probabilities)  # no copy where classes are thousands
    each = squares - np.square(mine) + np.square(1 - mine)
    return float(np.average(each, weights=weights)) / (2 if probabilities.shape[1] == 2 else 1)


def log_loss(probabilities: Floats, actual: Labels, weights: Floats | None = None) -> float:
    """The mean of -log of the probability that each row's class [rows] was given."""
    return float(np.average(row_losses(probabilities, actual), weights=weights))


def row_losses(probabilities: Floats, actual: Labels) -> Floats:
    """-log of the probability that each row's class was given, [rows]; finite also for a probability of 0."""
    mine = probabilities[np.arange(len(actual)), actual]
    return -np.log(np.maximum(mine, np.finfo(np.float64).tiny))


def area_under_curve(probabilities: Floats, actual: Labels, weights: Floats | None = None) -> float | None:
    """The area under the ROC curve, of each class against the others, averaged; None for a single class."""
    present = np.unique(actual if weights is None else actual[weights > 0])
    if len(present) < 2:
        return None
    columns = present[1:] if probabilities.shape[1] == 2 else present
    return float(np.mean([area_below(probabilities[:, c], actual == c, weights) for c in columns]))


def number_metrics(
    predicted: Floats, actual: Floats, weights: Floats | None = None
) -> dict[str, float | None]:
    """The measures of predicted numbers [rows] against actual ones [rows], by name.

    The pinball loss is the mean of those of the 10% and the 90% quantile, which are taken to be as far below and above
    the prediction as holds 80% of the rows (that of the median would be half the MAE). R2 is 1 - squared error /
    squared distance from the rows' mean; None where the rows have all the same value. With ``weights`` [rows] a row
    counts as so many.

    >>> found = number_metrics(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'RMSE': 0.577, 'MAE': 0.333, 'median error': 0.0, 'pinball loss': 0.1, 'R2': 0.5}
    """
    scale = (
        float(np.abs(actual).max(initial=0.0)) or 1.0
    )  # squares of the largest numbers would leave the range
    off, spread = (predicted - actual) / scale, (actual - np.average(actual, weights=weights)) / scale
    total = float(np.average(np.square(spread), weights=weights))
    mean_square = float(np.average(np.square(off), weights=weights))
    return {
        "RMSE": scale * mean_square**0.5,
        "MAE": scale * float(np.average(np.abs(off), weights=weights)),
        "median error": scale * _median(np.abs(off), weights),
        "pinball loss": scale * _pinball(np.abs(off), weights),
        "R2": 1.0 - mean_square / total if total > 0 else None,
    }


def _median(sizes: Floats, weights: Floats | None) -> float:
    """The median; with weights the least size that half of the weight does not exceed."""
    return float(np.median(sizes)) if weights is None else _quantile(sizes, 0.5, weights)


def _quantile(sizes: Floats, share: float, weights: Floats | None) -> float:
    """The least size that this share of the rows, or of their weight, does not exceed."""
    if weights is None:
        place = max(math.ceil(share * len(sizes) * (1 - 1e-12)) - 1, 0)
        return float(np.partition(sizes, place)[place])
    order = np.argsort(sizes, kind="stable")
    reached = np.cumsum(weights[order])
    return float(sizes[order][np.searchsorted(reached, share * reached[-1] * (1 - 1e-12))])


def _pinball(sizes: Floats, weights: Floats | None) -> float:
    """The mean pinball loss of both ends of the intervals of one width that hold 80% of the rows."""
    reach = _quantile(sizes, BETWEEN, weights)
    scores = interval_score(sizes, reach, BETWEEN)
    return (1 - BETWEEN) / 4 * float(np.average(scores, weights=weights))


def measure(
    target: Target,
    predicted: Floats,
    actual: Floats | Labels,
    weights: Floats | None = None,
    said: Labels | None = None,
) -> dict[str, float | None]:
    """The measures of a task: probabilities and labels, or numbers and numbers in the target's units."""
    if target.task == "classification":
        return class_metrics(predicted, actual.astype(np.int64), weights, said)
    return number_metrics(predicted, actual.astype(np.float64), weights)


def compare(
    found: Mapping[str, float | None],
    baseline: Mapping[str, float | None],
    linear: Mapping[str, float | None] | None,
    classes: Sequence[str] = (),
) -> tuple[Metric, ...]:
    """The measures of the network beside those of a constant and, where there is one, of a linear model."""
    return tuple(
        Metric(
            name,
            value,
            baseline[name],
            None if linear is None else linear[name],
            BETTER[name],
            "target" if name in IN_UNITS else "",
            class_of(name, classes),
        )
        for name, value in found.items()
    )

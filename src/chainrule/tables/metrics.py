"""How good predictions are by several measures, beside those of a constant and of a linear model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Target
from chainrule.inspect.diagnosis.ranks import area_below
from chainrule.number_text import readable

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """One measure of the predictions for the rows that the score is of.

    ``baseline`` is the same measure of always predicting the training rows' shares of the classes, or their mean;
    ``linear`` that of a linear model trained on the same rows; each None where it is not defined. ``better`` says
    which way is better: "higher" or "lower". ``unit`` is "target" where the figure is in the target's units.

    >>> Metric("accuracy", 0.9, 0.5, 0.8, "higher").value
    0.9
    """

    name: str
    value: float | None
    baseline: float | None
    linear: float | None
    better: Literal["higher", "lower"]
    unit: Literal["", "target"] = ""


BETTER: Mapping[str, Literal["higher", "lower"]] = {
    "accuracy": "higher",
    "balanced accuracy": "higher",
    "log loss": "lower",
    "AUC": "higher",
    "macro F1": "higher",
    "RMSE": "lower",
    "MAE": "lower",
    "median error": "lower",
    "R2": "higher",
}
MOST_CLASSES = 200  # of which each is measured by itself, and for which a linear model is trained
IN_UNITS = {"RMSE", "MAE", "median error"}


def measure_text(name: str, value: float | None, absent: str) -> str:
    """A measure as tables show it: shares to four places, as more of them are chance on any table.

    >>> measure_text("R2", -0.00004, "-"), measure_text("RMSE", 0.00004, "-"), measure_text("AUC", None, "-")
    ('0', '4.000e-05', '-')
    """
    if value is None:
        return absent
    return readable(round(value, 4) + 0.0 if BETTER[name] == "higher" else value)


def class_metrics(probabilities: Floats, actual: Labels) -> dict[str, float | None]:
    """The measures of probabilities [rows, classes] against labels [rows], by name.

    Balanced accuracy is the mean recall of the classes that occur, macro F1 the unweighted mean of their F1, AUC the
    area under the ROC curve, of each class against the others and averaged. AUC is None where only one class occurs,
    and for more than 200 classes, each of which would be ranked by itself.

    >>> found = class_metrics(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'accuracy': 0.667, 'balanced accuracy': 0.75, 'log loss': 0.415, 'AUC': 1.0, 'macro F1': 0.667}
    """
    predicted, classes = probabilities.argmax(1), probabilities.shape[1]
    rows, given = (np.bincount(labels, minlength=classes) for labels in (actual, predicted))
    right = np.bincount(actual[predicted == actual], minlength=classes)
    present = rows > 0  # a matrix of classes by classes would not fit in memory for thousands of them
    return {
        "accuracy": float(np.mean(predicted == actual)),
        "balanced accuracy": float(np.mean(right[present] / rows[present])),
        "log loss": log_loss(probabilities, actual),
        "AUC": None if classes > MOST_CLASSES else area_under_curve(probabilities, actual),
        "macro F1": float(np.mean(2 * right[present] / (rows + given)[present])),
    }


def log_loss(probabilities: Floats, actual: Labels) -> float:
    """The mean of -log of the probability that each row's class [rows] was given."""
    return float(np.mean(row_losses(probabilities, actual)))


def row_losses(probabilities: Floats, actual: Labels) -> Floats:
    """-log of the probability that each row's class was given, [rows]; finite also for a probability of 0."""
    mine = probabilities[np.arange(len(actual)), actual]
    return -np.log(np.maximum(mine, np.finfo(np.float64).tiny))


def area_under_curve(probabilities: Floats, actual: Labels) -> float | None:
    """The area under the ROC curve, of each class against the others, averaged; None for a single class."""
    present = np.unique(actual)
    if len(present) < 2:
        return None
    columns = present[1:] if probabilities.shape[1] == 2 else present
    return float(np.mean([area_below(probabilities[:, c], actual == c) for c in columns]))


def number_metrics(predicted: Floats, actual: Floats) -> dict[str, float | None]:
    """The measures of predicted numbers [rows] against actual ones [rows], by name.

    R2 is 1 - squared error / squared distance from the rows' mean; None where the rows have all the same value.

    >>> found = number_metrics(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    >>> {name: round(value, 3) for name, value in found.items()}
    {'RMSE': 0.577, 'MAE': 0.333, 'median error': 0.0, 'R2': 0.5}
    """
    scale = (
        float(np.abs(actual).max(initial=0.0)) or 1.0
    )  # squares of the largest numbers would leave the range
    off, spread = (predicted - actual) / scale, (actual - actual.mean()) / scale
    total = float(np.square(spread).sum())
    return {
        "RMSE": scale * float(np.sqrt(np.mean(np.square(off)))),
        "MAE": scale * float(np.mean(np.abs(off))),
        "median error": scale * float(np.median(np.abs(off))),
        "R2": 1.0 - float(np.square(off).sum()) / total if total > 0 else None,
    }


def measure(target: Target, predicted: Floats, actual: Floats | Labels) -> dict[str, float | None]:
    """The measures of a task: probabilities and labels, or numbers and numbers in the target's units."""
    if target.task == "classification":
        return class_metrics(predicted, actual.astype(np.int64))
    return number_metrics(predicted, actual.astype(np.float64))


def compare(
    found: Mapping[str, float | None],
    baseline: Mapping[str, float | None],
    linear: Mapping[str, float | None] | None,
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
        )
        for name, value in found.items()
    )

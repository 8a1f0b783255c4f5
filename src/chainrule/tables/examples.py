"""Single rows and single probabilities of a trained network: the worst rows, and how sure it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chainrule.report import Calibration, WorstRows, number
from chainrule.tables.model import network_outputs
from chainrule.tables.training import Trained

BINS = 10
WORST = 10
CELLS = 4  # columns whose cells are shown


def calibration(trained: Trained) -> Calibration | None:
    """Confidence and accuracy of the rows that the score is of, by ten bins; None for a regression.

    The bins are of equal width from 1 / classes, the least that a predicted class can have, to 1.
    """
    if trained.model.task == "regression":
        return None
    probabilities, actual = _probabilities(trained)
    sure, right = probabilities.max(1), probabilities.argmax(1) == actual
    edges = np.linspace(1 / probabilities.shape[1], 1.0, BINS + 1)
    place = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):  # a bin without rows has no mean: NaN
        confidence = np.bincount(place, sure, BINS) / counts
        accuracy = np.bincount(place, right, BINS) / counts
    used = counts > 0
    error = float((np.abs(confidence - accuracy)[used] * counts[used]).sum() / len(sure))
    return Calibration(edges, confidence, accuracy, counts, error)


def worst_rows(trained: Trained, columns: list[str]) -> WorstRows:
    """The ten rows with the highest loss among those that the score is of, with cells of the first columns."""
    rows = trained.prepared.split.scored
    shown = columns[:CELLS]
    if trained.model.task == "regression":
        titles, cells, order = _furthest(trained)
        kind = "Rows whose prediction is furthest off"
    else:
        titles, cells, order = _least_likely(trained)
        kind = "Rows whose class the network holds least likely"
    frame = trained.prepared.frame
    body = [
        [str(int(rows[i]) + 1), *cells[i], *(_cell(frame[name][int(rows[i])]) for name in shown)]
        for i in order[:WORST].tolist()
    ]
    which = "the columns that matter most" if len(shown) < len(columns) else "all columns"
    explanation = (
        f"{kind}, {len(body)} of {number(len(rows))}, with {which}. Rows count from 1, without a header."
    )
    numeric = [i + 1 for i, title in enumerate(titles) if title in {"Probability", "Off by"}]
    return WorstRows(["Row", *titles, *shown], body, numeric, explanation)


def _least_likely(trained: Trained) -> tuple[list[str], list[list[str]], NDArray[np.intp]]:
    probabilities, actual = _probabilities(trained)
    likely = probabilities[np.arange(len(actual)), actual]
    classes = trained.model.classes
    cells = [
        [classes[a], classes[p], f"{v:.4f}"]
        for a, p, v in zip(actual, probabilities.argmax(1), likely, strict=True)
    ]
    return ["Actual", "Predicted", "Probability"], cells, np.argsort(likely, kind="stable")


def _furthest(trained: Trained) -> tuple[list[str], list[list[str]], NDArray[np.intp]]:
    features, encoded = trained.prepared.encoded(trained.prepared.split.scored)
    outputs = network_outputs(trained.model.network, features)
    decode = trained.model.preprocessor.decode
    actual, predicted = decode(encoded).to_numpy(), decode(outputs).to_numpy()
    off = actual - predicted
    cells = [[number(a), number(p), number(d)] for a, p, d in zip(actual, predicted, off, strict=True)]
    return ["Actual", "Predicted", "Off by"], cells, np.argsort(-np.abs(off), kind="stable")


def _probabilities(trained: Trained) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities [rows, classes] and labels [rows] of the rows that the score is of."""
    features, actual = trained.prepared.encoded(trained.prepared.split.scored)
    outputs = network_outputs(trained.model.network, features).astype(np.float64)
    exponentials = np.exp(outputs - outputs.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True), actual


def _cell(value: object) -> str:
    return "missing" if value is None else number(value) if isinstance(value, int | float) else str(value)

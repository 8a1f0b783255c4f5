"""How sure probabilities are, and how often they are right: the bins of the calibration error and of its picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chainrule.report import Calibration

BINS = 10


def calibration_of(
    probabilities: NDArray[np.float64],
    actual: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> Calibration:
    """Confidence and accuracy of probabilities [rows, classes] for labels [rows], by ten bins of the predicted class's.

    The bins are of equal width from 1 / classes, the least that a predicted class can have, to 1. ``error`` is the
    expected calibration error (Guo et al., 2017). With ``weights`` [rows] a row counts as so many.

    >>> found = calibration_of(np.array([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6]]), np.array([0, 0, 1]))
    >>> found.counts.tolist(), round(found.error, 3)
    ([0, 0, 1, 0, 0, 0, 0, 0, 2, 0], 0.4)
    """
    sure, right = probabilities.max(1), probabilities.argmax(1) == actual
    edges = np.linspace(1 / probabilities.shape[1], 1.0, BINS + 1)
    place = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, BINS - 1)
    counts, each = np.bincount(place, weights, BINS), 1.0 if weights is None else weights
    with np.errstate(invalid="ignore"):  # a bin without rows has no mean: NaN
        confidence = np.bincount(place, sure * each, BINS) / counts
        accuracy = np.bincount(place, right * each, BINS) / counts
    used = counts > 0
    error = float((np.abs(confidence - accuracy)[used] * counts[used]).sum() / counts.sum())
    return Calibration(edges, confidence, accuracy, counts, error)

"""How sure the probabilities of an ensemble should be: a temperature, found on rows that it did not train on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 50  # rows, below which a temperature would follow chance
RANGE = 0.25, 4.0
HALVINGS = 30

Floats = NDArray[np.float64]


def find_temperature(outputs: NDArray[Any], labels: NDArray[Any], weights: Floats | None = None) -> float:
    """The temperature T with the least log loss of softmax(outputs / T); 1 where none wins by a standard error.

    ``outputs`` [rows, classes] are logarithms of probabilities, or logits, of rows that training did not see (Guo et
    al., 2017). With ``weights`` [rows] a row counts as so many.

    >>> sure = np.log([[0.99, 0.01]] * 80 + [[0.01, 0.99]] * 20)
    >>> bool(find_temperature(sure, np.zeros(100, int)) > 2)
    True
    """
    if len(labels) < FEWEST or outputs.shape[1] < 2:
        return 1.0
    logits = outputs.astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    shares = np.full(len(labels), 1 / len(labels)) if weights is None else weights / weights.sum()
    actual = logits[np.arange(len(labels)), labels]
    temperature = _least(logits, actual, shares)
    gained = _losses(logits, actual, 1.0) - _losses(logits, actual, temperature)
    mean = float(gained @ shares)
    error = np.sqrt(np.square(gained - mean) @ np.square(shares))  # of the mean, for rows of these weights
    return temperature if mean > error else 1.0


def _losses(logits: Floats, actual: Floats, temperature: float) -> Floats:
    found: Floats = np.log(np.exp(logits / temperature).sum(1)) - actual / temperature
    return found


def _least(logits: Floats, actual: Floats, shares: Floats) -> float:
    """Where the mean loss is least: it is convex in 1 / T, so that the sign of its slope is bisected.

    SciPy's search would find the same, and takes longer to be imported than a small table to train.
    """
    low, high = np.log(RANGE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        odds = np.exp(logits / np.exp(middle))
        expected = (odds * logits).sum(1) / odds.sum(1)
        if (expected - actual) @ shares > 0:  # in 1 / T: the loss rises, T is to be larger
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))

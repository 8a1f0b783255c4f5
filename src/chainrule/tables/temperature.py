"""How sure the probabilities of an ensemble should be: a temperature, found on rows that it did not train on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 50  # rows, below which a temperature would follow chance
RANGE = 0.25, 4.0


def find_temperature(
    outputs: NDArray[Any], labels: NDArray[Any], weights: NDArray[np.float64] | None = None
) -> float:
    """The temperature T with the least log loss of softmax(outputs / T); 1 where none wins by a standard error.

    ``outputs`` [rows, classes] are logarithms of probabilities, or logits, of rows that training did not see (Guo et
    al., 2017). With ``weights`` [rows] a row counts as so many.

    >>> sure = np.log([[0.99, 0.01]] * 80 + [[0.01, 0.99]] * 20)
    >>> bool(find_temperature(sure, np.zeros(100, int)) > 2)
    True
    """
    if len(labels) < FEWEST or outputs.shape[1] < 2:
        return 1.0
    from scipy.optimize import minimize_scalar

    logits = outputs.astype(np.float64)
    shares = np.full(len(labels), 1 / len(labels)) if weights is None else weights / weights.sum()

    def losses(log_temperature: float) -> NDArray[np.float64]:
        z = logits / np.exp(log_temperature)
        z = z - z.max(1, keepdims=True)
        return np.log(np.exp(z).sum(1)) - z[np.arange(len(labels)), labels]

    found = minimize_scalar(
        lambda t: float(losses(t) @ shares), bounds=tuple(np.log(RANGE)), method="bounded"
    )
    gained = losses(0.0) - losses(float(found.x))
    mean = float(gained @ shares)
    error = float(
        np.sqrt(np.square(gained - mean) @ np.square(shares))
    )  # of the mean, for rows of these weights
    return float(np.exp(found.x)) if mean > error else 1.0

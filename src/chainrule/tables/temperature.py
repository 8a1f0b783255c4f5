"""How sure the probabilities of an ensemble should be: a temperature, found on rows that it did not train on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 50  # rows, below which a temperature would follow chance
RANGE = 0.25, 4.0


def find_temperature(outputs: NDArray[Any], labels: NDArray[Any]) -> float:
    """The temperature T with the least log loss of softmax(outputs / T); 1 where none wins by a standard error.

    ``outputs`` [rows, classes] are logarithms of probabilities, or logits, of rows that training did not see (Guo et
    al., 2017).

    >>> sure = np.log([[0.99, 0.01]] * 80 + [[0.01, 0.99]] * 20)
    >>> bool(find_temperature(sure, np.zeros(100, int)) > 2)
    True
    """
    if len(labels) < FEWEST or outputs.shape[1] < 2:
        return 1.0
    from scipy.optimize import minimize_scalar

    logits = outputs.astype(np.float64)

    def losses(log_temperature: float) -> NDArray[np.float64]:
        z = logits / np.exp(log_temperature)
        z = z - z.max(1, keepdims=True)
        return np.log(np.exp(z).sum(1)) - z[np.arange(len(labels)), labels]

    found = minimize_scalar(lambda t: float(losses(t).mean()), bounds=tuple(np.log(RANGE)), method="bounded")
    gained = losses(0.0) - losses(float(found.x))
    error = float(gained.std()) / np.sqrt(len(gained))
    return float(np.exp(found.x)) if float(gained.mean()) > error else 1.0

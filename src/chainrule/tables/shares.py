"""How much each kind of network of an ensemble counts, found on rows that it did not train on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FEWEST = 50  # rows, below which shares would follow chance
ROUNDS = 20  # shares are multiples of 1 / ROUNDS, or of less


def find_shares(
    outputs: Floats, actual: NDArray[Any], usual: Sequence[float], weights: Floats | None = None
) -> tuple[float, ...]:
    """The shares of kinds with the least loss out of fold; the ``usual`` ones where none wins by a standard error.

    ``outputs`` [kinds, rows, outputs] are logarithms of probabilities, or numbers; ``actual`` labels [rows], or numbers
    [rows, 1]. Shares are found greedily: again and again the kind is added that makes the mean better by most (Caruana
    et al., 2004). The loss is the log loss, or the squared error. With ``weights`` [rows] a row counts as so many.

    >>> good, bad = np.zeros((100, 1)), np.ones((100, 1))
    >>> find_shares(np.stack([good, bad]), good + 0.1, (0.5, 0.5))
    (0.9, 0.1)
    """
    if len(actual) < FEWEST or len(outputs) < 2:
        return tuple(usual)
    each = np.full(len(actual), 1 / len(actual)) if weights is None else weights / weights.sum()
    total, counts = np.zeros(outputs.shape[1:]), np.zeros(len(outputs))
    best, least = tuple(usual), np.inf
    for chosen in range(1, ROUNDS + 1):
        losses = [float(_losses((total + one) / chosen, actual) @ each) for one in outputs]
        winner = int(np.argmin(losses))
        total, counts[winner] = total + outputs[winner], counts[winner] + 1
        if losses[winner] < least:
            best, least = tuple((counts / chosen).tolist()), losses[winner]
    gained = _losses(mixed(outputs, usual), actual) - _losses(mixed(outputs, best), actual)
    mean = float(gained @ each)
    error = float(
        np.sqrt(np.square(gained - mean) @ np.square(each))
    )  # of the mean, for rows of these weights
    return best if mean > error else tuple(usual)


def mixed(outputs: Floats, shares: Sequence[float]) -> Floats:
    """The mean of ``outputs`` [kinds, rows, outputs] by these shares."""
    return np.asarray(np.tensordot(np.array(shares), outputs, 1))


def _losses(outputs: Floats, actual: NDArray[Any]) -> Floats:
    """The loss of each row."""
    if actual.ndim > 1:
        return np.asarray(np.square(outputs - actual).sum(1))
    high = outputs.max(1)
    mine = outputs[np.arange(len(actual)), actual] - high
    return np.asarray(np.log(np.exp(outputs - high[:, None]).sum(1)) - mine)

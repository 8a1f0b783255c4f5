"""The perceptron algorithm (Rosenblatt, 1958)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from chainrule.classic.samples import Floats, check_order, matrix_and_targets, with_constant
from chainrule.errors import DataError
from chainrule.missing import as_array
from chainrule.optim.settings import check_count, check_number


@dataclass(frozen=True)
class Perceptron:
    """The result of the perceptron algorithm.

    ``weights`` [features] and ``bias`` are the final ones; ``updates`` counts all updates, ``mistakes`` those of each
    epoch. ``converged`` is True if the last epoch had no mistake, so that the neuron classifies every row correctly.

    >>> from chainrule import classic
    >>> found = classic.perceptron([[0, 0], [0, 1], [1, 0], [1, 1]], [-1, -1, -1, 1])
    >>> found.converged, found.mistakes[-1], found.predict([[1, 1]])
    (True, 0, array([1.]))
    """

    weights: Floats
    bias: float
    updates: int
    mistakes: tuple[int, ...]
    converged: bool

    def predict(self, X: ArrayLike) -> Floats:
        """Predict -1 or 1 for each row of ``X`` [rows, features], 0 for a row on the boundary."""
        return np.sign(as_array(X, np.float64, "X") @ self.weights + self.bias)


def perceptron(
    X: ArrayLike, y: ArrayLike, order: str = "cyclic", *, lr: float = 1.0, epochs: int = 1000, seed: int = 0
) -> Perceptron:
    """Train a threshold neuron: visit the rows, and at each mistake add lr y x to the weights and lr y to the bias.

    ``X`` is [rows, features], ``y`` [rows] of -1 and 1. A row on the boundary counts as a mistake, since sign(0) =
    0 is neither label. Weights start at 0. ``order`` is "cyclic", or "random" for a new order in each epoch, drawn
    with ``seed``. Training ends after an epoch without a mistake, which comes if the rows are linearly separable,
    or after ``epochs`` epochs; ``converged`` tells which. This is the delta rule with sign as the activation and 1
    in place of its derivative. Raises DataError for other labels, ShapeError for shapes that do not fit.

    >>> from chainrule import classic
    >>> found = classic.perceptron([[0, 0], [0, 1], [1, 0], [1, 1]], [-1, -1, -1, 1])
    >>> found.bias, found.weights.tolist(), found.updates
    (-4.0, [3.0, 2.0], 18)

    Lectures: B8; erratum 15.
    """
    inputs, labels = matrix_and_targets("perceptron", X, y)
    if not np.isin(labels, (-1.0, 1.0)).all():
        raise DataError(
            "perceptron: labels must be -1 and 1",
            expected="-1 and 1",
            got=", ".join(f"{value:g}" for value in np.unique(labels)[:5]),
            hint="2 * y - 1 turns labels 0 and 1 into -1 and 1",
        )
    check_order("perceptron", order)
    rate, limit = check_number("lr", lr, above=0), check_count("epochs", epochs)
    generator = np.random.default_rng(check_count("seed", seed, least=0))
    rows, w = with_constant(inputs), np.zeros(inputs.shape[1] + 1)
    mistakes: list[int] = []
    while len(mistakes) < limit and (not mistakes or mistakes[-1]):
        mistakes.append(0)
        for i in generator.permutation(len(rows)) if order == "random" else range(len(rows)):
            if labels[i] * (w @ rows[i]) <= 0:
                w += rate * labels[i] * rows[i]
                mistakes[-1] += 1
    return Perceptron(w[1:], float(w[0]), sum(mistakes), tuple(mistakes), not mistakes[-1])

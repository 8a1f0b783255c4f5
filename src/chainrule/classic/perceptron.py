"""The perceptron algorithm (Rosenblatt, 1958)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.classic.samples import Floats, check_order, matrix_and_targets, with_constant
from chainrule.errors import DataError
from chainrule.optim.settings import check_count, check_number


@dataclass(frozen=True)
class Perceptron:
    """What the perceptron algorithm found.

    ``weights`` [features] and ``bias``; ``updates`` in all and ``mistakes`` in each epoch; ``converged`` says
    whether the last epoch was without a mistake, so that every row is on its side.

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

    def predict(self, X: Any) -> Floats:
        """-1, 0 or 1 for each row of ``X`` [rows, features]."""
        return np.sign(np.asarray(X, np.float64) @ self.weights + self.bias)


def perceptron(
    X: Any, y: Any, order: str = "cyclic", *, lr: float = 1.0, epochs: int = 1000, seed: int = 0
) -> Perceptron:
    """Go through the rows, and at each mistake add lr y x to the weights and lr y to the bias (row B8).

    ``X`` [rows, features], ``y`` [rows] of -1 and 1. A row on the boundary is a mistake, for sign(0) = 0 is
    neither label. Weights start at 0. ``order`` is "cyclic", or "random": each epoch in an order drawn from
    ``seed``. Ends after an epoch without a mistake, which comes if the rows can be separated, or after
    ``epochs``; see ``converged``. This is the delta rule with sign for an activation and 1 in place of its
    derivative (erratum 15). Raises DataError for other labels, ShapeError for shapes that do not fit.

    >>> from chainrule import classic
    >>> found = classic.perceptron([[0, 0], [0, 1], [1, 0], [1, 1]], [-1, -1, -1, 1])
    >>> found.bias, found.weights.tolist(), found.updates
    (-4.0, [3.0, 2.0], 18)
    """
    inputs, labels = matrix_and_targets("perceptron", X, y)
    if not np.isin(labels, (-1.0, 1.0)).all():
        raise DataError(
            "perceptron: labels are of another kind",
            expected="-1 and 1",
            got=", ".join(f"{value:g}" for value in np.unique(labels)[:5]),
            hint="labels of 0 and 1 become such as 2 * y - 1",
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

"""Whether one perceptron is enough: linear separability as a linear programme."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.errors import DataError, ShapeError, describe_line, user_line
from chainrule.ops.record import Array


@dataclass(frozen=True)
class Separation:
    """A perceptron that fires exactly on the positive rows, or the proof that there is none.

    Where ``separable``: ``weights`` [features] and ``threshold``, such that w.x >= threshold on positive rows
    and w.x <= threshold - ``margin`` on the others, with |w_j| <= 1 and the largest margin under that.
    Otherwise these are None, the margin is 0, and ``certificate`` [rows] holds what is left where each row's
    inequality, multiplied by its number (none negative, adding up to 1 over the rows that must not fire), is
    added to the others: every w_j and the threshold cancel, and 0 > 0 remains (Farkas' lemma).

    >>> from chainrule import classic
    >>> found = classic.linear_separation([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1])
    >>> found.separable, found.weights.tolist(), found.threshold, found.margin
    (True, [1.0, 1.0], 1.0, 1.0)
    """

    separable: bool
    weights: Array | None
    threshold: float | None
    margin: float
    certificate: Array | None = field(default=None)


def linear_separation(X: Any, y: Any) -> Separation:
    """Search for w and theta with w.x >= theta exactly on the rows where y > 0 (row E6, erratum 37).

    ``X`` is [rows, features], ``y`` [rows], positive above 0 (labels 0 and 1 as well as -1 and 1). The linear
    programme maximises the margin between the rows that must fire and those that must not; it has an answer
    for any data, and SciPy's HiGHS finds it. Raises DataError for values that are not finite, ShapeError for
    shapes that do not fit.

    >>> corners = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> found = linear_separation(corners, [0, 0, 0, 1])
    >>> found.weights, found.threshold
    (array([1., 1.]), 2.0)
    >>> linear_separation(corners, [1, 0, 0, 1]).certificate
    array([0.5, 0.5, 0.5, 0.5])
    """
    from scipy.optimize import linprog

    X, positive = _as_rows(X, y)
    rows, features = X.shape
    sign = np.where(positive, 1.0, -1.0)
    # unknowns w, theta, margin; sign (w.x - theta) >= margin where the row must not fire, >= 0 where it must
    left = np.column_stack([-sign[:, None] * X, sign, np.where(positive, 0.0, 1.0)])
    bounds = [(-1.0, 1.0)] * features + [(None, None), (None, float(np.abs(X).sum(1).max(initial=0.0)) + 1.0)]
    found = linprog(np.append(np.zeros(features + 1), -1.0), left, np.zeros(rows), bounds=bounds)
    margin = float(found.x[-1])
    scale = max(float(np.abs(X).max(initial=0.0)), 1e-300)
    if margin > 1e-9 * scale:
        w = found.x[:features]
        # as high as the rows that must fire allow, so that the margin lies below it
        theta = float((X[positive] @ w).min()) if positive.any() else float((X @ w).max()) + margin
        return Separation(True, w, theta, margin)
    return Separation(False, None, None, 0.0, -np.asarray(found.ineqlin.marginals))


def _as_rows(X: Any, y: Any) -> tuple[Array, Array]:
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
    if X.ndim != 2 or y.shape != X.shape[:1] or not len(X):
        raise ShapeError(
            "linear_separation: X and y do not fit",
            expected="X [rows, features] and y [rows], with at least one row",
            got=f"{list(X.shape)} and {list(y.shape)}",
            where=describe_line(user_line()),
        )
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        raise DataError(
            "linear_separation: a value is not finite",
            expected="finite numbers",
            got=f"{np.count_nonzero(~np.isfinite(X))} in X, {np.count_nonzero(~np.isfinite(y))} in y",
            where=describe_line(user_line()),
            hint="drop these rows, or fill the values in",
        )
    return X, y > 0

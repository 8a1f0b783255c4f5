"""Linear separability, the question whether one perceptron is enough, as a linear programme."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from chainrule.errors import DataError, ShapeError, caller_line
from chainrule.missing import as_array
from chainrule.ops.record import Array


@dataclass(frozen=True)
class Separation:
    """A perceptron that fires exactly on the positive rows, or the proof that there is none.

    If ``separable``, ``weights`` [features] and ``threshold`` satisfy w.x >= threshold on the positive rows and
    w.x <= threshold - ``margin`` on the others; the margin is the largest one with |w_j| <= 1. If not, both are
    None, the margin is 0, and ``certificate`` [rows] proves it (Farkas' lemma): a multiplier >= 0 for each row's
    inequality, with a sum of 1 over the negative rows. In the sum of the inequalities times their multipliers every
    w_j and the threshold cancel, and 0 > 0 remains.

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


def linear_separation(X: ArrayLike, y: ArrayLike) -> Separation:
    """Find w and theta such that w.x >= theta exactly on the rows with y > 0, or prove that there are none.

    ``X`` is [rows, features]; ``y`` [rows] has labels 0 and 1, or -1 and 1. The linear programme maximises the
    margin between the positive rows and the others; it has a solution for any data, which SciPy's HiGHS finds ( ).
    Raises DataError for values that are not finite, ShapeError for shapes that do not fit.

    >>> corners = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> found = linear_separation(corners, [0, 0, 0, 1])
    >>> found.weights, found.threshold
    (array([1., 1.]), 2.0)
    >>> linear_separation(corners, [1, 0, 0, 1]).certificate
    array([0.5, 0.5, 0.5, 0.5])

    Lectures: E6; erratum 37.
    """
    from scipy.optimize import linprog

    x, positive = _as_rows(X, y)
    rows, features = x.shape
    sign = np.where(positive, 1.0, -1.0)
    # unknowns w, theta, margin; sign (w.x - theta) >= margin where the row must not fire, >= 0 where it must
    left = np.column_stack([-sign[:, None] * x, sign, np.where(positive, 0.0, 1.0)])
    bounds = [(-1.0, 1.0)] * features + [(None, None), (None, float(np.abs(x).sum(1).max(initial=0.0)) + 1.0)]
    found = linprog(np.append(np.zeros(features + 1), -1.0), left, np.zeros(rows), bounds=bounds)
    margin = float(found.x[-1])
    scale = max(float(np.abs(x).max(initial=0.0)), 1e-300)
    if margin > 1e-9 * scale:
        w = found.x[:features]
        # as high as the positive rows allow, so that the margin lies below it, less what rounding may change
        slack = _rounding(x, w)
        theta = float((x[positive] @ w).min()) - slack if positive.any() else float((x @ w).max()) + margin
        return Separation(True, w, theta, margin - slack)
    return Separation(False, None, None, 0.0, -np.asarray(found.ineqlin.marginals))


def _rounding(x: Array, w: Array) -> float:
    """How much x @ w may differ between two orders of summation: nothing for whole numbers."""
    products = x * w
    if np.array_equal(products, np.round(products)):
        return 0.0
    return float(2 * len(w) * np.finfo(np.float64).eps * np.abs(products).sum(1).max())


def _as_rows(X: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """X as numbers, and which rows are positive."""
    x, labels = as_array(X, np.float64, "X"), as_array(y, np.float64, "y")
    if x.ndim != 2 or labels.shape != x.shape[:1] or not len(x):
        raise ShapeError(
            "linear_separation: X and y do not fit",
            expected="X [rows, features] and y [rows], with at least one row",
            got=f"{list(x.shape)} and {list(labels.shape)}",
            where=caller_line(),
        )
    if not (np.isfinite(x).all() and np.isfinite(labels).all()):
        raise DataError(
            "linear_separation: values are not finite",
            expected="finite numbers",
            got=f"{np.count_nonzero(~np.isfinite(x))} in X, {np.count_nonzero(~np.isfinite(labels))} in y",
            where=caller_line(),
            hint="drop these rows, or fill the values in",
        )
    return x, labels > 0

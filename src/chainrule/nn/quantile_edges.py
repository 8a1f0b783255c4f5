"""The edges of the bins that a number's piecewise-linear code is made of: given, or quantiles of data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.arrays import numeric
from chainrule.data.checks import check_finite
from chainrule.errors import DataError, SettingError, ShapeError
from chainrule.foreign_text import quoted
from chainrule.missing import as_array, need_whole
from chainrule.ops.dtypes import check_dtype
from chainrule.ops.operand import Dtype
from chainrule.ops.record import Array
from chainrule.tensor import TensorLike


def quantile_edges(x: Array, bins: int) -> Array:
    """Edges [columns, bins + 1] at the quantiles 0, 1/bins, ..., 1 of each column of x [rows, columns].

    A value that takes up more than a bin is an edge once, and the bins that this saves are dealt out among the other
    values: a column that is mostly 0 still has bins between its other numbers. With fewer different values than edges,
    each is one; the last edge then fills what is left of its row. Raises DataError without rows.

    >>> quantile_edges(np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]]), bins=2)
    array([[0., 1., 2.],
           [5., 5., 5.]])
    >>> quantile_edges(np.array([[0.0]] * 95 + [[1.0], [2.0], [3.0], [4.0], [5.0]]), bins=4)
    array([[0., 2., 3., 4., 5.]])
    """
    if len(x) == 0:
        raise DataError(
            "there are no rows to take quantiles of", expected="at least 1 row", got=list(x.shape)
        )
    # in float64, and rounded once: two quantiles that the dtype cannot tell apart are one edge
    return np.stack([_padded(_edges(column, bins), bins) for column in x.T])


def _edges(column: Array, bins: int) -> Array:
    """At most ``bins`` + 1 edges, increasing."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) <= bins + 1:
        return values
    levels = np.linspace(0, 1, bins + 1)
    edges = np.unique(np.quantile(column.astype(np.float64), levels).astype(column.dtype))
    if len(edges) == bins + 1:
        return edges
    found = edges
    for wanted in range(
        bins, 3 * bins
    ):  # a value may be at both ends of its bin, so that more are wanted than come out
        edges = _even_edges(values, counts, wanted)
        if len(edges) > bins + 1:
            break
        found = edges if len(edges) > len(found) else found
    return found


def _even_edges(values: Array, counts: Array, bins: int) -> Array:
    """Values that are the ends of ``bins`` with as even a number of rows as can be; none counts for more than a bin."""
    weights = counts.astype(np.float64)
    for _ in range(bins):  # until no value weighs more than a bin
        weights = np.minimum(counts, weights.sum() / bins)
    reached = np.cumsum(weights) / weights.sum()
    inner = np.searchsorted(reached, np.linspace(0, 1, bins + 1)[1:-1] - 1e-9)
    return np.unique(np.concatenate([values[:1], values[inner], values[-1:]]))


def given_edges(edges: Sequence[Any], columns: int, dtype: Dtype) -> Array:
    """Edges [columns, bins + 1] from a list of increasing numbers for each column; short ones are filled up.

    Raises ShapeError for another number of columns, SettingError for edges that do not increase.
    """
    if not isinstance(edges, Sequence | np.ndarray) or isinstance(edges, str) or len(edges) != columns:
        raise ShapeError(
            "NumberEmbedding: edges must have a list for each column",
            expected=f"{columns} lists of increasing numbers",
            got=quoted(edges),
        )
    for i, row in enumerate(edges):
        need_whole(f"edges[{i}]", row)
    rows = [numeric(row, np.float64, copy=None) for row in edges]
    for i, row in enumerate(rows):
        check_finite(f"edges[{i}]", row)
        if row.ndim != 1 or len(row) < 2 or not (np.diff(row) > 0).all():
            raise SettingError(
                f"NumberEmbedding: edges[{i}] must increase",
                expected="at least two numbers, each greater than the one before",
                got=np.array2string(row, threshold=8),
                hint="np.unique sorts numbers and drops those that repeat",
            )
    bins = max(len(row) for row in rows) - 1
    return np.stack(
        [_padded(np.unique(_converted(row, f"edges[{i}]", dtype)), bins) for i, row in enumerate(rows)]
    )


def _converted(array: Array, name: str, dtype: Dtype) -> Array:
    """The array in this dtype; DataError where it does not hold a number."""
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    check_finite(f"{name} in {dtype}", converted)
    return converted


def _padded(row: Array, bins: int) -> Array:
    return np.concatenate([row, np.repeat(row[-1:], bins + 1 - len(row))])


def need_columns(x: TensorLike, features: int, dtype: Dtype) -> Array:
    """Return x [rows, features] in this dtype; raise ShapeError for another shape, DataError where it is not finite."""
    array = as_array(x, name="x")
    if array.ndim != 2 or array.shape[1] != features:
        raise ShapeError(
            "fit_edges: x has the wrong shape", expected=f"[rows, {features}]", got=list(array.shape)
        )
    check_finite("x", array)
    check_dtype(array.dtype)
    return _converted(array, "x", dtype)

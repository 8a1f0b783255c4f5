"""Rows for the classic rules: checked, with the constant input, in the order in which they are visited."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.checks import check_finite
from chainrule.errors import SettingError, ShapeError
from chainrule.missing import as_array

Floats = NDArray[np.float64]


def matrix_and_targets(name: str, X: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """X [rows, features] and y [rows] as float64; raises ShapeError and DataError unless they fit and are finite."""
    inputs, targets = as_array(X, np.float64, "X"), as_array(y, np.float64, "y")
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if inputs.ndim != 2 or targets.shape != (len(inputs),) or not len(inputs):
        raise ShapeError(
            f"{name}: X and y do not fit",
            expected="X [rows, features] and y [rows], at least one row",
            got=f"{list(inputs.shape)} and {list(targets.shape)}",
        )
    check_finite("X", inputs)
    check_finite("y", targets)
    return inputs, targets


def check_order(name: str, order: str) -> str:
    """The order; SettingError if it is unknown."""
    if order not in ("cyclic", "random"):
        raise SettingError(f"{name}: unknown order", expected="cyclic or random", got=repr(order))
    return order


def with_constant(inputs: Floats) -> Floats:
    """Put the constant x_0 = 1 in front: [rows, 1 + features]."""
    return np.column_stack([np.ones(len(inputs)), inputs])


def visits(rows: int, order: str, seed: int) -> Iterator[int]:
    """Yield row numbers without end: 0, 1, ... over and over, or each drawn uniformly.

    Lectures: B10.
    """
    generator = np.random.default_rng(seed)
    while True:
        yield from range(rows) if order == "cyclic" else generator.integers(rows, size=rows).tolist()

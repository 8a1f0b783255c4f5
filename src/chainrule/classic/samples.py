"""What the classic rules ask of their rows: a matrix, one target a row, an order of visits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.checks import check_finite
from chainrule.errors import SettingError, ShapeError

Floats = NDArray[np.float64]


def matrix_and_targets(name: str, X: Any, y: Any) -> tuple[Floats, Floats]:
    """X [rows, features] and y [rows], float64, finite, of equal length and not empty."""
    inputs, targets = np.asarray(X, np.float64), np.asarray(y, np.float64)
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
    """SettingError unless the order is one that is known."""
    if order not in ("cyclic", "random"):
        raise SettingError(f"{name}: order is not known", expected="cyclic or random", got=repr(order))
    return order


def with_constant(inputs: Floats) -> Floats:
    """[rows, 1 + features]: the constant x_0 = 1 in front, as the lectures write it."""
    return np.column_stack([np.ones(len(inputs)), inputs])


def visits(rows: int, order: str, seed: int) -> Iterator[int]:
    """Row numbers for ever: 0, 1, ... again and again, or each uniformly at random (row B10)."""
    generator = np.random.default_rng(seed)
    while True:
        yield from range(rows) if order == "cyclic" else generator.integers(rows, size=rows).tolist()

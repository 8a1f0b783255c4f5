"""The rows a run trains on, and the order in which minibatches visit them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.data.checks import check_finite
from chainrule.errors import DataError, ShapeError
from chainrule.nn.module import Module, generator
from chainrule.ops.dtypes import check_dtype
from chainrule.ops.record import Array, Form, is_float

_ORDER = 0x0DE5  # keeps the stream of orders apart from those of initial values


@dataclass(frozen=True)
class Rows:
    """Inputs [rows, ...] and targets [rows, ...], checked and in the model's dtype."""

    x: Array
    y: Array

    def __len__(self) -> int:
        return len(self.x)

    def forms(self, count: int) -> tuple[Form, Form]:
        """The forms of a minibatch of ``count`` rows."""
        return Form((count, *self.x.shape[1:]), self.x.dtype), Form((count, *self.y.shape[1:]), self.y.dtype)


def as_rows(data: Any, model: Module, what: str) -> Rows:
    """(X, y) as arrays; raises DataError for a wrong structure, different lengths, no rows, or non-finite values."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise DataError(
            f"{what}: not a pair of inputs and targets",
            expected="(X, y)",
            got=type(data).__name__ if not isinstance(data, tuple | list) else f"{len(data)} items",
        )
    x, y = (_as_array(part, model, f"{what} {name}") for part, name in zip(data, "Xy", strict=True))
    if not is_float(x.dtype):
        x = x.astype(model.dtype)
    if len(x) != len(y):
        raise ShapeError(
            f"{what}: X and y have different numbers of rows", expected=f"{len(x)} targets", got=len(y)
        )
    if len(x) == 0:
        raise DataError(f"{what}: there are no rows")
    return Rows(x, y)


def _as_array(part: Any, model: Module, name: str) -> Array:
    array = np.asarray(part)
    if array.dtype == object or array.dtype.kind in "USM":
        raise DataError(
            f"{name} is not numeric",
            expected="numbers",
            got=f"dtype {array.dtype}",
            hint="encode categories as numbers first, or train from the command line, which does it",
        )
    if array.ndim == 0:
        raise ShapeError(f"{name} is a single number", expected="[rows, ...]", got="shape ()")
    if array.dtype.kind == "f":
        check_finite(name, array)
        return np.ascontiguousarray(array, dtype=model.dtype)
    check_dtype(array.dtype)
    return np.ascontiguousarray(array)


def minibatches(
    rows: int, batch_size: int, *, shuffle: bool, drop_last: bool, key: tuple[int, int, int]
) -> Iterator[Array]:
    """Row numbers of each minibatch of an epoch, every row once (SPEC B21); key = (seed, replica, epoch)."""
    order = generator(_ORDER, *key).permutation(rows) if shuffle else np.arange(rows)
    for start in range(0, rows, batch_size):
        batch = order[start : start + batch_size]
        if len(batch) == batch_size or not drop_last:
            yield batch


def steps_per_epoch(rows: int, batch_size: int, drop_last: bool) -> int:
    """How many minibatches an epoch has."""
    return rows // batch_size if drop_last else -(-rows // batch_size)

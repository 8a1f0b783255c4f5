"""Primitives that pick elements by integer arrays, and the sum that is the derivative of picking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.errors import DtypeError, IndexOutOfRangeError, ShapeError
from chainrule.ops.notation import call
from chainrule.ops.operand import Operand
from chainrule.ops.record import (
    Array,
    Case,
    Form,
    OwnLoop,
    Primitive,
    expect,
    is_float,
)


def _check(name: str, x: Operand, indices: Operand, axis: int, ndim: int) -> None:
    expect(
        indices.dtype.kind in "iu",
        DtypeError,
        f"{name}: indices are not integers",
        expected="an integer dtype",
        got=indices.dtype,
        hint="cast them: indices.astype(cr.int64)",
    )
    expect(0 <= axis < ndim, ShapeError, f"{name}: there is no axis {axis}", got=x.shape)


def _in_range(name: str, indices: Array, length: int) -> None:
    wrong = (indices < -length) | (indices >= length)
    if wrong.any():
        raise IndexOutOfRangeError(
            f"{name}: an index is out of range",
            expected=f"indices in [{-length}, {length})",
            got=int(indices[wrong].flat[0]),
        )


def _gather_form(x: Operand, indices: Operand, axis: int) -> Form:
    _check("gather", x, indices, axis, len(x.shape))
    return Form((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)


def _gather(x: Array, indices: Array, axis: int) -> Array:
    _in_range("gather", indices, x.shape[axis])
    return np.take(x, indices.astype(np.intp), axis=axis)  # which refuses uint64


def _gather_domain(rng: np.random.Generator) -> Iterator[Case]:
    for shape, axis, picked in (((5,), 0, (3,)), ((4, 3), 0, (6,)), ((4, 3), 1, (2, 2)), ((2, 4, 3), 1, ())):
        length = shape[axis]
        yield Case((rng.normal(size=shape), rng.integers(-length, length, size=picked)), {"axis": axis})


gather: Primitive = Primitive(
    "gather",
    _gather_form,
    _gather,
    lambda g, y, x, indices, axis: (scatter_add(g, indices, axis=axis, size=x.shape[axis]), None),
    _gather_domain,
    (
        Case((np.ones(3), np.ones(2)), {"axis": 0}),
        Case((np.ones(3), np.zeros(2, int)), {"axis": 1}),
        Case((np.ones(()), np.zeros(2, int)), {"axis": 0}),
        Case((np.ones(3), np.array([0, 3])), {"axis": 0}),
    ),
    lowering=OwnLoop("gather", when_empty=True),
    written=lambda node, x, at: call("{0}[{1}]", r"{0}\left[{1}\right]", x, at, shape=node.shape),
)


def _scatter_form(updates: Operand, indices: Operand, axis: int, size: int, unique: bool = False) -> Form:
    ndim = len(indices.shape)
    _check("scatter_add", updates, indices, axis, len(updates.shape) - ndim + 1)
    expect(
        updates.shape[axis : axis + ndim] == indices.shape,
        ShapeError,
        "scatter_add: updates and indices differ in shape",
        expected=f"updates with {indices.shape} from axis {axis} on",
        got=updates.shape,
    )
    return Form((*updates.shape[:axis], size, *updates.shape[axis + ndim :]), updates.dtype)


def _scatter_add(updates: Array, indices: Array, axis: int, size: int, unique: bool = False) -> Array:
    _in_range("scatter_add", indices, size)
    wide = (
        np.dtype(np.float64) if is_float(updates.dtype) else updates.dtype
    )  # one sum may have very many terms
    result = np.zeros(_scatter_form(updates, indices, axis, size).shape, dtype=wide)
    picked: Any = (slice(None),) * axis + (indices,)
    np.add.at(result, picked, updates.astype(wide, copy=False))
    return result.astype(updates.dtype, copy=False)


def _scatter_domain(rng: np.random.Generator) -> Iterator[Case]:
    for shape, axis, picked in (((3,), 0, (3,)), ((6, 3), 0, (6,)), ((4, 2, 2), 1, (2, 2)), ((2, 3), 1, ())):
        yield Case((rng.normal(size=shape), rng.integers(-5, 5, size=picked)), {"axis": axis, "size": 5})


#: zeros, to which every update is added at its index; repeated indices add up. ``unique``: there are none
scatter_add: Primitive = Primitive(
    "scatter_add",
    _scatter_form,
    _scatter_add,
    lambda g, y, updates, indices, axis, size, unique=False: (gather(g, indices, axis=axis), None),
    _scatter_domain,
    (
        Case((np.ones((2, 3)), np.zeros(3, int)), {"axis": 0, "size": 5}),
        Case((np.ones((2, 3)), np.zeros((), int)), {"axis": 3, "size": 5}),
        Case((np.ones(2), np.array([0, 5])), {"axis": 0, "size": 5}),
    ),
    lowering=OwnLoop("scatter", when_empty=True),
    written=lambda node, x, at: call(
        "scatter({0} at {1})", r"\operatorname{{scatter}}\left({0}, {1}\right)", x, at, shape=node.shape
    ),
)

"""``x[...]``: NumPy's indexing, taken apart into slices and one gather."""

from __future__ import annotations

import math
from types import EllipsisType
from typing import Any, TypeGuard

import numpy as np

from chainrule.errors import DtypeError, IndexOutOfRangeError, ShapeError, caller_line
from chainrule.functions import astype, take
from chainrule.missing import shaped
from chainrule.ops import movement
from chainrule.ops.elementwise import greater_equal, less, where
from chainrule.ops.operand import Operand
from chainrule.ops.record import Array, Shape, T, broadcast_shapes

Picked = Operand | Array  # indices that a graph computes, or known ones
Item = int | slice | EllipsisType | Picked | None


def getitem(x: T, index: object) -> T:
    """x at integers, slices, None, Ellipsis, integer arrays and known boolean masks, as NumPy reads them."""
    items = _full(index if isinstance(index, tuple) else (index,), tuple(x.shape))
    start: list[int] = []
    count: list[int] = []
    step: list[int] = []
    drop: list[int] = []
    new: list[int] = []
    arrays: dict[int, Picked] = {}
    axis = 0
    for item in items:
        if item is None:
            new.append(axis + len(new) - len(drop))
            continue
        a, k, s = _span(item, x.shape[axis], axis) if isinstance(item, int | slice) else (0, x.shape[axis], 1)
        if isinstance(item, int):
            drop.append(axis)
        elif not isinstance(item, slice | EllipsisType):
            arrays[axis - len(drop) + len(new)] = item
        start.append(a)
        count.append(k)
        step.append(s)
        axis += 1
    if (tuple(start), tuple(count), tuple(step)) != ((0,) * axis, tuple(x.shape), (1,) * axis):
        x = movement.slice(x, start=tuple(start), count=tuple(count), step=tuple(step))
    if drop:
        x = movement.squeeze(x, axes=tuple(drop))
    if new:
        x = movement.expand(x, axes=tuple(new))
    return _pick(x, arrays, apart=_stand_apart(items)) if arrays else x


def _full(given: tuple[object, ...], shape: Shape) -> list[Item]:
    """One item for each axis (and None for new ones): Ellipsis filled in, masks as index arrays."""
    items = [_item(item) for item in given]
    used = sum(_width(item) for item in items)
    if used > len(shape) or sum(item is Ellipsis for item in items) > 1:
        raise IndexOutOfRangeError(
            "too many indices",
            expected=f"at most {len(shape)}, and one Ellipsis",
            got=used,
            where=caller_line(),
        )
    at = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    items[at : at + 1] = [slice(None)] * (len(shape) - used)
    full: list[Item] = []
    for item in items:
        axis = sum(found is not None for found in full)
        if _is_mask(item):
            full.extend(np.nonzero(_fitting(item, shape[axis : axis + item.ndim])))
        else:
            full.append(item)
    return full


def _item(item: object) -> Item:
    """Lists as arrays, boolean tensors as masks, integers as Python's; the rest as it is."""
    if item is None or isinstance(item, slice | EllipsisType):
        return item
    array: Picked = shaped(item)
    if array.dtype == np.bool_:
        return np.asarray(item)
    if isinstance(item, list | tuple) and isinstance(array, np.ndarray) and array.size == 0:
        return array.astype(np.int64)  # x[[]]
    if array.dtype.kind not in "iu":
        raise DtypeError(
            "an index is not an integer",
            expected="integers, slices, None, Ellipsis, arrays of integers or booleans",
            got=array.dtype,
            where=caller_line(),
            hint="cast it: index.astype(cr.int64)",
        )
    return int(array) if isinstance(array, np.ndarray) and array.ndim == 0 else array


def _is_mask(item: Item) -> TypeGuard[Array]:
    return isinstance(item, np.ndarray) and item.dtype == np.bool_


def _width(item: Item) -> int:
    """How many axes of the operand an item speaks of."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if _is_mask(item) else 1


def _fitting(mask: Array, lengths: Shape) -> Array:
    if mask.ndim == 0 or mask.shape != lengths:
        raise IndexOutOfRangeError(
            "a boolean mask does not have the shape of the axes that it stands for",
            expected=lengths or "a mask with at least one axis",
            got=mask.shape,
            where=caller_line(),
        )
    return mask


def _span(item: int | slice, length: int, axis: int) -> tuple[int, int, int]:
    """Start, count and step of an integer or slice on an axis of this length."""
    if isinstance(item, slice):
        a, b, s = item.indices(length)
        return a, len(range(a, b, s)), s
    _check_range(np.asarray(item), length, axis)
    return item % length, 1, 1


def _check_range(index: Array, length: int, axis: int) -> None:
    wrong = (index < -length) | (index >= length)
    if wrong.any():
        raise IndexOutOfRangeError(
            f"an index is out of range on axis {axis}",
            expected=f"in [{-length}, {length})",
            got=int(index[wrong].flat[0]),
            where=caller_line(),
        )


def _stand_apart(items: list[Item]) -> bool:
    """Whether something stands between the integers and arrays; NumPy then puts the picked axes first."""
    picked = [i for i, item in enumerate(items) if item is not None and not isinstance(item, slice)]
    return picked[-1] - picked[0] + 1 != len(picked)


def _pick(x: T, arrays: dict[int, Picked], apart: bool) -> T:
    """Gather at one index array, or at several that broadcast: those axes become one."""
    axes = sorted(arrays)
    if apart:
        rest = [a for a in range(len(x.shape)) if a not in arrays]
        x = movement.transpose(x, axes=(*axes, *rest))
        arrays = {i: arrays[a] for i, a in enumerate(axes)}
        axes = list(arrays)
    first, lengths = axes[0], [x.shape[a] for a in axes]
    if len(axes) == 1:
        return take(x, arrays[first], axis=first)
    _check_shapes(arrays)
    total = math.prod(lengths)
    linear: Any = np.zeros((), np.int64)
    fits: Any = np.ones((), bool)
    for a, n in zip(axes, lengths, strict=True):
        index, inside = _non_negative(arrays[a], n, a)
        linear, fits = linear * n + index, inside & fits
    if hasattr(fits, "records_primitives"):  # a wrong index must not become the index of another element
        linear = where(fits, linear, total)
    flat = movement.reshape(x, shape=(*x.shape[:first], total, *x.shape[axes[-1] + 1 :]))
    return take(flat, linear, axis=first)


def _check_shapes(arrays: dict[int, Picked]) -> None:
    try:
        broadcast_shapes("index", *(array.shape for array in arrays.values()))
    except ShapeError as error:
        error.where = caller_line()
        raise


def _non_negative(index: Picked, length: int, axis: int) -> tuple[Picked, Picked]:
    """Indices counted from the start, and whether they are in range, as far as that is not known yet."""
    if isinstance(index, np.ndarray):
        _check_range(index, length, axis)
        index = index.astype(np.int64)
        return np.where(index < 0, index + length, index), np.ones((), bool)
    index = astype(index, np.int64)
    negative = less(index, 0)
    return where(negative, index + length, index), greater_equal(index, -length) & less(index, length)

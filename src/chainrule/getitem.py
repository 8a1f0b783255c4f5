"""``x[...]``: NumPy's indexing, taken apart into slices and one gather."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import IndexOutOfRangeError, ShapeError
from chainrule.functions import take
from chainrule.ops import movement
from chainrule.ops.elementwise import where


def getitem(x: Any, index: Any) -> Any:
    """x at integers, slices, None, Ellipsis, integer arrays and (known) boolean masks, as NumPy reads them."""
    items = _full(index if isinstance(index, tuple) else (index,), len(x.shape))
    start: list[int] = []
    count: list[int] = []
    step: list[int] = []
    drop: list[int] = []
    new: list[int] = []
    arrays: dict[int, Any] = {}
    axis = 0
    for item in items:
        if item is None:
            new.append(axis + len(new) - len(drop))
            continue
        a, k, s = _span(item, x.shape[axis], axis) if isinstance(item, int | slice) else (0, x.shape[axis], 1)
        if isinstance(item, int):
            drop.append(axis)
        elif not isinstance(item, slice):
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
    return _pick(x, arrays) if arrays else x


def _full(items: tuple[Any, ...], ndim: int) -> list[Any]:
    """One item for each axis (and None for new ones): Ellipsis filled in, masks as index arrays."""
    plain: list[Any] = []
    for item in items:
        if item is None or item is Ellipsis or isinstance(item, slice):
            plain.append(item)
        elif isinstance(item, int | np.integer) and not isinstance(item, bool):
            plain.append(int(item))
        else:
            plain.extend(_index_arrays(item))
    used = sum(item is not None and item is not Ellipsis for item in plain)
    if used > ndim or sum(item is Ellipsis for item in plain) > 1:
        raise ShapeError("too many indices", expected=f"at most {ndim}, and one Ellipsis", got=used)
    at = next((i for i, item in enumerate(plain) if item is Ellipsis), len(plain))
    return [*plain[:at], *[slice(None)] * (ndim - used), *plain[at + 1 :]]


def _index_arrays(item: Any) -> list[Any]:
    array = item if hasattr(item, "apply") else np.asarray(item)
    if array.dtype == np.bool_:
        mask = array.numpy() if hasattr(array, "numpy") else array
        return list(np.nonzero(mask))
    if array.dtype.kind == "f" and array.shape == (0,):
        return [np.zeros(0, dtype=np.int64)]  # x[[]]
    return [array]


def _span(item: int | slice, length: int, axis: int) -> tuple[int, int, int]:
    """Start, count and step of an integer or slice on an axis of this length."""
    if isinstance(item, slice):
        a, b, s = item.indices(length)
        return a, len(range(a, b, s)), s
    if not -length <= item < length:
        raise IndexOutOfRangeError(
            f"index {item} is out of range on axis {axis}", expected=f"in [{-length}, {length})", got=item
        )
    return item % length, 1, 1


def _pick(x: Any, arrays: dict[int, Any]) -> Any:
    """Gather at one index array, or at several that broadcast: those axes become one."""
    axes = sorted(arrays)
    if len(axes) == 1:
        return take(x, arrays[axes[0]], axis=axes[0])
    if axes != list(range(axes[0], axes[0] + len(axes))):  # NumPy: axes apart come first
        rest = [a for a in range(len(x.shape)) if a not in arrays]
        x = movement.transpose(x, axes=(*axes, *rest))
        arrays = {i: arrays[a] for i, a in enumerate(axes)}
        axes = list(arrays)
    first, lengths = axes[0], [x.shape[a] for a in axes]
    linear: Any = 0
    for a, n in zip(axes, lengths, strict=True):
        linear = linear * n + _non_negative(arrays[a], n, a)
    flat = movement.reshape(
        x, shape=(*x.shape[:first], int(np.prod(lengths, dtype=np.int64)), *x.shape[axes[-1] + 1 :])
    )
    return take(flat, linear, axis=first)


def _non_negative(index: Any, length: int, axis: int) -> Any:
    if hasattr(index, "apply"):
        return where(index < 0, index + length, index)
    if ((index < -length) | (index >= length)).any():
        raise IndexOutOfRangeError(
            f"an index is out of range on axis {axis}", expected=f"in [{-length}, {length})", got=index
        )
    return np.where(index < 0, index + length, index)

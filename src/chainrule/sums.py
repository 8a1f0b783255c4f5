"""Sums of floats whose rounding error does not grow with the number of terms.

NumPy adds in pairs along a contiguous last axis only; over any other axis one accumulator takes all terms, and
rounds each of them to the size of the whole sum. Here every ``BLOCK`` terms are summed, and the sums of blocks are
added in float64.
``compiler/codegen/blocks.py`` does the same in machine code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
BLOCK = 128  # terms that one accumulator of the array's own dtype takes, as in NumPy's sums by pairs


def total(x: Array, axes: Sequence[int], *, keepdims: bool = False) -> Array:
    """The sum of an array of floats over distinct axes counted from 0, in the array's dtype.

    >>> import numpy as np
    >>> total(np.full((100_000, 2), 0.1, np.float32), (0,)).round(1).tolist()
    [10000.0, 10000.0]
    """
    x = np.asarray(x)
    terms = math.prod(x.shape[axis] for axis in axes)
    last = tuple(axes) == tuple(range(x.ndim - len(axes), x.ndim))
    if terms <= BLOCK or (last and x.flags.c_contiguous):
        return np.sum(x, axis=tuple(axes), keepdims=keepdims)
    result = x
    for axis in sorted(axes, key=lambda axis: x.shape[axis], reverse=True):
        while result.shape[axis] > 1:
            result = _block_sums(result, axis).astype(np.float64, copy=False)
    result = result.astype(x.dtype)
    return result if keepdims else result.reshape([n for axis, n in enumerate(x.shape) if axis not in axes])


def _block_sums(x: Array, axis: int) -> Array:
    """The sum of every ``BLOCK`` neighbours along an axis; those that are left over at its end make one more."""
    length = x.shape[axis]
    whole = length // BLOCK * BLOCK
    if not whole:
        return np.sum(x, axis=axis, keepdims=True)
    lead, behind = x.shape[:axis], x.shape[axis + 1 :]
    before = (slice(None),) * axis
    sums = x[(*before, slice(whole))].reshape(*lead, whole // BLOCK, BLOCK, *behind).sum(axis + 1)
    if whole == length:
        return sums
    return np.concatenate([sums, x[(*before, slice(whole, None))].sum(axis, keepdims=True)], axis)

"""What is lost where numbers are stored with fewer digits."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError, user_line

Array = NDArray[Any]
#: so many numbers of the dtype should lie between the least and the largest of a column
STEPS = 1000.0


class DataWarning(UserWarning):
    """Data was taken, but something of it is lost: differences that the network's dtype has no digits for.

    To make an error of it, for example in a test::

        warnings.simplefilter("error", cr.DataWarning)
    """


def inexact(array: Array, dtype: Any) -> Array:
    """Where an array of integers holds numbers that the float dtype does not have.

    >>> inexact(np.array([2**24, 2**24 + 1, 2**24 + 2]), np.float32).tolist()
    [False, True, False]
    """
    digits = np.finfo(dtype).nmant + 1
    if array.dtype.kind not in "iu" or array.dtype.itemsize * 8 - (array.dtype.kind == "i") <= digits:
        return np.zeros(array.shape, bool)
    least, largest = int(array.min(initial=0)), int(array.max(initial=0))
    if -(2**digits) <= least and largest <= 2**digits:
        return np.zeros(array.shape, bool)
    size = array.astype(np.uint64)
    if array.dtype.kind == "i":
        size = np.where(array < 0, ~size + np.uint64(1), size)
    lowest_bit = np.maximum(size & (~size + np.uint64(1)), np.uint64(1))
    return np.asarray(size // lowest_bit >= np.uint64(2**digits))


def need_exact(name: str, array: Array, dtype: Any) -> None:
    """DataError that names the first integer that the float dtype rounds.

    >>> need_exact("X", np.array([[2**24 + 1]]), np.float32)
    Traceback (most recent call last):
    ...
    chainrule.errors.DataError: X: 1 integer is not to be had in float32, which would make others of them
      expected: integers that float32 can hold
      got:      X[0, 0] = 16777217, which would become 16777216
      try:      a model of dtype float64; as ids: X % n, or numbers from 0; as measurements: X.astype(np.float32)
    """
    lost = inexact(array, dtype)
    count = int(np.count_nonzero(lost))
    if not count:
        return
    index = tuple(int(i) for i in np.argwhere(lost)[0])
    several = "s are" if count > 1 else " is"
    wide = "a model of dtype float64; " if np.dtype(dtype).itemsize < 8 else ""
    raise DataError(
        f"{name}: {count} integer{several} not to be had in {np.dtype(dtype)}, which would make others of them",
        expected=f"integers that {np.dtype(dtype)} can hold",
        got=f"{name}[{', '.join(map(str, index))}] = {array[index]}, which would become {_as(array[index], dtype)}",
        hint=f"{wide}as ids: {name} % n, or numbers from 0; as measurements: {name}.astype(np.float32)",
    )


def _as(number: Any, dtype: Any) -> int:
    return int(np.asarray(number).astype(dtype))


def say_what_is_lost(name: str, array: Array, dtype: Any) -> str:
    """What an array [rows, ...] loses in a float dtype, in words; "" where that is nothing but a last digit.

    That is the differences within a column whose numbers are large beside them, as of times in seconds since
    1970, or too small for the dtype; and which integers are which.

    >>> say_what_is_lost("X", np.array([[1e9], [1e9 + 1]]), np.float32)
    'X: column 0 goes from 1000000000 to 1000000001, between which float32 has few numbers'
    """
    if len(array) == 0 or array.dtype == dtype or array.dtype.kind not in "fiu":
        return ""
    columns = array.reshape(len(array), -1)
    least, largest = columns.min(0), columns.max(0)
    info = np.finfo(dtype)
    with np.errstate(over="ignore", under="ignore"):
        spread = largest.astype(np.float64) - least.astype(np.float64)
        size = np.maximum(np.abs(least.astype(np.float64)), np.abs(largest.astype(np.float64)))
        step = np.maximum(size * info.eps / 2, float(info.smallest_subnormal))
    close = np.flatnonzero((largest > least) & (step * STEPS > spread))
    found = [j for j in close if (columns[:, j] != columns[:, j].astype(dtype)).any()]
    if found:
        more = f"; so it is with {len(found) - 1} more" if len(found) > 1 else ""
        low, high = (f"{x[found[0]].item():.17g}" for x in (least, largest))
        between = f"between which {np.dtype(dtype)} has few numbers{more}"
        return f"{name}: column {found[0]} goes from {low} to {high}, {between}"
    for j in np.flatnonzero(size >= 2.0 ** (info.nmant + 1)):
        column = columns[:, j]
        if array.dtype.kind == "f":
            if size[j] >= 2.0**63 or (column != np.rint(column)).any():
                continue
            column = column.astype(np.int64)
        wrong = inexact(column, dtype)
        if wrong.any() and len(np.unique(column.astype(dtype))) < len(np.unique(column)):
            number = column[wrong][0]
            return (
                f"{name}: column {j} holds integers that {np.dtype(dtype)} makes others of, such as {number}: "
                f"{_as(number, dtype)}"
            )
    return ""


def warn_of_loss(name: str, array: Array, dtype: Any) -> None:
    """A DataWarning at the user's line, if something of an array is lost."""
    lost = say_what_is_lost(name, array, dtype)
    if lost:
        text = f"{lost}; standardise the column first, or use dtype float64"
        warnings.warn_explicit(text, DataWarning, *(user_line() or ("chainrule", 0)))

"""What is missing in the data that users bring: masked entries, nulls, NA, NaT and None.

``as_array`` is how whatever a user passes becomes an array of NumPy's. Where values are missing it raises, instead of
taking for numbers what happens to stand behind a mask, or a null for NaN. A NaN in an array of floats is no missing
value here: whoever needs finite numbers calls ``data.check_finite``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chainrule.errors import DataError, caller_line
from chainrule.foreign_text import quoted

AnyArray = NDArray[Any]
Foreign = Any  # a frame or column of another library, known by what it can do
_PLAIN = frozenset({int, float, bool, complex, str, bytes})
_NUMBERS = (np.bool_, np.integer, np.inexact)  # of NumPy; its time differences count as integers
_DEEPEST = 64  # nested lists that NumPy follows
_HINTS = {
    "masked": "fill them in, x.filled(value), or leave their rows out",
    "pandas": "fill them in, frame.fillna(value), or leave out their rows, frame.dropna()",
    "nulls": "fill them in, frame.fill_null(value), or leave out their rows, frame.drop_nulls()",
    "cells": "fill them in, or leave their rows out; where NaN is meant, write float('nan')",
}


class Missing(NamedTuple):
    """How many values are missing, what the first one is and its indices, and what kind of hint helps."""

    number: int
    what: str
    kind: str
    at: tuple[int, ...] = ()

    @property
    def first(self) -> str:
        """The first one and where it is."""
        return f"{self.what} at [{', '.join(map(str, self.at))}]" if self.at else self.what


def as_array(data: object, dtype: DTypeLike | None = None, name: str = "the data") -> AnyArray:
    """The data as an array of NumPy's, over the same memory where that is possible.

    ``data`` is an array (masked or not), nested lists, or a frame or column of pandas, polars or Arrow. Raises
    DataError where values are missing, and what ``numpy.asarray`` raises.

    >>> as_array(np.ma.masked_equal([1.0, -999.0], -999.0))
    Traceback (most recent call last):
    ...
    chainrule.errors.DataError: the data: 1 value is missing
      expected: a value in every place
      got:      masked at [1]
    ...
    """
    if type(data) is not np.ndarray:
        need_whole(name, data)
        dtype = _common_dtype(data) if dtype is None else dtype
    elif data.dtype.kind not in "biuf":
        need_whole(name, data)
    return np.asarray(data, dtype)


def shaped(data: object) -> Any:
    """A node or a tensor as it is, anything else as an array: what has a shape and a dtype."""
    return data if hasattr(data, "records_primitives") else as_array(data)


def need_whole(name: str, data: object, hint: str = "") -> None:
    """DataError where values of array-like data are missing, with their number, the first one and what to do.

    >>> need_whole("X", [[1.0, 2.0], [3.0, None]])
    Traceback (most recent call last):
    ...
    chainrule.errors.DataError: X: 1 value is missing
      expected: a value in every place
      got:      None at [1, 1]
    ...
    """
    if (type(data) is np.ndarray and data.dtype.kind in "biuf") or _is_number(type(data)):
        return
    found = find_missing(data)
    if found is not None:
        raise DataError(
            f"{name}: {found.number} value{'s are' if found.number > 1 else ' is'} missing",
            expected="a value in every place",
            got=found.first,
            where=caller_line(),
            hint=hint or _HINTS[found.kind],
        )


def find_missing(data: object, depth: int = 0) -> Missing | None:
    """What is missing in array-like data of any kind; None where nothing is."""
    if isinstance(data, np.ma.MaskedArray):
        return _of_masked(data)
    if isinstance(data, np.ndarray):
        return _of_array(data)
    if isinstance(data, list | tuple):
        return _of_items(data, depth)
    if _is_number(type(data)) or hasattr(data, "records_primitives"):
        return None
    if hasattr(data, "isna"):
        return _of_pandas(data)
    if hasattr(data, "null_count") or hasattr(data, "column_names"):
        return _of_nulls(data)
    stored = getattr(data, "data", None) if hasattr(data, "tocsr") else None
    if isinstance(stored, np.ma.MaskedArray):
        return _of_masked(stored)
    return Missing(1, str(data), "cells") if depth and _is_missing(data) else None


def _of_masked(data: np.ma.MaskedArray[tuple[int, ...], np.dtype[Any]]) -> Missing | None:
    mask = np.ma.getmaskarray(data)
    if mask.dtype.names:  # of records each field has one
        mask = np.array(mask.tolist(), bool).reshape(*mask.shape, -1)
    return _of_mask(mask, "masked", "masked") or _of_array(np.ma.getdata(data))


def _of_array(data: AnyArray) -> Missing | None:
    if data.dtype.kind in "mM":
        return _of_mask(np.isnat(data), "NaT", "cells")
    if data.dtype.kind != "O":
        return None
    gone = np.fromiter((_is_missing(cell) for cell in data.flat), bool, data.size).reshape(data.shape)
    return _of_mask(gone, str(data[gone][0]), "cells") if gone.any() else None


def _of_mask(mask: AnyArray, what: str, kind: str) -> Missing | None:
    count = int(np.count_nonzero(mask))
    if not count:
        return None
    return Missing(count, what, kind, tuple(np.argwhere(mask)[0].tolist()))


def _of_items(data: list[object] | tuple[object, ...], depth: int) -> Missing | None:
    """Of nested lists; most hold plain numbers only, which one look at the kinds of things in them says."""
    if depth > _DEEPEST or all(map(_is_number, set(map(type, data)))):
        return None
    found = [(i, gone) for i, x in enumerate(data) if (gone := find_missing(x, depth + 1)) is not None]
    if not found:
        return None
    i, gone = found[0]
    return gone._replace(number=sum(one.number for _, one in found), at=(i, *gone.at))


def _of_pandas(data: Foreign) -> Missing | None:
    """Of a frame or column of pandas: NA, None, NaT, and NaN where the dtype takes it for a missing value."""
    if not hasattr(data, "columns"):
        return None if _is_plain(data.dtype) else _of_column(np.asarray(data.isna()), data, "")
    parts = [
        (str(name), data.iloc[:, i])
        for i, (name, dtype) in enumerate(zip(data.columns, data.dtypes, strict=True))
        if not _is_plain(dtype)
    ]
    return _of_columns(
        _of_column(np.asarray(column.isna()), column, f"column {quoted(name)}, ") for name, column in parts
    )


def _of_nulls(data: Foreign) -> Missing | None:
    """Of a frame or column of polars or Arrow."""
    if hasattr(data, "get_columns"):
        parts = [(column.name, column) for column in data.get_columns()]
    elif hasattr(data, "column_names"):
        parts = list(zip(data.column_names, data.columns, strict=True))
    else:
        return _of_column(np.asarray(data.is_null()), None, "", "nulls") if _nulls(data) else None
    return _of_columns(
        _of_column(np.asarray(column.is_null()), None, f"column {quoted(name)}, ", "nulls")
        for name, column in parts
        if _nulls(column)
    )


def _nulls(column: Foreign) -> int:
    count = column.null_count
    return int(count() if callable(count) else count)


def _of_column(gone: AnyArray, column: Foreign, of: str, kind: str = "pandas") -> Missing | None:
    rows = np.flatnonzero(gone)
    if not len(rows):
        return None
    what = "null" if column is None else str((column.iloc if hasattr(column, "iloc") else column)[rows[0]])
    return Missing(len(rows), f"{what} in {of}row {rows[0]}", kind)


def _of_columns(parts: Iterator[Missing | None]) -> Missing | None:
    found = [part for part in parts if part is not None]
    return found[0]._replace(number=sum(part.number for part in found)) if found else None


def _is_number(kind: type) -> bool:
    """Whether things of this type are numbers (or texts), of which none is a missing value."""
    return kind in _PLAIN or (issubclass(kind, _NUMBERS) and not issubclass(kind, np.timedelta64))


def _is_plain(dtype: object) -> bool:
    """Whether it is one of NumPy's, whose values are numbers and nothing else."""
    return isinstance(dtype, np.dtype) and dtype.kind in "biufc"


def _is_missing(cell: object) -> bool:
    if cell is None or cell is np.ma.masked or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, np.datetime64 | np.timedelta64) and bool(np.isnat(cell))


def _common_dtype(data: Foreign) -> np.dtype[Any] | None:
    """NumPy's dtype of a frame or column of pandas' own numbers, which would become an array of objects."""
    given = getattr(data, "dtypes", None) if hasattr(data, "columns") else getattr(data, "dtype", None)
    if not hasattr(data, "isna") or given is None:
        return None
    kinds = [getattr(dtype, "numpy_dtype", dtype) for dtype in ([given] if data.ndim == 1 else given)]
    if not kinds or not all(map(_is_plain, kinds)):
        return None
    return np.result_type(*kinds)

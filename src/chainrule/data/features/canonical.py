"""Tables in their canonical form: each column read as its reading says, and a notice of what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import COUNTING, known_name, list_cells, list_some, near_names
from chainrule.data.features.notices import Notice
from chainrule.data.features.numbers import together
from chainrule.data.features.readings import LARGEST, Reading, read
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

INTEGER_TYPES = frozenset(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
NOT_OF_KIND = {"number": "numbers", "clock": "times of day", "boolean": "true or false", "date": "dates"}


def read_columns(
    frame: pl.DataFrame, readings: Mapping[str, Reading], strict: bool = True, before: int = 0
) -> tuple[list[pl.Series], list[Notice]]:
    """The columns of a table, those with a reading in its canonical form, and notices of what does not fit.

    If ``strict``, a column of which not a single cell fits is a DataError. ``before`` rows of the table came before.
    """
    columns, notices = [], []
    plain = _within_limits(frame, readings)
    for series in frame.get_columns():
        reading = readings.get(series.name)
        if reading is None or series.name in plain:
            columns.append(series)
            continue
        values = read(series, reading)
        columns.append(values.series)
        if values.odd is not None:
            notices.append(_notice_odd(series.name, reading, values.odd, values.first_odd, before))
            if strict and not before and values.series.null_count() == len(series):
                raise _nothing_fits(series.name, reading, values.odd, values.first_odd)
    return columns, notices


def _within_limits(frame: pl.DataFrame, readings: Mapping[str, Reading]) -> set[str]:
    """The columns of numbers that are in their canonical form: found at once, for a table may be wide."""
    found, floats = set(), []
    for series in frame.get_columns():
        reading = readings.get(series.name)
        if reading is None or reading.values != "number" or reading.missing:
            continue
        if str(series.dtype) in INTEGER_TYPES:
            found.add(series.name)
        elif str(series.dtype) in {"Float32", "Float64"}:
            floats.append(series.name)
    most = together(frame.height)
    for start in range(0, len(floats), most):
        names = floats[start : start + most]
        values = frame[names].to_numpy().astype(np.float64)  # the limit is infinite as a float32
        wild = (np.abs(values) > LARGEST).any(0)
        found |= {name for name, is_wild in zip(names, wild, strict=True) if not is_wild}
    return found


def _notice_odd(name: str, reading: Reading, odd: NDArray[np.bool_], first: str, before: int) -> Notice:
    return Notice(
        f"column {name!r} has cells that are not {NOT_OF_KIND[reading.values]}, such as",
        (f"{quoted(first)} (row {before + int(odd.argmax()) + 1})",),
        int(odd.sum()),
        len(odd),
        ": they count as missing",
    )


def _nothing_fits(name: str, reading: Reading, odd: NDArray[np.bool_], first: str) -> DataError:
    return DataError(
        f"column {quoted(name)} has no cell that fits: in training it held {NOT_OF_KIND[reading.values]}",
        expected=NOT_OF_KIND[reading.values]
        + (f" with {reading.decimal!r} as decimal mark" if reading.decimal else ""),
        got=list_cells([(int(odd.argmax()), first)]),
        where=COUNTING,
    )


def require_columns(frame: pl.DataFrame, names: list[str], target: str) -> pl.DataFrame:
    """The table, whose columns have the names of training; DataError if one is not there."""
    present = set(frame.columns)
    absent = [name for name in names if name not in present]
    if absent:  # perhaps only by the spaces around a name, or by how its accents are encoded
        wanted = set(names)
        free = [name for name in frame.columns if name not in wanted]
        same = {known_name(name, free): name for name in absent}
        frame = frame.rename({old: new for old, new in same.items() if old != new})
        present = set(frame.columns)
        absent = [name for name in absent if name not in present]
    if absent:
        others = [name for name in free if name != target]
        near = near_names(absent[0], others)
        raise DataError(
            f"the table lacks {len(absent)} of the {len(names)} columns that the model was trained with",
            expected=list_some([quoted(name) for name in absent]),
            got=f"columns {list_some([quoted(name) for name in frame.columns])}",
            hint=f"instead of {quoted(absent[0])}, {near}" if near else "",
        )
    return frame

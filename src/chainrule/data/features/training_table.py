"""A training table: how its columns are written, and what its training rows teach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import known_name, list_some
from chainrule.data.features.calendar import telling_parts
from chainrule.data.features.canonical import read_columns
from chainrule.data.features.categories import effect_targets, with_effects
from chainrule.data.features.column_options import FOUND_OUT, Columns, said_as
from chainrule.data.features.columns import Column
from chainrule.data.features.finding import Found, find_readings
from chainrule.data.features.fitting import Fitted, fit_column
from chainrule.data.features.marks_used import say_marks
from chainrule.data.features.number_texts import BRACKETS, FLAGGED
from chainrule.data.features.numbers import column_numbers
from chainrule.data.features.preprocessing import Preprocessor
from chainrule.data.features.said_types import check_types
from chainrule.data.features.target import fit_target, rows_with_target, target_column
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl


def fit_preprocessor(
    frame: pl.DataFrame,
    target: str,
    task: str | None = None,
    rows: NDArray[np.int64] | None = None,
    columns: Columns = FOUND_OUT,
    likely_decimal: str = "",
) -> tuple[Preprocessor, tuple[str, ...]]:
    """Learn from the training rows how a table becomes arrays; returns notices of what was decided.

    ``rows`` are the training rows' indices, all rows if None; rows without a target are left out. Only they
    count for moments, fill values, categories and classes; how a column is written is found from the whole table.
    ``task`` is "classification", "regression", or None to find out (``find_task``). ``columns`` says what is known
    about the columns. ``likely_decimal`` is the decimal mark of numbers in text where they leave it open, as a comma is
    where ; separates the cells of a file.

    Raises DataError for a table or target that cannot be learned from.

    >>> import polars as pl
    >>> towns = ["Oslo", "Rome", "Oslo"]
    >>> houses = pl.DataFrame({"rooms": [2, 4, None], "town": towns, "price": [1.5, 4.0, 2.0]})
    >>> preprocessor, notices = fit_preprocessor(houses, "price")
    >>> preprocessor.feature_names, preprocessor.target.task
    (('rooms', 'town=Oslo', 'town=Rome'), 'regression')
    >>> preprocessor.transform(houses).shape
    (3, 3)
    >>> print(*notices)
    column 'rooms' has no value in 1 of 3 rows: filled with the median in training, 3
    """
    target = known_name(target, frame.columns)
    ready = read_frame(frame, target, columns, task, likely_decimal)
    preprocessor, notices = fit_canonical(ready, target, task, rows)
    return preprocessor, (*ready.notices, *notices)


@dataclass(frozen=True)
class Ready:
    """A training table in its canonical form: the frame, each column's reading, and what was said about them."""

    frame: pl.DataFrame
    found: dict[str, Found]
    columns: Columns
    notices: tuple[str, ...]


def read_frame(
    frame: pl.DataFrame,
    target: str,
    columns: Columns = FOUND_OUT,
    task: str | None = None,
    likely_decimal: str = "",
) -> Ready:
    """Find how the columns of a training table are written, and bring them to their canonical form.

    Raises DataError for a target or a column of ``columns`` that is not there.
    """
    import polars as pl

    target_column(frame, target)
    columns = columns.resolved(frame.columns)
    columns.check_names(frame.columns, target)
    found = find_readings(frame, columns, target, task, likely_decimal)
    ignored = set(columns.ignore)
    readings = {name: one.reading for name, one in found.items() if name not in ignored}
    series, odd = read_columns(frame, readings, strict=False)
    check_types(frame, {one.name: one for one in series if one.name in readings}, found, columns)
    said = [text for name, one in found.items() if name not in ignored for text in _say_reading(name, one)]
    marks = say_marks(frame, target, columns)
    canonical = pl.DataFrame({one.name: one for one in series})  # a list would rename a column without a name
    return Ready(canonical, found, columns, (*said, *marks, *map(str, odd)))


def _say_reading(name: str, found: Found) -> list[str]:
    reading = found.reading
    parts = []
    if reading.values == "number" and reading.decimal == ",":
        parts.append("a decimal comma")
    if reading.unit and reading.unit not in {FLAGGED, BRACKETS}:
        parts.append(f"{quoted(reading.unit)} beside them")
    said = [f"column {quoted(name)} is read as numbers with {' and '.join(parts)}"] if parts else []
    said += [f"column {quoted(name)}: {told}" for told in found.said]
    other = "." if reading.decimal == "," else ","
    if found.open == "decimal":
        mark, _, taken = found.assumed.partition(" ")
        said.append(
            f"column {quoted(name)}: each {mark!r} is taken for {taken}; else {said_as('decimal', other)}"
        )
    elif found.assumed and reading.values == "date" and not found.open:
        said.append(f"column {quoted(name)}: dates have {found.assumed}; else {said_as('day_first')}")
    elif found.assumed and not found.open:
        said.append(f"column {quoted(name)}: {found.assumed}; else {said_as('decimal', other)}")
    return said


def _check_target_mark(column: pl.Series, found: Found, columns: Columns) -> None:
    """Refuse a target of numbers whose decimal mark is not the one that was said, or cannot be told."""
    if found.open not in {"mark", "other mark"}:
        return
    what = f"numbers that do not have the decimal mark {columns.decimal!r}"
    hint = f"leave out --decimal, or {said_as('type', column.name, 'text')}"
    if found.open == "mark":
        what = "numbers whose commas may be decimal marks or separators of thousands"
        hint = f"{said_as('decimal', ',')} or {said_as('decimal', '.')}"
    raise DataError(
        f"target {quoted(column.name)} has {what}",
        got=list_some([quoted(text) for text in column.drop_nulls().head(4).to_list()]),
        hint=hint,
    )


def fit_canonical(
    ready: Ready,
    target: str,
    task: str | None = None,
    rows: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> tuple[Preprocessor, tuple[str, ...]]:
    """As ``fit_preprocessor``, of a table that ``read_frame`` gave; its notices come besides.

    ``groups`` are the numbers of the groups of all rows of the table, if it has some, ``weights`` how many rows each of
    them counts for.
    """
    frame, columns = ready.frame, ready.columns
    _check_target_mark(frame[target], ready.found[target], columns)
    reading = ready.found[target].reading
    usable, notices = rows_with_target(frame, target, rows, reading)
    fitted_target, more = fit_target(frame[target], usable, task, reading)
    notices += more
    found: list[Fitted] = []
    for series in frame.get_columns():
        if series.name != target:
            found.append(_fit_one(series, ready, usable))
    if not any(one.column.width for one in found):  # then a column that counts the rows is better than none
        found = [
            _fit_one(frame[one.column.name], ready, usable, True) if one.is_counter else one for one in found
        ]
    notices += [notice for one in found for notice in one.notices]
    records = [one.column for one in found]
    if any(record.has_effects for record in records):
        values, names = effect_targets(fitted_target, frame[target], usable)
        records = [
            with_effects(
                record,
                frame[record.name],
                usable,
                values,
                tuple(f"{record.name}: {n}" for n in names),
                None if groups is None else groups[usable],
                None if weights is None else weights[usable],
            )
            for record in records
        ]
    if any(record.kind == "time" for record in records):
        values, _ = effect_targets(fitted_target, frame[target], usable)
        counts = None if weights is None else weights[usable] > 0
        records = [_with_parts(record, frame[record.name][usable], values, counts) for record in records]
        notices += [_say_parts(record) for record in records if record.parts]
    preprocessor = Preprocessor(tuple(records), fitted_target, columns.keep)
    if not any(record.width for record in records):
        raise DataError(
            "no column is left to predict from",
            expected="a column besides the target that differs between rows",
            got="; ".join(notices) or f"only the target {quoted(target)}",
        )
    return preprocessor, tuple(notices)


def _fit_one(series: pl.Series, ready: Ready, rows: NDArray[np.int64], counters: bool = False) -> Fitted:
    name, found = series.name, ready.found[series.name]
    if name in ready.columns.ignore:
        return Fitted(Column(name, "ignored", reading=found.reading), [])
    if found.open in {"mark", "other mark", "day"}:
        notice = f"column {quoted(name)} is ignored: {_why_open(name, found, ready.columns)}"
        return Fitted(Column(name, "ignored", reading=found.reading), [notice])
    return fit_column(
        series, found.reading, rows, ready.columns.types.get(name, "number" if counters else "")
    )


def _with_parts(
    column: Column, series: pl.Series, target: NDArray[np.float64], counts: NDArray[np.bool_] | None
) -> Column:
    """A column of dates with the parts of the calendar that tell something of the target [rows, outputs]."""
    if column.kind != "time":
        return column
    seconds = column_numbers(series, "time")
    if counts is not None:
        seconds, target = seconds[counts], target[counts]
    return replace(column, parts=telling_parts(seconds, target))


def _say_parts(column: Column) -> str:
    parts, verb = " and ".join(column.parts), "tells" if len(column.parts) == 1 else "tell"
    return f"column {quoted(column.name)}: its {parts} {verb} something of the target: used as well"


def _why_open(name: str, found: Found, columns: Columns) -> str:
    """What its cells leave open, and how it is said."""
    if found.open == "day":
        return f"day and month of its dates cannot be told apart; {said_as('day_first')}"
    if found.open == "mark":
        how = f"{said_as('decimal', ',')} or {said_as('decimal', '.')}"
        return f"its commas may be decimal marks or separators of thousands; {how}"
    return (
        f"its numbers do not have the decimal mark {columns.decimal!r}; leave out --decimal, or "
        f"{said_as('type', name, 'text')}"
    )

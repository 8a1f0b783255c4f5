"""From a column in its canonical form to its record, and from the record to features."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.calendar import encode_calendar
from chainrule.data.features.categories import encode_categories, fit_categories
from chainrule.data.features.column_options import said_as
from chainrule.data.features.columns import Column
from chainrule.data.features.different import are_names, different_cells
from chainrule.data.features.notices import Notice
from chainrule.data.features.numbers import column_numbers, encode_numbers, fit_numbers, together
from chainrule.data.features.odd_values import numbers_rows, sentinels
from chainrule.data.features.readings import Reading, type_error
from chainrule.data.features.spellings import kind_of_type
from chainrule.data.features.words import are_free_texts, encode_words, fit_words
from chainrule.foreign_text import clipped, quoted

if TYPE_CHECKING:
    import polars as pl

TEXTS = {"categorical", "words"}
KIND_OF = {"number": "numeric", "clock": "numeric", "boolean": "boolean", "date": "time"}


@dataclass(frozen=True)
class Fitted:
    """A column's record, the notices about it, and whether it was left out for numbering the rows only."""

    column: Column
    notices: list[str]
    is_counter: bool = False


def fit_column(series: pl.Series, reading: Reading, rows: NDArray[np.int64], wanted: str = "") -> Fitted:
    """What a column becomes, learned from the given rows (indices from 0); ``wanted`` is a type that was asked for."""
    name = series.name
    if reading.values == "other":
        return _ignored(name, reading, f"it holds {series.dtype}, which is not used")
    if wanted == "id":
        return _ignored(name, reading, "--type says it is an ID (in Python: Columns(types=...))")
    if reading.values == "text":
        return _fit_text(series, reading, rows, wanted)
    kind = KIND_OF[reading.values]
    every = column_numbers(series, kind)
    if kind == "numeric" and not wanted:
        why = numbers_rows(series, every)
        if why:
            remedy = said_as("type", name, "number")
            return Fitted(
                Column(name, "ignored", reading=reading), [_left_out(name, f"{why}; {remedy}")], True
            )
    values = every if len(rows) == len(every) else every[rows]
    column, why, notices = fit_numbers(name, kind, reading, values)
    if column is None:
        return _ignored(name, reading, why)
    if kind == "time":
        order = f" ({reading.day_first} first)" if reading.day_first else ""
        notices = [f"column {quoted(name)} holds dates{order}: used as seconds since 1970-01-01", *notices]
    if kind == "numeric":
        notices += sentinels(name, values[~np.isnan(values)])
    return Fitted(column, notices)


def _fit_text(series: pl.Series, reading: Reading, rows: NDArray[np.int64], wanted: str) -> Fitted:
    cells = different_cells(series[rows])
    if wanted == "words" or (wanted != "category" and are_free_texts(cells)):
        column, why, notices = fit_words(series.name, reading, cells)
        return Fitted(column, notices) if column else _ignored(series.name, reading, why)
    if wanted != "category" and are_names(cells):
        known, different = int(cells.counts.sum()) - cells.empty, cells.texts.drop_nulls().n_unique()
        why = f"{different} different texts in {known} rows look like names"
        use = f"{said_as('type', series.name, 'words')}, or {shlex.quote(f'{clipped(series.name)}=category')}"
        return _ignored(series.name, reading, f"{why} (to use it: {use})")
    column, why, notices = fit_categories(series.name, reading, cells)
    return Fitted(column, notices) if column else _ignored(series.name, reading, why)


def _ignored(name: str, reading: Reading, why: str) -> Fitted:
    return Fitted(Column(name, "ignored", reading=reading), [_left_out(name, why)])


def _left_out(name: str, why: str) -> str:
    return f"column {quoted(name)} is ignored: {why}"


def encode_text(
    column: Column, series: pl.Series, rows: NDArray[np.int64] | None, out: NDArray[np.float32]
) -> list[Notice]:
    """Write the features of some rows (all if None) into ``out`` [rows, column.width], which holds zeros.

    ``series`` is in its canonical form. Returns notices about the whole column.
    """
    if kind_of_type(series) == "other":
        raise type_error(series, column.reading)
    encode = encode_words if column.kind == "words" else encode_categories
    return encode(column, series, rows, out)


def encode_columns(
    columns: Sequence[Column], by_name: Mapping[str, pl.Series], rows: NDArray[np.int64] | None, height: int
) -> tuple[NDArray[np.float32], list[Notice]]:
    """The features of some rows (all if None) of columns in their canonical form, [rows, features], and notices."""
    selected = height if rows is None else len(rows)
    out = np.zeros((selected, sum(column.width for column in columns)), dtype=np.float32)
    notices: list[Notice] = []
    stop = 0
    for some in _runs(columns, together(height)):
        start, stop = stop, stop + sum(column.width for column in some)
        series = [by_name[column.name] for column in some]
        if some[0].kind in TEXTS:
            notices += encode_text(some[0], series[0], rows, out[:, start:stop])
        else:
            notices += encode_numbers(some, series, rows, out[:, start : start + len(some)])
        if some[0].parts:
            seconds = column_numbers(series[0], "time")
            encode_calendar(
                some[0].parts, seconds if rows is None else seconds[rows], out[:, start + 1 : stop]
            )
    return out, notices


def _runs(columns: Sequence[Column], most: int) -> Iterator[list[Column]]:
    """The columns one after the other, those of one number each that follow each other together."""
    run: list[Column] = []
    for column in columns:
        if run and (_is_alone(column) or _is_alone(run[0]) or len(run) == most):
            yield run
            run = []
        run.append(column)
    if run:
        yield run


def _is_alone(column: Column) -> bool:
    """Whether a column is encoded by itself."""
    return column.kind in TEXTS or bool(column.parts)

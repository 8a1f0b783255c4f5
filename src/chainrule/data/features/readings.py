"""One kind and one canonical form for each column, whatever its cells were written in.

The design. Cells come as text (from a file, or as a frame's texts) or with a type (integers, floats, truth values,
dates, categories, of polars, pandas or Arrow). A column has one ``Reading``: the kind of its values and how they are
written in text. ``read`` turns any of these cells into the one canonical form of that kind:

    number      Float64, or the integers themselves where the cells are integers; null where missing
    clock       times of day: Float64, seconds since midnight
    boolean     Boolean
    date        Datetime in microseconds; an instant in UTC where the text has an offset, or the column a zone
    text        String: what a text says without spaces around it; of typed cells what ``canonical_text`` writes

The reading is found once, from the training table (``find_readings``), is kept in the model, and is used at predict. So
two spellings of a value are the same value, then and there.

A column is of the narrowest kind that nine in ten of its known cells (rows, not different cells) have. What does not
fit is missing, and counted in a notice with its first row. Below nine in ten it is text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features import date_texts, number_texts
from chainrule.data.features.different import different_cells
from chainrule.data.features.missing_marks import is_missing
from chainrule.data.features.spellings import as_utc, canonical_text, kind_of_type, masked, wrong_type
from chainrule.errors import DataError
from chainrule.foreign_text import short_repr

if TYPE_CHECKING:
    import polars as pl

PAIRS = (
    ("true", "false"),
    ("t", "f"),
    ("yes", "no"),
    ("y", "n"),
    ("on", "off"),
    ("ja", "nein"),
    ("oui", "non"),
    ("sí", "no"),
    ("si", "no"),
    ("sim", "não"),
    ("да", "нет"),
)
"""Words for true and false, in any case of letters: a column is boolean if all that it has are those of one pair."""
VALUES = ("number", "clock", "boolean", "date", "text", "other")
LARGEST = 1e300  # beyond it, differences of two values leave the range of float64


@dataclass(frozen=True, repr=False)
class Reading:
    """How the cells of a column become values.

    ``values`` is one of ``VALUES``; "other" is a type that is not used, such as lists. Of numbers in text, ``decimal``
    and ``unit`` are those of ``NumberFormat``. Of dates, ``day_first`` says "day", "month" or "year" where it matters.
    ``pair`` are the words for true and false. ``marks`` names the texts that count as missing, ``missing`` are more.
    """

    values: str
    decimal: str = ""
    unit: str = ""
    day_first: str = ""
    pair: tuple[str, ...] = ()
    marks: str = "usual"
    missing: tuple[str, ...] = ()

    __repr__ = short_repr

    @property
    def needs_text(self) -> bool:
        """Whether a file's cells are to be handed over as they are, without a guess at their type."""
        return self.values not in {"number", "boolean"} or bool(self.decimal or self.unit or self.missing)


@dataclass(frozen=True)
class Values:
    """A column in its canonical form, and which cells were there but did not fit its kind, Boolean [rows]."""

    series: pl.Series
    odd: NDArray[np.bool_] | None = None
    first_odd: str = ""


def read(series: pl.Series, reading: Reading) -> Values:
    """The column in the canonical form of its reading."""
    found = kind_of_type(series)
    if found == "other" or reading.values == "other":
        return Values(series, None)
    if found in {"text", "category"}:
        return _read_text(series, reading)
    if reading.values == "text":
        text = canonical_text(series)
        if reading.missing:
            gone = is_missing(text, "none", reading.missing)
            text = masked(text, gone)
        return Values(text)
    return _read_typed(series, reading, found)


def _read_typed(series: pl.Series, reading: Reading, found: str) -> Values:
    import polars as pl

    if reading.values == found == "clock":
        return Values((series.cast(pl.Int64).cast(pl.Float64) / 1e9).alias(series.name))
    if reading.values == found == "date":
        return Values(as_utc(series))
    if found == "number" and series.null_count() == len(series):
        return Values(series)
    if reading.values == "date" and found == "number":
        return _read_text(canonical_text(series).alias(series.name), replace(reading, pair=("compact",)))
    if found in {"number", "boolean"} and reading.values in {"number", "boolean"}:
        numbers = _without(series, reading.missing) if reading.missing and found == "number" else series
        if reading.values == "boolean" and found == "number":
            return _with_odd(
                numbers.cast(pl.Float64).fill_nan(None), lambda s: s.is_in([0.0, 1.0]), pl.Boolean
            )
        return numbers_within(numbers)
    raise type_error(series, reading)


def numbers_within(series: pl.Series) -> Values:
    """Numbers as they are; those that are infinite, or too large for differences, are odd."""
    import polars as pl

    if series.dtype == pl.Boolean or series.dtype.is_integer() or not len(series):
        return Values(series)
    low, high = limits(series)
    if (low is None or low >= -LARGEST) and (high is None or high <= LARGEST):
        return Values(series)
    wide = series.cast(pl.Float64).fill_nan(None)
    return _with_odd(wide, lambda s: s.abs() <= LARGEST, pl.Float64)


def limits(series: pl.Series) -> tuple[Any, Any]:
    """The smallest and the largest value, None where there is none."""
    import polars as pl

    return series.to_frame().select(pl.nth(0).min().alias("low"), pl.nth(0).max().alias("high")).row(0)


def _with_odd(series: pl.Series, fits: Callable[[pl.Series], pl.Series], dtype: Any) -> Values:
    import polars as pl

    right = fits(series).fill_null(True)
    values = series.to_frame().select(pl.when(right).then(pl.nth(0))).to_series().cast(dtype)
    odd = (~right).to_numpy()
    first = f"{series[int(odd.argmax())]:.6g}" if odd.any() else ""
    return Values(values, odd if first else None, first)


def _without(series: pl.Series, missing: tuple[str, ...]) -> pl.Series:
    """Numbers, null where they are one of those that count as missing."""
    import polars as pl

    marks = pl.Series(missing).cast(pl.Float64, strict=False).drop_nulls()
    gone = series.cast(pl.Float64).is_in(marks.implode())
    return masked(series, gone.fill_null(False))


def _read_text(series: pl.Series, reading: Reading) -> Values:
    cells = different_cells(series)
    gone = is_missing(cells.texts, reading.marks, reading.missing)
    if reading.values == "text":
        plain = not gone.any() and bool((cells.texts == cells.kinds).all())
        return Values(series) if plain else Values(masked(cells.texts, gone).gather(cells.places()))
    values = parse_texts(masked(cells.texts, gone), reading)
    odd = (values.is_null() & ~gone).to_numpy()
    places = cells.places()
    rows = odd[places] if odd.any() else None
    first = str(cells.texts[int(places[int(rows.argmax())])]) if rows is not None else ""
    return Values(values.gather(places).alias(series.name), rows, first)


def parse_texts(texts: pl.Series, reading: Reading) -> pl.Series:
    """Texts as values of a reading's kind, null for those that are none."""
    import polars as pl

    if reading.values == "number":
        if not (reading.decimal or reading.unit):
            whole = texts.cast(pl.Int64, strict=False)
            if whole.null_count() == texts.null_count():
                return whole
        numbers = number_texts.parse(texts, number_texts.NumberFormat(reading.decimal, reading.unit))
        return numbers_within(numbers).series
    if reading.values == "boolean":
        yes, no = reading.pair or PAIRS[0]
        words = {
            yes: True,
            no: False,
            "true": True,
            "false": False,
            "1": True,
            "0": False,
            "1.0": True,
            "0.0": False,
        }
        return texts.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    if reading.values == "clock":
        return date_texts.clock(texts)
    return date_texts.parse(
        texts, {"day": True, "month": False}.get(reading.day_first), reading.day_first == "year"
    )


def type_error(series: pl.Series, reading: Reading) -> DataError:
    """The error for a column whose type is of another kind than its reading."""
    expected = {"number": "numbers", "boolean": "true and false", "date": "dates", "clock": "times of day"}
    hint = "write every date as 2026-01-31, or convert the column with pandas.to_datetime"
    return wrong_type(series, expected.get(reading.values, "text"), hint if reading.values == "date" else "")

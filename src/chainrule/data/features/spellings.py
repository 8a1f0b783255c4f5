"""The one text of a value, whatever type its cell has, and which texts say the same value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from chainrule.data.features.different import stripped
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def kind_of_type(series: pl.Series) -> str:
    """What a column's type says: number, boolean, date, clock, text, category (said to be one), or other."""
    return _kind_of_class(series.dtype.base_type())


@cache  # comparing types takes longer than all else that is asked of a column of numbers
def _kind_of_class(dtype: type[pl.DataType]) -> str:
    import polars as pl

    if dtype.is_numeric() or dtype == pl.Null:
        return "number"
    kinds = {
        pl.Boolean: "boolean",
        pl.Time: "clock",
        pl.Date: "date",
        pl.Datetime: "date",
        pl.String: "text",
        pl.Categorical: "category",
        pl.Enum: "category",
    }
    return kinds.get(dtype, "other")


def as_utc(series: pl.Series) -> pl.Series:
    """Dates and times as Datetime in microseconds without a zone, those with a zone in UTC."""
    import polars as pl

    if series.dtype != pl.Date and getattr(series.dtype, "time_zone", None):
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return series.cast(pl.Datetime("us"))


def masked(series: pl.Series, gone: pl.Series) -> pl.Series:
    """The cells, null where they are ``gone``."""
    import polars as pl

    return series.to_frame().select(pl.when(~gone).then(pl.nth(0)).alias(series.name)).to_series()


def wrong_type(series: pl.Series, expected: str, hint: str = "") -> DataError:
    """The error for a column whose type is not the one that is expected."""
    known = series.drop_nulls().head(1).to_list()
    return DataError(
        f"column {quoted(series.name)} is of another type",
        expected=expected,
        got=f"{series.dtype}" + (f", such as {quoted(known[0])}" if known else ""),
        hint=hint,
    )


def canonical_text(series: pl.Series) -> pl.Series:
    """The cells as text: 1 for 1.0, true, 2026-01-31, 2026-01-31T10:00:00; null where they are missing or empty.

    >>> import polars as pl
    >>> canonical_text(pl.Series([1.0, 2.5, None])).to_list(), canonical_text(pl.Series([True])).to_list()
    (['1', '2.5', None], ['true'])
    """
    import polars as pl

    if series.dtype.is_float():
        series = series.cast(pl.Float64) if series.dtype != pl.Float32 else series
        known = series.fill_nan(None)
        whole = (known == known.round()) & (known.abs() < 2.0**63)
        integer = masked(known, ~whole.fill_null(False)).cast(pl.Int64, strict=False).cast(pl.String)
        texts = pl.select(pl.coalesce(integer, known.cast(pl.String))).to_series()
        return texts.alias(series.name)
    if series.dtype.is_decimal():
        written = series.cast(pl.String)
        return written.str.replace(r"\.0*$", "").str.replace(r"(\.\d*?)0+$", "$1")
    if kind_of_type(series) == "date":
        times = as_utc(series)
        day, time = times.dt.strftime("%Y-%m-%d"), times.dt.strftime("%Y-%m-%dT%H:%M:%S%.f")
        midnight = (times.dt.truncate("1d") == times).fill_null(True)
        return day.zip_with(midnight, time).alias(series.name)
    if kind_of_type(series) == "other":
        raise wrong_type(series, "text")
    return stripped(series.cast(pl.String))


def identity(text: str) -> str:
    """What texts that say the same value have in common: 1, 01, 1.0 and +1; True and true; a date and its midnight.

    >>> identity("1.0"), identity("TRUE"), identity("2026-01-31 00:00:00"), identity("Oslo")
    ('1', 'true', '2026-01-31', 'Oslo')
    """
    if text.lower() in {"true", "false"}:
        return text.lower()
    if PLAIN_NUMBER.fullmatch(text):
        number = Decimal(text)
        if number == number.to_integral_value() and abs(number.adjusted()) < 40:
            return str(int(number))
        return str(number.normalize())
    if ISO_DATE.match(text):
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return text
        if time.tzinfo:
            time = time.astimezone(UTC).replace(tzinfo=None)
        day = time.isoformat()
        return day.removesuffix("T00:00:00")
    return text


def places_of(names: Sequence[str]) -> Callable[[str | None], int]:
    """A function that says which of the names a text is: the same text, or the only name of the same value; else -1.

    >>> place = places_of(["0501", "9", "x"])
    >>> place("0501"), place("501"), place("9.0"), place("y")
    (0, 0, 1, -1)
    """
    exact = {name: number for number, name in enumerate(names)}
    same: dict[str, int] = {}
    for name, number in exact.items():
        key = identity(name)
        same[key] = -1 if key in same else number

    def place(text: str | None) -> int:
        if text is None:
            return -1
        found = exact.get(text)
        return same.get(identity(text), -1) if found is None else found

    return place

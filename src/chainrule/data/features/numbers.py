"""Columns of numbers, truth values and dates: what is learned from them, and their features."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import COUNTING, list_cells
from chainrule.data.features.columns import Column
from chainrule.data.features.notices import Notice
from chainrule.data.features.readings import LARGEST, Reading, read, type_error
from chainrule.data.features.spellings import kind_of_type
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

BLOCK = 1 << 18  # rows
MOST_STANDARDISED = 1e30
SMALLEST = float(np.finfo(np.float64).tiny)


def column_numbers(series: pl.Series, kind: str = "numeric") -> NDArray[np.float64]:
    """The cells of a numeric, boolean or time column as float64 [rows], NaN where they are missing.

    Times are seconds since 1970-01-01. Raises DataError for a column of another type.
    """
    import polars as pl

    if series.null_count() == len(series):
        return np.full(len(series), np.nan)
    found = kind_of_type(series)
    if kind == "time" and found == "date":
        return series.dt.epoch("us").cast(pl.Float64).to_numpy() / 1e6
    if kind == "time" or found not in {"number", "boolean"}:
        reading = Reading("date" if kind == "time" else "number")
        if found not in {"text", "category"}:
            raise type_error(series, reading)
        return column_numbers(read(series, reading).series, kind)
    return series.cast(pl.Float64).to_numpy()


def fit_numbers(
    name: str, kind: str, reading: Reading, values: NDArray[np.float64]
) -> tuple[Column | None, str, list[str]]:
    """What is learned from the training rows' values [rows], NaN where missing; or why there is nothing to learn."""
    missing = np.isnan(values)
    gaps = int(np.count_nonzero(missing))
    if gaps == len(values):
        return None, "it has no value in the training rows", []
    known = values[~missing] if gaps else values
    fill = float(known.mean() >= 0.5) if kind == "boolean" else _median(known)
    mean, deviation = moments(np.where(missing, fill, values) if gaps else values)
    if deviation == 0:
        return None, "it is constant in the training rows", []
    if kind == "boolean":
        mean, deviation = 0.0, 1.0
    low, high = (0.0, 1.0) if kind == "boolean" else (float(known.min()), float(known.max()))
    column = Column(
        name, kind, mean, standard_deviation=deviation, fill=fill, reading=reading, low=low, high=high
    )
    return column, "", [str(notice) for notice in notice_filled(column, missing)] if gaps else []


def _median(values: NDArray[np.float64]) -> float:
    """The median of values [n] without NaN: NumPy's own takes four times as long for short columns."""
    middle = (len(values) - 1) // 2, len(values) // 2
    ordered = np.partition(values, middle)
    return float(ordered[middle[0]] / 2 + ordered[middle[1]] / 2)


def encode_numbers(
    columns: list[Column], series: list[pl.Series], rows: NDArray[np.int64] | None, out: NDArray[np.float32]
) -> list[Notice]:
    """Write the features of some rows (all if None) into ``out`` [rows, columns]; notices are of whole columns.

    Several columns at once, for a table may be wide; ``together`` says how many.
    """
    values = _as_matrix(columns, series)
    missing = np.isnan(values)
    low, high = np.array([column.bounds for column in columns]).T
    fill, mean, deviation = (
        np.array([getattr(column, name) for column in columns])
        for name in ("fill", "mean", "standard_deviation")
    )
    with np.errstate(invalid="ignore"):
        outside = (values < low) | (values > high)
    for block in blocks(len(out)):
        part = values[block] if rows is None else values[rows[block]]
        part = np.where(np.isnan(part), fill, np.clip(part, low, high))
        with np.errstate(over="ignore"):  # clipped below where the range is not known; elsewhere checked
            part -= mean
            part /= deviation
        if any(
            column.high == LARGEST for column in columns
        ):  # models of older versions do not know the range
            np.clip(part, -MOST_STANDARDISED, MOST_STANDARDISED, out=part)
        out[block] = part
    found: list[Notice] = []
    for place in np.flatnonzero(missing.any(0) | outside.any(0)):
        found += notice_filled(columns[place], missing[:, place])
        found += _notice_outside(columns[place], values[:, place], outside[:, place])
    return found


def together(rows: int) -> int:
    """How many columns of numbers are encoded at once in a table of so many rows."""
    return max(BLOCK // max(rows, 1), 1)


def _as_matrix(columns: list[Column], series: list[pl.Series]) -> NDArray[np.float64]:
    """The values of some columns in their canonical form, [rows, columns], NaN where missing."""
    import polars as pl

    if len(columns) == 1:
        return column_numbers(series[0], columns[0].kind)[:, np.newaxis]
    plain = [
        pl.Series(one.name, column_numbers(one, column.kind)) if column.kind == "time" else one
        for column, one in zip(columns, series, strict=True)
    ]
    return pl.DataFrame(plain).cast(pl.Float64).to_numpy()


def _notice_outside(column: Column, values: NDArray[np.float64], outside: NDArray[np.bool_]) -> list[Notice]:
    if not outside.any():
        return []
    low, high = (written(column, value) for value in (column.low, column.high))
    low_bound, high_bound = (written(column, value) for value in column.bounds)
    texts = tuple(written(column, float(value)) for value in np.unique(values[outside])[:5])
    return [
        Notice(
            f"column {column.name!r} has",
            texts,
            int(outside.sum()),
            len(values),
            f", far outside of training ({low} to {high}): taken as {low_bound} or {high_bound}",
        )
    ]


def written(column: Column, value: float) -> str:
    """A value of the column as people write it."""
    if column.kind == "boolean":
        return "true" if value else "false"
    if column.kind == "time":
        limits = (-62_135_596_800, 253_402_300_799)  # the years 1 to 9999
        return str(np.datetime64(int(min(max(value, limits[0]), limits[1])), "s"))
    return f"{value:.6g}"


def standardise(
    name: str,
    values: NDArray[np.float64],
    mean: float,
    deviation: float,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """(values - mean) / deviation as float32; raises DataError for what would leave float32's range.

    ``rows`` says which rows of the table they are, for errors; if None, the first ones.
    """
    standardised = np.empty(len(values), np.float32)
    with np.errstate(over="ignore"):
        for block in blocks(len(values)):
            standardised[block] = (values[block] - mean) / deviation
    wrong = np.flatnonzero(~np.isfinite(standardised))
    if wrong.size:
        raise DataError(
            f"column {quoted(name)} has values too far from those in training",
            expected=f"around {mean:.6g}, give or take {deviation:.6g}",
            got=list_cells((int(row if rows is None else rows[row]), float(values[row])) for row in wrong),
            where=COUNTING,
        )
    return standardised


def blocks(rows: int) -> list[slice]:
    """Slices of some rows each, for what would need much memory for all rows at once."""
    return [slice(start, start + BLOCK) for start in range(0, rows, BLOCK)]


def moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and (biased) standard deviation of values [rows], whatever their scale.

    A spread below 1e-12 of the largest value is rounding: the deviation is then 0.
    """
    largest = max(-float(values.min()), float(values.max()))
    if largest == 0:
        return 0.0, 0.0
    # Squares of very large or small values leave float64's range; a power of two scales without rounding.
    scale = 2.0 ** math.frexp(largest)[1]
    scaled = values / scale
    mean = float(scaled.sum()) / len(scaled)
    scaled -= mean
    deviation = math.sqrt(float(np.square(scaled, out=scaled).sum()) / len(scaled))
    negligible = deviation <= 1e-12 or deviation * scale < SMALLEST
    return mean * scale, 0.0 if negligible else deviation * scale


def notice_filled(column: Column, missing: NDArray[np.bool_]) -> list[Notice]:
    """The notice of values that were filled in."""
    if not missing.any():
        return []
    source = "the more frequent value" if column.kind == "boolean" else "the median"
    return [
        Notice(
            f"column {column.name!r} has no value",
            count=int(missing.sum()),
            rows=len(missing),
            consequence=f": filled with {source} in training, {written(column, column.fill)}",
        )
    ]

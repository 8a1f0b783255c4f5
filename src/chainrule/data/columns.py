"""One column of a table: what it holds, and how its cells become numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import COUNTING, list_cells, list_some
from chainrule.data.notices import Notice
from chainrule.data.tables import MISSING_SPELLINGS, is_missing_spelling, typed
from chainrule.errors import DataError

if TYPE_CHECKING:
    import polars as pl

KINDS = ("numeric", "boolean", "categorical", "time", "ignored")
MOST_CATEGORIES = 100
LARGEST = 1e300  # beyond it, differences of two values leave the range of float64
NUMBER_WITH_COMMAS = r"^[+-]?(\d+(,\d+)+(\.\d+)?|\d{1,3}(\.\d{3})+,\d+)$"  # 1,5 or 1,000.5 or 1.000,5


@dataclass(frozen=True)
class Column:
    """What was learned from one column of the training rows: all that is needed to encode it again.

    ``kind``: "numeric" (standardised), "time" (dates as seconds since 1970-01-01, standardised), "boolean"
    (0 or 1), "categorical" (one-hot: one feature a category, one more for a missing value if training had
    any) or "ignored". ``mean`` and ``standard_deviation`` are of the filled training values, in the column's
    units; ``fill`` stands for a missing value (numbers: the median; booleans: the more frequent value).

    >>> import polars as pl
    >>> from chainrule import data
    >>> frame = pl.DataFrame({"size": [1.0, 3.0], "kind": ["a", "b"], "y": [0.5, 2.5]})
    >>> fitted, notices = data.fit_preprocessor(frame, "y")
    >>> fitted.columns[0].mean, fitted.columns[0].standard_deviation
    (2.0, 1.0)
    >>> fitted.columns[1].feature_names
    ('kind=a', 'kind=b')
    """

    name: str
    kind: str
    mean: float = 0.0
    standard_deviation: float = 1.0
    fill: float = 0.0
    categories: tuple[str, ...] = ()
    missing_category: bool = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features that this column becomes, in order."""
        if self.kind == "ignored":
            return ()
        if self.kind == "categorical":
            missing = (f"{self.name}=(missing)",) if self.missing_category else ()
            return (*(f"{self.name}={category}" for category in self.categories), *missing)
        return (self.name,)


def fit_column(series: pl.Series, rows: NDArray[np.int64]) -> tuple[Column, list[str]]:
    """What a column becomes, learned from the given rows (indices from 0), and notices.

    Every row is checked: raises DataError for text in a numeric column and for infinite values, anywhere.
    """
    name, kind = series.name, find_kind(series)
    if kind == "ignored":
        return Column(name, kind), [f"column {name!r} is ignored: it holds {series.dtype}, which is not used"]
    if kind == "categorical":
        text = as_text(series)
        column, notices = _fit_categories(name, text[rows])
        if _kind_of_type(typed(text)) == "time":
            hint = "pandas.to_datetime makes dates of it"
            notices = [*notices, f"column {name!r} is text that reads as dates; {hint}"]
        return column, notices
    every = column_numbers(series, kind)
    values = every[rows]
    missing = np.isnan(values)
    if missing.all():
        return _ignored(name, "it has no value in the training rows")
    fill = _fill_value(kind, values[~missing])
    mean, deviation = moments(np.where(missing, fill, values))
    if deviation == 0:
        return _ignored(name, "it is constant in the training rows")
    if kind == "boolean":
        mean, deviation = 0.0, 1.0
    column = Column(name, kind, mean=mean, standard_deviation=deviation, fill=fill)
    notices = [f"column {name!r} holds dates: used as seconds since 1970-01-01"] if kind == "time" else []
    if len(every) >= 10 and np.array_equal(every, every[0] + np.arange(len(every))):
        notices.append(f"column {name!r} counts the rows; if it only numbers them, remove it from the table")
    return column, notices + [str(notice) for notice in _notice_filled(column, missing)]


def encode_column(column: Column, series: pl.Series) -> tuple[NDArray[np.float32], list[Notice]]:
    """The features of a column, float32 [rows, len(column.feature_names)], and notices.

    Raises DataError for cells that are not of the column's kind.
    """
    if column.kind == "categorical":
        return _one_hot(column, as_text(series))
    values = column_numbers(series, column.kind)
    missing = np.isnan(values)
    filled = np.where(missing, column.fill, values)
    encoded = standardise(column.name, filled, column.mean, column.standard_deviation)
    return encoded[:, np.newaxis], _notice_filled(column, missing)


def standardise(name: str, values: NDArray[np.float64], mean: float, deviation: float) -> NDArray[np.float32]:
    """(values - mean) / deviation as float32; raises DataError for what would leave float32's range."""
    with np.errstate(over="ignore"):
        standardised = ((values - mean) / deviation).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(standardised))
    if wrong.size:
        raise DataError(
            f"column {name!r} has values too far from those in training",
            expected=f"around {mean:.6g}, give or take {deviation:.6g}",
            got=list_cells((int(row), float(values[row])) for row in wrong),
            where=COUNTING,
        )
    return standardised


def find_kind(series: pl.Series) -> str:
    """One of ``KINDS``, by the column's type; raises DataError for text in a numeric column."""
    kind = _kind_of_type(series)
    if kind == "categorical":
        _reject_text_among_numbers(as_text(series))
    return kind


def _kind_of_type(series: pl.Series) -> str:
    import polars as pl

    dtype = series.dtype
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_numeric() or dtype == pl.Null:
        return "numeric"
    if any(
        dtype == date for date in (pl.Date, pl.Datetime)
    ):  # equal for every unit and zone, but not by hash
        return "time"
    return "categorical" if any(dtype == text for text in (pl.String, pl.Categorical, pl.Enum)) else "ignored"


def as_text(series: pl.Series) -> pl.Series:
    """The cells as text without spaces around them, null where they are empty; DataError for nested types."""
    import polars as pl

    if _kind_of_type(series) == "ignored":
        raise _type_error(series, "text")
    text = series.cast(pl.String).str.strip_chars()
    return text.to_frame().select(pl.when(pl.nth(0) != "").then(pl.nth(0)).alias(series.name)).to_series()


def column_numbers(series: pl.Series, kind: str) -> NDArray[np.float64]:
    """The cells of a numeric, boolean or time column as float64 [rows], NaN where missing.

    Raises DataError, with the rows, for cells of another kind and for infinite values.
    """
    import polars as pl

    if kind == "time" and _kind_of_type(series) == "categorical":
        series = typed(as_text(series))  # a frame that pandas read from a CSV file has its dates as text
    if series.null_count() == len(series):
        return np.full(len(series), np.nan)
    found = _kind_of_type(series)
    if kind == "time":
        if found != "time":
            hint = "write every date as 2026-01-31, or convert the column with pandas.to_datetime"
            raise _type_error(series, "dates", hint)
        return series.dt.epoch("us").cast(pl.Float64).to_numpy() / 1e6
    if found in {"time", "ignored"}:
        raise _type_error(series, "numbers" if kind == "numeric" else "true and false")
    numbers = _parse_numbers(as_text(series), kind) if found == "categorical" else series
    values = numbers.cast(pl.Float64).to_numpy()
    _reject_values(series.name, kind, values)
    return values


def _type_error(series: pl.Series, expected: str, hint: str = "") -> DataError:
    known = series.drop_nulls().head(1).to_list()
    got = f"{series.dtype}" + (f", such as {known[0]!r}" if known else "")
    return DataError(f"column {series.name!r} is of another type", expected=expected, got=got, hint=hint)


def moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and (biased) standard deviation of values [rows], whatever their scale.

    A spread below 1e-12 of the largest value is rounding: the deviation is then 0.
    """
    largest = float(np.max(np.abs(values)))
    if largest == 0:
        return 0.0, 0.0
    # Squares of very large or small values leave float64's range; a power of two scales without rounding.
    scale = 2.0 ** math.frexp(largest)[1]
    scaled = values / scale
    mean = float(scaled.mean())
    deviation = float(np.sqrt(np.mean((scaled - mean) ** 2)))
    negligible = deviation <= 1e-12 or deviation * scale < np.finfo(np.float64).tiny
    return mean * scale, 0.0 if negligible else deviation * scale


def _ignored(name: str, why: str) -> tuple[Column, list[str]]:
    return Column(name, "ignored"), [f"column {name!r} is ignored: {why}"]


def _fill_value(kind: str, known: NDArray[np.float64]) -> float:
    return float(known.mean() >= 0.5) if kind == "boolean" else float(np.median(known))


def _notice_filled(column: Column, missing: NDArray[np.bool_]) -> list[Notice]:
    if not missing.any():
        return []
    fill = f"{column.fill:.6g}"
    if column.kind == "boolean":
        fill = "true" if column.fill else "false"
    elif column.kind == "time":
        fill = str(np.datetime64(int(column.fill), "s"))
    source = "the more frequent value" if column.kind == "boolean" else "the median"
    return [
        Notice(
            f"column {column.name!r} has no value",
            count=int(missing.sum()),
            rows=len(missing),
            consequence=f": filled with {source} in training, {fill}",
        )
    ]


def _fit_categories(name: str, cells: pl.Series) -> tuple[Column, list[str]]:
    known = cells.drop_nulls()
    categories = tuple(sorted(known.unique().to_list()))
    missing = known.len() < cells.len()
    if not categories:
        return _ignored(name, "it has no value in the training rows")
    if len(categories) > min(MOST_CATEGORIES, max(10, known.len() / 2)):
        texts = f"{len(categories)} different texts in {known.len()} training rows"
        return _ignored(name, f"{texts} are like names, not categories")
    if len(categories) + missing == 1:
        return _ignored(name, "it is constant in the training rows")
    notices = notice_missing_spellings(f"column {name!r}", categories)
    if missing:
        count = cells.len() - known.len()
        notices.append(
            f"column {name!r} has no value in {count} of {cells.len()} rows: a category of its own"
        )
    return Column(name, "categorical", categories=categories, missing_category=missing), notices


def notice_missing_spellings(what: str, categories: tuple[str, ...]) -> list[str]:
    """A notice if a text that often means "missing" is a category."""
    odd = [repr(category) for category in categories if category.lower() in MISSING_SPELLINGS]
    return [f"{what}: {list_some(odd)} is a category; empty the cells if it means missing"] if odd else []


def _one_hot(column: Column, cells: pl.Series) -> tuple[NDArray[np.float32], list[Notice]]:
    encoded = np.zeros((cells.len(), len(column.feature_names)), dtype=np.float32)
    for position, category in enumerate(column.categories):
        encoded[:, position] = (cells == category).fill_null(False).to_numpy()
    if column.missing_category:
        encoded[:, -1] = cells.is_null().to_numpy()
    unseen = (~cells.is_in(list(column.categories))).fill_null(False)
    about = f"column {column.name!r} has"
    none = ", which training did not have: encoded as none of the categories"
    notices = []
    if unseen.any():
        texts = cells.filter(unseen).unique(maintain_order=True).to_list()
        notices.append(Notice(about, tuple(map(repr, texts)), int(unseen.sum()), cells.len(), none))
    if not column.missing_category and cells.null_count():
        notices.append(Notice(f"{about} no value", (), cells.null_count(), cells.len(), none))
    return encoded, notices


def _reject_text_among_numbers(cells: pl.Series) -> None:
    """A column of which nine cells in ten are written like numbers is meant to hold numbers."""
    import polars as pl

    known = ~is_missing_spelling(cells)
    number = known & cells.cast(pl.Float64, strict=False).is_not_null()
    with_commas = known & cells.str.contains(NUMBER_WITH_COMMAS).fill_null(False)
    wrong = known & ~number
    total = int(known.sum())
    if wrong.any() and int((number | with_commas).sum()) >= 0.9 * total:
        raise _text_error(cells, wrong, f"numbers, as in {number.sum()} of {total} cells")


def _parse_numbers(cells: pl.Series, kind: str) -> pl.Series:
    import polars as pl

    if kind == "boolean":
        cells = cells.str.to_lowercase().replace({"true": "1", "false": "0"})
    numbers = cells.cast(pl.Float64, strict=False)
    wrong = ~is_missing_spelling(cells) & numbers.is_null()
    if wrong.any():
        raise _text_error(cells, wrong, "true and false" if kind == "boolean" else "numbers")
    return numbers


def _text_error(cells: pl.Series, wrong: pl.Series, expected: str) -> DataError:
    rows = wrong.arg_true().to_list()
    hint = (
        "correct these cells or empty them; if the column is meant as text, write it so that it reads as text"
    )
    if cells.gather(rows).str.contains(NUMBER_WITH_COMMAS).any():
        hint = "write numbers with a decimal point and without commas"
    return DataError(
        f"column {cells.name!r} has text in a numeric column",
        expected=expected,
        got=list_cells((row, cells[row]) for row in rows),
        where=COUNTING,
        hint=hint,
    )


def _reject_values(name: str, kind: str, values: NDArray[np.float64]) -> None:
    wrong = np.abs(values) > LARGEST  # infinities; a missing value is NaN, and compares as false
    problem, expected = "values that are not finite", f"numbers within {LARGEST:g}"
    if kind == "boolean" and not wrong.any():
        wrong = ~np.isnan(values) & (values != 0) & (values != 1)
        problem, expected = "numbers other than 0 and 1", "true and false, or 1 and 0"
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise DataError(
            f"column {name!r} has {problem}",
            expected=expected,
            got=list_cells((int(row), float(values[row])) for row in rows),
            where=COUNTING,
            hint="correct these cells, or empty them to have them filled in",
        )

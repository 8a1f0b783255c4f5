"""What the cells of several columns read as: integers, numbers, true/false, dates in one of some formats, or text.

The columns stand below each other in one: polars needs as long to begin with a column as for some thousand cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

MISSING_SPELLINGS = ("", "na", "n/a", "nan", "null", "none", "?")
"""What stands for a missing value in a column of numbers, truth values or dates, in any case of letters."""

DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
)
ZERO_AHEAD = r"^0\d+$|^0\d\.(?:19|20)\d\d$"  # codes, and months such as 01.2020, which as a number were 1.202
PLAIN = {"integer": r"^-?(?:0|[1-9]\d*)$", "number": r"^-?(?:0|[1-9]\d{0,14})(?:\.\d*)?$"}
"""How numbers are written whose text follows from their value, but for zeros behind the point."""

TOGETHER = 1 << 15  # cells of short columns that are looked at together


@dataclass(frozen=True)
class Stack:
    """The cells of so many columns, all of the same length, below each other.

    With ``if_plain``, what is not written as in ``PLAIN`` is no number.
    """

    cells: pl.Series
    columns: int
    if_plain: bool = False

    @property
    def rows(self) -> int:
        """How many cells each column has."""
        return len(self.cells) // self.columns

    def column(self, place: int) -> pl.Series:
        """One of the columns."""
        return self.cells[place * self.rows : (place + 1) * self.rows]

    def only(self, places: NDArray[np.intp]) -> Stack:
        """Some of the columns."""
        if len(places) == self.columns:
            return self
        return stacked([self.column(int(place)) for place in places], self.if_plain)

    def head(self, rows: int) -> Stack:
        """The first cells of each column."""
        return stacked([self.column(place)[:rows] for place in range(self.columns)], self.if_plain)

    def has(self, cells: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which columns have one of the cells with these numbers; [columns]."""
        found = np.zeros(self.columns, np.bool_)
        found[cells // max(self.rows, 1)] = True
        return found


def stacked(columns: Sequence[pl.Series], if_plain: bool = False) -> Stack:
    """One column or more below each other."""
    import polars as pl

    if len(columns) == 1:
        return Stack(columns[0], 1, if_plain)
    return Stack(pl.concat([column.alias("") for column in columns]), len(columns), if_plain)


@dataclass(frozen=True)
class Attempt:
    """The cells as values of a kind, null where they are missing, and which columns are of that kind: ``fits``.

    ``plain`` are those of which no cell is written otherwise than polars reads it: none has spaces around it or a word
    for a missing value; both are [columns].
    """

    stack: Stack
    fits: NDArray[np.bool_]
    plain: NDArray[np.bool_]


def attempt(kind: str, stack: Stack) -> Attempt:
    """The cells as integers, numbers, truth values, dates in one of ``DATE_FORMATS``, or as text, which all are."""
    fits, plain = np.ones((2, stack.columns), np.bool_)
    if kind == "text":
        return Attempt(Stack(as_text(stack.cells), stack.columns), fits, plain)
    values = _read(kind, stack.cells)
    bare = None
    if values.null_count() > stack.cells.null_count():
        odd = (values.is_null() & stack.cells.is_not_null()).arg_true()
        bare = stack.cells.gather(odd).str.strip_chars()
        again = _read(kind, bare)
        if again.null_count() < len(again):
            values = values.scatter(odd, again)
        numbers = odd.to_numpy().astype(np.intp)
        wrong = (again.is_null() & ~is_missing_spelling(bare)).to_numpy()
        plain, fits = ~stack.has(numbers), ~stack.has(numbers[wrong])
    if kind in {"integer", "number"}:
        fits &= ~stack.has(_zeros_ahead(stack.cells))
        if bare is not None and len(_zeros_ahead(bare)):
            fits &= ~stack.has(numbers[_zeros_ahead(bare)])
        if stack.if_plain:
            fits &= ~stack.has(_written_otherwise(stack.cells, PLAIN[kind]))
    if kind == "number":
        values = _without_sign(values, stack.cells)
    return Attempt(Stack(values, stack.columns), fits, plain)


def as_text(cells: pl.Series) -> pl.Series:
    """Texts without spaces around them, null where nothing is left."""
    import polars as pl

    bare = cells.str.strip_chars()
    if not (bare == "").any():
        return bare
    return bare.to_frame().select(pl.when(pl.nth(0) != "").then(pl.nth(0))).to_series()


def begin_as_dates(stack: Stack) -> NDArray[np.bool_]:
    """Of which columns the first cell that is not missing looks like a date; [columns]."""
    if not stack.rows:
        return np.zeros(stack.columns, np.bool_)
    known = (~is_missing_spelling(stack.cells)).to_numpy().reshape(stack.columns, -1)
    first = known.argmax(1) + np.arange(stack.columns) * stack.rows
    texts = stack.cells.gather(first).str.strip_chars().fill_null("").to_list()
    is_date = [len(text) >= 10 and text[:4].isdigit() and text[4] == "-" for text in texts]
    return np.array(is_date, np.bool_) & known.any(1)


def is_missing_spelling(cells: pl.Series) -> pl.Series:
    """Which text cells are null or spell a missing value; Boolean [rows]."""
    return cells.str.strip_chars().str.to_lowercase().is_in(list(MISSING_SPELLINGS)).fill_null(True)


def _read(kind: str, cells: pl.Series) -> pl.Series:
    """The cells that are of a kind as they stand, null for the others."""
    import polars as pl

    if kind == "integer":
        return cells.cast(pl.Int64, strict=False)
    if kind == "number":
        numbers = cells.cast(pl.Float64, strict=False)
        return numbers.fill_nan(None) if numbers.is_nan().any() else numbers
    if kind == "boolean":
        yes = cells == "true"
        if (yes | (cells == "false")).all():  # nulls aside
            return yes
        lower = cells.str.to_lowercase()
        return lower.replace_strict(["true", "false"], [True, False], default=None, return_dtype=pl.Boolean)
    wanted = pl.Date if kind == "%Y-%m-%d" else pl.Datetime("us")
    return cells.str.strptime(wanted, kind, strict=False)


def _written_otherwise(cells: pl.Series, pattern: str) -> NDArray[np.intp]:
    """The numbers of the cells that are not missing and not written so."""
    right = cells.str.strip_chars().str.contains(pattern) | is_missing_spelling(cells)
    return (~right).arg_true().to_numpy().astype(np.intp)


def _zeros_ahead(cells: pl.Series) -> NDArray[np.intp]:
    """The numbers of the cells that are digits with a zero ahead, which may be codes, or a month."""
    some = (cells.str.starts_with("0") & (cells.str.len_bytes() > 1)).arg_true()
    if not len(some):
        return np.zeros(0, np.intp)
    codes = cells.gather(some).str.contains(ZERO_AHEAD)
    return some.filter(codes).to_numpy().astype(np.intp)


def _without_sign(values: pl.Series, cells: pl.Series) -> pl.Series:
    """Numbers in which -0 is 0, as it is among integers; -0.0 keeps its sign."""
    import polars as pl

    numbers = values.to_numpy()
    zeros = np.flatnonzero(np.signbit(numbers) & (numbers == 0))
    if not zeros.size:
        return values
    whole = cells.gather(zeros).str.strip_chars().cast(pl.Int64, strict=False).is_not_null().to_numpy()
    return values.scatter(zeros[whole], 0.0)

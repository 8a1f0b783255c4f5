"""The type of a column of texts: numbers, true/false or dates if all its cells read as such; else text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chainrule.data.features.cell_kinds import (
    DATE_FORMATS,
    TOGETHER,
    Stack,
    as_text,
    attempt,
    begin_as_dates,
    stacked,
)
from chainrule.data.features.thousands import has_fraction, shows_decimal_point

if TYPE_CHECKING:
    import polars as pl

FIRST = 20  # rows that are looked at before all of them

TYPES = ("integer", "number", "boolean", *DATE_FORMATS, "text")
"""Narrowest first: a column has the first one that all its cells have."""


class TypedColumn:
    """A column whose cells come in parts, each of which takes its type, and so its little memory, at once.

    Where a later part shows that the type is another one, in which the earlier cells cannot be written, these are let
    go: ``incomplete`` then says so, and after ``begin_again`` all parts are to be added once more. The type is that of
    all the cells, however they are cut into parts.

    With ``if_plain``, numbers such as 1e1, +1 and those of 20 digits, which a number would not give back, stay text.
    """

    def __init__(self, name: str, is_text: bool = False, if_plain: bool = False) -> None:
        self.name, self.incomplete, self.if_plain = name, False, if_plain
        self._type = TYPES.index("text") if is_text else 0
        self._parts: list[pl.Series] = []
        self._plain = not if_plain  # no cell so far was written otherwise than polars reads it
        self._decimal_point = self._fraction = False  # what the cells showed: see thousands.py

    @property
    def kind(self) -> str:
        """The narrowest type that all cells so far have."""
        return TYPES[self._type]

    @property
    def direct(self) -> pl.DataType | None:
        """The type that polars may give further cells of a file itself; None where they are to come as text."""
        import polars as pl

        if self._plain and self.kind == "integer":
            return pl.Int64()
        return pl.Float64() if self._plain and self.kind == "number" and self._decimal_point else None

    @property
    def has_known(self) -> bool:
        """Whether one of the earlier cells was not missing."""
        return self.incomplete or any(part.null_count() < len(part) for part in self._parts)

    @property
    def _has_thousands(self) -> bool:
        return self.kind == "number" and self._fraction and not self._decimal_point

    def begin_again(self) -> None:
        """Forget the cells, but not what their type cannot be."""
        self._parts, self.incomplete = [], False

    def take(self, kind: str, part: pl.Series, plain: bool = True) -> None:
        """Add cells of this type and no narrower one, other than numbers of which it is open what a point means."""
        self._plain &= plain
        self._widen(kind)
        if not self.incomplete:
            self._parts.append(part.alias(self.name))

    def take_numbers(self, part: pl.Series, cells: pl.Series, plain: bool) -> None:
        """Add numbers and their texts, from which it may be open what a point means."""
        self._widen("number")
        before = self._has_thousands
        if not self._decimal_point:
            self._decimal_point = shows_decimal_point(part, cells)
            self._fraction = self._fraction or has_fraction(part)
        if self._has_thousands != before and self._parts:
            self._parts, self.incomplete = [], True
        self.take("number", as_text(cells) if self._has_thousands else part, plain)

    def take_directly(self, part: pl.Series) -> None:
        """Add numbers of the type that was ``direct`` when they were read."""
        if part.dtype == self.direct:
            self.take(self.kind, part)
        else:  # what came in between is of another type: these cells are to be seen as text
            self._parts, self.incomplete = [], True

    def series(self) -> pl.Series:
        """The column."""
        import polars as pl

        if len(self._parts) > 1:
            self._parts = [
                pl.concat(self._parts, rechunk=True)
            ]  # the parts' memory is free for the next column
        return self._parts[0] if self._parts else pl.Series(self.name, [], pl.String)

    def _widen(self, kind: str) -> None:
        import polars as pl

        if TYPES.index(kind) <= self._type:
            return
        if self.kind == "integer" and kind == "number" and not self.if_plain:
            self._parts = [part.cast(pl.Float64) for part in self._parts]
            self._decimal_point = any(((part >= 1000) | (part <= -1000)).any() for part in self._parts)
        elif self._parts:
            self._parts, self.incomplete = [], True
        self._type = TYPES.index(kind)


@dataclass(frozen=True)
class Untyped:
    """Which columns of text stay text: the ``texts``, and the target where numbers would not give its cells back.

    ``target`` says which of a table's columns that is.
    """

    texts: Collection[str] = ()
    target: Callable[[Sequence[str]], str] | None = None

    def columns(self, names: Sequence[str]) -> list[TypedColumn]:
        """The columns of these names, before they have cells."""
        target = self.target(names) if self.target else None
        return [TypedColumn(name, name in self.texts, name == target) for name in names]


def add_cells(columns: Sequence[TypedColumn], cells: pl.DataFrame) -> None:
    """Add to each column its cells: texts, or the numbers that ``direct`` allows.

    >>> import polars as pl
    >>> columns = [TypedColumn("x"), TypedColumn("y")]
    >>> add_cells(columns, pl.DataFrame({"x": ["1", "NA"], "y": ["1", "x"]}))
    >>> [column.series().to_list() for column in columns]
    [[1, None], ['1', 'x']]
    """
    import polars as pl

    texts: dict[tuple[str, bool], list[tuple[TypedColumn, pl.Series]]] = {}
    series = cells.select([column.name for column in columns]).get_columns()
    for column, part in zip(columns, series, strict=True):
        if part.dtype == pl.String:
            texts.setdefault((column.kind, column.if_plain), []).append((column, part))
        else:
            column.take_directly(part)
    for (kind, if_plain), group in texts.items():
        many = max(TOGETHER // max(cells.height, 1), 1)
        for start in range(0, len(group), many):
            some, parts = zip(*group[start : start + many], strict=True)
            _add_texts(some, stacked(parts, if_plain), kind)


def _add_texts(columns: Sequence[TypedColumn], stack: Stack, kind: str) -> None:
    """Add cells to columns that have been of that kind so far; the first rows tell most of what new ones cannot be."""
    may_be_dates = [not column.has_known for column in columns]
    likely = {kind: [*range(stack.columns)]}
    if any(may_be_dates) and stack.rows > 10 * FIRST:
        likely = {}
        for place, found, _, _ in _sorted(stack.head(FIRST), kind, may_be_dates):
            likely.setdefault(found, []).append(place)
    for first, places in likely.items():
        cells = stack.only(np.array(places))
        for among, found, part, plain in _sorted(cells, first, [may_be_dates[place] for place in places]):
            column = columns[places[among]]
            if found == "number":
                column.take_numbers(part, cells.column(among), plain)
            else:
                column.take(found, part, plain)


def _sorted(
    stack: Stack, first: str, may_be_dates: Sequence[bool]
) -> Iterator[tuple[int, str, pl.Series, bool]]:
    """Of each column: its place, the narrowest kind from the first on that all its cells have, and they as that kind.

    The last says whether they are plain: see ``Attempt``. Columns of other kinds are dates only if they may be, and the
    first cell looks like one.
    """
    left, dates = np.arange(stack.columns), None
    for kind in TYPES[TYPES.index(first) :]:
        if not left.size:
            return
        tried = left
        if kind in DATE_FORMATS and first not in DATE_FORMATS:
            if dates is None:
                dates = begin_as_dates(stack) & np.array(may_be_dates)
            tried = left[dates[left]]
        if not tried.size:
            continue
        found = attempt(kind, stack.only(tried))
        for among in np.flatnonzero(found.fits):
            yield int(tried[among]), kind, found.stack.column(int(among)), bool(found.plain[among])
        left = np.setdiff1d(left, tried[found.fits])

"""Several tables below each other in one file or sheet: the first is read, and it is said that others follow.

Another table begins below an empty line, with names where the first one has numbers, or with another number of names.
Lines that repeat the header, as in files that were put together, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from chainrule.data.files.heading import MISSING, count_of, is_name, is_value
from chainrule.foreign_text import clipped

if TYPE_CHECKING:
    import polars as pl

SEPARATORS = ",;\t|"
BLANK = re.compile(r"(?<=[\r\n])[ \t]*(?:\r\n|\r|\n)")
MOST_BLANKS = 20  # empty lines below which another table is looked for
FOLLOWING = 1 << 13  # characters below them
MOST_TITLES = 3  # records between the empty line and the names
FEWEST_ROWS = 3  # of the first table, for a few lines above another one are rather notes on it
Record = Sequence[str | None]


def begins_table(below: Sequence[Record], last: Record) -> bool | None:
    """Whether the records below an empty line begin another table than the one whose ``last`` row is above it.

    None where more records are needed to tell.

    >>> begins_table([["city", "count"], ["Bern", "3"]], ["Oslo", "1"])
    True
    >>> begins_table([["Rome", "2"], ["Bern", "3"]], ["Oslo", "1"])
    False
    """
    place = next((place for place, record in enumerate(below) if len(_cells(record)) > 1), len(below))
    if place > MOST_TITLES:
        return False
    if place < len(below):
        names, above = _cells(below[place]), _cells(last)
        if len(set(names)) < len(names) or not all(
            is_name(name) and name.lower() not in MISSING for name in names
        ):
            return False
        if len(names) == len(above) and not any(map(is_value, above)):
            return False
    if place + 2 > len(below):
        return None
    row = _cells(below[place + 1])
    return any(is_value(cell) for cell in row[: len(names)])


def first_table_in(text: str, whole: bool) -> tuple[str, bool]:
    """The text up to an empty line below which another table begins, whatever separates cells; and if that is all."""
    for found in islice(BLANK.finditer(text), MOST_BLANKS):
        above = [line for line in text[: found.start()].splitlines() if line.strip()]
        following = text[found.start() : found.start() + FOLLOWING].splitlines()
        below = [line for line in following if line.strip()][: MOST_TITLES + 2]
        for separator in SEPARATORS if len(above) > FEWEST_ROWS else "":
            first, rest = ([line.split(separator) for line in lines] for lines in (above, below))
            heads = [place for place in range(len(first) - 1) if begins_table(first[place : place + 2], [])]
            if heads and len(first) > heads[0] + FEWEST_ROWS and begins_table(rest, first[-1]):
                return text[: found.start()], True
    return text, whole


def _cells(record: Record) -> list[str]:
    """The cells without spaces around them, and without empty ones at the end."""
    cells = [(cell or "").strip() for cell in record]
    while cells and not cells[-1]:
        cells.pop()
    return cells


@dataclass
class FirstTable:
    """The rows of the first table: ``ended`` says where it is known that another one begins.

    ``header`` are the names as they are written, nothing where there is no header, and ``width`` is their number.
    Empty lines are counted where there is one column, for there they may be missing cells.
    """

    header: Sequence[str] = ()
    width: int = 0
    ended: str = ""
    repeated: int = 0
    after_blank: bool = False
    _blank: int = 0
    _blank_so_far: int = 0
    _rows: int = 0
    _waiting: list[tuple[int, list[str]]] = field(default_factory=list)
    _last: Record = field(default_factory=list)

    @property
    def said(self) -> tuple[str, ...]:
        """What was left out."""
        said = [f"{count_of(self.repeated, 'line')} with the header again left out"] if self.repeated else []
        if self.width == 1 and self._blank:
            said.append(
                f'{count_of(self._blank, "empty line")} left out (a missing cell is written as "" there)'
            )
        return (*said, *filter(None, [self.ended]))

    def __post_init__(self) -> None:
        self._names = _cells(self.header)
        places = (place for place, name in enumerate(self._names) if is_name(name))
        self._mark = (
            next(places, None) if len(self._names) > 1 else None
        )  # by which a repeated header is told

    def _is_header(self, record: Record) -> bool:
        """Whether a record is the header again, with a name where a row above it has a number."""
        if self._mark is None or len(record) <= self._mark:
            return False
        above = zip(self._names, _cells(self._last), strict=False)
        if not any(is_name(name) and is_value(cell) for name, cell in above):
            return False
        return (record[self._mark] or "").strip() == self._names[self._mark] and _cells(record) == self._names

    def taken_from(self, records: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
        """The records that are rows, each with its line; an empty one is a blank line."""
        for line, record in records:
            if not record:
                self.after_blank = True
                self._blank_so_far += 1
                continue
            self._blank, self._blank_so_far = self._blank + self._blank_so_far, 0
            if self._is_header(record):
                self.repeated += 1
                continue
            self._waiting.append((line, record))
            if self.after_blank and self._rows >= FEWEST_ROWS:
                verdict = begins_table([one for _, one in self._waiting], self._last)
                if verdict:
                    first_line, first = self._waiting[0]
                    self._end(f"line {first_line}", first)
                    return
                if verdict is None:
                    continue
            yield from self.waiting()

    def waiting(self) -> Iterator[tuple[int, list[str]]]:
        """The records of which it was not known yet whether they begin another table: they do not."""
        self.after_blank = False
        for one in self._waiting:
            self._rows, self._last = self._rows + 1, one[1]
            yield one
        self._waiting = []

    def _end(self, where: str, first: Record) -> None:
        begin = clipped(" | ".join(cell for cell in _cells(first) if cell))
        self.ended = f"the first table only, another one begins on {where}: {begin}"

    def whole(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A frame of rows without blank lines, but for lines that repeat the header.

        One that is not ``marked`` may have numbers.
        """
        if self._mark is not None:
            marked = self.marked(frame)
            if marked.any():
                self._last = self._last or frame.row(0)
                same = map(self._is_header, frame.filter(marked).rows())
                places = marked.arg_true().to_list()
                keep = np.ones(frame.height, np.bool_)
                keep[[place for place, is_same in zip(places, same, strict=True) if is_same]] = False
                self.repeated += int((~keep).sum())
                frame = frame.filter(keep)
        if frame.height:
            last = [None if cell is None else str(cell) for cell in frame.row(-1)]
            self._rows, self._last = self._rows + frame.height, last
        return frame

    def marked(self, frame: pl.DataFrame) -> pl.Series:
        """Which rows may be the header again, by the first cell of it that is a name: such a cell is no number."""
        import polars as pl

        if self._mark is None or frame.dtypes[self._mark] != pl.String:
            return pl.repeat(False, frame.height, eager=True)
        same = frame.to_series(self._mark).str.strip_chars() == self._names[self._mark]
        return same.fill_null(False)

    def in_sheet(self, rows: pl.DataFrame, above: int) -> pl.DataFrame:
        """The rows of the first table in a sheet, in which null rows may set tables apart; ``above`` rows precede."""
        import polars as pl

        empty = rows.select(pl.all_horizontal(pl.all().is_null())).to_series()
        for place in (empty & ~empty.shift(1, fill_value=False)).arg_true().to_list():
            below = [row for row in rows[place : place + 2 * MOST_TITLES + 4].rows() if any(row)]
            if place >= FEWEST_ROWS and begins_table(below, rows.row(place - 1)):
                first = place + int((~empty[place:]).arg_true()[0])
                self._end(f"row {above + first + 1}", rows.row(first))
                rows = rows[:place]
                break
        return self.whole(rows)

"""Lines with fewer or more cells than the table has columns: a few short ones are filled up, others are an error.

They go on as rows of the right width, so that ``footers.py`` can take those at the end for what they are. What is left
of them is judged once the last row is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from chainrule.data.describe import list_some
from chainrule.data.files.heading import is_value
from chainrule.data.files.origins import Origin
from chainrule.errors import DataError

LISTED = 5  # lines that a message names
KEPT = 50  # of the last ones: more than a footer has
SHARE = 20  # one in so many rows may be short


@dataclass(frozen=True)
class Odd:
    """A line with another number of cells: the row that it became, and whether it cannot be filled up."""

    row: int
    line: int
    cells: int
    broken: bool


@dataclass
class Ragged:
    """The lines that have more or fewer cells than there are columns.

    Where every line has a ``trailing`` separator, the empty cell behind it is taken away. Lines that begin with # and
    have another number of cells are comments.
    """

    width: int
    trailing: bool = False
    rows: int = 0
    comments: int = 0
    count: int = 0
    broken: int = 0
    _first: list[Odd] = field(default_factory=list)
    _last: list[Odd] = field(default_factory=list)

    def sort_out(self, records: Iterable[tuple[int, list[str]]]) -> Iterator[list[str]]:
        """The records, each with as many cells as there are columns."""
        previous = (0, 0)  # the line and the number of cells of the last short one
        for line, record in records:
            if self.trailing and len(record) == self.width + 1 and not record[-1].strip():
                record.pop()
            cells = len(record)
            if cells != self.width:
                if record[0].lstrip().startswith("#"):
                    self.comments += 1
                    continue
                halves = cells < self.width and previous == (line - 1, self.width + 1 - cells)
                previous = (line, cells)
                self._note(Odd(self.rows, line, cells, halves or any(map(str.strip, record[self.width :]))))
            self.rows += 1
            yield record if cells == self.width else self._filled(record)

    def _filled(self, record: list[str]) -> list[str]:
        empty = [""] * self.width
        more = any(map(str.strip, record[self.width :]))
        if more and not is_value(record[0]):  # a note with separators in it, or an error
            return [" ".join(record), *empty[1:]]
        return (record + empty)[: self.width]

    def _note(self, odd: Odd) -> None:
        self.count += 1
        self.broken += odd.broken
        if self.count <= LISTED:
            self._first.append(odd)
        self._last = [*self._last[1 - KEPT :], odd]

    def is_odd(self, row: int) -> bool:
        """Whether one of the last rows had another number of cells."""
        return any(odd.row == row for odd in self._last)

    def conclude(self, path: Origin, rows: int, hint: str) -> tuple[str, ...]:
        """What was filled up among the first ``rows`` rows; DataError with that ``hint`` where it cannot be right."""
        below = [odd for odd in self._last if odd.row >= rows]
        count, broken = self.count - len(below), self.broken - sum(odd.broken for odd in below)
        first = [f"line {odd.line} has {odd.cells}" for odd in self._first if odd.row < rows]
        if broken or count > max(1, rows // SHARE):
            raise DataError(
                f"{path} is ragged: some lines have more or fewer cells than the header",
                expected=f"{self.width} cells a line, as in the header",
                got=list_some(first, LISTED, count),
                hint=hint,
            )
        said = [f"{count_of_lines(self.comments)} that begin with # left out"] if self.comments else []
        if count:
            which = list_some(first, LISTED, count)
            said.append(
                f"missing cells filled up, or empty ones left out, in {count_of_lines(count)} ({which} of {self.width})"
            )
        return tuple(said)


def count_of_lines(number: int) -> str:
    """A number of lines."""
    return "1 line" if number == 1 else f"{number:,} lines"

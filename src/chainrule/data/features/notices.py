"""What was done to some cells of a table, in words that add up over the parts of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chainrule.data.describe import list_some
from chainrule.foreign_text import LINE, clipped, short_repr


@dataclass(frozen=True, repr=False)
class Notice:
    """``about`` some ``count`` of ``rows``, and the ``consequence``; ``texts`` are the cells that it is about.

    Names and cells in it are whole, so that equal notices are those of the same column; its ``str`` clips them.

    >>> str(Notice("column 'town' has", ("'Rome'",), 2, 10, ": ignored"))
    "column 'town' has 'Rome' in 2 of 10 rows: ignored"
    """

    about: str
    texts: tuple[str, ...] = ()
    count: int = 0
    rows: int = 0
    consequence: str = ""

    __repr__ = short_repr

    def __str__(self) -> str:
        texts = f" {list_some(self.texts)}" if self.texts else ""
        where = f" in {self.count} of {self.rows} rows" if self.count else ""
        return f"{clipped(self.about, LINE + 30)}{texts}{where}{self.consequence}"


def add_up(parts: Iterable[tuple[int, Iterable[Notice]]]) -> tuple[str, ...]:
    """The notices of several parts of a table, given as (rows of the part, its notices), as those of the whole."""
    found: dict[tuple[str, bool, str], Notice] = {}
    total = 0
    for rows, notices in parts:
        total += rows
        for notice in notices:
            key = (notice.about, bool(notice.texts), notice.consequence)
            before = found.get(key)
            if before is not None:
                texts = tuple(dict.fromkeys((*before.texts, *notice.texts)))
                notice = replace(notice, texts=texts, count=before.count + notice.count)  # noqa: PLW2901
            found[key] = notice
    return tuple(str(replace(notice, rows=total)) for notice in found.values())

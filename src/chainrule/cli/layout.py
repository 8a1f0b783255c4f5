"""Text for a terminal: lines that fit its width, names before what they name, and small tables."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Sequence
from unicodedata import combining, east_asian_width

USUAL, LEAST, MOST = 80, 40, 160  # columns


def width_of_terminal() -> int:
    """How many columns there are: those of the terminal (or COLUMNS), 80 where nothing is known."""
    found = shutil.get_terminal_size((USUAL, 24)).columns
    return min(max(found, LEAST), MOST)


def colours(is_terminal: bool) -> bool:
    """Whether text may be coloured: only on a terminal, and not where NO_COLOR is set (no-color.org)."""
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"


def entry(name: str, text: str, label: int = 12, width: int | None = None) -> str:
    """A name with the text that belongs to it, which begins in column ``label`` on every line.

    >>> print(entry("rows", "606 train, 107 choose the epoch, 178 are held out", width=40))
    rows        606 train, 107 choose the
                epoch, 178 are held out
    """
    width = width or width_of_terminal()
    begin = f"{name:<{label}}" if len(name) < label else f"{name} "
    wrapped = textwrap.wrap(
        f"{begin}{text}",
        max(width, label + 20),
        subsequent_indent=" " * label,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(wrapped) or name


def paragraph(text: str) -> str:
    """A text in lines that fit the terminal."""
    return "\n".join(
        textwrap.wrap(
            text, width_of_terminal(), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    )


def table(rows: Sequence[Sequence[str]], texts: int = 1, gap: int = 2) -> list[str]:
    """Lines of a table: the first columns, ``texts`` of them, are text, the others numbers, which end together.

    >>> print("\\n".join(table([["", "network", "mean"], ["RMSE", "2.5", "84.4"]])))
          network  mean
    RMSE      2.5  84.4
    """
    widths = [max(columns(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell + " " * (size - columns(cell)) if i < texts else " " * (size - columns(cell)) + cell
            for i, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese characters take two, accents that follow one none.

    >>> columns("abc"), columns("北京"), columns("e\\u0301")
    (3, 4, 1)
    """
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def bar(share: float, length: int = 16) -> str:
    """A share between 0 and 1 as a bar.

    >>> bar(0.5, 4), bar(0.0, 4)
    ('##', '')
    """
    return "#" * round(min(max(share, 0.0), 1.0) * length)

"""How messages about tables name rows, cells and columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

COUNTING = "rows are counted from 1 below the header; in a CSV file without blank lines, row 17 is line 18"


def list_some(items: Sequence[object], limit: int = 5) -> str:
    """The first few items, and how many more there are.

    >>> list_some([17, 20, 31], limit=2)
    '17, 20 and 1 more'
    """
    shown = ", ".join(str(item) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"


def list_rows(indices: Iterable[int]) -> str:
    """Row indices (counted from 0) as the row numbers of a message (counted from 1).

    >>> list_rows([16]), list_rows([16, 19])
    ('row 17', 'rows 17, 20')
    """
    numbers = [int(index) + 1 for index in indices]
    return f"{'row' if len(numbers) == 1 else 'rows'} {list_some(numbers)}"


def list_cells(cells: Iterable[tuple[int, object]]) -> str:
    """Cells, as (row index counted from 0, content), with their row numbers counted from 1.

    >>> list_cells([(16, "abc"), (19, "-")])
    "rows 17 ('abc'), 20 ('-')"
    """
    shown = [f"{index + 1} ({content!r})" for index, content in cells]
    return f"{'row' if len(shown) == 1 else 'rows'} {list_some(shown)}"


def suggest_names(name: str, known: Iterable[str]) -> str:
    """A hint with the known names nearest to a wrong one, or all of them where none is near.

    >>> suggest_names("prise", ["price", "rooms"])
    "did you mean 'price'?"
    """
    names = list(known)
    if not names:
        return ""
    by_lower = {other.lower(): other for other in reversed(names)}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(by_lower[lower]) for lower in near)}?"
    return f"one of {list_some([repr(other) for other in names], limit=20)}"

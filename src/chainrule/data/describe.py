"""How messages about tables name rows, cells and columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence

from chainrule.foreign_text import clipped, nearest, quoted

FEW = 5  # of what there may be many: so many are shown
LONGEST_COMPARED, MOST_COMPARED = (
    200,
    10_000,
)  # characters, and names: to compare texts takes the square of their length

COUNTING = "rows are counted from 1 below the header; in a CSV file without blank lines, row 17 is line 18"


def list_some(items: Sequence[object], limit: int = FEW, total: int | None = None) -> str:
    """The first few items, each clipped, and how many more there are (of ``total`` ones, where not all are given).

    >>> list_some([17, 20, 31], limit=2), list_some([17, 20], limit=2, total=900)
    ('17, 20 and 1 more', '17, 20 and 898 more')
    """
    return _some([clipped(item) for item in items[:limit]], len(items) if total is None else total)


def _some(shown: Sequence[str], count: int) -> str:
    text = ", ".join(shown)
    return text if len(shown) == count else f"{text} and {count - len(shown)} more"


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
    every = list(cells)
    shown = [f"{index + 1} ({quoted(content)})" for index, content in every[:FEW]]
    return f"{'row' if len(every) == 1 else 'rows'} {_some(shown, len(every))}"


def differing_names(own: Collection[object], other: Collection[object]) -> str:
    """Which names the other has not, and which it has besides.

    >>> differing_names(["a", "b"], ["b", "c"])
    "missing 'a'; extra 'c'"
    """
    missing, extra = (sorted(map(quoted, set(a) - set(b))) for a, b in ((own, other), (other, own)))
    parts = {"missing": missing, "extra": extra}
    return "; ".join(f"{what} {list_some(names)}" for what, names in parts.items() if names)


def known_name(name: str, known: Collection[str]) -> str:
    """The one known name that differs only in spaces or quotes around it or the form of its accents; else the name.

    >>> known_name(" price", ["price", "rooms"]), known_name("price", ["'price'", "'rooms'"])
    ('price', "'price'")
    """
    if name in known:
        return name
    plain = _bare(name)
    same = [other for other in known if _bare(other) == plain]
    return same[0] if len(same) == 1 and plain else name


def _bare(name: str) -> str:
    """A name without spaces and quotes around it, its accents encoded in one way."""
    return unicodedata.normalize("NFC", name).strip().strip("'\"").strip()


def near_names(name: str, known: Iterable[str]) -> str:
    """A hint with the known names nearest to a wrong one, nothing where none is near.

    >>> near_names("prise", ["price", "rooms"]), near_names("parch", ["y"])
    ("did you mean 'price'?", '')
    """
    hint = suggest_names(name, known)
    return hint if hint.startswith("did you mean") else ""


def suggest_names(name: str, known: Iterable[str]) -> str:
    """A hint with the known names nearest to a wrong one, or all of them where none is near.

    >>> suggest_names("prise", ["price", "rooms"])
    "did you mean 'price'?"
    """
    names = list(known)
    compared = names[:MOST_COMPARED] if len(name) <= LONGEST_COMPARED else []
    by_lower = {other.lower(): other for other in reversed(compared) if len(other) <= LONGEST_COMPARED}
    near = nearest(name.lower(), list(by_lower))
    if near:
        return f"did you mean {' or '.join(quoted(by_lower[lower]) for lower in near)}?"
    return f"one of {list_some([quoted(other) for other in names], limit=20)}" if names else ""

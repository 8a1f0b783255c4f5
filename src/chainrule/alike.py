"""Notices that say the same of several columns, together: the one of most rows first."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chainrule.foreign_text import clipped

FEW = 5  # of the others, which are named beside the first
_NAME = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_VARIES = re.compile(rf"{_NAME.pattern}|-?\d[\d.,e+-]*")
_ROWS = re.compile(r" in (\d+) of \d+ rows")


def alike(notices: Sequence[str]) -> list[list[str]]:
    """Notices of one kind together, which differ in names and numbers only; kinds in the order of their first ones.

    >>> alike(["column 'a' has no value in 1 of 9 rows", "'b' is ignored", "column 'c' has no value in 2 of 9 rows"])
    [["column 'c' has no value in 2 of 9 rows", "column 'a' has no value in 1 of 9 rows"], ["'b' is ignored"]]
    """
    found: dict[str, list[str]] = {}
    for notice in notices:
        found.setdefault(_VARIES.sub("…", notice), []).append(notice)
    return [sorted(some, key=lambda notice: -_rows(notice)) for some in found.values()]


def told_once(notices: Sequence[str]) -> list[str]:
    """The first notice of each kind, and what the others are about: the first name in each, and its number of rows.

    >>> told_once([f"column '{name}' has no value in {n} of 9 rows" for name, n in (("a", 1), ("b", 2))])
    ["column 'b' has no value in 2 of 9 rows (also 'a', 1)"]
    >>> told_once(["column 'a' is constant", "column 'b' is constant"])
    ["column 'a' is constant (1 more like this: 'b')"]
    """
    return [f"{first}{_others(others)}" for first, *others in alike(notices)]


def _rows(notice: str) -> int:
    """How many rows a notice is about, 0 where it does not say."""
    found = _ROWS.search(notice)
    return int(found[1]) if found else 0


def _others(notices: Sequence[str]) -> str:
    if not notices:
        return ""
    counted = all(map(_rows, notices))
    about = [(name[0] if (name := _NAME.search(notice)) else "", _rows(notice)) for notice in notices]
    named = [f"{clipped(name)}, {rows}" if counted else clipped(name) for name, rows in about[:FEW] if name]
    listed = ("; " if counted else ", ").join(named)
    if named and len(notices) > FEW:
        listed += f" and {len(notices) - FEW} more"
    if counted and named:
        return f" (also {listed})"
    return f" ({len(notices)} more like this{f': {listed}' if named else ''})"

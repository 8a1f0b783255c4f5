"""Looks up settings that are given by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from chainrule.errors import SettingError
from chainrule.foreign_text import clipped, quoted

T = TypeVar("T")


def choose(kind: str, name: object, table: Mapping[str, T]) -> T:
    """Return the entry of ``table`` under ``name``; raise SettingError with the nearest names if there is none."""
    if isinstance(name, str) and name in table:
        return table[name]
    from difflib import get_close_matches

    near = get_close_matches(clipped(name).lower(), table, n=3)
    raise SettingError(
        f"there is no {kind} {quoted(name)}",
        expected="one of " + ", ".join(table),
        got=quoted(name),
        hint=" or ".join(map(repr, near)),
    )

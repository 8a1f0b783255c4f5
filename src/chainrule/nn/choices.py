"""Settings that are given by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from chainrule.errors import SettingError

T = TypeVar("T")


def choose(kind: str, name: object, table: Mapping[str, T]) -> T:
    """The entry of ``table`` under ``name``; a SettingError with the nearest names where there is none."""
    if isinstance(name, str) and name in table:
        return table[name]
    from difflib import get_close_matches

    near = get_close_matches(str(name).lower(), table, n=3)
    raise SettingError(
        f"there is no {kind} {name!r}",
        expected="one of " + ", ".join(table),
        got=repr(name),
        hint=" or ".join(map(repr, near)),
    )

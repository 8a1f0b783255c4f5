"""Headers of two lines: groups above the names, as merged cells in a spreadsheet or pandas' columns of two levels.

In a file such a group stands above its first name, and above the others there is nothing, or the group again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, takewhile

from chainrule.data.files.heading import (
    FEWEST_ROWS,
    KNOWN_UNITS,
    MOST_JUDGED,
    UNIT_WORDS,
    Heading,
    Records,
    find_heading,
    is_headed,
    is_name,
)

MOST_TITLES = 5  # with a single cell, above the groups
YEAR = re.compile("1[5-9][0-9]{2}|2[01][0-9]{2}")


def find_grouped_heading(records: Records, header: bool | None = None) -> Heading:
    """As ``find_heading``; a line of groups is one of the ``titles``, and what it says of each column in ``groups``."""
    found = find_heading(records, header)
    titles = sum(1 for _ in takewhile(lambda record: _count(record) <= 1, records[: MOST_TITLES + 1]))
    places = dict.fromkeys((found.titles, found.titles - 1, titles))
    for place in places if header is not False else ():
        some = [record[:MOST_JUDGED] for record in records[place : place + MOST_JUDGED]] if place >= 0 else []
        if len(some) > 1 + FEWEST_ROWS and _are_groups(some[0], some[1], some[2:], place < found.titles):
            below = find_heading(records[place + 1 :], True)
            if not below.titles:
                groups = tuple(_spread(records[place], records[place + 1]))
                said = ("names of two lines joined", *below.said)
                return replace(below, titles=place + 1, groups=groups, said=said)
    return found


def joined(groups: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names, each behind its group.

    >>> joined(["", "2019", "2019"], ["town", "men", "women"])
    ['town', '2019 / men', '2019 / women']
    """
    if not groups:
        return list(names)
    both = [(group.strip(), name.strip()) for group, name in zip(groups, names, strict=True)]
    return [f"{group} / {name}" if group and name else group or name for group, name in both]


def _count(record: Sequence[str]) -> int:
    return sum(1 for cell in record if cell.strip())


def _spread(groups: Sequence[str], names: Sequence[str]) -> list[str]:
    """The group of each column: its own, or the last one before it."""
    spread, last = [], ""
    for group, name in zip(groups, names, strict=True):
        last = group if group.strip() or not name.strip() else last
        spread.append(last)
    return spread


def _are_groups(groups: list[str], names: list[str], rows: Records, is_title: bool) -> bool:
    """Whether a record is one of groups above names; one that may be a title must tell names apart."""
    if len(groups) != len(names):
        return False
    groups, names = ([cell.strip() for cell in record] for record in (groups, names))
    known = [name for name in names if name]
    spans = any(
        group and other in {"", group} and name
        for (group, other), name in zip(pairwise(groups), names[1:], strict=True)
    )
    complete = all(group or name for group, name in zip(groups[1:], names[1:], strict=True))
    whole = joined(_spread(groups, names), names)
    if not (spans and complete and known and len(set(whole)) == len(whole)):
        return False
    if not all(is_name(name) or YEAR.fullmatch(name) for name in known) or all(map(_is_unit, known)):
        return False
    tells_apart = len(set(known)) < len(known)
    begins = not groups[0] or (not names[0] and not is_title)
    return (tells_apart or begins) and is_headed([whole, *rows]) and is_headed([names, *rows])


def _is_unit(name: str) -> bool:
    return name[0] in "[(<%°" or name.lower() in KNOWN_UNITS | UNIT_WORDS

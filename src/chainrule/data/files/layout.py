"""How the text of a table is laid out, as ``separators.py`` finds it and ``csv_cells.py`` reads by it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """What separates cells, how many lines above the header are left out, and how its names differ from the cells.

    ``separator`` is a space where runs of spaces separate cells, or columns begin at ``places``. ``header`` says
    whether there is one, and ``below`` how many records under it are left out. ``width`` is the number of columns.
    ``unnamed``: the first cell of every line is a row's name, as R writes them, and has no name in the header.
    ``groups`` stand above the names, one for each column, in a line of their own.
    ``trailing``: every line ends with a separator, the header does not; ``spare``: the header does, the lines do not.
    ``escaped``: quotes inside cells have a backslash ahead.
    ``assumed`` says what is not so in a plain file of that name.
    """

    separator: str
    above: int = 0
    unnamed: bool = False
    trailing: bool = False
    spare: bool = False
    places: tuple[int, ...] = ()
    header: bool = True
    below: int = 0
    width: int = 0
    escaped: bool = False
    groups: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

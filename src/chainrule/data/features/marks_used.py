"""What a user said to mean missing, and where it is: in no cell, or in the target, which keeps it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from chainrule.data.describe import list_some
from chainrule.data.features.column_options import Columns, said_as
from chainrule.data.features.missing_marks import USUAL
from chainrule.data.features.spellings import canonical_text, kind_of_type
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl


def marks_in(series: pl.Series, marks: tuple[str, ...]) -> list[str]:
    """Which of the marks a column holds, as texts or, where it has numbers, as numbers.

    >>> import polars as pl
    >>> marks_in(pl.Series([1, -999]), ("-999.0", "0", "x")), marks_in(pl.Series(["Oslo ", None]), ("oslo",))
    (['-999.0'], ['oslo'])
    """
    import polars as pl

    kind = kind_of_type(series)
    if kind == "other" or not marks:
        return []
    if kind == "number":
        numbers = pl.Series(marks).cast(pl.Float64, strict=False)
        held = series.cast(pl.Float64)
        return [
            mark for mark, number in zip(marks, numbers, strict=True) if number is not None and number in held
        ]
    texts = canonical_text(series).str.strip_chars().str.to_lowercase()
    return [mark for mark in marks if mark.strip().lower() in texts]


def say_marks(frame: pl.DataFrame, target: str, columns: Columns) -> list[str]:
    """Notices of what was said to mean missing and is in no cell, or is in the target, of which it was not said."""
    said = []
    for name, marks in columns.marks.items():
        fresh = tuple(
            mark for mark in marks if mark.strip().lower() not in USUAL
        )  # cells of these are empty by now
        own = (
            [series for series in frame.get_columns() if series.name != target]
            if name is None
            else [frame[name]]
        )
        held = set(chain.from_iterable(marks_in(series, fresh) for series in own))
        where = "" if name is None else f" of column {quoted(name)}"
        said += [
            f"{quoted(mark)}, said to mean missing, is in no cell{where}"
            for mark in fresh
            if mark not in held
        ]
    kept = [
        mark
        for mark in marks_in(frame[target], columns.marks.get(None, ()))
        if mark not in columns.missing_in(target, True)
    ]
    if kept:
        said.append(
            f"target {quoted(target)} has {list_some([quoted(mark) for mark in kept])}, which means missing in other "
            f"columns only; else {said_as('missing', target, kept[0])}"
        )
    return said

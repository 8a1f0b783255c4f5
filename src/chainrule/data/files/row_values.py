"""Columns from rows of Python values, as JSON and databases give them: of one type, or text."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from chainrule.data.files.heading import column_names

if TYPE_CHECKING:
    import polars as pl

LARGEST = 1 << 63


def frame_of(names: Sequence[str], columns: Iterable[Sequence[Any]]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """A table of columns of Python values; those whose values are of several types become text.

    Returns it with what is said about names that had to be changed.

    >>> frame_of(["a", "b"], [[1, None], [2, "x"]])[0].rows()
    [(1, '2'), (None, 'x')]
    """
    import polars as pl

    different, said = column_names(names)
    return pl.DataFrame(
        [_column(name, values) for name, values in zip(different, columns, strict=True)]
    ), said


def _column(name: str, values: Sequence[Any]) -> pl.Series:
    import polars as pl

    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {Decimal, int, float} and Decimal in kinds:
        values, kinds = [None if value is None else float(value) for value in values], {float}
    if kinds == {bool}:
        return pl.Series(name, values, pl.Boolean)
    if kinds == {int} and all(value is None or -LARGEST <= value < LARGEST for value in values):
        return pl.Series(name, values, pl.Int64)
    if kinds == {int}:
        return pl.Series(name, [_text(value) for value in values], pl.String)  # with all their digits
    if kinds and kinds <= {int, float}:
        numbers = [None if value is None or math.isnan(value) else float(value) for value in values]
        return pl.Series(name, numbers, pl.Float64)
    if kinds == {datetime.date}:
        return pl.Series(name, values, pl.Date)
    if kinds == {datetime.datetime}:
        return pl.Series(name, values)
    return pl.Series(name, [_text(value) for value in values], pl.String)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)
    )

"""Types that a user gave columns, checked against their cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from chainrule.data.describe import COUNTING
from chainrule.data.features.column_options import Columns, said_as
from chainrule.data.features.finding import Found
from chainrule.data.features.readings import read
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

ONE_OF_KIND = {"number": "a number", "boolean": "true or false", "date": "a date"}


def check_types(
    frame: pl.DataFrame, series: Mapping[str, pl.Series], found: Mapping[str, Found], columns: Columns
) -> None:
    """DataError for a type that was said of a column, and that not one of its cells has.

    ``series`` are the columns in the canonical form of the readings that were ``found``.
    """
    for name, kind in columns.types.items():
        if kind not in ONE_OF_KIND or name not in series or series[name].null_count() < frame.height:
            continue
        values = read(frame[name], found[name].reading)
        if values.odd is None:
            continue
        cells, row = int(values.odd.sum()), int(values.odd.argmax()) + 1
        raise DataError(
            f"{said_as('type', name, kind)}: none of {cells} cells is {ONE_OF_KIND[kind]}, "
            f"such as {quoted(values.first_odd)} (row {row})",
            where=COUNTING,
            hint="leave out the type, or name another one",
        )

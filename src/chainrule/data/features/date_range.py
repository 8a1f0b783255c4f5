"""Dates that no calendar has: a damaged file or a wrong unit holds them, and polars breaks down where it shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

DAYS = 95_000_000  # from 1970, either way: some 260,000 years
TICKS = {"ms": 86_400_000, "us": 86_400_000_000}  # of a day; nanoseconds do not reach so far


def need_dates(frame: pl.DataFrame, before: int = 0) -> pl.DataFrame:
    """The frame, before which some rows came; DataError where a column of dates or times holds one out of range."""
    import polars as pl

    for column in frame.get_columns():
        if column.dtype == pl.Date:
            most = DAYS
        elif isinstance(column.dtype, pl.Datetime) and column.dtype.time_unit in TICKS:
            most = DAYS * TICKS[column.dtype.time_unit]
        else:
            continue
        days = column.to_physical()
        odd = ((days > most) | (days < -most)).arg_true()
        if len(odd):
            raise DataError(
                f"column {quoted(column.name)} holds dates that are out of range",
                expected=f"at most {DAYS} days from 1970",
                got=f"{days[int(odd[0])]} in row {before + int(odd[0]) + 1}",
                hint="the file may be damaged, or its times be in another unit",
            )
    return frame

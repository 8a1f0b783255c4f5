"""Tables that take less memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.data.features.column_options import FOUND_OUT, Columns
from chainrule.data.features.finding import find_reading

if TYPE_CHECKING:
    import polars as pl

MOST_TEXTS = 1_000  # that a dictionary is made of


def compact(frame: pl.DataFrame, columns: Columns = FOUND_OUT) -> pl.DataFrame:
    """The same table; a column of few different texts holds numbers of a dictionary, a quarter of the memory.

    A column whose texts are numbers, dates or the like stays as it is.

    >>> import polars as pl
    >>> frame = compact(pl.DataFrame({"town": ["Rome", "Oslo", None] * 10}))
    >>> frame["town"].dtype, frame["town"][1]
    (Enum(categories=['Rome', 'Oslo']), 'Oslo')
    """
    import polars as pl

    every = frame.get_columns()
    for place, column in enumerate(every):
        if column.dtype == pl.String:
            texts = column.unique(maintain_order=True).drop_nulls()
            few = len(texts) <= min(MOST_TEXTS, len(column) / 10)
            if few and find_reading(column, columns).reading.values == "text":
                every[place] = column.cast(pl.Enum(texts))
    return pl.DataFrame({column.name: column for column in every})

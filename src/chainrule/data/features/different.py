"""The different cells of a column of text: what is done to texts is done once for each of them, not for every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl


FEW_NAMES = 10


@dataclass(frozen=True)
class Different:
    """Texts without spaces around them, null where empty, in the order in which they come in the column.

    ``counts`` says how many rows have each; ``kinds`` are the cells as they stand. Cells that differ in the spaces
    around them alone are listed apart.

    >>> import polars as pl
    >>> found = different_cells(pl.Series("town", ["Rome", None, "Oslo", "Rome"]))
    >>> found.texts.to_list(), found.counts.tolist(), found.places().tolist()
    (['Rome', None, 'Oslo'], [2, 1, 1], [0, 1, 2, 0])
    """

    texts: pl.Series
    counts: NDArray[np.int64]
    _cells: pl.Series
    kinds: pl.Series

    @property
    def empty(self) -> int:
        """How many rows have nothing."""
        return int(self.counts[self.texts.is_null().to_numpy()].sum())

    def places(self) -> NDArray[np.unsignedinteger]:
        """Which of the texts each row of the column has, unsigned integers [rows]."""
        import polars as pl

        return self._cells.cast(pl.Enum(self.kinds)).to_physical().to_numpy()


def are_names(cells: Different) -> bool:
    """Whether there are so many different texts that they rather name the rows than sort them."""
    known = int(cells.counts.sum()) - cells.empty
    return cells.texts.drop_nulls().n_unique() > max(FEW_NAMES, known / 2)


def different_cells(series: pl.Series) -> Different:
    """The different cells of a column of any type that can be written as text."""
    import polars as pl

    cells = series.cast(pl.String).fill_null("")
    counted = cells.alias("cell").to_frame().group_by("cell", maintain_order=True).agg(pl.len().alias("rows"))
    kinds = counted["cell"]
    texts = stripped(kinds).rename(series.name)
    return Different(texts, counted["rows"].to_numpy().astype(np.int64), cells, kinds)


def stripped(text: pl.Series) -> pl.Series:
    """The texts without spaces around them, null where nothing is left."""
    import polars as pl

    text = text.str.strip_chars()
    return text.to_frame().select(pl.when(pl.nth(0) != "").then(pl.nth(0)).alias(text.name)).to_series()

"""A grid of text cells, as a sheet of a workbook is one: titles, header, units, totals are found as in a text file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.data.files.footers import Footers
from chainrule.data.files.header_groups import find_grouped_heading, joined
from chainrule.data.files.heading import column_names, count_of
from chainrule.data.files.stacked_tables import FirstTable

if TYPE_CHECKING:
    import polars as pl

SAMPLE = 200  # rows that the header is found from


def table_in(
    grid: pl.DataFrame, header: bool | None = None, every_row: bool = False
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The table in a grid of texts, its columns named by its header; and what was assumed.

    Rows without any cell are left out above the header and at the end; in between they are rows, for who counts them
    finds them so. Columns without any cell and without a name are left out. With ``every_row``, totals and notes at the
    end are rows too.

    >>> import polars as pl
    >>> grid = pl.DataFrame({"1": ["Sales", None, "town", "Oslo", "Rome"], "2": [None, None, "n", "1", "2"]})
    >>> frame, said = table_in(grid)
    >>> frame.rows(), frame.columns, said
    ([('Oslo', '1'), ('Rome', '2')], ['town', 'n'], ('1 line above the header left out',))
    """
    import polars as pl

    grid = grid.select(
        pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in grid.columns
    )
    grid = grid.select(
        name
        for name, count in zip(grid.columns, grid.null_count().row(0), strict=True)
        if count < grid.height
    )
    if not grid.width:
        return grid.clear(), ()
    filled = grid.select(~pl.all_horizontal(pl.all().is_null())).to_series().arg_true()
    if not len(filled):
        return grid.clear(), ()
    empty = grid.height - filled[-1] - 1
    records = [[cell or "" for cell in row] for row in grid[filled[:SAMPLE]].rows()]
    found = find_grouped_heading(records, header)
    written = records[found.titles] if found.header else []
    names, more = column_names(joined(found.groups, written) if written else [""] * grid.width)
    above = found.titles + found.header + found.below
    rows = grid[filled[above - 1] + 1 if above else filled[0] : filled[-1] + 1]
    rows.columns = names
    first_table = FirstTable(written)
    rows = first_table.in_sheet(rows, filled[above - 1] + 1 if above else filled[0])
    empty = 0 if first_table.ended else empty
    footers = Footers(empty=empty, odd=(lambda _: False) if every_row else None)
    parts = list(footers.taken_off(iter([rows]))) if rows.height else []
    left_out = found.titles - bool(found.groups)
    titles = (f"{count_of(left_out, 'line')} above the header left out",) if left_out else ()
    said = (*titles, *found.said, *more, *footers.said, *first_table.said)
    return (pl.concat(parts) if parts else rows.clear()), said

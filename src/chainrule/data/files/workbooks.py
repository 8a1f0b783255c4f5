"""Sheets of Excel and OpenDocument workbooks as text cells, read by fastexcel (``pip install 'chainrule[excel]'``)."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

from chainrule.data.describe import list_some, suggest_names
from chainrule.data.files.grids import table_in
from chainrule.data.files.origins import Held, Origin, check_expanded
from chainrule.data.files.text_format import TextFormat
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

ENDINGS = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}
DIGITS = 1e-9  # fastexcel writes numbers as texts with so many digits behind the point


def read_workbook(
    origin: Origin, wanted: TextFormat, every_row: bool = False
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The table in a workbook's sheet, all cells as text; and what was assumed.

    ``wanted.sheet`` names the sheet; else it is the one with most cells, of those that are not hidden. Formulas are
    worth what the program that wrote the file has computed. With ``every_row``, totals and notes at the end are rows.

    Raises DataError where fastexcel is missing, for a sheet that is not there, and for a file
    that cannot be read.
    """
    book = _opened(origin)
    chosen, said = _sheet(origin, book, wanted.sheet)
    frame, more = table_in(_cells(book, chosen), wanted.header, every_row)
    return frame, (*said, *more)


def _opened(origin: Origin) -> Any:
    try:
        import fastexcel
    except ImportError:
        raise DataError(
            f"{origin} is a workbook, and the library that reads workbooks is not installed",
            expected="the package fastexcel",
            hint="pip install 'chainrule[excel]', or save the sheet as CSV",
        ) from None
    _check_size(origin)
    try:
        # by its bytes, for names lie
        return fastexcel.read_excel(origin.content if isinstance(origin, Held) else origin.read_bytes())
    except fastexcel.FastExcelError as error:
        raise DataError(
            f"{origin} is a workbook that cannot be read",
            got=str(error).splitlines()[0],
            hint="open it in a spreadsheet and save it again, without a password, or save the sheet as CSV",
        ) from error


def _check_size(origin: Origin) -> None:
    """Refuse a small workbook that would fill the memory."""
    with origin.open("rb") as file:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    check_expanded(origin, size, "what it expands to", "save the sheet as CSV, and read that")


def _sheet(origin: Origin, book: Any, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """The sheet to read, and what is said about the choice."""
    names: list[str] = book.sheet_names
    if wanted is not None:
        if wanted not in names:
            raise DataError(
                f"{origin} has no sheet {quoted(wanted)}",
                expected="a sheet of the workbook",
                got=list_some([quoted(name) for name in names], limit=20),
                hint=suggest_names(wanted, names),
            )
        return wanted, ()
    if len(names) == 1:
        return names[0], ()
    shown = [name for name in names if book.load_sheet(name, n_rows=0).visible == "visible"]
    cells = {name: _count_cells(book, name) for name in shown or names}
    best = max(cells, key=cells.__getitem__)
    others = list_some([quoted(name) for name in names if name != best])
    return best, (f"sheet {quoted(best)}, not {others} (--sheet names another)",)


def _count_cells(book: Any, name: str) -> int:
    grid = _loaded(book, name, "string")
    return int(grid.height * grid.width - sum(grid.null_count().row(0))) if grid.width > 1 else 0


def _loaded(book: Any, name: str, dtype: str) -> pl.DataFrame:
    import fastexcel

    try:
        sheet = book.load_sheet(name, header_row=None, dtypes=dtype)
        return sheet.to_polars()
    except fastexcel.FastExcelError as error:
        raise DataError(f"the sheet {quoted(name)} cannot be read", got=str(error).splitlines()[0]) from error


def _cells(book: Any, name: str) -> pl.DataFrame:
    """The cells as texts: numbers with all their digits, dates without a time where no cell has one."""
    import polars as pl

    texts, numbers = _loaded(book, name, "string"), _loaded(book, name, "float")
    columns = []
    for text, number in zip(texts.get_columns(), numbers.get_columns(), strict=True):
        rounded = text.cast(pl.Float64, strict=False)
        whole = (number - rounded).abs() <= DIGITS * number.abs().clip(1)
        differs = (number != rounded) & whole & ~text.str.contains(r"^\s*0\d")
        column = (
            text.to_frame("text")
            .select(
                pl.when(differs.fill_null(False))
                .then(number.cast(pl.String))
                .otherwise(pl.col("text"))
                .alias(text.name)
            )
            .to_series()
        )
        columns.append(_without_midnight(_without_first_day(column)))
    return pl.DataFrame(columns)


def _without_first_day(text: pl.Series) -> pl.Series:
    """Times and durations as hours, minutes and seconds, which Excel keeps as times on the first days it knows."""
    import polars as pl

    parts = text.str.extract_groups(
        r"^(1899-12-3[01]|1900-\d\d-\d\d)[ T](\d\d)(:\d\d:\d\d.*)$"
    ).struct.unnest()
    if not parts["1"].str.starts_with("1899").any():
        return text
    days = (pl.col("1").str.to_date() - pl.date(1899, 12, 31)).dt.total_days().clip(0)
    hours = (pl.col("2").cast(pl.Int64) + 24 * days).cast(pl.String).str.zfill(2)
    clock = parts.select(pl.concat_str(hours, pl.col("3"))).to_series()
    return clock.fill_null(text).alias(text.name)


def _without_midnight(text: pl.Series) -> pl.Series:
    """Dates as dates, which Excel keeps as times at midnight."""
    time = r"^(\d{4}-\d\d-\d\d)[ T]"
    if (
        text.str.contains(time).any()
        and not text.str.contains(time + r"(?:\d\d:\d\d:\d\d.*)")
        .filter(~text.str.contains(time + r"00:00:00(?:\.0+)?$").fill_null(True))
        .any()
    ):
        return text.str.replace(time + r"00:00:00(?:\.0+)?$", "${1}")
    return text

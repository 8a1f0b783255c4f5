"""Reading a table: whatever the source, each kind of file by its own reader, and texts as the types they have."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.data.features.cell_types import TypedColumn, Untyped, add_cells
from chainrule.data.features.column_options import EVERYTHING, Columns
from chainrule.data.features.date_range import need_dates
from chainrule.data.files.arff import read_arff
from chainrule.data.files.compressed import expanded
from chainrule.data.files.csv_cells import text_table
from chainrule.data.files.databases import database_name, is_database, read_database, read_sqlite
from chainrule.data.files.formats import Kind, check_format, kind_of
from chainrule.data.files.json_tables import read_json
from chainrule.data.files.opening import reading
from chainrule.data.files.origins import (
    Held,
    Origin,
    address_name,
    check_expanded,
    find_origin,
    is_url,
    size_of,
)
from chainrule.data.files.text_format import FOUND_OUT, TextFormat, flag
from chainrule.data.files.workbooks import read_workbook
from chainrule.errors import DataError

if TYPE_CHECKING:
    import polars as pl

PART = 1 << 26  # bytes of a Parquet or Arrow table that are read at once


def read_table(
    source: str | PathLike[str],
    text_columns: Collection[str] = (),
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    sheet: str | None = None,
    columns: Columns | None = None,
) -> pl.DataFrame:
    """Read a table, one column per name in the header.

    ``source`` is a file; ``archive.zip/inner.csv``, a file in an archive; ``-``, standard input; an address that begins
    with http:// or https://; or a database, ``sqlite:///shop.db?table=sales`` or ``sqlite:///shop.db?query=select ...``
    (with the extra ``sql`` also postgresql and others). By its name, else by its first bytes, a file is Parquet
    (``.parquet``, ``.pq``), Arrow (``.arrow``, ``.feather``), a workbook (``.xlsx``, ``.xls``, ``.xlsb``, ``.ods``;
    needs the extra ``excel``), JSON (``.json``, ``.jsonl``, ``.ndjson``) or ARFF; everything else is text, also
    compressed (``.gz``, ``.bz2``, ``.xz``, ``.zst``). A text file's ``encoding`` and ``delimiter``, whether there is a
    ``header``, and a workbook's ``sheet`` are found out where they are not given.

    In text and in sheets, titles above the header, units and notes under it, and totals and notes at the end are left
    out; the columns of a table without a header are called ``column_1``, ``column_2`` and so on, and so is a column
    without a name; the second column of a name gets a number. A few lines with too few cells are filled up.

    In text, blank lines are skipped and spaces around cells dropped. A column whose cells are all integers,
    numbers, true/false or ISO dates, apart from missing values ("", NA, N/A, NaN, null, None, ?), has that
    type with nulls. Any other column is text, where only an empty cell is null, and so is each of
    ``text_columns``. How text is written, with a decimal comma and the like, is found out by what learns from it, which
    is why integers with zeros ahead (0501) stay text. ``columns`` says what is known about the columns: those that are
    to be text stay so, and so do all columns where the decimal mark is said.

    Raises DataError for a file that is missing, a folder, a pipe or a device, unreadable, in an encoding that cannot be
    told, without rows or columns, with ragged lines, or with a cell of more than 16 million characters; also for a
    compressed file that would swell to more than 200 times its size and 256 MiB. Raises SettingError for an unknown
    encoding, for a delimiter of several characters, and where something is given that such a file does not have.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "houses.csv"
    ...     _ = path.write_text("rooms,town\\n3,Oslo\\nNA,Rome\\n")
    ...     read_table(path).rows()
    [(3, 'Oslo'), (None, 'Rome')]
    """
    if columns is not None and columns.read_as_text:
        text_columns = EVERYTHING if columns.decimal else {*text_columns, *columns.read_as_text}
    return read_assuming(source, text_columns, TextFormat(encoding, delimiter, header, sheet))[0]


def read_assuming(
    source: str | PathLike[str],
    text_columns: Collection[str] = (),
    wanted: TextFormat = FOUND_OUT,
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """As ``read_table``, with what was assumed about the file's format."""
    table = read_whole(source, Untyped(text_columns), wanted)
    return table.frame, table.assumed


@dataclass(frozen=True)
class ReadTable:
    """A table, what was assumed about its file's format, and the decimal mark that the format makes likely, or ""."""

    frame: pl.DataFrame
    assumed: tuple[str, ...]
    likely_decimal: str = ""


def read_whole(source: str | PathLike[str], untyped: Untyped, wanted: TextFormat = FOUND_OUT) -> ReadTable:
    """As ``read_table``, with all that is known about the file."""
    if is_database(source):
        check_format(wanted, "database", database_name(str(source)))
        frame, assumed = read_database(str(source))
        table, name = ReadTable(typed_texts(frame, untyped), assumed), database_name(str(source))
    else:
        origin = opened(source)
        table, name = read_origin(origin, untyped, wanted), str(origin)
    if table.frame.height == 0 or table.frame.width == 0:
        raise empty_table(name, table.frame)
    return table


def opened(source: str | PathLike[str]) -> Origin:
    """The file, or the bytes, that a user named; whatever keeps it from being read is a DataError."""
    with reading(Held(str(source), b"")):
        return find_origin(source)


def read_origin(origin: Origin, untyped: Untyped, wanted: TextFormat) -> ReadTable:
    """The table in a file of any kind."""
    with reading(origin):
        kind = kind_of(origin)
        check_format(wanted, kind, str(origin))
        if kind == "text":
            table = _read_text(origin, untyped, wanted)
        else:
            table = ReadTable(*read_kind(kind, origin, untyped, wanted))
    return replace(table, assumed=(*where_from(origin), *table.assumed))


def where_from(origin: Origin) -> tuple[str, ...]:
    """What is said about where the bytes come from."""
    return (origin.said,) if isinstance(origin, Held) and origin.said else ()


def read_kind(
    kind: Kind, origin: Origin, untyped: Untyped, wanted: TextFormat, every_row: bool = False
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The table in a file of that kind, not text, and what was assumed about it; ``every_row`` as in workbooks."""
    if kind in {"parquet", "arrow"}:
        return _read_binary(expanded(origin), kind), ()
    if kind == "sqlite":
        frame, said = read_sqlite(Path(str(origin)))
    elif kind == "workbook":
        frame, said = read_workbook(expanded(origin), wanted, every_row)
    else:
        frame, said = (read_json if kind == "json" else read_arff)(origin, wanted)
    return typed_texts(frame, untyped), said


def empty_table(path: str | Path, frame: pl.DataFrame) -> DataError:
    """The error for a table without rows or columns."""
    return DataError(
        f"{path} holds no rows" if frame.width else f"{path} holds no columns",
        expected="a table of at least one row and one column",
        got=f"{frame.height} rows, {frame.width} columns",
        hint=f"{flag('no-header')} if the first line is data" if frame.width and not frame.height else "",
    )


@contextmanager
def decoding(origin: Origin, kind: str) -> Iterator[None]:
    """Whatever polars says about a Parquet or Arrow file is a DataError."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, OSError, ValueError, pl.exceptions.PanicException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{origin} cannot be read as {kind.title()}",
            got=f"{size_of(origin)} bytes; {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            hint="write the file again, or save the table as CSV",
        ) from error


def scan(origin: Origin, kind: str) -> tuple[pl.LazyFrame, int]:
    """A Parquet or Arrow file that is to be read, and the number of its rows; DataError if it is implausibly large."""
    import polars as pl

    # what the system says of a file that it does not open is plainer than what polars says
    origin.open("rb").close()
    content = origin.content if isinstance(origin, Held) else origin
    table = pl.scan_ipc(content) if kind == "arrow" else pl.scan_parquet(content)
    rows: int = table.select(pl.len()).collect().item()
    hint = "write it as CSV, or read it with polars and give the frame to chainrule.tables"
    check_expanded(origin, 8 * rows * len(table.collect_schema()), "the table in it", hint)
    return table, rows


def _read_binary(origin: Origin, kind: str) -> pl.DataFrame:
    import polars as pl

    columns: list[pl.Series] = []
    with decoding(origin, kind):
        table, rows = scan(origin, kind)
        names = table.collect_schema().names()
        together = max(PART // max(8 * rows, 1), 1)
        for start in range(0, len(names), together):  # so that only a part of the table is ever held twice
            part = table.select(names[start : start + together]).collect()
            columns += [column.rechunk() for column in part.get_columns()]
        return need_dates(pl.DataFrame({column.name: column for column in columns}))


def _read_text(path: Origin, untyped: Untyped, wanted: TextFormat) -> ReadTable:
    import polars as pl

    columns: list[TypedColumn] = []
    incomplete = columns

    def known_types() -> dict[str, pl.DataType]:
        return {column.name: column.direct for column in incomplete if column.direct is not None}

    table = text_table(path, wanted, types=known_types)
    columns += untyped.columns(table.names)
    while True:
        for frame in table.frames:
            add_cells(incomplete, frame)
        incomplete = [column for column in columns if column.incomplete]
        if not incomplete:
            break
        for column in incomplete:
            column.begin_again()
        names, table = table.names, text_table(path, wanted, types=known_types)
        if table.names != names:
            raise DataError(f"{path} changed while it was read")
    found = [column.series() for column in columns]
    if len({len(series) for series in found}) > 1:
        raise DataError(f"{path} changed while it was read")
    return ReadTable(pl.DataFrame(found), table.assumed(), {";": ",", ",": "."}.get(table.separator, ""))


def typed_columns(cells: pl.DataFrame, untyped: Untyped) -> pl.DataFrame:
    """Columns of text as the types that their cells have."""
    import polars as pl

    columns = untyped.columns(cells.columns)
    add_cells(columns, cells)
    return pl.DataFrame({column.name: column.series() for column in columns})


def typed_texts(frame: pl.DataFrame, untyped: Untyped) -> pl.DataFrame:
    """The table with its columns of text as the types that their cells have; the others stay."""
    import polars as pl

    texts = frame.select(pl.col(pl.String))
    return frame.with_columns(typed_columns(texts, untyped).get_columns()) if texts.width else frame


def short_name(data: str | PathLike[str]) -> str:
    """What a table is called in messages and models: without folders, servers and passwords.

    >>> short_name("https://me:secret@example.org/a/t.csv?x=1"), short_name("data/t.csv"), short_name("-")
    ('t.csv', 't.csv', 'standard input')
    """
    data = str(data)
    if is_database(data):
        return database_name(data)
    if is_url(data):
        return address_name(data)
    return "standard input" if data == "-" else Path(data).name

"""Reading a table from a CSV, Parquet or Arrow file."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.data.describe import list_some, suggest_names
from chainrule.errors import DataError

if TYPE_CHECKING:
    import polars as pl

MISSING_SPELLINGS = ("", "na", "n/a", "nan", "null", "none", "?")
"""What stands for a missing value in a column of numbers, truth values or dates, in any case of letters."""

DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
)
CHUNK_ROWS = 1_000
RESAVE = "save the file again as UTF-8 (in a spreadsheet: Save as, 'CSV UTF-8')"


def read_table(source: str | PathLike[str], text_columns: Collection[str] = ()) -> pl.DataFrame:
    """Read a table, one column per name in the header.

    By the file's name: ``.parquet`` and ``.pq`` are Parquet, ``.arrow`` and ``.feather`` Arrow; everything
    else is text with a header line, in UTF-8, separated by commas (by tabs if the name ends in ``.tsv``, by
    semicolons or tabs if the header has those and no comma), compressed if it ends in ``.gz``.

    In text, blank lines are skipped and spaces around cells dropped. A column whose cells are all integers,
    numbers, true/false or ISO dates, apart from missing values ("", NA, N/A, NaN, null, None, ?), has that
    type with nulls. Any other column is text, where only an empty cell is null, and so is each of
    ``text_columns``. A column without a name is called after its position (``column_1``).

    Raises DataError for a file that is missing, a folder, unreadable, not UTF-8, without rows or columns,
    with ragged lines or with a name that occurs twice.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "houses.csv"
    ...     _ = path.write_text("rooms,town\\n3,Oslo\\nNA,Rome\\n")
    ...     read_table(path).rows()
    [(3, 'Oslo'), (None, 'Rome')]
    """
    path = Path(source)
    data = _read_bytes(path)
    binary = is_parquet(path) or is_arrow(path)
    frame = _read_binary(path, data) if binary else _read_text(path, data, text_columns)
    if frame.height == 0 or frame.width == 0:
        raise empty_table(path, frame)
    return frame


def empty_table(path: Path, frame: pl.DataFrame) -> DataError:
    """The error for a table without rows or columns."""
    return DataError(
        f"{path} holds no rows" if frame.width else f"{path} holds no columns",
        expected="a table of at least one row and one column",
        got=f"{frame.height} rows, {frame.width} columns",
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong while a file is read is a DataError that says what."""
    try:
        yield
    except FileNotFoundError:
        folder = path.parent
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}", got=str(path)) from None
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
        raise DataError(
            f"there is no file {path}",
            where=f"folder {folder.resolve()}",
            hint=suggest_names(path.name, names),
        ) from None
    except IsADirectoryError:
        names = sorted(entry.name for entry in path.iterdir() if entry.is_file())
        raise DataError(
            f"{path} is a folder", expected="a CSV or Parquet file", hint=suggest_names("data.csv", names)
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file", got=str(error)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read", got=str(error)) from error


def _read_bytes(path: Path) -> bytes:
    with reading(path):
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix.lower() == ".gz" else data


def is_arrow(path: Path) -> bool:
    """Whether the file's name is that of an Arrow file."""
    return path.suffix.lower() in {".arrow", ".feather"}


def is_parquet(path: Path) -> bool:
    """Whether the file's name is that of a Parquet file."""
    return path.suffix.lower() in {".parquet", ".pq"}


@contextmanager
def decoding(path: Path, size: int) -> Iterator[None]:
    """Whatever polars says about a Parquet or Arrow file of ``size`` bytes is a DataError."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, OSError, ValueError, pl.exceptions.PanicException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} cannot be read as {'Arrow' if is_arrow(path) else 'Parquet'}",
            got=f"{size} bytes; {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            hint="write the file again, or save the table as CSV",
        ) from error


def _read_binary(path: Path, data: bytes) -> pl.DataFrame:
    import polars as pl

    with decoding(path, len(data)):
        return pl.read_ipc(io.BytesIO(data)) if is_arrow(path) else pl.read_parquet(io.BytesIO(data))


def _read_text(path: Path, data: bytes, text_columns: Collection[str]) -> pl.DataFrame:
    import polars as pl

    text = _decode(path, data)
    names, chunks = text_cells(path, io.StringIO(text, newline=""), separator_of(path, text))
    found = list(chunks)
    if not found:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    return typed_columns(pl.concat(found), text_columns)


def text_cells(path: Path, lines: Iterable[str], separator: str) -> tuple[list[str], Iterator[pl.DataFrame]]:
    """The names in the header, and the cells as text, some rows at a time."""
    import polars as pl

    records = _records(path, lines, separator)
    _, header = next(records, (1, []))
    names = [name.strip() or f"column_{position}" for position, name in enumerate(header, 1)]
    _check_names(path, names)
    schema = dict.fromkeys(names, pl.String)
    chunks = _chunks(path, records, names)
    return names, (pl.DataFrame(dict(zip(names, columns, strict=True)), schema=schema) for columns in chunks)


def typed_columns(cells: pl.DataFrame, text_columns: Collection[str]) -> pl.DataFrame:
    """Columns of text as the types that their cells have."""
    import polars as pl

    return pl.DataFrame([typed(cells[name], as_text=name in text_columns) for name in cells.columns])


def _decode(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise not_utf8(path, data[:4], data[error.start], line, error.start) from None
    nul = text.find("\0")
    if nul >= 0:
        raise zero_byte(path, text.count("\n", 0, nul) + 1)
    return text


def not_utf8(path: Path, head: bytes, byte: int, line: int, place: int) -> DataError:
    """The error for a byte that is not UTF-8, at a place counted from 0, in a file with these first bytes."""
    hint = RESAVE
    if head.startswith(b"PK\x03\x04"):
        hint = "this looks like a spreadsheet or a zip archive: export the table as CSV"
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")):
        hint = f"this looks like UTF-16: {RESAVE}"
    return DataError(
        f"{path} is not text in UTF-8",
        expected="UTF-8",
        got=f"the byte 0x{byte:02x}",
        where=f"line {line}, byte {place + 1} of the file",
        hint=hint,
    )


def zero_byte(path: Path, line: int) -> DataError:
    """The error for a zero byte in a line."""
    return DataError(f"{path} has a zero byte, which no text has", where=f"line {line}", hint=RESAVE)


def separator_of(path: Path, text: str) -> str:
    """What separates the cells, by the file's name or by the first line of its text."""
    if path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")):
        return "\t"
    header = text.lstrip().partition("\n")[0]
    return max(";\t", key=header.count) if "," not in header and ("\t" in header or ";" in header) else ","


def _records(path: Path, lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the number of the line on which it starts."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    try:
        for record in reader:
            if len(record) > 1 or (record and record[0].strip()):
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path} has a cell whose quotes do not match",
            got=str(error),
            where=f"the record that starts on line {line}",
            hint='close every quote, and double those inside a cell: "5"" pipe"',
        ) from None


def _check_names(path: Path, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        places = [
            f"{name!r} (columns {', '.join(str(i) for i, n in enumerate(names, 1) if n == name)})"
            for name in repeated
        ]
        raise DataError(
            f"{path} has column names that occur more than once",
            expected="a first line with a different name for every column",
            got=list_some(places),
            hint="rename them; if the first line is data, put a line of names above it",
        )


def _chunks(
    path: Path, records: Iterator[tuple[int, list[str]]], names: list[str]
) -> Iterator[list[tuple[str, ...]]]:
    """The records' cells column by column, some rows at a time; raises at the end if some were ragged."""
    rows: list[list[str]] = []
    ragged: list[str] = []
    for line, record in records:
        if len(record) != len(names):
            ragged.append(f"line {line} has {len(record)}")
        elif not ragged:
            rows.append(record)
        if len(rows) == CHUNK_ROWS:
            yield list(zip(*rows, strict=True))
            rows = []
    if ragged:
        raise DataError(
            f"{path} is ragged: some lines have more or fewer cells than the header",
            expected=f"{len(names)} cells a line, as in the header",
            got=list_some(ragged),
            hint="put cells that contain the separator in double quotes",
        )
    if rows:
        yield list(zip(*rows, strict=True))


def is_missing_spelling(cells: pl.Series) -> pl.Series:
    """Which text cells are null or spell a missing value; Boolean [rows]."""
    return cells.str.strip_chars().str.to_lowercase().is_in(list(MISSING_SPELLINGS)).fill_null(True)


def typed(cells: pl.Series, as_text: bool = False) -> pl.Series:
    """A column of text as numbers, true/false or dates if every cell that is not missing reads as one; else as text."""
    import polars as pl

    cells = cells.str.strip_chars()
    if not as_text:
        frame = pl.DataFrame({"cell": cells, "missing": is_missing_spelling(cells)})
        known = frame.select(pl.when(~pl.col("missing")).then(pl.col("cell")).alias(cells.name)).to_series()
        for typed in _conversions(known):
            if typed.null_count() == known.null_count():
                return typed
    return (
        pl.DataFrame([cells]).select(pl.when(pl.nth(0) != "").then(pl.nth(0)).alias(cells.name)).to_series()
    )


def _conversions(known: pl.Series) -> Iterator[pl.Series]:
    """The column as each type it might have, narrowest first, null where a cell is not of that type."""
    import polars as pl

    yield known.cast(pl.Int64, strict=False)
    yield known.cast(pl.Float64, strict=False)
    lower = known.str.to_lowercase()
    yield lower.replace_strict(["true", "false"], [True, False], default=None, return_dtype=pl.Boolean)
    first = known.drop_nulls().head(1).to_list()[0]
    if len(first) >= 10 and first[:4].isdigit() and first[4] == "-":
        for date_format in DATE_FORMATS:
            wanted = pl.Date if date_format == "%Y-%m-%d" else pl.Datetime("us")
            yield known.str.strptime(wanted, date_format, strict=False)

"""Tables that are larger than memory: read a part at a time, each as ``read_table`` would read the whole."""

from __future__ import annotations

import gzip
import io
from collections.abc import Collection, Iterator
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, TextIO, cast

from chainrule.data.tables import (
    decoding,
    empty_table,
    is_arrow,
    is_parquet,
    not_utf8,
    read_table,
    reading,
    separator_of,
    text_cells,
    typed_columns,
    zero_byte,
)
from chainrule.errors import DataError

if TYPE_CHECKING:
    import polars as pl

CELLS = 1_000_000  # of a part, more or less: some tens of megabytes
HEAD = 1 << 16  # characters in which the header's line is looked for


def read_parts(
    source: str | PathLike[str],
    columns: Collection[str],
    text_columns: Collection[str] = (),
    cells: int = CELLS,
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The table of a file in parts, in order, each with the number of rows before it.

    A part has about ``cells`` cells. The files are those of :func:`read_table`, with the same meaning; of Parquet
    and Arrow files only ``columns`` are read, as far as they are there, and the names of the others come as empty
    columns. In text, the type of a column that is not among ``text_columns`` follows from the part's cells.

    Raises DataError as ``read_table`` does; where a part is at fault, once it is reached.
    """
    path = Path(source)
    parts = _binary_parts if is_parquet(path) or is_arrow(path) else _text_parts
    rows = 0
    for frame in parts(path, columns, text_columns, cells):
        yield rows, frame
        rows += frame.height
    if not rows:
        raise empty_table(path, read_table(path))


def _binary_parts(
    path: Path, columns: Collection[str], text_columns: Collection[str], cells: int
) -> Iterator[pl.DataFrame]:
    import polars as pl

    with reading(path), decoding(path, path.stat().st_size):
        table = pl.scan_ipc(path) if is_arrow(path) else pl.scan_parquet(path)
        schema = table.collect_schema()
        wanted = [name for name in schema if name in columns]
        others = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in columns]
        total = table.select(pl.len()).collect().item()
        count = max(cells // max(len(wanted), 1), 1)
        for start in range(0, total, count):
            # with the other columns' names, so that it can be said that they are ignored
            yield table.select(wanted).slice(start, count).collect().with_columns(others)


def _text_parts(
    path: Path, columns: Collection[str], text_columns: Collection[str], cells: int
) -> Iterator[pl.DataFrame]:
    import polars as pl

    with reading(path), _open(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
        try:
            separator = separator_of(path, text.read(HEAD))
            text.seek(0)
            names, chunks = text_cells(path, _lines(path, text), separator)
            gathered: list[pl.DataFrame] = []
            for chunk in chunks:
                gathered.append(chunk)
                if len(gathered) * gathered[0].height * len(names) >= cells:
                    yield typed_columns(pl.concat(gathered), text_columns)
                    gathered = []
            if gathered:
                yield typed_columns(pl.concat(gathered), text_columns)
        except UnicodeDecodeError:
            raise _undecodable(path) from None


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _undecodable(path: Path) -> DataError:
    """Where the first byte is that is not UTF-8."""
    head, place = b"", 0
    with _open(path) as binary:
        for number, line in enumerate(binary, 1):
            head = head or line[:4]
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return not_utf8(path, head, line[error.start], number, place + error.start)
            place += len(line)
    return DataError(f"{path} changed while it was read")


def _lines(path: Path, text: TextIO) -> Iterator[str]:
    for number, line in enumerate(text, 1):
        if "\0" in line:
            raise zero_byte(path, number)
        yield line


def shifted(error: DataError, before: int) -> DataError:
    """An error about a part of a table, whose rows are counted from ``before``."""
    if before:
        error.where = f"rows are counted from row {before + 1} of the table"
    return error

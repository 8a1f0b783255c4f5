"""Tables that are larger than memory: read a part at a time, each as ``read_table`` would read the whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

from chainrule.data.describe import list_some
from chainrule.data.features.cell_types import Untyped
from chainrule.data.features.date_range import need_dates
from chainrule.data.files.compressed import expanded
from chainrule.data.files.csv_cells import text_table
from chainrule.data.files.databases import database_name, is_database
from chainrule.data.files.formats import check_format, kind_of
from chainrule.data.files.heading import is_value
from chainrule.data.files.opening import reading
from chainrule.data.files.origins import Origin
from chainrule.data.files.text_format import FOUND_OUT, TextFormat, check_delimiter, flag
from chainrule.data.tables import (
    decoding,
    empty_table,
    opened,
    read_assuming,
    read_kind,
    scan,
    typed_columns,
    where_from,
)
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

POSITION = re.compile(r"column_\d+")  # the name of a column that has none
CELLS = 1_000_000  # of a part, more or less: some tens of megabytes


class TablePart(NamedTuple):
    """Some rows of a file's table, how many are before them, and what was so far assumed about a text's format."""

    before: int
    frame: pl.DataFrame
    assumed: tuple[str, ...]


Read = tuple["pl.DataFrame", tuple[str, ...]]


def read_parts(
    source: str | PathLike[str],
    columns: Collection[str],
    text_columns: Collection[str] = (),
    cells: int = CELLS,
    wanted: TextFormat = FOUND_OUT,
    order: Sequence[str] = (),
) -> Iterator[TablePart]:
    """The table of a file in parts, in order.

    A part has about ``cells`` cells. The files are those of :func:`read_table`, with the same meaning, and ``wanted``
    says the format of a text file; but what may be a row at the end of a text or a sheet is one here, a total or an
    empty line as well, for a prediction is awaited for each. Of Parquet and Arrow files only ``columns`` are read, as
    far as they are there, and the names of the others come as empty columns. In text, the type of a column that is not
    among ``text_columns`` follows from the part's cells. A table without rows is one part without rows.

    Where ``columns`` have names, a file is taken to have a header; if ``wanted`` says that it has none, its columns are
    those of ``order``, by their position. Columns called ``column_1`` and so on come from files without a header.

    Raises DataError as ``read_table`` does; where a part is at fault, once it is reached.
    """
    import polars as pl

    where: tuple[str, ...] = ()
    if is_database(source):
        check_format(wanted, "database", database_name(str(source)))
        frame, assumed = read_assuming(source, text_columns, wanted)
        parts, name = _slices(frame, assumed, cells), database_name(str(source))
    else:
        origin = opened(source)
        parts, name = _parts_of(origin, columns, Untyped(text_columns), cells, wanted, order), str(origin)
        where = where_from(origin)
    rows, assumed = 0, tuple[str, ...]()
    columnless = pl.DataFrame()
    for frame, found in parts:
        assumed = (*where, *found)
        if frame.height:
            yield TablePart(rows, frame, assumed)
        rows, columnless = rows + frame.height, frame
    if not columnless.width:
        raise empty_table(name, columnless)
    if not rows:
        yield TablePart(0, columnless.select(pl.all().cast(pl.Null)), assumed)


def _parts_of(
    origin: Origin,
    columns: Collection[str],
    untyped: Untyped,
    cells: int,
    wanted: TextFormat,
    order: Sequence[str],
) -> Iterator[Read]:
    with reading(origin):
        kind = kind_of(origin)
        check_format(wanted, kind, str(origin))
        if kind in {"parquet", "arrow"}:
            yield from _binary_parts(expanded(origin), kind, columns, cells)
        elif kind == "text":
            known = _with_header(origin, columns, wanted)
            yield from _text_parts(origin, untyped, cells, known, order)
        else:
            frame, assumed = read_kind(kind, origin, untyped, wanted, every_row=True)
            if wanted.header is False:
                frame.columns = _by_position(origin, frame.columns, order)
            yield from _slices(frame, assumed, cells)


def _with_header(origin: Origin, columns: Collection[str], wanted: TextFormat) -> TextFormat:
    """What is known about a text file that should have these columns."""
    if wanted.header is not None or not columns:
        return wanted
    first = text_table(origin, replace(wanted, header=True)).names
    named = bool(set(first) & set(columns))
    if not named:
        check_delimiter(first, wanted)
    if not all(POSITION.fullmatch(name) for name in columns):
        if not named and not text_table(origin, wanted).header:
            raise DataError(
                f"{origin} has no header line, and the model was trained with columns that have names",
                expected=f"a first line with names such as {list_some([quoted(name) for name in columns])}",
                got=list_some([quoted(name) for name in first]),
                hint=f"put it there, or {flag('no-header')} if the columns are those of training, in their order",
            )
        return replace(wanted, header=True)
    return replace(wanted, header=True if named else False if any(map(is_value, first)) else None)


def _by_position(origin: Origin, names: list[str], order: Sequence[str]) -> list[str]:
    """What the columns of a file without a header are called; DataError where it has another number of them."""
    if all(POSITION.fullmatch(name) for name in order):
        return names
    if len(names) != len(order):
        raise DataError(
            f"{origin} has no header line, and not as many columns as the model was trained with",
            expected=f"{len(order)} columns in the order of training, without the target: {list_some(order)}",
            got=f"{len(names)} columns",
            hint="put a line of names above the rows",
        )
    return list(order)


def _slices(frame: pl.DataFrame, assumed: tuple[str, ...], cells: int) -> Iterator[Read]:
    count = max(cells // max(frame.width, 1), 1)
    for start in range(0, max(frame.height, 1), count):
        yield frame[start : start + count], assumed


def _binary_parts(origin: Origin, kind: str, columns: Collection[str], cells: int) -> Iterator[Read]:
    import polars as pl

    with decoding(origin, kind):
        table, total = scan(origin, kind)
        wanted, named = set(columns), table.collect_schema()
        read = [name for name in named if name in wanted]
        others = [pl.lit(None, dtype).alias(name) for name, dtype in named.items() if name not in wanted]
        count = max(cells // max(len(read), 1), 1)
        for start in range(0, max(total, 1), count):
            # with the other columns' names, so that it can be said that they are ignored
            yield need_dates(table.select(read).slice(start, count).collect(), start).with_columns(others), ()


def _text_parts(
    origin: Origin, untyped: Untyped, cells: int, wanted: TextFormat, order: Sequence[str]
) -> Iterator[Read]:
    import polars as pl

    table = text_table(origin, wanted, every_row=True)
    names = _by_position(origin, table.names, order) if wanted.header is False and order else table.names
    rows = max(cells // max(len(names), 1), 1)
    gathered = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    families: dict[str, str] = {}
    for frame in table.frames:
        frame.columns = names
        gathered = pl.concat([gathered, frame])
        # only when there is more: what is assumed is known in full with the last part
        while gathered.height > rows:
            yield _typed_alike(gathered[:rows], untyped, families), table.assumed()
            gathered = gathered[rows:]
    yield _typed_alike(gathered, untyped, families), table.assumed()


def _typed_alike(cells: pl.DataFrame, untyped: Untyped, families: dict[str, str]) -> pl.DataFrame:
    """Columns of text as the types that their cells have, unless those of an earlier part were of another family.

    In the whole table such a column is text: numbers in one part and true or false in another are not read apart.
    """
    typed = typed_columns(cells, untyped)
    other = []
    for column in typed.get_columns():
        family = _family(column.dtype)
        if (
            family
            and column.null_count() < len(column)
            and families.setdefault(column.name, family) != family
        ):
            other.append(column.name)
    return typed.with_columns(typed_columns(cells.select(other), Untyped(other)).get_columns())


def _family(dtype: pl.DataType) -> str:
    """The kind of type that the parts of one column share."""
    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return "time"
    return str(dtype)


def shifted(error: DataError, before: int) -> DataError:
    """An error about a part of a table, whose rows are counted from ``before``."""
    if before:
        error.where = f"rows are counted from row {before + 1} of the table"
    return error

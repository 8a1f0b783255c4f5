"""The cells of a table in a text file, block by block: by polars where quotes are plain, else by the csv module."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from chainrule.data.files.direct_numbers import (
    Pieces,
    Types,
    as_texts_would_be,
    no_types,
)
from chainrule.data.files.encodings import Decoding, at_least
from chainrule.data.files.file_kinds import HTML, text_kind
from chainrule.data.files.footers import Footers
from chainrule.data.files.header_groups import joined
from chainrule.data.files.heading import column_names
from chainrule.data.files.layout import Layout
from chainrule.data.files.opening import count_byte
from chainrule.data.files.origins import Origin
from chainrule.data.files.separators import (
    FEWEST_LINES,
    SAMPLE,
    find_layout,
    records_in,
    separator_name,
    unescaped,
)
from chainrule.data.files.short_rows import Ragged
from chainrule.data.files.spaced import separated
from chainrule.data.files.stacked_tables import FirstTable
from chainrule.data.files.text_format import FOUND_OUT, TextFormat, option
from chainrule.errors import DataError
from chainrule.foreign_text import clipped

if TYPE_CHECKING:
    import polars as pl

LINE_END = re.compile(rb"\r\n|\r|\n")
BEHIND = " "  # the name of the column behind trailing separators: others have no spaces around them
BEGINNING = 1_000  # bytes that tell what a text is that is no table
CHUNK_ROWS = 1_000
LONGEST = 1 << 24  # characters of a cell
NO_TYPES: Mapping[str, pl.DataType] = MappingProxyType({})


@dataclass(frozen=True)
class TextTable:
    """A table in a text file: the names in its header, and its cells as text, some rows at a time.

    The file is read as far as rows are taken. Raises DataError for text that cannot be decoded, for quotes that do not
    match and, at the end, for ragged lines.
    """

    names: list[str]
    frames: Iterator[pl.DataFrame]
    header: bool
    separator: str
    _decoding: Decoding
    _said: list[str]

    def assumed(self) -> tuple[str, ...]:
        """What was found out about the file's format; final once all rows were taken."""
        return *self._said, *filter(None, [self._decoding.assumed])


def text_table(
    path: Origin, wanted: TextFormat = FOUND_OUT, every_row: bool = False, types: Types = no_types
) -> TextTable:
    """The table in a text file; what ``wanted`` leaves open is found out from the file's first 64 KiB.

    With ``every_row``, what may be a row is one, also at the end, where totals and the like are else left out. The
    cells of columns that have a type by then may come as numbers: see ``direct_numbers.py``.
    """
    decoding = Decoding(path, wanted.encoding)
    blocks = decoding.blocks()
    first = list(at_least(SAMPLE, blocks))
    _need_no_page(path, b"".join(first)[:BEGINNING])
    layout = find_layout(path, *_sample(first), wanted)
    blocks = _below(_begin_apart(chain(first, blocks)), layout.above)
    if layout.escaped:
        blocks = map(unescaped, blocks)
    if layout.separator == " ":
        blocks, layout = separated(blocks, layout.places), replace(layout, separator="\t")
    begin = b"".join(first)[:BEGINNING]
    said = list(layout.assumed)
    with _kind_as_hint(begin):
        header, rest, before = _header(path, blocks, layout)
        names, more = column_names(joined(layout.groups, header))
        said += more
    first_table = FirstTable(header if layout.header else (), len(names))
    ragged = Ragged(len(names), layout.trailing)
    footers = Footers(odd=ragged.is_odd if every_row else None)
    rows = _every_row(
        path, Pieces(filter(None, chain([rest], blocks)), types), before, layout, names, ragged, first_table
    )
    frames = _concluded(path, footers.taken_off(rows), layout, ragged, footers, first_table, said)
    return TextTable(names, _with_hint(frames, begin), layout.header, layout.separator, decoding, said)


def _need_no_page(path: Origin, begin: bytes) -> None:
    """DataError for an HTML page, whose commas and line ends may look like a table; web sites like to call it .xls."""
    kind = text_kind(begin.decode(errors="replace"))
    if kind and kind[0] == HTML:
        raise DataError(
            f"{path} is {HTML}",
            expected="a table of text, such as CSV",
            got=clipped(begin.decode(errors="replace").strip()),
            hint=kind[1],
        )


@contextmanager
def _kind_as_hint(begin: bytes) -> Iterator[None]:
    """Where what is no table begins like an HTML page or the like, the error's hint says so."""
    try:
        yield
    except DataError as error:
        kind = text_kind(begin.decode(errors="replace"))
        if kind:
            error.hint = f"it looks like {kind[0]}: {kind[1]}"
        raise


def _with_hint(frames: Iterator[pl.DataFrame], begin: bytes) -> Iterator[pl.DataFrame]:
    with _kind_as_hint(begin):
        yield from frames


def _sample(first: list[bytes]) -> tuple[str, bool]:
    """What the layout is found from: the first lines, some at least; and whether these are all that was read."""
    text = b"".join(first)
    end = b"\n" if b"\n" in text[: SAMPLE // 2] or b"\r" not in text[: SAMPLE // 2] else b"\r"
    stop = 0
    for line in range(1, SAMPLE):
        stop = text.find(end, stop) + 1
        if not stop:
            return text.decode(), True
        if stop >= SAMPLE and line >= FEWEST_LINES:
            break
    return text[:stop].decode(), stop == len(text)


def _begin_apart(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks, the first of them cut where its sample ends: to look for the header in all of it takes long."""
    first = next(blocks, b"")
    place = first.find(b"\n", SAMPLE) + 1 or len(first)
    return chain([first[:place], first[place:]], blocks)


def _below(blocks: Iterator[bytes], above: int) -> Iterator[bytes]:
    """The blocks without the first lines."""
    for block in blocks:
        start = 0
        while above and start < len(block):
            end = LINE_END.search(block, start)
            start, above = end.end() if end else len(block), above - 1
        if start < len(block):
            yield block[start:] if start else block


def _header(path: Origin, blocks: Iterator[bytes], layout: Layout) -> tuple[list[str], bytes, int]:
    """The names, what follows what is around them in their block, and how many lines that is below."""
    if not layout.header:
        return [""] * layout.width, b"", layout.above
    before, skipped = layout.above, 0
    names: list[str] = []
    for block in blocks:
        lines = _Lines(chain([block], blocks))
        for _, record in _records(path, lines, layout.separator, before):
            if not record:
                continue
            names = names or record
            skipped += 1
            if skipped > layout.below:
                rest = lines.rest()
                names = ["", *names] if layout.unnamed else names[:-1] if layout.spare else names
                return names, rest, before + lines.supplied - _line_count(rest)
        before += lines.supplied
    return names, b"", before


def _concluded(
    path: Origin,
    frames: Iterator[pl.DataFrame],
    layout: Layout,
    ragged: Ragged,
    footers: Footers,
    first_table: FirstTable,
    said: list[str],
) -> Iterator[pl.DataFrame]:
    """The rows; what is assumed about them is added to ``said`` after the last."""
    rows = 0
    for frame in frames:
        rows += frame.height
        yield frame
    said += (*ragged.conclude(path, rows, _ragged_hint(layout.separator)), *footers.said, *first_table.said)


def _every_row(
    path: Origin,
    blocks: Pieces,
    line: int,
    layout: Layout,
    names: list[str],
    ragged: Ragged,
    first_table: FirstTable,
) -> Iterator[pl.DataFrame]:
    """The rows below the header, of which ``line`` lines are above."""
    separator = layout.separator
    for block in blocks:
        if block.isspace() and separator not in "\t ":
            line += _line_count(block)
            first_table.after_blank = True
            continue
        frame = None
        if blocks.types and not first_table.after_blank:
            frame = _quickly(block, separator, names, layout.trailing, blocks.types)
            blocks.count(frame is not None)
            if frame is not None and first_table.marked(frame).any():
                frame = None
        if frame is None and not first_table.after_blank:
            frame = _quickly(block, separator, names, layout.trailing)
        if frame is not None:
            line += frame.height
            frame = first_table.whole(frame)
            ragged.rows += frame.height
            yield frame
            continue
        lines = _Lines(chain([block], blocks))  # a quoted cell may go on in the next block
        records = ragged.sort_out(first_table.taken_from(_records(path, lines, separator, line)))
        while some := list(islice(records, CHUNK_ROWS)):
            yield _frame(names, list(zip(*some, strict=True)))
        if first_table.ended:
            return
        line += lines.supplied
    last = list(ragged.sort_out(first_table.waiting()))
    if last:
        yield _frame(names, list(zip(*last, strict=True)))


def _quickly(
    block: bytes,
    separator: str,
    names: list[str],
    trailing: bool = False,
    types: Mapping[str, pl.DataType] = NO_TYPES,
) -> pl.DataFrame | None:
    """The cells of a block whose every quote is around a whole cell, or doubled within; None where it may not be so.

    It is ten times as fast as the csv module. polars refuses lines with too many cells, but fills up those with too few
    and takes blank lines for rows: then the last column has gaps, and there are too few separators. (To count these
    takes as long as polars does for all else.) With ``trailing``, every line ends with one.

    Columns that have ``types`` are numbers; None where one of their cells is none, or may have another meaning.
    """
    import polars as pl

    if trailing:
        frame = _quickly(block, separator, [*names, BEHIND], False, types)
        return None if frame is None or frame[BEHIND].null_count() < frame.height else frame.drop(BEHIND)
    if len(names) == 1 or len(block) > LONGEST:
        return None
    plain = block = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    quoted = b'"' in block
    if quoted:
        mark = re.escape(separator.encode())
        plain = re.sub(rb'(?<![^\n%b])"(?:[^"\n]|"")*+"(?![^\n%b])' % (mark, mark), b"", block)
    lines = _line_count(plain)
    if b'"' in plain or b"\r" in plain:
        return None
    try:
        frame = pl.read_csv(
            block,
            has_header=False,
            schema={name: types.get(name, pl.String) for name in names},
            separator=separator,
            quote_char='"' if quoted else None,
        )
    except pl.exceptions.PolarsError:
        return None  # the csv module will say what is wrong
    if frame.height != lines:
        return None
    gaps = frame[names[-1]].null_count() > 0
    if gaps and count_byte(plain, ord(separator)) != lines * (len(names) - 1):
        return None
    return frame if not types or as_texts_would_be(frame, block, separator) else None


def _frame(names: list[str], columns: list[tuple[str, ...]]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(dict(zip(names, columns, strict=True)), schema=dict.fromkeys(names, pl.String))


class _Lines:
    """The lines of blocks for the csv module; ``supplied`` is their number in the blocks that were begun."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._block, self.supplied = blocks, io.StringIO(), 0

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            self.supplied += _line_count(block)
            self._block = io.StringIO(block.decode(), newline="")
            yield from self._block

    def rest(self) -> bytes:
        """What was not taken of the block that was begun last."""
        return self._block.read().encode()


def _line_count(text: bytes) -> int:
    ends = count_byte(text, ord("\n"))
    if b"\r" in text:
        ends += text.count(b"\r") - text.count(b"\r\n")
    return ends + bool(text and not text.endswith((b"\n", b"\r")))


def _records(path: Origin, lines: _Lines, separator: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """Each record, with the number of the line where it starts, until one ends with its block; empty if blank."""
    if (
        csv.field_size_limit() < LONGEST
    ):  # it is the whole process's; lowered again, it would fail another thread
        csv.field_size_limit(LONGEST)
    line = before + 1
    try:
        for end, record in records_in(lines, separator):
            yield line, record
            if end == lines.supplied:
                return
            line = before + end + 1
    except csv.Error as error:
        raise _malformed(path, str(error), line) from None


def _malformed(path: Origin, error: str, line: int) -> DataError:
    where = f"the record that starts on line {line}"
    if "field limit" in error:
        return DataError(
            f"{path} has a cell of more than {LONGEST:,} characters",
            expected="shorter cells",
            where=where,
            hint="if no cell is so long, look for a quote in or before that record that is not closed",
        )
    return DataError(
        f"{path} has a cell whose quotes do not match",
        got=error,
        where=where,
        hint='close every quote, and double those inside a cell: "5"" pipe"',
    )


def _ragged_hint(separator: str) -> str:
    return (
        "put cells that contain the separator or a line break in double quotes; "
        f"if {separator_name(separator)} does not separate cells here: {option('delimiter', 'CHARACTER')}"
    )

"""Cells that polars reads as numbers from a file's bytes, without making texts of them first, which takes longer.

The first rows come as text, which shows what the columns hold; so do the last ones, which may be notes under the table.
The rows between are read directly as far as that gives what their texts would give: else they come as text as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.files.footers import BODY
from chainrule.data.files.opening import WINDOW, count_byte

if TYPE_CHECKING:
    import polars as pl

FIRST = 1_000  # rows that come as text before others are read directly
FEWEST = 4_000  # rows of a block of which some are read directly
SAMPLE = 1 << 20  # bytes at the beginning of a block
LONGEST = 1 << 10  # digits of a cell that are looked at
FAILURES = 4  # more blocks than were read directly, after which no more are tried
MINUS_ZERO = np.iinfo(np.int64).min  # its bits
CODE = r"^[ \t]*0(?:[0-9]+[ \t]*$|[0-9]\.)"
Types = Callable[[], Mapping[str, "pl.DataType"]]
"""The columns that are to be read as numbers, as far as is known by now, and their types."""


def no_types() -> Mapping[str, pl.DataType]:
    """All cells are to come as text."""
    return {}


class Pieces:
    """Blocks of whole lines, cut where the first rows end and the last ones begin.

    ``types`` are those of the piece that came last: empty where it is to be text. With ``no_types``, nothing is cut.
    """

    def __init__(self, blocks: Iterator[bytes], wanted: Types) -> None:
        self._blocks, self._wanted = blocks, wanted
        self._ahead: list[bytes] = []
        self._lines = 0 if wanted is no_types else FIRST  # that are still to come as text
        self._tries = FAILURES
        self.types: Mapping[str, pl.DataType] = {}

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self._ahead.pop() if self._ahead else next(self._blocks)
        self.types = {}
        if self._lines > 0:
            block = self._cut(block, _line_start(block, self._lines))
            self._lines -= block.count(b"\n")
            return block
        if self._tries and _has_lines(block, FEWEST):
            self.types = self._wanted()
        if self.types and not self._is_followed():
            place = _line_start_from_end(block, 2 * BODY)
            if place and _are_plain_lines(block[place:]):
                block = self._cut(block, place)
            else:
                self.types = {}
        return block

    def count(self, read: bool) -> None:
        """Count a block that was read directly, or was not since its numbers are not plain."""
        self._tries += 1 if read else -1

    def _cut(self, block: bytes, place: int) -> bytes:
        if place < len(block):
            self._ahead.append(block[place:])
        return block[:place]

    def _is_followed(self) -> bool:
        """Whether there are so many rows behind the block that it has none of the last ones."""
        if not self._ahead:
            self._ahead += [block] if (block := next(self._blocks, None)) else []
        following = self._ahead[-1] if self._ahead else b""
        place = _line_start(following, 2 * BODY)
        return place < len(following) and _are_plain_lines(following[:place])


def as_texts_would_be(frame: pl.DataFrame, block: bytes, separator: str) -> bool:
    """Whether the numbers that polars read from a block are those that their texts would give.

    Those may be otherwise: NaN, which is missing; integers with a zero ahead (007), which may be codes; months, such as
    01.2020; -0.
    """
    import polars as pl

    columns = frame.get_columns()
    floats = [values.drop_nulls().to_numpy() for values in columns if values.dtype == pl.Float64]
    if any(np.isnan(numbers.max(initial=0)) for numbers in floats):  # the largest is NaN if one is
        return False
    minus = any((numbers.view(np.int64) == MINUS_ZERO).any() for numbers in floats)
    text = np.frombuffer(block, np.uint8)
    places = _odd_zeros(text, separator, minus)
    if minus and (text[places - 1] == ord("-")).any():
        return False
    codes = _count_codes(text, places, separator)
    if codes:
        codes -= sum(int(texts.str.contains(CODE).sum()) for texts in columns if texts.dtype == pl.String)
    return not codes


def _odd_zeros(text: NDArray[np.uint8], separator: str, minus: bool) -> NDArray[np.intp]:
    """Where a cell may begin with a zero before a digit, or be -0."""
    found = [np.zeros(0, np.intp)]
    for start in range(0, len(text), WINDOW):
        window = text[max(start - 1, 0) : start + WINDOW + 1]
        if not start or start + WINDOW >= len(text):
            around = int(not start), int(start + WINDOW >= len(text))
            window = np.pad(window, around, constant_values=ord("\n"))
        bound = (window <= QUOTE) | (window == ord(separator))
        zero = window == ord("0")
        fits = bound[:-2] & zero[1:-1] & (window[2:] - np.uint8(ord("0")) < 10)
        if minus:
            fits |= (window[:-2] == ord("-")) & zero[1:-1] & (bound | zero)[2:]
        if fits.any():
            found.append(np.flatnonzero(fits) + start)
    return np.concatenate(found)


def _count_codes(text: NDArray[np.uint8], places: NDArray[np.intp], separator: str) -> int:
    """How many of the zeros begin a cell of digits alone, with perhaps blanks around it, or perhaps a month; so many
    at least.
    """
    bounds, blanks = _set_of(b'\n\r"' + separator.encode()), _set_of(b" \t") & ~_set_of(separator.encode())
    begin, end = _beyond(text, places - 1, blanks, -1), _beyond(text, places + 1, DIGITS, 1)
    end = _beyond(text, end, blanks, 1)
    begins = (begin < 0) | bounds[text[np.maximum(begin, 0)]]
    following = text[np.minimum(end, len(text) - 1)]
    months = (following == ord(".")) & (end == places + 2)  # 01.2020
    return int((begins & ((end == len(text)) | bounds[following] | DIGITS[following] | months)).sum())


def _beyond(
    text: NDArray[np.uint8], places: NDArray[np.intp], skipped: NDArray[np.bool_], step: int
) -> NDArray[np.intp]:
    """The first places from these on, forwards or backwards, where no byte is one that is to be skipped."""
    for _ in range(LONGEST):
        inside = (places >= 0) & (places < len(text))
        go_on = inside & skipped[text[np.where(inside, places, 0)]]
        if not go_on.any():
            break
        places = places + step * go_on
    return places


def _set_of(some: bytes) -> NDArray[np.bool_]:
    """Which bytes are among some."""
    found = np.zeros(256, np.bool_)
    found[[*some]] = True
    return found


DIGITS = _set_of(b"0123456789")
QUOTE = ord('"')  # bytes up to it are blanks, ends of lines, quotes and little else


def _are_plain_lines(lines: bytes) -> bool:
    """Whether each line is a row, as far as it shows: none is blank or a comment, and no cell is quoted."""
    if b'"' in lines:
        return False
    begins = {line.lstrip()[:1] for line in lines.removesuffix(b"\n").split(b"\n")}
    return b"" not in begins and b"#" not in begins


def _has_lines(block: bytes, lines: int) -> bool:
    """Whether a block has so many lines, by its beginning."""
    begin = block[:SAMPLE]
    return count_byte(begin, 10) * len(block) >= lines * len(begin)


def _line_start(block: bytes, lines: int) -> int:
    """Where the line below the first ones begins."""
    place = 0
    for _ in range(lines):
        place = block.find(b"\n", place) + 1
        if not place:
            return len(block)
    return place


def _line_start_from_end(block: bytes, lines: int) -> int:
    """Where the last lines begin."""
    place = len(block) - block.endswith(b"\n")
    for _ in range(lines):
        place = block.rfind(b"\n", 0, place)
        if place < 0:
            return 0
    return place + 1

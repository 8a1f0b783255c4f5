"""The text of a file, whatever its encoding, as blocks of whole lines in UTF-8.

What is valid UTF-8 is UTF-8. Other files are UTF-16 or UTF-32 by their byte order mark, UTF-16 also where every second
byte is zero or where that gives natural words, and else in the encoding that does (``detection.py``), Windows-1252
where several do. Where none is sure the likeliest is taken, and said so; what reads naturally in none is refused with
how the nearest encodings would read it. A few bytes that are not UTF-8 in a file that is otherwise are read as
Windows-1252, which is what such files were put together from.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from chainrule.data.files.compressed import raw_blocks
from chainrule.data.files.detection import (
    MOST,
    NATURAL,
    RARE,
    WINDOWS,
    Guess,
    guesses,
    is_ahead,
    likeliest,
    sure,
)
from chainrule.data.files.file_kinds import binary_kind
from chainrule.data.files.languages import naturalness
from chainrule.data.files.opening import count_byte, whole_lines
from chainrule.data.files.origins import Origin
from chainrule.data.files.text_format import option
from chainrule.errors import DataError
from chainrule.foreign_text import quoted

HEAD = 1 << 16  # bytes that the encoding is found from
MARK = b"\xef\xbb\xbf"
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ESCAPED = "[\udc80-\udcff]"  # how bytes that are not UTF-8 are held
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
SHOWN = 4  # guesses that a message shows
PLAUSIBLE = 0.7  # natural characters of a text that may be in an encoding
FEW = 100  # characters beyond ASCII, of which it is always said that they may be in another encoding
LIKELY = 0.65  # of one that is read for want of a better
RESAVE = "save the file again as UTF-8 (in a spreadsheet: Save as, 'CSV UTF-8')"


class Decoding:
    """The text of a file; ``encoding`` is what it is read as.

    A file that begins in ASCII is read as UTF-8, and in the encoding that is found out from the first byte on that is
    not UTF-8: what is ASCII reads the same in all of them.
    """

    def __init__(self, path: Origin, given: str | None = None) -> None:
        self.path, self._given = path, given is not None
        self.encoding = "utf-8" if given is None else codecs.lookup(given).name
        self._ascii = True  # all that was decoded so far
        self._doubt = ""
        self._mended = 0  # bytes that are not UTF-8 in a file that is

    @property
    def assumed(self) -> str:
        """The encoding, unless it was given or is UTF-8."""
        if self._mended:
            bytes_ = "1 byte that is" if self._mended == 1 else f"{self._mended:,} bytes that are"
            return f"utf-8, but for {bytes_} not, read as cp1252"
        return "" if self._given or self.encoding == "utf-8" else self.encoding + self._doubt

    def blocks(self) -> Iterator[bytes]:
        """UTF-8 in blocks of whole lines, without a byte order mark; DataError for what cannot be decoded."""
        raw = raw_blocks(self.path)
        if not self._given:
            taken = list(at_least(HEAD, raw))
            head = b"".join(taken)[:HEAD]
            self.encoding, self._doubt = _found(self.path, head)
            raw = chain(taken, raw)
        # a detected encoding has ends of lines where ASCII has them, so that blocks of lines can be decoded one by one
        by_block = self.encoding == "utf-8" or not (self._given or self.encoding.startswith("utf"))
        if not by_block:
            raw = _transcoded(self.path, raw, self.encoding)
        lines = place = 0
        for block in whole_lines(self.path, raw):
            text = self._decoded(block, lines, place) if by_block else block
            zero = text.find(b"\0")
            if zero >= 0:
                raise _zero_byte(self.path, lines + text.count(b"\n", 0, zero) + 1)
            yield text if place else text.removeprefix(MARK)
            lines, place = lines + count_byte(block, ord("\n")), place + len(block)

    def _decoded(self, block: bytes, lines: int, place: int) -> bytes:
        """A block of UTF-8, or of the encoding that was found out, as UTF-8."""
        if block.isascii():
            return block
        if self.encoding == "utf-8":
            try:
                block.decode()
            except UnicodeDecodeError as error:
                if self._given:
                    raise _not_utf8(self.path, block, error.start, lines, place) from None
                if not self._ascii or is_damaged(block):
                    self._ascii = False
                    text, count = mended(block)
                    self._mended += count
                    return text
                self.encoding, self._doubt = _detected(self.path, block, error.start, lines, place)
            else:
                self._ascii = False
                return block
        if self.encoding == "cp1252":
            return codecs.charmap_decode(block, "strict", WINDOWS)[0].encode()
        try:
            return block.decode(self.encoding).encode()
        except UnicodeDecodeError as error:
            byte = block[error.start : error.start + 1]
            line = lines + block.count(b"\n", 0, error.start) + 1
            raise _undecodable(self.path, self.encoding, byte, line, place + error.start) from None


def is_damaged(block: bytes) -> bool:
    """Whether a block is UTF-8 but for some bytes: more of what is beyond ASCII is valid than is not."""
    text = block.decode("utf-8", "surrogateescape")
    invalid = len(re.findall(ESCAPED, text))
    return block.startswith(MARK) or len(re.findall(f"[^\x00-\x7f{ESCAPED[1:]}", text)) > invalid


def mended(block: bytes) -> tuple[bytes, int]:
    """A block of UTF-8 with each byte that is not read as Windows-1252, and how many these are.

    >>> mended("é".encode() + bytes([0xE9]))[0].decode()
    'éé'
    """
    text, count = re.subn(
        ESCAPED, lambda found: WINDOWS[ord(found[0]) - 0xDC00], block.decode("utf-8", "surrogateescape")
    )
    return text.encode(), count


def at_least(count: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The first blocks, until they have so many bytes."""
    while count > 0 and (block := next(blocks, None)) is not None:
        count -= len(block)
        yield block


def _found(path: Origin, head: bytes) -> tuple[str, str]:
    """The encoding of a file with these first bytes, and a doubt about it; DataError for what is no text."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding, ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # its last character may be cut
        plain = b"\0" not in head
        start = 0
    except UnicodeDecodeError as error:
        plain, start = False, error.start
    if plain:
        return "utf-8", ""
    kind = binary_kind(head)
    if kind:
        raise DataError(
            f"{path} is {kind[0]}", expected="a table of text, or a Parquet or Arrow file", hint=kind[1]
        )
    if b"\0" in head:
        return _by_zeros(head) or "utf-8", ""  # the zero byte is reported once it is reached
    return _detected(path, head, start, 0, 0)


def _by_zeros(head: bytes) -> str:
    """UTF-16 where the zeros are every second byte, or where it gives natural words; nothing where it does not."""
    units = len(head) // 2
    for encoding, odd in (("utf-16-le", 1), ("utf-16-be", 0)):
        if head[odd::2].count(0) >= max(units / 2, 2) and not head[1 - odd :: 2].count(0):
            return encoding
        text = head[: 2 * units].decode(encoding, "replace")
        ends = text.count("\n") + text.count("\r")
        if ends and "\0" not in text and "\ufffd" not in text and naturalness(text[:MOST]) > NATURAL:
            return encoding
    return ""


def _detected(path: Origin, sample: bytes, start: int, lines: int, place: int) -> tuple[str, str]:
    """The encoding of a sample that is not UTF-8 from ``start`` on, and a doubt about it; DataError if it is not sure.

    It is no text where there are control characters.
    """
    if is_damaged(sample):
        return "utf-8", ""
    if len(CONTROL.findall(sample)) * 100 > len(sample):
        raise DataError(
            f"{path} is not a table of text: it has many control characters",
            expected="a CSV, Parquet or Arrow file",
            hint="export the table as CSV",
        )
    found = guesses(sample)
    if sure(found):
        return found[0].encoding, ""
    near = [guess for guess in found if not is_ahead(found[0], guess)]
    western = next((guess for guess in near if guess.encoding == "cp1252"), None)
    whole = next((guess for guess in near if guess.natural == 1 and guess.encoding not in RARE), None)
    if whole and western and western.natural < 1:  # the only one with words of one language
        others = [guess for guess in near if guess.natural == 1 and guess.encoding not in RARE]
        doubt = next((guess.encoding for guess in others if guess is not whole), "cp1252")
        return whole.encoding, f", though {doubt} fits as well"
    if western is None or western.natural < PLAUSIBLE:
        if not found or found[0].natural < LIKELY:
            raise _unknown(path, sample, start, lines, place, found)
        first = likeliest(found)
        others = [guess for guess in found if guess is not first]
        rivals = [one.encoding for one in others if one.natural >= LIKELY or first.beyond < FEW]
        return first.encoding, f", though {rivals[0]} fits as well" if rivals else ""
    other = next(guess for guess in [*near, *found] if guess is not western)
    return "cp1252", f", though {other.encoding} fits as well" if other.natural >= PLAUSIBLE else ""


def _unknown(
    path: Origin, sample: bytes, start: int, lines: int, place: int, found: list[Guess]
) -> DataError:
    """The error for text in an encoding that cannot be told: how some would read its first odd line."""
    begin = max(sample.rfind(end, 0, start) for end in (b"\n", b"\r")) + 1
    stop = min((at for end in (b"\n", b"\r") if (at := sample.find(end, start)) >= 0), default=len(sample))
    line = sample[begin:stop]
    read = [
        f"{guess.encoding} reads {quoted(line.decode(guess.encoding, 'replace'), 30)}"
        for guess in found[:SHOWN]
    ]
    error = _not_utf8(path, sample, start, lines, place)
    error.expected = "UTF-8, or an encoding in which the text has words of one language, and no other has"
    error.hint = "; ".join(
        [f"name the encoding: {option('encoding', found[0].encoding if found else 'cp1252')}", *read]
    )
    return error


def _not_utf8(path: Origin, sample: bytes, start: int, lines: int, place: int) -> DataError:
    """The error for a byte that is not UTF-8, at ``start`` of a sample that is ``lines`` and ``place`` bytes below."""
    return DataError(
        f"{path} is not text in UTF-8",
        expected="UTF-8",
        got=f"the byte 0x{sample[start]:02x}",
        where=f"line {lines + sample.count(10, 0, start) + 1}, byte {place + start + 1} of the file",
        hint=f"{option('encoding', 'cp1252')}, or {RESAVE}",
    )


def _zero_byte(path: Origin, line: int) -> DataError:
    return DataError(
        f"{path} has a zero byte, which no text has",
        where=f"line {line}",
        hint=f"{option('encoding', 'utf-16-le')} if it is UTF-16, or {RESAVE}",
    )


def _transcoded(path: Origin, blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Blocks of any encoding as UTF-8; DataError where they cannot be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = place = 0
    for block in chain(blocks, [b""]):
        pending = decoder.getstate()[0]
        try:
            text = decoder.decode(block, final=not block)
            yield text.encode()
        except UnicodeError as error:
            whole = (pending if isinstance(pending, bytes) else b"") + block
            start = error.start if isinstance(error, UnicodeDecodeError) else 0
            lines += whole[:start].decode(encoding, "replace").count("\n")
            raise _undecodable(path, encoding, whole[start : start + 1], lines + 1, place + start) from None
        lines += text.count("\n")
        place += len(block) + len(pending) - len(decoder.getstate()[0])


def _undecodable(path: Origin, encoding: str, byte: bytes, line: int, place: int) -> DataError:
    return DataError(
        f"{path} is not text in {encoding}",
        got=f"the byte 0x{byte.hex()}" if byte else "the end of the file within a character",
        where=f"line {line}, byte {place + 1} of the file",
        hint=f"another encoding, such as {option('encoding', 'latin-1')}, or {RESAVE}",
    )

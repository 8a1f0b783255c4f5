"""The bytes of a file, expanded where it is compressed: gzip, bzip2, xz and zstd, by name or by the first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from chainrule.data.files.origins import Held, Origin, check_expanded
from chainrule.errors import DataError

BLOCK = 1 << 23  # bytes
LITTLE = 1 << 12  # bytes that zstd makes at most 128 MiB of
KINDS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
EXPANDERS = {"gzip": "gunzip", "bzip2": "bunzip2", "xz": "unxz", "zstd": "unzstd"}


def plain_name(name: str) -> str:
    """A file's name without the ending that says how it is compressed.

    >>> plain_name("t.csv.gz"), plain_name("t.csv")
    ('t.csv', 't.csv')
    """
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in KINDS else name


def compression(origin: Origin) -> str:
    """How a file is compressed; nothing if it is not."""
    by_name = KINDS.get(origin.suffix.lower())
    if by_name:
        return by_name
    with cast(IO[bytes], origin.open("rb")) as file:
        begin = file.read(8)
    return next((kind for magic, kind in MAGIC.items() if begin.startswith(magic)), "")


def raw_blocks(origin: Origin) -> Iterator[bytes]:
    """The bytes of a file, expanded if it is compressed, block by block; DataError for what is damaged or swells."""
    kind = compression(origin)
    read = 0
    with cast(IO[bytes], origin.open("rb")) as file, _said(origin, kind):
        for piece in _pieces(file, kind):
            read += len(piece)
            if kind:
                name = Path(str(origin)).name
                hint = f"{EXPANDERS[kind]} {name}, and read the file that it gives"
                check_expanded(origin, read, "what it expands to", hint)
            yield piece


def expanded(origin: Origin) -> Origin:
    """The file, or what a compressed one expands to, held in memory."""
    if not compression(origin):
        return origin
    return Held(plain_name(Path(str(origin)).name), b"".join(raw_blocks(origin)))


@contextmanager
def _said(origin: Origin, kind: str) -> Iterator[None]:
    """Whatever a library says about compressed bytes is a DataError."""
    if not kind:
        yield
        return
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{origin} is not a whole {kind} file", got=str(error)) from error


def _pieces(file: IO[bytes], kind: str) -> Iterator[bytes]:
    """What the bytes expand to."""
    if kind == "zstd":
        yield from _gathered(_by_zstd(file))
        return
    if not kind and file.seekable():
        yield from _whole_lines(file)
        return
    readers: dict[str, Callable[[IO[bytes]], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    reader = readers[kind](file) if kind else file
    while piece := reader.read(BLOCK):
        yield piece


def _whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Blocks that end where a line does, as far as that is near: to be cut there later, they would be copied."""
    place = file.tell()
    while True:
        file.seek(place + BLOCK - BLOCK // 32)
        cut = file.read(BLOCK // 32).rfind(b"\n") + 1
        file.seek(place)
        piece = file.read(BLOCK - BLOCK // 32 + cut if cut else BLOCK)
        if not piece:
            return
        yield piece
        place += len(piece)


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of about the usual size."""
    held: list[bytes] = []
    for piece in pieces:
        held.append(piece)
        if sum(map(len, held)) >= BLOCK or len(held) > 1 << 12:
            yield b"".join(held)
            held = []
    if any(held):
        yield b"".join(held)


def _by_zstd(file: IO[bytes]) -> Iterator[bytes]:
    """Frame after frame; so little at a time that no frame swells to much at once."""
    try:
        import zstandard
    except ImportError:
        raise DataError(
            "a file that is compressed by zstd needs a library to read it",
            expected="the package zstandard",
            hint="pip install 'chainrule[zstd]', or expand the file with unzstd",
        ) from None
    expander = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    frame = None
    try:
        while given := file.read(LITTLE):
            while given:
                frame = expander.decompressobj() if frame is None else frame
                yield frame.decompress(given)
                given = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from error
    if frame is not None:
        raise EOFError("the file ends within a frame")

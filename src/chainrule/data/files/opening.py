"""Opening a table's file: what is no plain file is said, and its text comes in blocks of whole lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from chainrule.data.files.origins import Held, Origin, size_of
from chainrule.errors import ChainruleError, DataError
from chainrule.files import irregular, is_ours
from chainrule.foreign_text import nearest, quoted

LONGEST_LINE = 1 << 28  # bytes
WINDOW = 1 << 17  # bytes that numpy looks at together, so that they stay in the processor's cache
TABLES = {
    *(
        ".csv",
        ".tsv",
        ".tab",
        ".txt",
        ".dat",
        ".data",
        ".parquet",
        ".pq",
        ".arrow",
        ".feather",
        ".arff",
        ".json",
    ),
    *(".jsonl", ".ndjson", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".db", ".sqlite", ".sqlite3"),
}
"""How the names of files end that are suggested; what stands behind it says how a file is compressed."""


@contextmanager
def reading(path: Origin) -> Iterator[None]:
    """Whatever goes wrong while a file is read is a DataError that says what; so is a path that is no plain file."""
    try:
        kind = "" if isinstance(path, Held) else irregular(path)
        if kind:
            raise DataError(
                f"{path} is {kind}",
                expected="a CSV or Parquet file",
                hint="write it to a file first, and name that file; - is standard input",
            )
        if not isinstance(path, Held) and is_ours(Path(str(path))):
            raise DataError(
                f"{path} is a file of chainrule's, not a table",
                expected="a table such as a CSV or Parquet file",
                hint=f"did you mean chainrule inspect {shlex.quote(str(path))}?",
            )
        yield
    except FileNotFoundError:
        path = Path(str(path))
        folder = path.parent
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}", got=str(path)) from None
        raise DataError(
            f"there is no file {path}",
            where=f"folder {folder.resolve()}",
            hint=_suggest_tables(folder, path.name),
        ) from None
    except IsADirectoryError:
        raise DataError(
            f"{path} is a folder", expected="a CSV or Parquet file", hint=_suggest_tables(Path(str(path)))
        ) from None
    except MemoryError:
        raise DataError(
            f"{path} is too large for this machine's memory",
            got=f"{size_of(path)} bytes",
            hint="train on some of its rows, or on a larger machine",
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, ChainruleError):
            raise
        raise DataError(f"{path} cannot be read", got=str(error)) from error


def tables_in(folder: Path) -> list[str]:
    """The names of the files in a folder that are likely tables, by how they end."""
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_file() and not TABLES.isdisjoint(suffix.lower() for suffix in entry.suffixes)
    )


def _suggest_tables(folder: Path, name: str = "") -> str:
    """A hint with the tables in a folder: those whose names are near, else all of them, as they can be typed."""
    names = tables_in(folder)
    near = nearest(name, names)
    listed = [
        repr(str(folder / other)) if str(folder / other).isprintable() else quoted(str(folder / other))
        for other in near or names
    ]
    if near:
        return f"did you mean {' or '.join(listed)}?"
    return f"one of {', '.join(listed[:20])}" if listed else ""


def whole_lines(path: Origin, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks that end where a line does; the last block is the first that holds a zero byte."""
    pieces: list[bytes] = []
    for piece in blocks:
        if b"\0" in piece:  # which is refused, and may go on for terabytes that are not on the disk
            yield b"".join([*pieces, piece])
            return
        if sum(map(len, pieces)) > LONGEST_LINE:
            raise DataError(
                f"{path} has a line of more than {LONGEST_LINE >> 20} MiB", expected="a table's lines"
            )
        end = 1 + max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, len(piece) - 1))
        if end == len(piece) and not any(pieces):
            yield piece
            continue
        if end:
            yield b"".join([*pieces, memoryview(piece)[:end]])
            pieces = []
        pieces.append(piece[end:])
    if any(pieces):
        yield b"".join(pieces)


def count_byte(text: bytes, byte: int) -> int:
    """How often a byte occurs: where it is frequent, numpy is several times as fast as ``bytes.count``."""
    numbers = np.frombuffer(text, np.uint8)
    return sum(
        int(np.count_nonzero(numbers[start : start + WINDOW] == byte))
        for start in range(0, len(numbers), WINDOW)
    )

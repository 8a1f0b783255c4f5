"""Where the bytes of a table come from: a file, a file in a zip archive, standard input, or a page of the web.

What is no plain file is held in memory (``Held``) and read from there like one. The network is used for nothing but an
address that the user names.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import unquote, urlsplit

from chainrule.data.describe import list_some
from chainrule.errors import DataError
from chainrule.foreign_text import clipped, quoted

MOST_HELD = 1 << 31  # bytes in memory
MOST_TIMES = 200  # the size of a compressed file: how much may come out of it
ALWAYS = 1 << 28  # bytes that may come out of any compressed file
BLOCK = 1 << 20
PATIENCE = 30.0  # seconds that a server may be silent
TABLES = (
    ".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".parquet", ".pq", ".arrow", ".feather", ".xlsx", ".xls",
    ".xlsb", ".xlsm", ".ods", ".json", ".jsonl", ".ndjson", ".arff",
)  # fmt: skip
"""How the names of tables end, apart from .gz and the like."""


@dataclass(frozen=True)
class Held:
    """Bytes in memory that are read like a file of that name; ``said`` is what messages say of where they are from."""

    name: str
    content: bytes
    said: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def suffix(self) -> str:
        """The ending of the name."""
        return Path(self.name).suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        """The bytes as a file that is open for reading."""
        return io.BytesIO(self.content)


Origin = Path | Held


def size_of(origin: Origin) -> int:
    """How many bytes there are."""
    return len(origin.content) if isinstance(origin, Held) else origin.stat().st_size


def is_url(source: str) -> bool:
    """Whether it is an address of the web.

    >>> is_url("https://example.org/t.csv"), is_url("t.csv")
    (True, False)
    """
    return source.lower().startswith(("http://", "https://"))


def address_name(address: str) -> str:
    """What the page of an address is called.

    >>> address_name("https://example.org/a/t.csv?x=1")
    't.csv'
    """
    parts = urlsplit(address)
    return unquote(Path(parts.path).name) or parts.hostname or "page"


def find_origin(source: str | PathLike[str]) -> Origin:
    """What a user named: ``-`` is standard input, ``archive.zip/inner.csv`` a file in an archive.

    Raises DataError for what cannot be had, for an archive that does not hold a single table, and for what would not
    fit into the memory.
    """
    text = str(source)
    if text == "-":
        return Held("standard input", _at_most(sys.stdin.buffer, "standard input"))
    if is_url(text):
        return _fetched(text)
    path = Path(source)
    for archive in [path, *path.parents]:
        if archive.suffix.lower() == ".zip" and archive.is_file():
            return _from_archive(archive, path.relative_to(archive).as_posix() if archive != path else "")
    return path


def check_expanded(origin: Origin, size: int, what: str, hint: str) -> None:
    """Refuse what is far larger than its file; DataError says how to read it all the same."""
    held = size_of(origin)
    if size > max(MOST_TIMES * held, ALWAYS):
        raise DataError(
            f"{origin} is far smaller than {what}: it is not read, for it might fill the memory",
            expected=f"at most {MOST_TIMES} times its {held} bytes, or {ALWAYS >> 20} MiB",
            got=f"{size} bytes or more",
            hint=hint,
        )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(BLOCK):
        yield piece


def _at_most(file: IO[bytes], name: str) -> bytes:
    """All that can be read, up to a limit."""
    content = io.BytesIO()
    for piece in _pieces(file):
        content.write(piece)
        if content.tell() > MOST_HELD:
            raise DataError(
                f"{name} has more than {MOST_HELD >> 20} MiB, which are not held in memory",
                expected="a smaller table",
                hint="write it to a file first, and name that file",
            )
    return content.getvalue()


def _fetched(address: str) -> Held:
    """What a server sends for an address."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    parts, name = urlsplit(address), address_name(address)
    try:
        # the address is the user's own, and begins with http
        with urlopen(Request(address, headers={"User-Agent": "chainrule"}), timeout=PATIENCE) as answer:
            content = _at_most(answer, name)
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(
            f"{clipped(name)} cannot be fetched from {clipped(parts.hostname or address)}",
            expected="a table at that address",
            got=str(error) or type(error).__name__,
            hint="open the address in a browser, save the table, and name that file",
        ) from error
    return Held(name, content, f"{len(content):,} bytes from {parts.hostname}")


def _from_archive(archive: Path, inner: str) -> Held:
    """A table in a zip archive: the one that is named, or the only one."""
    try:
        with zipfile.ZipFile(archive) as file:
            names = [entry.filename for entry in file.infolist() if not entry.is_dir()]
            tables = [name for name in names if _is_table(name)]
            chosen = inner or (tables[0] if len(tables) == 1 else "")
            if chosen not in names:
                raise DataError(
                    f"{archive} holds {len(tables)} tables"
                    if not inner
                    else f"{archive} holds no {quoted(inner)}",
                    expected="one, or the name of one behind that of the archive",
                    got=list_some([quoted(name) for name in tables or names]),
                    hint=f"{archive}/{clipped((tables or names or ['table.csv'])[0])}",
                )
            entry = file.getinfo(chosen)
            hint = f"unzip {archive.name}, and read the file that it gives"
            check_expanded(archive, entry.file_size, "what it expands to", hint)
            with file.open(entry) as opened:
                content = opened.read(entry.file_size + 1)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
    ) as error:  # RuntimeError: it has a password
        raise DataError(
            f"{archive} is not a zip archive that can be read",
            got=str(error),
            hint="expand it with unzip, and name the table that it holds",
        ) from error
    others = f" of {len(names)} files" if len(names) > 1 else ""
    return Held(Path(chosen).name, content, "" if inner else f"{clipped(chosen)}{others} in the archive")


def _is_table(name: str) -> bool:
    path = Path(name)
    hidden = "__MACOSX" in path.parts or path.name.startswith(".")
    ending = (
        path.with_suffix("").suffix if path.suffix.lower() in {".gz", ".bz2", ".xz", ".zst"} else path.suffix
    )
    return not hidden and ending.lower() in TABLES and not path.name.lower().startswith(("readme", "license"))

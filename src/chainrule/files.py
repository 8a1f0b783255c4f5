"""Files that are whole or not there: atomic writing, and tensors with metadata in the safetensors format."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ChainruleError, DtypeError, ModelFileError, SettingError
from chainrule.foreign_text import WIDTH, clipped, nearest, quoted
from chainrule.system.locks import FileLock
from chainrule.system.temporaries import Temporary

FORMAT = "chainrule"
VERSION = "1"
DTYPES = (
    *("bool", "float16", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
DIGEST_KEY = b'"sha256":"'  # unescaped quotes: inside the text of another key they would read \"
ZEROS = b"0" * 64
USUAL = 0o666  # permissions of a new file, of which the umask takes some
LONGEST_HEADER = 100_000_000  # bytes, as for the safetensors library
SMALL = 1 << 20  # bytes that are read whatever the header says, for the digest to tell that they are damaged


class FileWriteError(ChainruleError, OSError):
    """A file could not be written; the one that was there before is untouched."""


def write_atomically(
    path: str | PathLike[str], data: bytes, *, mode: int = USUAL, lock: FileLock | None = None
) -> None:
    """Write a file so that at any moment either the previous one or the whole new one is there.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and then take the name in
    one step. A symbolic link is followed, an existing file keeps its permissions, a new one gets ``mode`` less what
    the process's umask takes, and what is not a regular file (a device, a pipe) is written to directly. The temporary
    file is for this user alone; one that a killed process has left is removed. ``lock`` is handed on to the new file.

    Raises FileWriteError when the folder is missing or read-only or the disk is full; the previous file is
    then untouched and the temporary one gone.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a.txt", b"whole")
    ...     [(entry.name, entry.read_bytes()) for entry in Path(folder).iterdir()]
    [('a.txt', b'whole')]
    """
    expected = f"a place for {len(data)} bytes"
    with (
        written_atomically(path, expected, mode=mode, lock=lock) as place,
        place.open("wb", 0) as file,
    ):
        _write_all(file.fileno(), data)


@contextlib.contextmanager
def written_atomically(
    path: str | PathLike[str],
    expected: str = "a place to write to",
    *,
    mode: int = USUAL,
    lock: FileLock | None = None,
) -> Iterator[Path]:
    """The place to write a file to, which takes the name ``path`` in one step once the block has ended.

    As ``write_atomically``; for files that are too large to be held. An exception leaves the previous file.
    """
    try:
        given = Path(path)
        kind = given.stat().st_mode if given.exists() else None
        if kind is not None and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            yield given
        else:
            with _replaced(Path(os.path.realpath(path)), mode, lock) as temporary:
                yield temporary
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, ChainruleError):
            raise
        raise _write_error(path, expected, error) from error


@contextlib.contextmanager
def _replaced(target: Path, mode: int, lock: FileLock | None) -> Iterator[Path]:
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder")
    temporary = Temporary(target, mode)
    try:
        yield temporary.path
        temporary.become(target)
        if lock is not None and (locked := temporary.locked()) is not None:
            lock.hold(locked)
    except BaseException:  # Ctrl-C too must leave no temporary file
        temporary.remove()
        raise
    temporary.close()
    _flush_folder(target.parent)


def _write_all(descriptor: int, data: bytes) -> None:
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def _flush_folder(folder: Path) -> None:
    # The new name survives a power cut only once the folder is flushed too; not every system can do that.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_error(path: str | PathLike[str], expected: str, error: Exception) -> FileWriteError:
    reason = getattr(error, "strerror", None) or str(error)
    folder = Path(path).parent
    hint = "make room on the disk, or write to a folder that you may write to"
    if isinstance(error, FileNotFoundError):
        hint = f"create the folder {folder} first"
    elif isinstance(error, IsADirectoryError):
        hint = "name a file inside the folder"
    return FileWriteError(
        f"could not write {os.fspath(path)}: {reason}",
        expected=expected,
        where=f"folder {folder}; a previous file of that name is untouched",
        hint=hint,
    )


def save_tensors(
    path: str | PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, Any],
    kind: str,
    *,
    mode: int = USUAL,
    lock: FileLock | None = None,
) -> None:
    """Save named arrays and JSON metadata as one safetensors file, atomically.

    ``tensors`` have any shape and a boolean, integer or real dtype; ``metadata`` is what JSON can hold;
    ``kind`` says what the file is ("model", "checkpoint"). The header's metadata holds "format", "version",
    "kind", "metadata" (JSON text) and "sha256" (of the whole file, with this digest as zeros). The same
    content gives the same bytes. ``mode`` and ``lock`` as of ``write_atomically``.

    Raises DtypeError or SettingError for content that the format cannot hold, FileWriteError as
    ``write_atomically``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_tensors(Path(folder) / "m.safetensors", {"w": np.ones((2, 3))}, {"layers": [3, 2]}, "model")
    ...     tensors, metadata = load_tensors(Path(folder) / "m.safetensors", kind="model")
    >>> tensors["w"].shape, metadata
    ((2, 3), {'layers': [3, 2]})
    """
    if "__metadata__" in tensors:
        raise SettingError("safetensors keeps the name '__metadata__' for itself", hint="rename that tensor")
    for name, tensor in tensors.items():
        if tensor.dtype.name not in DTYPES:
            raise DtypeError(
                f"{quoted(name)} cannot be saved",
                expected="booleans, integers or real numbers",
                got=f"dtype {tensor.dtype}",
            )
    try:
        text = json.dumps(dict(metadata))
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingError(
            "the metadata cannot be saved as JSON",
            expected="dicts with text keys, lists, text, numbers, true, false and null",
            got=str(error),
        ) from error
    fields = {"format": FORMAT, "kind": kind, "metadata": text, "version": VERSION}
    write_atomically(path, _to_bytes(tensors, fields), mode=mode, lock=lock)


def _to_bytes(tensors: Mapping[str, NDArray[Any]], fields: Mapping[str, str]) -> bytes:
    from safetensors import SafetensorError
    from safetensors.numpy import save

    # safetensors writes bytes as they lie in memory, so transposed and byte-swapped arrays are reordered.
    plain = {
        name: np.asarray(tensor, dtype=tensor.dtype.newbyteorder("="), order="C")
        for name, tensor in tensors.items()
    }
    try:
        header, body = _split(save(plain, metadata={**fields, "sha256": ZEROS.decode()}))
    except (SafetensorError, ValueError) as error:
        raise SettingError("the tensors cannot be saved as safetensors", got=str(error)) from error
    entries = json.loads(header)
    # safetensors orders the metadata at random; sorted, the same model is the same file.
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    start, digest = _digest(header, body)
    return b"".join((len(header).to_bytes(8, "little"), header[:start], digest, header[start + 64 :], body))


def _split(data: bytes) -> tuple[bytes, memoryview]:
    """The header's JSON text and what follows it; the first 8 bytes are the header's length."""
    end = 8 + int.from_bytes(data[:8], "little")
    return data[8:end], memoryview(data)[end:]


def _digest(header: bytes, body: memoryview) -> tuple[int, bytes]:
    """Where the header keeps the digest (-1: nowhere), and what it should be: the file's with zeros there."""
    found = header.find(DIGEST_KEY)
    if found < 0:
        return -1, b""
    start = found + len(DIGEST_KEY)
    sha = hashlib.sha256(len(header).to_bytes(8, "little"))
    for part in (header[:start], ZEROS, header[start + 64 :], body):
        sha.update(part)
    return start, sha.hexdigest().encode()


def load_tensors(
    path: str | PathLike[str], kind: str | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Load what ``save_tensors`` saved: the arrays by name (own, writable memory) and the metadata.

    Nothing in the file is trusted or run. Raises ModelFileError that says which: missing, not readable, not
    a chainrule file, of another version, truncated, damaged, of another kind than ``kind``, or with malformed
    metadata.
    """
    path = Path(path)
    data, entries = _read(path)
    fields = entries.get("__metadata__")
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise _not_ours(path, "a safetensors file that chainrule did not write")
    if fields.get("version") != VERSION:
        raise ModelFileError(
            f"{path} was written by another version of chainrule",
            expected=f"format version {VERSION}",
            got=f"format version {clipped(fields.get('version'))}",
            hint="load it with the chainrule that wrote it, or train again",
        )
    _check_whole(path, data, entries)
    if kind is not None and fields.get("kind") != kind:
        raise ModelFileError(
            f"{path} is not a {kind}", expected=f"kind {kind!r}", got=f"kind {quoted(fields.get('kind'))}"
        )
    metadata = parse_json(fields.get("metadata"), f"the metadata of {path}")
    if not isinstance(metadata, dict):
        raise ModelFileError(
            f"the metadata of {path} is malformed", expected="a JSON object", got=type(metadata).__name__
        )
    return _read_tensors(path, data, [name for name in entries if name != "__metadata__"]), metadata


def parse_json(text: object, what: str) -> Any:
    """The value of a JSON text from an untrusted file; a ModelFileError says that ``what`` is malformed."""
    try:
        return json.loads(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{what} is malformed", expected="JSON text", got=str(error)) from error


def irregular(path: Path) -> str:
    """What a path is if it is no plain file, which would never end or cannot be read twice; "" for one, or a folder.

    Raises OSError where there is nothing of that name.
    """
    mode = path.stat().st_mode
    kinds = {
        stat.S_ISFIFO: "a pipe",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((kind for is_one, kind in kinds.items() if is_one(mode)), "")


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The file's bytes, and what its header says; it is read only once its size is known to be what the header says."""
    try:
        kind = irregular(path)
        if kind:
            raise ModelFileError(f"{path} is {kind}", expected="a file", hint="write it to a file first")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            entries = _read_header(path, file, size)
            file.seek(0)
            return file.read(size), entries
    except FileNotFoundError:
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        near = [str(path.parent / name) for name in nearest(path.name, names)]
        raise ModelFileError(
            f"there is no file {path}", hint=f"did you mean {' or '.join(map(quoted, near))}?" if near else ""
        ) from None
    except MemoryError:
        raise ModelFileError(
            f"{path} is too large for this machine's memory", got=f"{path.stat().st_size} bytes"
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(
            f"{path} cannot be read", got=getattr(error, "strerror", None) or str(error)
        ) from error


def _not_ours(path: Path, got: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is not a chainrule file", expected="a safetensors file written by chainrule", got=got
    )


def _read_header(path: Path, file: IO[bytes], size: int) -> dict[str, Any]:
    begin = file.read(16)
    length = int.from_bytes(begin[:8], "little")
    if begin[8:9] not in (b"{", b""):
        if begin.isascii() and b"\0" not in begin:
            raise ModelFileError(
                f"{path} is not a chainrule file",
                expected="a safetensors file written by chainrule",
                got="a file of text",
                hint="if it is a table: chainrule predict MODEL DATA",
            )
        raise _not_ours(path, "a file of another kind")
    if size < 8 + length or not length:
        raise ModelFileError(
            f"{path} is truncated or empty",
            expected="a whole file",
            got=f"{size} bytes, which end in the header",
        )
    if length > LONGEST_HEADER:
        raise _not_ours(path, f"a header of {length} bytes, where {LONGEST_HEADER} are the most")
    file.seek(8)
    entries = parse_json(file.read(length), f"the header of {path}")
    if not isinstance(entries, dict):
        raise _not_ours(path, "a file of another kind")
    if size > max(8 + length + _body_size(entries), SMALL):
        raise _not_ours(path, f"a file whose header says less than what follows it: {size} bytes in all")
    return entries


def is_ours(path: Path) -> bool:
    """Whether a file is one that chainrule wrote, as far as its header says."""
    try:
        with path.open("rb") as file:
            fields = _read_header(path, file, os.fstat(file.fileno()).st_size).get("__metadata__")
    except (OSError, ModelFileError):
        return False
    return isinstance(fields, dict) and fields.get("format") == FORMAT


def _body_size(entries: Mapping[str, Any]) -> int:
    """The bytes of all tensors, by what a header says that nobody has checked."""
    offsets = [entry.get("data_offsets") for entry in entries.values() if isinstance(entry, dict)]
    ends = [pair[1] for pair in offsets if isinstance(pair, list) and len(pair) == 2]
    return max((end for end in ends if isinstance(end, int)), default=0)


def _check_whole(path: Path, data: bytes, entries: Mapping[str, Any]) -> None:
    header, body = _split(data)
    expected = _body_size(entries)
    if len(body) < expected:
        raise ModelFileError(
            f"{path} is truncated",
            expected=f"{len(data) - len(body) + expected} bytes",
            got=f"{len(data)} bytes",
        )
    start, digest = _digest(header, body)
    found = header[start : start + 64] if start >= 0 else b""
    if start < 0 or found != digest:
        raise ModelFileError(
            f"{path} is damaged: its content does not match its digest",
            expected=f"sha256 {digest.decode()}" if digest else "a sha256 in the header",
            got=f"sha256 {clipped(found.decode(errors='replace'), 80)}" if digest else "none",
            hint="use another copy, or train again",
        )


def _read_tensors(path: Path, data: bytes, names: list[str]) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load

    try:
        loaded = load(data)
        tensors = {name: loaded[name] for name in names}
    except (
        Exception
    ) as error:  # the digest holds, so someone made this: whatever the library says, it is no model
        raise ModelFileError(
            f"{path} holds tensors that cannot be read",
            got=f"{type(error).__name__}: {clipped(error, WIDTH)}",
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype.name not in DTYPES:  # safetensors knows more of them than we write
            raise ModelFileError(
                f"{path} holds a tensor of another kind",
                expected="booleans, integers or real numbers",
                got=f"{quoted(name)} of dtype {tensor.dtype}",
            )
    return tensors

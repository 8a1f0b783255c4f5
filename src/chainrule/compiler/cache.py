"""Machine code on disk: compiled once for a graph, a processor and a version, then read back, and run.

It lies in a folder of its own inside the user's cache folder, or inside the one that CHAINRULE_CACHE names;
CHAINRULE_CACHE=off switches it off. As what is found there is run, the folder and its files must belong to this user,
and nobody else may write to them. Nothing but files of this module's is counted or deleted. A file is whole or not
there, so processes may share the folder; one that is damaged, or stood under another name, counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from secrets import token_hex

from chainrule.errors import user_line

LIMIT_BYTES = 256 << 20
FOLDER = "chainrule-code"
OFF = ("off", "0", "false", "no", "none")
_DIGEST = 32
_ABANDONED = 3600.0  # seconds after which a file that is still being written belongs to nobody
_OURS = re.compile(r"[0-9a-f]{64}\.code(\.[0-9a-f]{12}\.tmp)?")
#: how files are opened: never through a link, never waiting for the other end of a pipe
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_POSIX = os.name == "posix"  # elsewhere the user's own folders are closed to others


def folder() -> Path | None:
    """Where compiled code is kept; None where it is not."""
    wanted = os.environ.get("CHAINRULE_CACHE", "").strip()
    if wanted.lower() in OFF:
        return None
    try:
        return (Path(wanted).expanduser() if wanted else _usual()) / FOLDER
    except RuntimeError:  # nobody knows where this user is at home
        return None


def _usual() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "chainrule" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "chainrule"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "chainrule"


def load(key: str) -> bytes | None:
    """What was stored under a key, 64 hexadecimal digits; None where there is nothing, or not what was written."""
    place = folder()
    if place is None:
        return None
    try:
        with _opened(place) as inside:
            data = inside.read(f"{key}.code")
    except OSError:
        return None
    digest, content = data[:_DIGEST], data[_DIGEST:]
    return content if _digest(key, content) == digest else None


def store(key: str, content: bytes) -> None:
    """Keep content under a key. A cache that cannot be written to is done without."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)
        with _opened(place) as inside:
            inside.write(f"{key}.code", _digest(key, content) + content)
            _shrink(inside)


def usage() -> tuple[int, int]:
    """How many files are kept, and their bytes."""
    place = folder()
    if place is None or not place.is_dir():
        return 0, 0
    sizes = [size for _, size, _ in _Inside(place, None).own_files()]
    return len(sizes), sum(sizes)


def is_usable() -> bool:
    """Whether what is stored is there afterwards."""
    key, content = token_hex(32), b"test"
    store(key, content)
    place, kept = folder(), load(key) == content
    if kept and place is not None:
        with contextlib.suppress(OSError):
            _Inside(place, None).remove(f"{key}.code")
    return kept


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()


class _Inside:
    """A folder that is held open where the system can do that, so that it stays the one that was looked at."""

    def __init__(self, place: Path, descriptor: int | None) -> None:
        self._place, self._descriptor = place, descriptor

    def _named(self, name: str) -> str | Path:
        return self._place / name if self._descriptor is None else name

    def _open(self, name: str | Path, flags: int) -> int:
        return os.open(name, flags | _FLAGS, 0o600, dir_fd=self._descriptor)

    def read(self, name: str) -> bytes:
        """The content of a file that nobody else may write to, which counts as used now."""
        path, named = self._place / name, self._named(name)
        _check(path, os.stat(named, dir_fd=self._descriptor, follow_symlinks=False))
        with open(named, "rb", opener=self._open) as file:
            _check(path, os.fstat(file.fileno()))  # of the very file that is read
            data = file.read()
        os.utime(named, dir_fd=self._descriptor)  # the least recently used goes first
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file, which takes its name once it is whole."""
        temporary = f"{name}.{token_hex(6)}.tmp"
        try:
            with open(self._named(temporary), "xb", opener=self._open) as file:
                file.write(data)
            if self._descriptor is None:
                (self._place / temporary).replace(self._place / name)
            else:
                os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:  # Ctrl-C too must leave no temporary file
            with contextlib.suppress(OSError):
                self.remove(temporary)
            raise

    def remove(self, name: str) -> None:
        """Delete a file."""
        os.unlink(self._named(name), dir_fd=self._descriptor)

    def own_files(self) -> Iterator[tuple[float, int, str]]:
        """When each file of this module's was last used, its size and name."""
        with os.scandir(self._place if self._descriptor is None else self._descriptor) as entries:
            for entry in entries:
                if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(OSError):  # another process may delete at the same time
                        found = entry.stat(follow_symlinks=False)
                        yield found.st_mtime, found.st_size, entry.name


@contextlib.contextmanager
def _opened(place: Path) -> Iterator[_Inside]:
    """The folder; OSError where there is none, or none whose content may be run."""
    if not _POSIX:
        yield _Inside(place, None)
        return
    _check(place, place.lstat(), folder=True)
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
    try:
        _check(place, os.fstat(descriptor), folder=True)  # of the very folder that is used
        yield _Inside(place, descriptor)
    finally:
        os.close(descriptor)


def _check(path: Path, found: os.stat_result, folder: bool = False) -> None:
    """A warning and a PermissionError where somebody else could have written what stands there."""
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(found.st_mode):
        fault = "is a link" if stat.S_ISLNK(found.st_mode) else f"is no {'folder' if folder else 'file'}"
    elif _POSIX and found.st_uid != os.geteuid():
        fault = "belongs to another user"
    elif _POSIX and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        fault = "may be written to by others"
    else:
        return
    _warn(
        f"machine code is not kept in {path}, which {fault}: remove it, or let CHAINRULE_CACHE name another folder"
    )
    raise PermissionError(f"{path} {fault}")


@cache
def _warn(text: str) -> None:
    """Once for each path."""
    warnings.warn_explicit(text, RuntimeWarning, *(user_line() or ("chainrule", 0)))


def _shrink(inside: _Inside) -> None:
    """Delete what was not used for longest until the folder is within its limit, and what killed processes left."""
    files = sorted(inside.own_files())
    total = sum(size for _, size, _ in files)
    for used, size, name in files:
        abandoned = name.endswith(".tmp") and used < time.time() - _ABANDONED
        if total > LIMIT_BYTES or abandoned:
            with contextlib.suppress(OSError):
                inside.remove(name)
            total -= size

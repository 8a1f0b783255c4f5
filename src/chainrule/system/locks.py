"""Locks on files, which the system releases when their process ends, however it ends.

They hold among processes that ask for them, on this machine and where a network file system has them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where an open file can be neither replaced nor removed
    fcntl = None  # type: ignore[assignment]

_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}
LONGEST_WAIT, _PAUSE = 2.0, 0.002  # seconds
_TRIES = 10  # of a file that is replaced all the time


def has_locks() -> bool:
    """Whether the system can lock an open file that may be replaced meanwhile."""
    return fcntl is not None


class OpenFile:
    """An open file or folder of the system, closed when nothing holds it any more, whatever interrupted its holder."""

    def __init__(self, path: Path, flags: int, mode: int = 0o777) -> None:
        self._numbers = [os.open(path, flags, mode)]  # none once it is closed

    @property
    def number(self) -> int:
        """The system's descriptor."""
        return self._numbers[0]

    def close(self) -> None:
        """Close it, once."""
        while self._numbers:
            os.close(self._numbers.pop())  # in one line, between whose parts an interrupt hardly comes

    def __del__(self) -> None:
        if hasattr(self, "_numbers"):  # it could be opened
            self.close()


def lock(file: OpenFile, *, wait: float = 0.0) -> bool | None:
    """Lock an open file until it is closed; False where somebody else has it, None where it cannot be locked.

    ``wait`` so many seconds at most: whoever may read a file can lock it for as long as they like.
    """
    if fcntl is None:
        return None
    until = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _TAKEN:
                return None
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE)
        else:
            return True


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait for others who are alone in this folder, but not for long, nor where it cannot be locked or is not there."""
    opened = None
    with contextlib.suppress(OSError):
        opened = OpenFile(folder, os.O_RDONLY)
    try:
        if opened is not None:
            lock(opened, wait=LONGEST_WAIT)
        yield
    finally:
        if opened is not None:
            opened.close()


def is_at(file: OpenFile, path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(file.number), path.stat())
    except OSError:
        return False


class FileLock:
    """A lock on whatever file has a name, though the file is replaced: a new one is locked before it takes the name.

    So nothing lies beside the file, and nothing remains of a process that was killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: OpenFile | None = None

    def take(self) -> bool:
        """Lock the file if there is one; False where somebody else has it, in this process or another one."""
        if not has_locks():
            return self._take_beside()
        for _ in range(_TRIES):
            if self._file is not None and is_at(self._file, self.path):
                break
            found = _opened(self.path)
            if found is None:
                break
            if lock(found) is False:
                found.close()
                return False
            self.hold(found)
        return True

    def _take_beside(self) -> bool:
        """On Windows: with a file beside it, which the system removes when it is closed."""
        temporary = getattr(os, "O_TEMPORARY", 0)
        if temporary and self._file is None:
            beside = self.path.with_name(f".{self.path.name}.lock")
            try:
                self._file = OpenFile(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | temporary)
            except (FileExistsError, PermissionError):
                return False
        return True

    def hold(self, file: OpenFile) -> None:
        """From now on hold this open file, which is locked, in place of the former one."""
        former, self._file = self._file, file
        if former is not None:
            former.close()

    def release(self) -> None:
        """Let go of it."""
        former, self._file = self._file, None
        if former is not None:
            former.close()


def _opened(path: Path) -> OpenFile | None:
    """The file, opened; None where there is none, or none that could be."""
    with contextlib.suppress(OSError):
        if not path.is_file():  # a device is everybody's
            return None
        for access in (os.O_RDWR, os.O_RDONLY):  # some network file systems lock only what may be written to
            with contextlib.suppress(PermissionError):
                return OpenFile(path, access)
    return None

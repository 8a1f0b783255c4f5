"""Temporary files beside the file that they are to become: private, and removed by the next one where a process died.

A process holds a lock on its temporary file, so that what nobody has locked is nobody's any more. Where files cannot
be locked, a temporary file is given up after a day.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

from chainrule.system.locks import LONGEST_WAIT, OpenFile, has_locks, is_at, lock

PRIVATE = 0o600
_LONGEST = 200  # bytes of the name that a temporary one repeats: most systems take 255
_TRIES = 10
_ABANDONED = 24 * 3600.0  # seconds
_BINARY = getattr(os, "O_BINARY", 0)


class Temporary:
    """An empty private file beside ``target``; ``mode`` are the permissions that it gets in the end.

    An existing target's are kept; else they are ``mode`` less what the umask takes, as for any new file.
    """

    def __init__(self, target: Path, mode: int) -> None:
        remove_abandoned(target)
        existing = _mode_of(target)
        for attempt in range(_TRIES):
            self.path = target.with_name(f"{_prefix(target)}{token_hex(6)}.tmp")
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY
            made = OpenFile(self.path, flags, mode if existing is None else existing)
            try:
                self.mode = stat.S_IMODE(os.fstat(made.number).st_mode) if existing is None else existing
                if hasattr(os, "fchmod"):  # not on Windows, where there are no such permissions
                    os.fchmod(made.number, PRIVATE)
                # whoever looks whether it is abandoned has it for a moment, and may have removed it
                locked = lock(made, wait=LONGEST_WAIT) is not False and is_at(made, self.path)
            except BaseException:
                self._discard(made)
                raise
            if locked or attempt == _TRIES - 1:  # a file system may give a file another number each time
                break
            self._discard(made)
        self._file: OpenFile | None = made
        if not has_locks():  # an open file could not be replaced
            self.close()

    def become(self, target: Path) -> None:
        """Give it the name, and its permissions; all of it is on the disk before."""
        descriptor = os.open(self.path, os.O_RDWR | _BINARY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.path.chmod(self.mode)
        self.path.replace(target)

    def locked(self) -> OpenFile | None:
        """The open file with its lock, which is the caller's to close from now on; None where there are no locks."""
        file, self._file = self._file, None
        return file

    def remove(self) -> None:
        """Remove it, if it has not got the name."""
        self._discard(self.locked())

    def _discard(self, file: OpenFile | None) -> None:
        if file is not None:
            file.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def close(self) -> None:
        """Let go of its lock."""
        file = self.locked()
        if file is not None:
            file.close()


def _mode_of(target: Path) -> int | None:
    """The permissions of a file, if it exists."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return None


def _prefix(target: Path) -> str:
    """How the names of a file's temporaries begin."""
    name = target.name.encode(errors="surrogateescape")[:_LONGEST].decode(errors="ignore")
    return f".{name}."


def remove_abandoned(target: Path) -> None:
    """Remove the temporaries of this name that dead processes have left, and the folders that go with them."""
    for path in _temporaries(target):
        with contextlib.suppress(OSError):
            found = OpenFile(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | _BINARY)
            try:
                if _is_abandoned(found):
                    for beside in path.parent.glob(f"{_escaped(path.name)}.*/"):
                        shutil.rmtree(beside, ignore_errors=True)
                    path.unlink()
            finally:
                found.close()


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _temporaries(target: Path) -> Iterator[Path]:
    prefix = _prefix(target)
    ours = re.compile(re.escape(prefix) + r"[0-9a-f]{12}\.tmp")
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and ours.fullmatch(entry.name):
                yield target.with_name(entry.name)


def _is_abandoned(file: OpenFile) -> bool:
    """Whether an open temporary file is that of a process that has died: nobody has locked it, or it is very old."""
    facts = os.fstat(file.number)
    if not stat.S_ISREG(facts.st_mode) or (hasattr(os, "geteuid") and facts.st_uid != os.geteuid()):
        return False
    free = lock(file)
    return time.time() - facts.st_mtime > _ABANDONED if free is None else free

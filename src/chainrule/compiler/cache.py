"""Machine code on disk: compiled once for a graph, a processor and a version, then read back.

Files lie in the user's cache folder, or where CHAINRULE_CACHE says; CHAINRULE_CACHE=off switches them off. A file
is whole or not there, so processes may share the folder; one that is damaged counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import Path

from chainrule.files import FileWriteError, write_atomically

LIMIT_BYTES = 256 << 20
_DIGEST = 32


def folder() -> Path | None:
    """Where compiled code is kept; None where it is not."""
    wanted = os.environ.get("CHAINRULE_CACHE", "")
    if wanted.lower() == "off":
        return None
    if wanted:
        return Path(wanted)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "chainrule" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "chainrule"
    return Path(os.environ.get("XDG_CACHE_HOME", home / ".cache")) / "chainrule"


def load(key: str) -> bytes | None:
    """What was stored under a key; None where there is nothing, or not what was written."""
    place = folder()
    if place is None:
        return None
    path = place / key
    try:
        data = path.read_bytes()
        os.utime(path)  # the least recently used goes first
    except OSError:
        return None
    digest, content = data[:_DIGEST], data[_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None


def store(key: str, content: bytes) -> None:
    """Keep content under a key. A cache that cannot be written to is done without."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError, FileWriteError):
        place.mkdir(parents=True, exist_ok=True)
        write_atomically(place / key, hashlib.sha256(content).digest() + content)
        _shrink(place)


def _shrink(place: Path) -> None:
    """Delete what was not used for longest until the folder is within its limit."""
    entries = []
    for path in place.iterdir():
        with contextlib.suppress(OSError):  # another process may delete at the same time
            found = path.stat()
            entries.append((found.st_mtime, found.st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= LIMIT_BYTES:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size

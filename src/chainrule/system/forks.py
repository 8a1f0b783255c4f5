"""Locks and ``os.fork``: a child has only the thread that forked, so what another one held would stay held.

Where there is no fork, as on Windows, these are plain locks.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakSet

L = TypeVar("L")
_FREED: WeakSet[Any] = WeakSet()  # locks that are free in every child


def free_in_children(lock: L) -> L:
    """The lock, which will be free in a forked child, unless it is reentrant and the thread that forks holds it.

    For what begins anew with each call, as a compiled program does in its own memory.

    >>> import threading
    >>> lock = free_in_children(threading.Lock())
    >>> with lock:
    ...     lock.locked()
    True
    """
    _FREED.add(lock)
    return lock


def _free() -> None:
    for lock in list(_FREED):
        if not (hasattr(lock, "_is_owned") and lock._is_owned()):
            lock._at_fork_reinit()


def no_fork_while_held(locks: Sequence[Any]) -> None:
    """Let no fork come while another thread holds one of these reentrant locks.

    The thread that forks takes all of them first, in this order, and gives them back on both sides.
    """
    held: list[Any] = []

    def take() -> None:
        for lock in locks:
            lock.acquire()
            held.append(lock)

    def release() -> None:
        while held:
            held.pop().release()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=take, after_in_parent=release, after_in_child=release)


def in_children(function: Callable[[], object]) -> None:
    """Call the function first of all in every forked child."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def _import_anew() -> None:
    """In a child: let it import for itself what another thread was importing, whose lock nobody would give back."""
    locks = getattr(importlib._bootstrap, "_module_locks", {})
    for name, reference in list(locks.items()):
        owner = getattr(reference(), "owner", None)
        if owner not in (None, threading.get_ident()):
            sys.modules.pop(name, None)
            locks.pop(name, None)


in_children(_free)
in_children(_import_anew)

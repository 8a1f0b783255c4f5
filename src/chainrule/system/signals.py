"""Signals that ask a process to end: SIGTERM, and SIGHUP where there is one.

They become an exception for a while, so that what is under way is saved. Ctrl-C is one already.
"""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class EndedBySignal(KeyboardInterrupt):
    """The process was asked to end: what was interrupted is settled, and then it does."""


class Block:
    """Exists as long as the block in which signals are caught."""


class Caught:
    """The signal that came, if one did."""

    def __init__(self, error: type[BaseException], block: Block) -> None:
        self.number: int | None = None
        self._error = error
        self._block = weakref.ref(block)

    @property
    def has_ended(self) -> bool:
        """Whether the block has ended, even if an interruption kept the former handler from being restored."""
        return self._block() is None

    def __call__(self, number: int, frame: Any) -> None:
        """Receive a signal."""
        if self.has_ended:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        self.number = number
        raise self._error

    @property
    def status(self) -> int:
        """The exit status of a process that it ended, as a shell says it."""
        return 128 + (signal.SIGINT if self.number is None else self.number)


@contextmanager
def caught(error: type[BaseException]) -> Iterator[Caught]:
    """In this block such a signal raises ``error`` in the main thread, unless the program handles it itself."""
    block = Block()
    found = Caught(error, block)
    numbers = [] if threading.current_thread() is not threading.main_thread() else ENDING
    numbers = [number for number in numbers if _is_free(signal.getsignal(number))]
    try:
        for number in numbers:
            signal.signal(number, found)
        yield found
    finally:
        del block
        for number in numbers:
            if signal.getsignal(number) is found:
                signal.signal(number, signal.SIG_DFL)


def _is_free(handler: Any) -> bool:
    """Whether the program leaves the signal to the system: there is no handler, or one that was left behind."""
    return handler == signal.SIG_DFL or (isinstance(handler, Caught) and handler.has_ended)


@contextmanager
def settled_first() -> Iterator[None]:
    """In this block such a signal raises EndedBySignal; after it, the process ends as it would have at once."""
    found = None
    try:
        with caught(EndedBySignal) as found:
            yield
    finally:
        if found is not None and found.number is not None:
            signal.raise_signal(found.number)

"""Ctrl-C, which is an exception once: what saves the model then is not interrupted by a second one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CtrlC:
    """A handler of SIGINT: the first one raises KeyboardInterrupt, further ones are remembered.

    >>> import signal
    >>> ctrl_c = CtrlC()
    >>> try:
    ...     ctrl_c(signal.SIGINT, None)
    ... except KeyboardInterrupt:
    ...     ctrl_c(signal.SIGINT, None)
    >>> ctrl_c.pressed_again
    True
    """

    def __init__(self) -> None:
        self.pressed_again = False
        self._raises = True

    def __call__(self, number: int, frame: object) -> None:
        """Receive the signal."""
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt
        self.pressed_again = True

    @contextmanager
    def ends(self) -> Iterator[None]:
        """In this block Ctrl-C raises KeyboardInterrupt; so it does at its beginning if it was pressed again before."""
        if self.pressed_again:
            raise KeyboardInterrupt
        self._raises = True
        try:
            yield
        finally:
            self._raises = False


@contextmanager
def ctrl_c_once() -> Iterator[CtrlC]:
    """In this block a ``CtrlC`` handles SIGINT, unless the program wants it otherwise."""
    handler = CtrlC()
    before = signal.getsignal(signal.SIGINT)
    mine = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if mine:
        signal.signal(signal.SIGINT, handler)
    try:
        yield handler
    finally:
        if mine:
            signal.signal(signal.SIGINT, before)

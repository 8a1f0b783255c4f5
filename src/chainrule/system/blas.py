"""The threads of the BLAS libraries that NumPy and SciPy call: a setting that all threads of the process share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chainrule.system.forks import free_in_children

if TYPE_CHECKING:
    from threadpoolctl import threadpool_limits


class _Limit:
    """One BLAS thread while at least one block asks for it; the last one to end restores the former number."""

    def __init__(self) -> None:
        self._lock = free_in_children(threading.Lock())
        self._blocks = 0
        self._limits: threadpool_limits | None = None

    def enter(self) -> None:
        """Count one more block."""
        from threadpoolctl import threadpool_limits

        with self._lock:
            if self._limits is None:
                self._limits = threadpool_limits(1, user_api="blas")
            self._blocks += 1

    def leave(self) -> None:
        """Count one block less."""
        with self._lock:
            self._blocks -= 1
            if not self._blocks and self._limits is not None:
                self._limits.restore_original_limits()
                self._limits = None


_LIMIT = _Limit()  # the number is the process's, so the count of those who changed it is, too


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """In this block BLAS uses one thread, in any thread of the process; blocks may overlap.

    For small matrices: BLAS threads that wait for work keep their processor, and how many there are changes the last
    bits of a product.

    >>> from chainrule.system.blas import one_blas_thread
    >>> with one_blas_thread():
    ...     pass
    """
    _LIMIT.enter()
    try:
        yield
    finally:
        _LIMIT.leave()

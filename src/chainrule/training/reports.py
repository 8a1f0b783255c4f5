"""What the threads that train tell the thread that called ``fit``, and its answers.

Callbacks, progress and the checkpoint belong to that thread: it listens until all the others are done.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from chainrule.training.progress import Epoch
from chainrule.training.trainer import Trainer

SECONDS = 0.1  # some systems see Ctrl-C between two waits only


class RunEndedError(Exception):
    """The run ended in another thread."""


class Reports:
    """A queue of finished epochs with a place for the answer to each; ``ended`` says whether the run is over."""

    def __init__(self, ended: Callable[[], bool]) -> None:
        self._ended = ended
        self._queue: queue.SimpleQueue[tuple[Epoch, Trainer, Future[str]] | BaseException | None]
        self._queue = queue.SimpleQueue()

    def send(self, epoch: Epoch, trainer: Trainer, *, wait: bool) -> str:
        """In a trainer's thread: hand over a finished epoch; the answer to it, where that is to be waited for."""
        answer: Future[str] = Future()
        self._queue.put((epoch, trainer, answer))
        while wait:
            with contextlib.suppress(TimeoutError):
                return answer.result(timeout=SECONDS)
            if self._ended():  # then nobody answers any more
                raise RunEndedError
        return ""

    def close(self, error: BaseException | None) -> None:
        """In a trainer's thread: the last word, and why it failed if it did."""
        self._queue.put(error)

    def received(self, threads: int) -> Iterator[tuple[Epoch, Trainer, Future[str]]]:
        """In the thread that called ``fit``: every epoch until so many threads are done; raises their errors."""
        while threads:
            try:
                item = self._queue.get(timeout=SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                threads -= 1
            else:
                yield item

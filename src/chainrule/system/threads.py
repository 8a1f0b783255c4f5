"""Threads for work beside the caller's. They are daemons: a process ends without waiting for what they are at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


def in_thread(work: Callable[..., T], *given: Any) -> Future[T]:
    """Begin work in a thread of its own: what it will give, or raise.

    >>> in_thread(divmod, 7, 2).result()
    (3, 1)
    """
    result: Future[T] = Future()
    Thread(target=_do, args=(result, work, given), name="chainrule", daemon=True).start()
    return result


class Workers:
    """So many threads that wait for work, started when there is some; in a forked child they start anew."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._process, self._inboxes = os.getpid(), list[SimpleQueue[_Job | None]]()

    def submit(self, number: int, result: Future[T], work: Callable[..., T], *given: Any) -> None:
        """Let one of the threads, counted from 0, do work once it has done what came before, unless that is cancelled.

        The caller makes the future, and so knows of it whenever Ctrl-C comes.
        """
        if self._process != os.getpid():  # threads are not forked
            self._process, self._inboxes = os.getpid(), []
        while len(self._inboxes) < self.count:
            self._start()
        self._inboxes[number].put((result, work, given))

    def _start(self) -> None:
        inbox: SimpleQueue[_Job | None] = SimpleQueue()
        try:
            Thread(target=_serve, args=(inbox,), name="chainrule", daemon=True).start()
            self._inboxes.append(inbox)
        except BaseException:  # Ctrl-C: nobody would ever tell that thread to end
            inbox.put(None)
            raise

    def __del__(self) -> None:
        for inbox in self._inboxes:
            inbox.put(None)


def _serve(inbox: SimpleQueue[_Job | None]) -> None:
    while (job := inbox.get()) is not None:
        _do(*job)
        del job  # while the thread waits it keeps nobody's memory


def _do(result: Future[Any], work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    if not result.set_running_or_notify_cancel():
        return
    try:
        result.set_result(work(*given))
    except BaseException as error:
        result.set_exception(error)
        del result  # or the exception, by its traceback, would hold itself


def end(begun: Iterable[Future[Any]]) -> None:
    """Cancel what has not begun and wait for the rest, whoever interrupts: its memory is needed until it is done."""
    running = [result for result in begun if not result.cancel()]
    while True:
        try:
            wait(running)
        except KeyboardInterrupt:
            continue
        return

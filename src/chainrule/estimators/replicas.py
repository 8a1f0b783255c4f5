"""Several networks at a time from seeds of their own, each trained as a single run trains its one."""

from __future__ import annotations

import copy
import math
import queue
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from numbers import Integral
from threading import Lock

import numpy as np

from chainrule.estimators.stochastic import EpochLoop, Trained
from chainrule.system.threads import in_thread
from chainrule.training.halving import Halving

SEED_STEP = 2654435769  # 2**32 over the golden ratio: odd, so that 2**32 replicas have 2**32 seeds


def replica_seeds(
    random_state: int | np.random.RandomState | None, rng: np.random.RandomState, count: int
) -> list[int | None]:
    """The ``random_state`` with which a single run gives each replica: (first + r * 2654435769) % 2**32.

    Where ``random_state`` is no integer, replica 0 goes on with the generator itself, and has None; the number that
    the others count from is the one that the generator would draw next, without drawing it.
    """
    if isinstance(random_state, Integral):
        return [(int(random_state) + r * SEED_STEP) % 2**32 for r in range(count)]
    first = int(copy.deepcopy(rng).randint(2**32, dtype=np.uint32))
    return [None, *((first + r * SEED_STEP) % 2**32 for r in range(1, count))]


@dataclass(kw_only=True)
class Replicas:
    """Trains ``count`` networks for at most ``epochs`` epochs each, ``workers`` at a time, each in a thread of its own.

    ``begin`` makes the loop of a replica. With ``halving`` the worse ones are given up on the way. What users wrote is
    to be called in the thread that called ``train``, as it may rely on that: ``in_caller`` has it done there.
    """

    begin: Callable[[int], EpochLoop]
    count: int
    epochs: int
    workers: int
    halving: Halving | None = None
    interrupted: bool = False
    _loops: dict[int, EpochLoop] = field(default_factory=dict)
    _trained: dict[int, Trained] = field(default_factory=dict)
    _losses: dict[int, float] = field(default_factory=dict)  # of those that have ended
    _requests: queue.SimpleQueue[_Request | None] | None = None  # where there are threads
    _best: int | None = None
    _lock: Lock = field(default_factory=Lock)

    def train(self) -> list[Trained]:
        """Train; what each replica has given, in their order: after Ctrl-C, each that had begun."""
        try:
            self._train_in_rounds()
        except KeyboardInterrupt:
            self.interrupted = True  # it came between two replicas
        if not (self._loops or self._trained):
            self._loops[0] = self.begin(0)
        for index in list(self._loops):
            self._end(index)
        return [self._trained[index] for index in sorted(self._trained)]

    def _train_in_rounds(self) -> None:
        """Train all; with ``halving`` as many as survive each round."""
        alive = list(range(self.count))
        if self.halving is not None:
            for epochs in range(self.halving.every, self.epochs, self.halving.every):
                if len(alive) == 1 or self.interrupted:
                    break
                self._train_to(epochs, alive)
                if not self.interrupted:
                    alive = self._survivors(alive, epochs)
        self._train_to(self.epochs, alive)

    def tick(self) -> None:
        """KeyboardInterrupt where the run is to end."""
        if self.interrupted:
            raise KeyboardInterrupt

    def in_caller(self, work: Callable[[], float]) -> float:
        """Have the thread that called ``train`` compute something."""
        if self._requests is None:
            return work()
        answer: Future[float] = Future()
        self._requests.put((work, answer))
        while not answer.done():
            self.tick()  # then nobody answers any more
            wait([answer], timeout=0.1)
        return answer.result()

    def _train_to(self, epochs: int, alive: Sequence[int]) -> None:
        """Train replicas until each has done so many epochs, or has ended."""
        waiting = deque(index for index in alive if index not in self._trained)
        workers = min(self.workers, len(waiting))
        if workers < 2:
            self._train_in_turn(waiting, epochs)
            return
        self._requests = queue.SimpleQueue()
        running = [in_thread(copy_context().run, self._work, waiting, epochs) for _ in range(workers)]
        for one in running:
            one.add_done_callback(self._wake)
        ended = False
        while not ended:
            try:
                self._answer_request(self._requests)
                ended = all(one.done() for one in running)
            except KeyboardInterrupt:
                self.interrupted = True  # the threads end when machine code comes back to them
        self._requests = None
        for one in running:
            one.result()

    def _work(self, waiting: deque[int], epochs: int) -> None:
        """What each thread does."""
        try:
            self._train_in_turn(waiting, epochs)
        except BaseException:
            self.interrupted = True  # the others need not go on
            raise

    def _wake(self, _: Future[None]) -> None:
        """Let ``_train_to`` see that a thread has ended."""
        if self._requests is not None:
            self._requests.put(None)

    def _answer_request(self, requests: queue.SimpleQueue[_Request | None]) -> None:
        """Do what a thread asks for, if one does soon."""
        with suppress(queue.Empty):
            request = requests.get(timeout=0.1)  # some systems see Ctrl-C between two waits only
            if request is None:
                return
            work, answer = request
            try:
                self.tick()
                answer.set_result(work())
            except BaseException as error:
                self.interrupted = True  # the others need not go on
                answer.set_exception(error)

    def _train_in_turn(self, waiting: deque[int], epochs: int) -> None:
        """Take replica after replica until none is left, or until Ctrl-C; ``train`` ends what has begun by then."""
        while not self.interrupted:
            try:
                index = waiting.popleft()  # each thread takes the next one
            except IndexError:
                return
            try:
                self._train_one(index, epochs)
            except KeyboardInterrupt:
                self.interrupted = True  # it came while a replica began or ended

    def _train_one(self, index: int, epochs: int) -> None:
        loop = self._loops.get(index)
        if loop is None:
            loop = self._loops[index] = self.begin(index)
        loop.run(epochs)
        self.interrupted = self.interrupted or loop.interrupted
        if loop.reason or epochs == self.epochs:
            self._end(index)

    def _survivors(self, alive: Sequence[int], epochs: int) -> list[int]:
        """Who goes on: the best; the others end here."""
        assert self.halving is not None
        losses = self._losses | {index: _comparable(loop) for index, loop in self._loops.items()}
        ranked = sorted(alive, key=lambda index: (losses[index], index))
        places = self.halving.survivors(len(alive))
        for index in ranked[places:]:
            if index in self._loops:
                self._end(index, f"dropped after epoch {epochs}")
            self._trained[index].record.dropped = epochs
        return sorted(ranked[:places])

    def _end(self, index: int, reason: str = "") -> None:
        """Keep what a replica has given, in memory of its own, and let go of the rest."""
        loop = self._loops[index]
        self._losses[index] = _comparable(loop)
        trained = loop.finished(reason)
        trained.record.kept_loss = loop.loss_of_kept()
        trained.record.state = trained.values = loop.session.snapshot()
        with self._lock:
            self._trained[index] = trained
            if self.halving is None:
                self._release_all_but_best(index)
        self._loops.pop(index)  # last of all: Ctrl-C may come anywhere above, and then this is done again

    def _release_all_but_best(self, index: int) -> None:
        """Let go of what only the best so far needs, in case training goes on: the solver's arrays."""
        best = index if self._best is None else self._best
        if _rank(self._trained[index], index) < _rank(self._trained[best], best):
            best, index = index, best
        self._best = best
        if index != best:
            state = self._trained[index].state
            state.solver = state.best_values = {}


def _rank(trained: Trained, index: int) -> tuple[float, int]:
    return trained.record.score, index


_Request = tuple[Callable[[], float], "Future[float]"]


def _comparable(loop: EpochLoop) -> float:
    loss = loop.compared_loss()
    return math.inf if math.isnan(loss) else loss

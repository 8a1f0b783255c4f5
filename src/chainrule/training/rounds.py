"""Who trains until when: every replica until the last epoch, or with ``cr.Halving`` round after round fewer of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from chainrule.training.history import Replica
from chainrule.training.replica_state import score
from chainrule.training.run import Run
from chainrule.training.stopping import EarlyStopping
from chainrule.training.trainer import Trainer


def rounds(run: Run) -> Iterator[Round]:
    """One round after the other; the next one begins when all replicas of this one have come through it."""
    for index, replica in run.state.replicas.items():
        if replica.stopped:
            run.display.ended(index)
    alive, halving = list(range(run.trainer.settings.restarts)), run.trainer.settings.halving
    if halving is not None:
        for epochs in range(halving.every, run.epochs, halving.every):
            if len(alive) == 1:
                break
            yield (now := Round(run, alive, epochs, halving.survivors(len(alive))))
            now.drop()
            alive = [index for index in alive if run.state.replicas[index].dropped != epochs]
    yield Round(run, alive, run.epochs, len(alive))


class Round:
    """The replicas ``alive`` train until they have done ``epochs`` epochs; then there are ``places`` for the best."""

    def __init__(self, run: Run, alive: list[int], epochs: int, places: int) -> None:
        self.epochs = epochs
        self._run, self._alive, self._places = run, alive, places
        self.waiting = deque(index for index in alive if not run.reached(index, epochs))
        self._dropping = threading.Lock()
        self._busy: set[int] = set()  # replicas that a thread trains, or asks callbacks about

    def turns(self, trainer: Trainer) -> Iterator[int]:
        """Replica after replica, each ready in the trainer, until none is left; several threads may share a round."""
        while not self._run.cancelled:
            try:
                index = self.waiting.popleft()  # each thread takes the next one
            except IndexError:
                return
            self._make_ready(index, trainer)
            self._busy.add(index)  # until all is said about its last epoch, nobody else drops it
            yield index
            self._busy.discard(index)
            if not self._run.cancelled:
                self.drop()

    def _make_ready(self, index: int, trainer: Trainer) -> None:
        """Begin a replica, or put it back where it was."""
        state = self._run.state
        known = index in state.replicas or trainer.settings.restarts == 1
        if known and index in state.unfinished:
            trainer.become(index)
            trainer.restore(state.unfinished[index].tensors)  # with numbers that callbacks have changed
            state.replicas.setdefault(index, Replica())
        else:
            self._run.begin(index, trainer)

    def drop(self) -> None:
        """Give up the replicas for which there is no place, as far as that is known already.

        As soon as more have come through than may go on, the worst of them are out whatever the others do.
        So fewer are kept in memory, and who goes on depends neither on the order nor on the moment.
        """
        if self._places == len(self._alive):
            return
        state = self._run.state
        with self._dropping:
            arrived = [i for i in self._alive if self._run.reached(i, self.epochs) and i not in self._busy]
            arrived.sort(key=lambda index: (self._score(index), index))
            for index in arrived[self._places :]:
                replica = state.replicas[index]
                if replica.stopped and replica.dropped is None:
                    state.replicas[index] = replace(replica, dropped=self.epochs)
                elif not replica.stopped:
                    ended = state.ended(index, f"dropped after epoch {self.epochs}")
                    self._run.finish(index, replace(ended, dropped=self.epochs))

    def _score(self, index: int) -> float:
        """The loss by which a replica was to be judged at the end of this round."""
        replica = self._run.state.replicas[index]
        curve = replica.monitored()[: self.epochs]
        if not any(isinstance(rule, EarlyStopping) for rule in self._run.rules):
            return min(map(score, curve[-1:]), default=np.inf)
        curves = list(zip(*replica.part_losses[: self.epochs], strict=True)) or [tuple(curve)]
        return sum(min(map(score, curve), default=np.inf) for curve in curves) / len(curves)

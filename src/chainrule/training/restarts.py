"""Trains replicas epoch by epoch, several at a time, and keeps what must survive a stop at any moment."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.errors import SourceLine
from chainrule.files import FileWriteError
from chainrule.nonfinite import NonFinite
from chainrule.training.checkpoint import Live, RunState, Saver
from chainrule.training.executors import CutShortError
from chainrule.training.history import History, Replica
from chainrule.training.life import (
    ALL_EPOCHS,
    commit,
    diverged,
    ended,
    explain,
    rules_say,
    score,
    warn,
)
from chainrule.training.progress import Display, Epoch
from chainrule.training.stopping import EarlyStopping, StopRule
from chainrule.training.trainer import EpochResult, Trainer

Callback = Callable[[Epoch], object]
#: what a thread tells: an epoch and where the answer goes, that it is done, or why it failed
Reports = queue.SimpleQueue["tuple[Epoch, Trainer, Future[str]] | BaseException | None"]
VISIT_SECONDS = 0.1  # about how long epochs take that are trained without looking in between


@dataclass(frozen=True)
class _Round:
    """Who trains until when, and how many of them go on."""

    alive: list[int]
    epochs: int
    places: int


@dataclass
class Run:
    """A run under way: who trains, when it ends, who watches, and what is already done.

    Each trainer has a thread of its own; a replica stays with one trainer. An exception, Ctrl-C above all,
    may end the run at any moment. Therefore ``state`` changes by single assignments, and ``settle`` derives
    everything else from it. Callbacks, display and checkpoint belong to the thread that called ``fit``.
    """

    trainers: list[Trainer]
    epochs: int
    rules: Sequence[StopRule]
    callbacks: Sequence[Callback]
    display: Display
    saver: Saver | None
    state: RunState
    line: SourceLine | None = None  # where fit was called
    nonfinite: NonFinite = "warn"
    _told_of_failure: bool = False
    _cancelled: bool = False
    _reports: Reports | None = None  # where there are threads
    _working: list[Future[None]] = field(default_factory=list)
    _dropping: threading.Lock = field(default_factory=threading.Lock)
    _busy: set[int] = field(default_factory=set)  # replicas that a thread trains, or asks callbacks about
    _at_once: dict[int, int] = field(default_factory=dict)  # epochs that take about a tenth of a second
    _careful: set[int] = field(default_factory=set)  # replicas of which some epoch goes wrong

    @property
    def trainer(self) -> Trainer:
        """The first trainer; the only one unless replicas train at the same time."""
        return self.trainers[0]

    def train(self) -> None:
        """Train all replicas that are not finished yet."""
        for index, replica in self.state.replicas.items():
            if replica.stopped:
                self.display.ended(index)
        alive, halving = list(range(self.trainer.settings.restarts)), self.trainer.settings.halving
        if halving is not None:
            for epochs in range(halving.every, self.epochs, halving.every):
                if len(alive) > 1:
                    self._train_round(_Round(alive, epochs, halving.survivors(len(alive))))
                    alive = [index for index in alive if self.state.replicas[index].dropped != epochs]
        self._train_round(_Round(alive, self.epochs, len(alive)))

    def _train_round(self, now: _Round) -> None:
        """Train every replica of a round up to the round's last epoch, at the same time or in turn."""
        waiting = deque(index for index in now.alive if not self._reached(index, now.epochs))
        if len(self.trainers) > 1 and len(waiting) > 1:
            self._train_in_threads(waiting, now)
        else:
            self._train_all(waiting, self.trainer, now)
        self._drop(now)

    def _reached(self, index: int, epochs: int) -> bool:
        """Whether a replica is so far, or has ended."""
        if index in self.state.replicas and self.state.replicas[index].stopped:
            return True
        # whether all epochs are done is for the loop to find out, which then ends the replica
        return epochs < self.epochs and index in self.state.replicas and self._epochs_of(index) >= epochs

    def _epochs_of(self, index: int) -> int:
        live = self.state.lives.get(index)
        return 0 if live is None else live.epochs

    def _drop(self, now: _Round) -> None:
        """Give up the replicas of a round for which there is no place, as far as that is known already.

        As soon as more have come through than may go on, the worst of them are out whatever the others do.
        So fewer are kept in memory, and who goes on depends neither on the order nor on the moment.
        """
        if now.places == len(now.alive):
            return
        with self._dropping:
            arrived = [i for i in now.alive if self._reached(i, now.epochs) and i not in self._busy]
            arrived.sort(key=lambda index: (self._score_at(index, now.epochs), index))
            for index in arrived[now.places :]:
                replica = self.state.replicas[index]
                if replica.stopped and replica.dropped is None:
                    self.state.replicas[index] = replace(replica, dropped=now.epochs)
                elif not replica.stopped:
                    self.finish(index, f"dropped after epoch {now.epochs}", dropped=now.epochs)

    def _score_at(self, index: int, epochs: int) -> float:
        """The loss by which a replica was to be judged after so many epochs."""
        curve = self.state.replicas[index].monitored()[:epochs]
        lowest = any(isinstance(rule, EarlyStopping) for rule in self.rules)
        return min(map(score, curve if lowest else curve[-1:]), default=np.inf)

    def _train_all(self, waiting: deque[int], trainer: Trainer, now: _Round) -> None:
        """Take replica after replica until none is left."""
        while not self._cancelled:
            try:
                index = waiting.popleft()  # each thread takes the next one
            except IndexError:
                return
            known = index in self.state.replicas or trainer.settings.restarts == 1
            if known and index in self.state.lives:
                trainer.restore(self.state.lives[index].tensors)
                trainer.become(index)
                self.state.replicas.setdefault(index, Replica())
            else:
                self.begin(index, trainer)
            self._busy.add(index)  # until all is said about its last epoch, nobody else drops it
            self._train_replica(index, trainer, now)
            self._busy.discard(index)
            if not self._cancelled:
                self._drop(now)

    def _train_in_threads(self, waiting: deque[int], now: _Round) -> None:
        """One thread a trainer; this thread shows, saves and calls back what they report."""
        reports: Reports = queue.SimpleQueue()
        self._reports = reports

        def work(trainer: Trainer) -> None:
            try:
                self._train_all(waiting, trainer, now)
            except BaseException as error:
                reports.put(error)
            else:
                reports.put(None)

        count = min(len(self.trainers), len(waiting))
        with ThreadPoolExecutor(count, thread_name_prefix="chainrule") as pool:
            try:
                for trainer in self.trainers[:count]:
                    self._working.append(pool.submit(copy_context().run, work, trainer))
                self._listen(reports, count)
            except BaseException:  # Ctrl-C above all: the threads stop at the end of their native call
                self._cancelled = True
                raise
        self._reports = None
        self._save(always=True)

    def _listen(self, reports: Reports, count: int) -> None:
        """Answer what the threads report until all of them are done."""
        while count:
            item = reports.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                count -= 1
            else:
                epoch, trainer, answer = item
                answer.set_result(self._tell(epoch, trainer))
                self._save(always=False)

    def _report(self, reports: Reports, epoch: Epoch, trainer: Trainer) -> str:
        """In a trainer's thread: let the other one tell everybody; what the callbacks say."""
        answer: Future[str] = Future()
        reports.put((epoch, trainer, answer))
        while self.callbacks:  # without any, nobody's answer is waited for
            with contextlib.suppress(TimeoutError):
                return answer.result(timeout=0.1)
            if self._cancelled:  # then nobody answers any more
                raise _Cancelled
        return ""

    def _work_remains(self) -> bool:
        done = sum(bool(replica.stopped) for replica in self.state.replicas.values())
        return done < self.trainer.settings.restarts

    def begin(self, index: int, trainer: Trainer) -> None:
        """Start a replica."""
        trainer.begin(index)
        self.state.lives[index] = Live.start(trainer.snapshot())
        self.state.replicas[index] = Replica()

    def _train_replica(self, index: int, trainer: Trainer, now: _Round) -> None:
        while not self._reached(index, now.epochs) and not self._cancelled:
            # the rules are asked before an epoch, so that a resumed run asks them as well
            live = self.state.lives[index]
            done = ALL_EPOCHS if live.epochs >= self.epochs else ""
            reason = rules_say(self.rules, live, trainer) or done or self._some_epochs(index, trainer, now)
            if reason:
                self.finish(index, reason, trainer)
            if self._reports is None:
                self._save(always=not self._work_remains())

    def _some_epochs(self, index: int, trainer: Trainer, now: _Round) -> str:
        """Train at least one epoch; a reason to stop after it, or nothing.

        Several at once take less time around them, and are trained where nobody wants to look in between.
        """
        live, started = self.state.lives[index], time.perf_counter()
        saved = self.saver is not None and self.saver.pause < VISIT_SECONDS
        slow = trainer.settings.executor == "interpreted"
        watched = self.callbacks or self.rules or saved or slow or index in self._careful
        count = 1 if watched else min(self._at_once.get(id(trainer), 1), now.epochs - live.epochs)
        results, reason = self._ran(index, trainer, live.epochs, count)
        seconds = (time.perf_counter() - started) / count
        self._at_once[id(trainer)] = min(8 * count, max(1, int(VISIT_SECONDS / max(seconds, 1e-9))))
        if reason and count > 1:  # once more one by one, to find the epoch
            self._careful.add(index)
            trainer.restore(live.tensors)
            return ""
        if reason:
            explain(index, live, trainer, reason, self.nonfinite, self.line, self._tick)
            return reason
        return self.after_epochs(index, results, seconds, trainer)

    def _ran(self, index: int, trainer: Trainer, first: int, count: int) -> tuple[list[EpochResult], str]:
        """What epochs gave, and why they cannot be kept, or nothing."""
        watch = self.nonfinite != "ignore"
        try:
            results = trainer.run_epochs(index, first, count, self._tick, watch)
        except CutShortError as found:
            evaluated = "loss at its end" if trainer.validation is None else "validation loss"
            return [], f"diverged: {found.describe(evaluated)} in epoch {first + count}"
        return results, diverged(trainer, first + count, results) if watch else ""

    def _tick(self) -> None:
        if self._cancelled:
            raise _Cancelled
        if self._reports is None:
            self.display.tick()

    def after_epochs(
        self, index: int, results: Sequence[EpochResult], seconds: float, trainer: Trainer
    ) -> str:
        """Enter finished epochs into the run and tell everybody; a callback's reason to stop, or nothing."""
        # a checkpoint may be written by another thread meanwhile
        commit(self.state, index, results, trainer, self.rules, in_place=self.saver is None)
        last = results[-1]
        epoch = Epoch(
            number=self.state.lives[index].epochs,
            epochs=self.epochs,
            replica=index,
            restarts=trainer.settings.restarts,
            loss=last.loss,
            validation_loss=last.validation_loss,
            gradient_norm=last.gradient_norm,
            steps=last.steps,
            seconds=seconds,
            model=trainer.model,
            optimizer=trainer.optimizer,
        )
        reports = self._reports
        return self._tell(epoch, trainer) if reports is None else self._report(reports, epoch, trainer)

    def _tell(self, epoch: Epoch, trainer: Trainer) -> str:
        """Show the epoch and ask the callbacks, with the model in the state that the replica is in."""
        self.display.epoch(epoch)
        if not self.callbacks:
            return ""
        with trainer.shown():
            answers = [callback(epoch) for callback in self.callbacks]
        # what a callback wrote into the parameters is part of the run too
        live = self.state.lives[epoch.replica]
        self.state.lives[epoch.replica] = replace(live, tensors=trainer.snapshot())
        stop = any(isinstance(answer, bool | np.bool_) and answer for answer in answers)
        return f"stopped by a callback after epoch {epoch.number}" if stop else ""

    def finish(
        self, index: int, reason: str, trainer: Trainer | None = None, dropped: int | None = None
    ) -> None:
        """End a replica; a ``trainer`` takes the loss by which it is compared with others, if that is not known."""
        self.display.ended(index)
        replica = replace(ended(self.state, index, reason), dropped=dropped)
        compared = self.trainer.settings.restarts > 1 and replica.kept_epoch >= 0
        if trainer is not None and compared and replica.kept_loss is None:
            replica.kept_loss = trainer.training_loss_with(replica.state)
        self.state.replicas[index] = replica
        if self.trainer.settings.restarts > 1:  # a single one may get more epochs when it is resumed
            del self.state.lives[index]

    def _save(self, *, always: bool) -> None:
        """Write the checkpoint; a full disk is no reason to lose the training that it protects."""
        if self.saver is None:
            return
        try:
            self.saver.save(self.state, always=always)
            self._told_of_failure = False
        except FileWriteError as error:
            if not self._told_of_failure:
                self._told_of_failure = True
                text = f"{error.what}; training goes on, and the previous checkpoint is untouched"
                warn(text, self.line)

    def settle(self, interrupted: bool, seconds: float) -> History:
        """However the run ended: the model holds the best replica's parameters, in inference mode.

        The run's state stays as it was, so this may be repeated after an interruption of its own.
        """
        wait(self._working)  # all but done, unless a second Ctrl-C came while they were waited for
        model, replicas = self.trainer.model, dict(self.state.replicas)
        for index, live in self.state.lives.items():
            if index not in replicas or not replicas[index].stopped:
                last = ended(self.state, index, f"interrupted after epoch {live.epochs}")
                # the state may be the memory of the model itself
                replicas[index] = replace(last, state={k: x.copy(order="K") for k, x in last.state.items()})
        history = History([replicas[index] for index in sorted(replicas)], seconds, interrupted, model)
        kept = history.replicas[history.best].state
        if self.trainer.other_parts():  # the run ends with an error that says so
            self.trainer.load(kept)
        else:
            model.load_state_dict(kept)
        model.zero_grad()
        model.eval()
        if self._work_remains():
            self._save(always=True)
        return history


class _Cancelled(Exception):  # noqa: N818 - not an error
    """The run ended in another thread."""

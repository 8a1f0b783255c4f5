"""The loop over the epochs of one replica."""

from __future__ import annotations

import time
from dataclasses import replace

from chainrule.training.divergence import diverged, explain
from chainrule.training.executors import CutShortError
from chainrule.training.replica_state import ALL_EPOCHS, ReplicaState
from chainrule.training.run import Run
from chainrule.training.stopping import reason_to_stop
from chainrule.training.trainer import Trainer

VISIT_SECONDS = 0.1  # about how long epochs take that are trained without looking in between


class Pace:
    """How many epochs a trainer runs at once, which takes less time around them than one by one.

    That many take about a tenth of a second. It is one where somebody wants to look in between.
    """

    def __init__(self, run: Run) -> None:
        saved = run.saver is not None and run.saver.pause < VISIT_SECONDS
        slow = run.trainer.settings.executor == "interpreted"
        self._one_by_one = bool(run.callbacks or run.rules or saved or slow)
        self._at_once = 1

    def epochs(self, most: int) -> int:
        """So many, at most ``most``."""
        return 1 if self._one_by_one else min(self._at_once, most)

    def note(self, count: int, seconds: float) -> None:
        """Remember how long each of so many epochs took."""
        self._at_once = min(8 * count, max(1, int(VISIT_SECONDS / max(seconds, 1e-9))))


def train_replica(run: Run, index: int, trainer: Trainer, pace: Pace, until: int) -> None:
    """Train a replica, which is in the trainer, until it has done ``until`` epochs or ends."""
    watch, most = run.nonfinite != "ignore", trainer.most_epochs()
    needed = trainer.steps_of_an_epoch()
    while not run.reached(index, until) and not run.cancelled:
        now, diverged_now = run.state.unfinished[index], False
        if now.unanswered is not None:
            _ask_again(run, index, now, trainer)
            continue
        # callbacks' answer and rules are looked at before an epoch, so that a resumed run does so as well
        reason = _end_of(run, now, trainer)
        if not reason:
            steps = trainer.compile_steps(needed)  # which is no part of the epoch's time
            count, began = pace.epochs(min(until - now.epochs, most)), time.perf_counter()
            try:
                results = trainer.run_epochs(index, now.epochs, count, steps, run.tick, watch)
                reason = diverged(trainer, now.epochs + count, results) if watch else ""
            except CutShortError as found:
                reason = found.in_epoch(now.epochs + count, validated=trainer.validation is not None)
            seconds = (time.perf_counter() - began) / count
            pace.note(count, seconds)
            if reason and count > 1:  # once more one by one, to find the epoch
                most = 1
                trainer.restore(now.tensors)
                continue
            diverged_now = bool(reason)
            reason = reason or run.enter(index, results, seconds, trainer)
        if diverged_now:
            explain(index, now, trainer, reason, run.nonfinite, run.line, run.tick)
        if reason:
            ended = run.state.ended(index, reason)
            if diverged_now:  # it is this rate that a diagnosis asks about
                ended.lr.extend(trainer.learning_rates(now.tensors, 1))
            if run.compares(ended):
                trainer.take_over(ended.state)
                steps = trainer.compile_steps(trainer.loss_steps(trainer.rows))
                ended = replace(ended, kept_loss=trainer.loss_of(trainer.rows, steps))
            run.finish(index, ended)
        if run.reports is None:
            run.save(always=not run.work_remains())


def _ask_again(run: Run, index: int, now: ReplicaState, trainer: Trainer) -> None:
    """Ask the callbacks that had not answered when the run that this one goes on from ended."""
    assert now.unanswered is not None
    if run.callbacks:
        run.ask(index, now.unanswered, trainer)
    else:
        run.state.unfinished[index] = now.answered(now.tensors, "")


def _end_of(run: Run, now: ReplicaState, trainer: Trainer) -> str:
    """Why a replica goes no further than it is, or nothing."""
    reason = now.stop or reason_to_stop(run.rules, now.epochs, now.improved_epoch, trainer.full_gradient_norm)
    return reason or (ALL_EPOCHS if now.epochs >= run.epochs else "")

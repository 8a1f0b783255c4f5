"""Trains the replicas of a run: in turn, or several at a time, each trainer in a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import wait
from contextvars import copy_context

from chainrule.system.threads import in_thread
from chainrule.training.concurrency import MemoryLimit, at_a_time
from chainrule.training.replica_loop import Pace, train_replica
from chainrule.training.reports import Reports
from chainrule.training.rounds import Round, rounds
from chainrule.training.run import Run
from chainrule.training.trainer import Trainer


def train_replicas(run: Run, workers: int, limit: MemoryLimit) -> None:
    """Train all replicas that have not ended, as many at a time as there are workers or as memory allows."""
    several = run.trainer.settings.restarts > 1 or isinstance(limit, int)
    if several and run.work_remains():  # a step is compiled to be measured
        workers = at_a_time(run.trainer, workers, limit, run.saver is not None)
    trainers = [run.trainer.twin() for _ in range(workers)] if workers > 1 else [run.trainer]
    paces = [Pace(run) for _ in trainers]
    for now in rounds(run):
        if len(trainers) > 1 and len(now.waiting) > 1:
            _train_in_threads(run, now, [*zip(trainers, paces, strict=True)][: len(now.waiting)])
        else:
            for index in now.turns(trainers[0]):
                train_replica(run, index, trainers[0], paces[0], now.epochs)


def _train_in_threads(run: Run, now: Round, trainers: Sequence[tuple[Trainer, Pace]]) -> None:
    """One thread a trainer; this thread shows, saves and calls back what they report."""
    reports = run.reports = Reports(lambda: run.cancelled)

    def work(trainer: Trainer, pace: Pace) -> None:
        try:
            for index in now.turns(trainer):
                train_replica(run, index, trainer, pace, now.epochs)
        except BaseException as error:
            reports.close(error)
        else:
            reports.close(None)

    try:
        for trainer, pace in trainers:
            run.working.append(in_thread(copy_context().run, work, trainer, pace))
        for epoch, trainer, answer in reports.received(len(trainers)):
            answer.set_result(run.tell(epoch, trainer))
            run.save(always=False)
    except BaseException:  # Ctrl-C above all: the threads stop at the end of their native call
        run.cancelled = True
        raise
    finally:
        wait(run.working)
    run.reports = None
    run.save(always=True)

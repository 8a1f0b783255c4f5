"""However a run ends, and whenever: the model holds the best parameters, and a history is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace

from chainrule.system.signals import EndedBySignal, settled_first
from chainrule.training.history import History
from chainrule.training.progress import say
from chainrule.training.run import Run


@contextmanager
def saved(run: Run, resume: bool) -> Iterator[None]:
    """In this block the run's checkpoint, if it has one, is its own; it begins with the run in there to be resumed."""
    if run.saver is None:
        yield
        return
    with settled_first():
        try:
            run.begin_saving(run.saver, resume)
            yield
        finally:
            run.saver.close()


def complete(run: Run, work: Callable[[], None]) -> History:
    """Do the work; whatever ends it, and whenever, leave the model settled."""
    started, ended = time.perf_counter(), None
    while True:
        try:
            if ended is None:
                with run.display:
                    # a tracing or no_grad block that an interruption left half closed ends with this copy
                    copy_context().run(work)
            history = settled(run, isinstance(ended, KeyboardInterrupt), time.perf_counter() - started)
            break
        except BaseException as error:
            if ended is not None and not isinstance(error, KeyboardInterrupt):
                raise
            ended = ended or error  # Ctrl-C again, while settling: settle once more
    if isinstance(ended, EndedBySignal):
        say(f"ended by a signal {history.describe_kept()}; the run can be resumed")
        raise ended
    if history.interrupted:
        say(f"interrupted; the model holds its parameters {history.describe_kept()}")
    elif ended is not None:
        raise ended
    run.trainer.check_parts()
    return history


def settled(run: Run, interrupted: bool, seconds: float) -> History:
    """Give the model the best replica's parameters, in inference mode; what the run leaves behind.

    The run's state stays as it was, so this may be repeated after an interruption of its own.
    """
    wait(run.working)  # all but done, unless a second Ctrl-C came while they were waited for
    trainer, replicas = run.trainer, dict(run.state.replicas)
    for index, state in run.state.unfinished.items():
        if index not in replicas or not replicas[index].stopped:
            last = run.state.ended(index, f"interrupted after epoch {state.epochs}")
            # the state may be the memory of the model itself
            replicas[index] = replace(last, state={k: x.copy(order="K") for k, x in last.state.items()})
    begun = [replicas[index] for index in sorted(replicas)]
    history = History(
        replicas=begun,
        seconds=seconds,
        interrupted=interrupted,
        model=trainer.model,
        optimizer=dict(run.optimizer),
        batch_size=trainer.settings.batch_size,
        not_begun=trainer.settings.restarts - len(begun),
        folds=trainer.folds,
        output_kind=run.output_kind,
        inputs=trainer.shared.x if trainer.folds else None,
    )
    kept = history.replicas[history.best].state
    if trainer.other_parts():  # the run ends with an error that says so
        trainer.load(kept)
    else:
        trainer.model.load_state_dict(kept)
    trainer.model.zero_grad()
    trainer.model.eval()
    if run.work_remains():
        run.save(always=True)
    return history

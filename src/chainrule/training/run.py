"""A run under way: its replicas begin, their finished epochs are entered and told of, and they end.

``rounds.py`` says which of them train until when, ``replica_loop.py`` trains one, and ``completion.py`` says what
holds however a run ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.errors import SourceLine
from chainrule.nonfinite import NonFinite
from chainrule.training.checkpoint import Saver
from chainrule.training.ensemble import OutputKind
from chainrule.training.epoch_result import EpochResult
from chainrule.training.history import Replica
from chainrule.training.progress import Display, Epoch
from chainrule.training.replica_state import ALL_EPOCHS, ReplicaState, RunState, Unanswered
from chainrule.training.reports import Reports, RunEndedError
from chainrule.training.stopping import StopRule
from chainrule.training.trainer import Trainer
from chainrule.training.training_warning import warn

Callback = Callable[[Epoch], object]


@dataclass(kw_only=True)
class Run:
    """What a run consists of: who trains, when it ends, who watches, and what is already done.

    An exception, Ctrl-C above all, may end the run at any moment. Therefore ``state`` changes by single assignments,
    and ``completion.settled`` derives everything else from it. Callbacks, display and checkpoint belong to the
    thread that called ``fit``; ``reports`` is there while others train. ``line`` is where ``fit`` was called.
    """

    trainer: Trainer
    optimizer: Mapping[str, object]  # its description
    epochs: int
    rules: Sequence[StopRule]
    callbacks: Sequence[Callback]
    display: Display
    saver: Saver | None
    state: RunState
    line: SourceLine | None
    nonfinite: NonFinite = "warn"
    output_kind: OutputKind = "numbers"
    reports: Reports | None = None
    cancelled: bool = False
    resumed: bool = False
    token: object = field(default_factory=object)  # by which callbacks tell this run from another
    working: list[Future[None]] = field(default_factory=list)

    # A replica's way through the run

    def begin(self, index: int, trainer: Trainer) -> None:
        """Start a replica."""
        trainer.begin(index)
        self.state.unfinished[index] = ReplicaState.start(trainer.snapshot())
        self.state.replicas[index] = Replica()

    def enter(self, index: int, results: Sequence[EpochResult], seconds: float, trainer: Trainer) -> str:
        """Make finished epochs part of the run and tell everybody; a callback's reason to stop, or nothing."""
        told = Unanswered(steps=results[-1].steps, seconds=seconds)
        self.state.enter(
            index,
            results,
            trainer,
            self.rules,
            in_place=self.saver is None,  # a checkpoint may be written by another thread meanwhile
            unanswered=told if self.callbacks else None,
        )
        return self.ask(index, told, trainer)

    def ask(self, index: int, told: Unanswered, trainer: Trainer) -> str:
        """Tell everybody of a replica's last epoch; a callback's reason to stop, or nothing."""
        number, replica = self.state.unfinished[index].epochs, self.state.replicas[index]
        epoch = Epoch(
            number=number,
            epochs=self.epochs,
            replica=index,
            restarts=trainer.settings.restarts,
            loss=replica.loss[number - 1],
            validation_loss=replica.validation_loss[number - 1] if replica.validation_loss else None,
            gradient_norm=replica.gradient_norm[number - 1],
            lr_at_start=replica.lr[number - 1] if replica.lr else None,
            steps=told.steps,
            seconds=told.seconds,
            model=trainer.model,
            optimizer=trainer.optimizer,
            run=self.token,
            resumed=self.resumed,
        )
        if self.reports is None:
            return self.tell(epoch, trainer)
        # waking the other thread takes as long as a tiny network's epoch
        heard = bool(self.callbacks or self.saver or self.display.shown)
        return self.reports.send(epoch, trainer, wait=bool(self.callbacks)) if heard else ""

    def tell(self, epoch: Epoch, trainer: Trainer) -> str:
        """Show the epoch and ask the callbacks, with the model in the state that the replica is in.

        All that they did, what they wrote into the parameters and their wish to stop, becomes part of the run at
        once. Until then they have not been asked: a run that goes on from there asks all of them.
        """
        self.display.epoch(epoch)
        if not self.callbacks:
            return ""
        with trainer.shown():
            answers = [callback(epoch) for callback in self.callbacks]
        stop = any(isinstance(answer, bool | np.bool_) and answer for answer in answers)
        reason = f"stopped by a callback after epoch {epoch.number}" if stop else ""
        before = self.state.unfinished[epoch.replica]
        self.state.unfinished[epoch.replica] = before.answered(trainer.snapshot(), reason)
        return reason

    def compares(self, ended: Replica) -> bool:
        """Whether the loss of its kept parameters, which decides among replicas, is yet to be taken."""
        several = self.trainer.settings.restarts > 1
        return several and ended.kept_epoch >= 0 and ended.kept_loss is None

    def finish(self, index: int, ended: Replica) -> None:
        """End a replica."""
        self.display.ended(index)
        self.state.replicas[index] = ended
        if self.trainer.settings.restarts > 1:  # a single one may get more epochs when it is resumed
            del self.state.unfinished[index]

    def reached(self, index: int, epochs: int) -> bool:
        """Whether a replica has finished so many epochs, or has ended."""
        if index in self.state.replicas and self.state.replicas[index].stopped:
            return True
        state = self.state.unfinished.get(index)
        # whether all epochs are done, or a callback ends it, is for the loop to find out, which then does so
        may_wait = epochs < self.epochs and index in self.state.replicas
        return may_wait and state is not None and state.is_settled and state.epochs >= epochs

    def tick(self) -> None:
        """What is done ten times a second while native code runs: show progress, or give up in a thread."""
        if self.cancelled:
            raise RunEndedError
        if self.reports is None:
            self.display.tick()

    def work_remains(self) -> bool:
        """Whether there is a replica that has not ended."""
        replicas = self.state.replicas
        if len(replicas) < self.trainer.settings.restarts:  # asked after each of very many
            return True
        return not all(replica.stopped for replica in replicas.values())

    # The checkpoint

    def begin_saving(self, saver: Saver, resume: bool) -> None:
        """Take over the run in the checkpoint if it is to be resumed, else save this one for the first time.

        What cannot be written to at all is an error now; a full disk is none, as later on.
        """
        fresh = self.state
        self.state = saver.opened(fresh, fresh.unfinished[0].tensors, resume)
        self.resumed = self.state is not fresh
        if saver.changed:
            what = " and ".join(saver.changed)
            text = f"a callback had changed {what}, which the checkpoint does not hold: the run goes on with what was"
            warn(f"{text} given to fit, until a callback changes it again", self.line)
        alone = self.state.replicas.get(0) if self.trainer.settings.restarts == 1 else None
        if alone is not None and alone.stopped == ALL_EPOCHS:  # there may be more epochs now
            self.state.replicas[0] = replace(alone, stopped="")

    def save(self, *, always: bool) -> None:
        """Write the checkpoint, if there is one and it is time to."""
        if self.saver is not None:
            self.saver.keep(self.state, always=always)

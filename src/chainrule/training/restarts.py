"""Trains one replica after the other, epoch by epoch, and keeps what must survive a stop at any moment."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.training.checkpoint import Live, RunState, Saver
from chainrule.training.history import Replica
from chainrule.training.progress import Display, Epoch
from chainrule.training.stopping import EarlyStopping, GradientNorm, StopRule
from chainrule.training.trainer import Trainer

Callback = Callable[[Epoch], object]


class TrainingWarning(UserWarning):
    """Training ended in a way that the user should know about."""


@dataclass
class Run:
    """A run under way: who trains, when it ends, who watches, and what is already done."""

    trainer: Trainer
    epochs: int
    rules: Sequence[StopRule]
    callbacks: Sequence[Callback]
    display: Display
    saver: Saver | None
    state: RunState

    @property
    def early_stopping(self) -> EarlyStopping | None:
        """The rule that keeps the best epoch's parameters, if there is one."""
        return next((rule for rule in self.rules if isinstance(rule, EarlyStopping)), None)

    def train(self) -> None:
        """Train all replicas that are not finished yet."""
        restarts = self.trainer.settings.restarts
        self.trainer.restore(self.state.live.tensors)
        if self.state.replicas and not self.state.replicas[-1].stopped:
            self._train_replica(self.state.replicas[-1])
        while len(self.state.replicas) < restarts:
            self.trainer.begin(len(self.state.replicas))
            self.state.live = Live(0, 0, self.trainer.snapshot(), {})
            self.state.replicas.append(Replica())
            self._train_replica(self.state.replicas[-1])

    def _train_replica(self, replica: Replica) -> None:
        while not replica.stopped:
            stopped = "all epochs done" if len(replica.loss) >= self.epochs else self._one_epoch(replica)
            if stopped:
                self.finish(replica, stopped)
            if self.saver is not None:
                last = bool(stopped) and len(self.state.replicas) == self.trainer.settings.restarts
                self.saver.save(self.state, always=last)

    def _one_epoch(self, replica: Replica) -> str:
        """Train one epoch; the reason to stop after it, or nothing."""
        index, started = len(self.state.replicas) - 1, time.perf_counter()
        result = self.trainer.run_epoch(index, len(replica.loss), self.display.tick)
        validation = self.trainer.validation_loss() if self.trainer.validation is not None else None
        bad = [v for v in (result.loss, validation) if v is not None and not np.isfinite(v)]
        if bad:
            return self._diverged(replica, bad[0])
        epoch = Epoch(
            number=len(replica.loss) + 1,
            epochs=self.epochs,
            replica=index,
            restarts=self.trainer.settings.restarts,
            loss=result.loss,
            validation_loss=validation,
            gradient_norm=result.gradient_norm,
            steps=result.steps,
            seconds=time.perf_counter() - started,
            model=self.trainer.model,
        )
        return self.after_epoch(replica, epoch, result.steps)

    def after_epoch(self, replica: Replica, epoch: Epoch, steps: int) -> str:
        """Enter a finished epoch into the run and tell everybody; the reason to stop after it, or nothing."""
        replica.loss.append(epoch.loss)
        replica.gradient_norm.append(epoch.gradient_norm)
        if epoch.validation_loss is not None:
            replica.validation_loss.append(epoch.validation_loss)
        self._commit(replica, steps)
        self.display.epoch(epoch)
        stopped = self._rules_say(replica)
        for callback in self.callbacks:
            if callback(epoch):
                stopped = stopped or f"stopped by a callback after epoch {epoch.number}"
        return stopped

    def _commit(self, replica: Replica, steps: int) -> None:
        """Make the epoch part of the run: after this single assignment an interruption does not lose it."""
        tensors, best = self.trainer.snapshot(), self.state.live.best
        stopping = self.early_stopping
        if stopping and best_epoch(replica.monitored(), stopping.min_delta) == len(replica.loss) - 1:
            best = tensors
        self.state.live = Live(len(replica.loss), self.state.live.steps + steps, tensors, best)

    def _diverged(self, replica: Replica, value: float) -> str:
        self.trainer.restore(self.state.live.tensors)
        reason = f"diverged: the loss became {value} in epoch {len(replica.loss) + 1}"
        warnings.warn(
            f"replica {len(self.state.replicas) - 1} {reason}; its parameters are those of the last finite "
            "epoch. Try a smaller step size, clip_norm=1.0, or standardised inputs.",
            TrainingWarning,
            stacklevel=2,
        )
        return reason

    def _rules_say(self, replica: Replica) -> str:
        number = len(replica.loss)
        for rule in self.rules:
            if isinstance(rule, GradientNorm):
                norm = self.trainer.full_gradient_norm()
                if norm <= rule.tolerance:
                    at = f"gradient norm {norm:.3g} <= {rule.tolerance:g} after epoch {number}"
                    return f"critical point reached: {at}"
            else:
                best = best_epoch(replica.monitored(), rule.min_delta)
                if number - 1 - best >= rule.patience:
                    return f"no improvement in {rule.patience} epochs after epoch {best + 1}"
        return ""

    def finish(self, replica: Replica, stopped: str) -> None:
        """End a replica: note why, which epoch's parameters it ends with, and keep those."""
        live, stopping = self.state.live, self.early_stopping
        replica.trim(live.epochs)
        kept, replica.kept_epoch, replica.steps = live.tensors, live.epochs - 1, live.steps
        if stopping is not None and live.best:
            kept, replica.kept_epoch = live.best, best_epoch(replica.monitored(), stopping.min_delta)
        prefix = "model."
        replica.state = {k[len(prefix) :]: v for k, v in kept.items() if k.startswith(prefix)}
        replica.stopped = stopped

    def interrupt(self) -> None:
        """After Ctrl-C: go back to the last finished epoch, save it for resuming, and end the replica there."""
        self.trainer.restore(self.state.live.tensors)
        if not self.state.replicas or self.state.replicas[-1].stopped:
            return
        replica = self.state.replicas[-1]
        replica.trim(self.state.live.epochs)
        if self.saver is not None:
            self.saver.save(self.state, always=True)
        self.finish(replica, f"interrupted after epoch {len(replica.loss)}")


def best_epoch(curve: Sequence[float], min_delta: float) -> int:
    """Index of the last epoch that improved on all before it by more than ``min_delta``."""
    best = 0
    for i, value in enumerate(curve):
        if value < curve[best] - min_delta:
            best = i
    return best

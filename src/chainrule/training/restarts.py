"""Trains one replica after the other, epoch by epoch, and keeps what must survive a stop at any moment."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.errors import user_line
from chainrule.files import FileWriteError
from chainrule.training.checkpoint import Live, RunState, Saver, model_part
from chainrule.training.history import History, Replica
from chainrule.training.progress import Display, Epoch
from chainrule.training.stopping import EarlyStopping, GradientNorm, StopRule
from chainrule.training.trainer import Trainer

Callback = Callable[[Epoch], object]
ALL_EPOCHS = "all epochs done"


class TrainingWarning(UserWarning):
    """Training ended in a way that the user should know about, or its checkpoint could not be written."""


@dataclass
class Run:
    """A run under way: who trains, when it ends, who watches, and what is already done.

    An exception, Ctrl-C above all, may end it at any moment. Therefore ``state`` changes by single
    assignments, and ``settle`` derives everything else from it.
    """

    trainer: Trainer
    epochs: int
    rules: Sequence[StopRule]
    callbacks: Sequence[Callback]
    display: Display
    saver: Saver | None
    state: RunState
    _told_of_failure: bool = False

    @property
    def replica(self) -> Replica:
        """The one that is being trained, or was trained last."""
        return self.state.replicas[-1]

    def train(self) -> None:
        """Train all replicas that are not finished yet."""
        self.trainer.restore(self.state.live.tensors)
        while self._work_remains():
            if not self.state.replicas or self.replica.stopped:
                self.begin()
            self._train_replica()

    def _work_remains(self) -> bool:
        done = sum(bool(replica.stopped) for replica in self.state.replicas)
        return done < self.trainer.settings.restarts

    def begin(self) -> None:
        """Start the next replica."""
        self.trainer.begin(len(self.state.replicas))
        self.state.live = Live.start(self.trainer.snapshot())
        self.state.replicas.append(Replica())

    def _train_replica(self) -> None:
        while not self.replica.stopped:
            # the rules are asked before an epoch, so that a resumed run asks them as well
            done = ALL_EPOCHS if self.state.live.epochs >= self.epochs else ""
            reason = self.rules_say() or done or self._one_epoch()
            if reason:
                self.finish(reason)
            self._save(always=not self._work_remains())

    def _one_epoch(self) -> str:
        """Train one epoch; a reason to stop after it, or nothing."""
        number, index, started = self.state.live.epochs + 1, len(self.state.replicas) - 1, time.perf_counter()
        result = self.trainer.run_epoch(index, number - 1, self.display.tick)
        validation = self.trainer.validation_loss()
        diverged = self._diverged(number, result.loss, validation)
        if diverged:
            return diverged
        epoch = Epoch(
            number=number,
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
        return self.after_epoch(epoch)

    def after_epoch(self, epoch: Epoch) -> str:
        """Enter a finished epoch into the run and tell everybody; a callback's reason to stop, or nothing."""
        self._commit(epoch)
        self.display.epoch(epoch)
        if not self.callbacks:
            return ""
        self.trainer.model.eval()  # a callback that calls the model must not drop units or move moments
        answers = [callback(epoch) for callback in self.callbacks]
        # what a callback wrote into the parameters is part of the run too
        self.state.live = replace(self.state.live, tensors=self.trainer.snapshot())
        stop = any(isinstance(answer, bool | np.bool_) and answer for answer in answers)
        return f"stopped by a callback after epoch {epoch.number}" if stop else ""

    def _commit(self, epoch: Epoch) -> None:
        """Make the epoch part of the run: after the last assignment an interruption does not lose it."""
        live, replica = self.state.live, self.replica
        replica.loss.append(epoch.loss)
        replica.gradient_norm.append(epoch.gradient_norm)
        if epoch.validation_loss is not None:
            replica.validation_loss.append(epoch.validation_loss)
        tensors, steps = self.trainer.snapshot(), live.steps + epoch.steps
        now, best, best_epoch, improved = live.epochs, live.best, live.best_epoch, live.improved_epoch
        rule = next((rule for rule in self.rules if isinstance(rule, EarlyStopping)), None)
        if rule is not None:
            curve = replica.monitored()
            if best_epoch < 0 or curve[now] < curve[best_epoch]:
                best, best_epoch = model_part(tensors), now
            if improved < 0 or curve[now] < curve[improved] - rule.min_delta:
                improved = now
        self.state.live = Live(now + 1, steps, tensors, best, best_epoch, improved)

    def _diverged(self, number: int, loss: float, validation: float | None) -> str:
        """Why the epoch cannot be kept: a loss or a parameter that is not finite; nothing if it can."""
        if not np.isfinite(loss):
            what = f"the loss became {loss}"
        elif validation is not None and not np.isfinite(validation):
            what = f"the validation loss became {validation}"
        elif not self.trainer.is_finite():
            what = "a parameter or the optimizer's state is no longer finite"
        else:
            return ""
        reason = f"diverged: {what} in epoch {number}"
        warn(
            f"replica {len(self.state.replicas) - 1} {reason}; its parameters are those of the last finite "
            "epoch. Try a smaller step size, clip_norm=1.0, or standardised inputs."
        )
        return reason

    def rules_say(self) -> str:
        """A stop rule's reason to end the replica, or nothing; depends on the run's state alone."""
        live = self.state.live
        for rule in self.rules if live.epochs else ():
            if isinstance(rule, GradientNorm):
                norm = self.trainer.full_gradient_norm()
                if norm <= rule.tolerance:
                    at = f"gradient norm {norm:.3g} <= {rule.tolerance:g} after epoch {live.epochs}"
                    return f"critical point reached: {at}"
            elif live.epochs - 1 - live.improved_epoch >= rule.patience:
                return f"no improvement in {rule.patience} epochs after epoch {live.improved_epoch + 1}"
        return ""

    def finish(self, reason: str) -> None:
        """End the replica."""
        self.state.replicas[-1] = self._ended(self.replica, reason)

    def _ended(self, replica: Replica, reason: str) -> Replica:
        """The replica with the parameters of its last finished epoch or, for early stopping, of its best."""
        live = self.state.live
        replica.trim(live.epochs)
        kept = (live.best, live.best_epoch) if live.best else (model_part(live.tensors), live.epochs - 1)
        return replace(replica, state=kept[0], kept_epoch=kept[1], steps=live.steps, stopped=reason)

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
                warn(f"{error.what}; training goes on, and the previous checkpoint is untouched")

    def settle(self, interrupted: bool, seconds: float) -> History:
        """However the run ended: the model holds the best replica's parameters, in inference mode.

        The run's state stays as it was, so this may be repeated after an interruption of its own.
        """
        model, replicas = self.trainer.model, list(self.state.replicas)
        if not replicas or not self.replica.stopped:
            last = replicas.pop() if replicas else Replica()
            replicas.append(self._ended(last, f"interrupted after epoch {self.state.live.epochs}"))
        history = History(replicas, seconds, interrupted, model)
        model.load_state_dict(replicas[history.best].state)
        model.zero_grad()
        model.eval()
        if self._work_remains():
            self._save(always=True)
        return history


def warn(text: str) -> None:
    """A TrainingWarning at the user's line."""
    warnings.warn_explicit(text, TrainingWarning, *(user_line() or ("chainrule", 0)))

"""The state of a run between two epochs: what every replica has done, and what it needs to go on.

An interruption may come at any moment, so a state changes by single assignments and is never half true. A checkpoint
(``checkpoint.py``) is this state in a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.ops.record import Array
from chainrule.training.epoch_result import EpochResult
from chainrule.training.history import Replica
from chainrule.training.stopping import EarlyStopping, StopRule
from chainrule.training.trainer import MODEL, Trainer

ALL_EPOCHS = "all epochs done"
#: what a replica has an entry of for every epoch
CURVES = ("loss", "validation_loss", "gradient_norm", "end_loss", "lr")


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """What callbacks are to be told of an epoch beyond what the curves hold: its steps, and its seconds."""

    steps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ReplicaState:
    """An unfinished replica after its last finished epoch: one object, replaced whole, so never half true.

    ``best`` holds the model's tensors at the lowest loss and ``best_epoch`` that epoch, ``improved_epoch`` the last one
    that improved enough for early stopping to go on waiting (epochs counted from 0; -1: none yet). ``unanswered`` is
    set from the end of an epoch until all callbacks have returned: ``tensors`` are then those before the first
    callback, so that all of them can be asked again. ``stop`` is the callbacks' reason to end the replica, or empty.
    """

    epochs: int
    steps: int
    tensors: dict[str, Array]
    best: dict[str, Array]
    best_epoch: int = -1
    improved_epoch: int = -1
    unanswered: Unanswered | None = None
    stop: str = ""

    @classmethod
    def start(cls, tensors: dict[str, Array]) -> ReplicaState:
        """Before the first epoch."""
        return cls(epochs=0, steps=0, tensors=tensors, best={})

    def answered(self, tensors: dict[str, Array], stop: str) -> ReplicaState:
        """The state once all callbacks have returned."""
        return replace(self, tensors=tensors, unanswered=None, stop=stop)

    @property
    def is_settled(self) -> bool:
        """Whether the callbacks have answered, and want to go on."""
        return self.unanswered is None and not self.stop


@dataclass
class RunState:
    """The replicas begun so far, by number, and of those that are not finished the state to go on from."""

    replicas: dict[int, Replica]
    unfinished: dict[int, ReplicaState]

    def enter(
        self,
        index: int,
        results: Sequence[EpochResult],
        trainer: Trainer,
        rules: Sequence[StopRule],
        *,
        in_place: bool,
        unanswered: Unanswered | None = None,
    ) -> None:
        """Make finished epochs part of the run: an interruption after the last assignment does not lose them.

        Unless ``in_place``, what the state holds is never written to again. ``unanswered`` is given where there are
        callbacks to be asked about the last of these epochs.
        """
        before, replica = self.unfinished[index], self.replicas[index]
        _extend(replica, results)
        tensors = trainer.arrays if in_place else trainer.snapshot()
        epochs = before.epochs + len(results)
        best, best_epoch, improved_epoch = _best(before, replica, epochs - 1, tensors, rules)

        def after(tensors: dict[str, Array]) -> ReplicaState:
            return ReplicaState(
                epochs=epochs,
                steps=before.steps + sum(result.steps for result in results),
                tensors=tensors,
                best=best,
                best_epoch=best_epoch,
                improved_epoch=improved_epoch,
                unanswered=unanswered,
            )

        self.unfinished[index] = after(tensors)
        if in_place:  # the trainer's own memory is the state until it is copied to where it was before
            trainer.copy_into(before.tensors)
            self.unfinished[index] = after(before.tensors)

    def ended(self, index: int, reason: str) -> Replica:
        """The replica with the parameters of its last finished epoch or, for early stopping, of its best."""
        state, replica = self.unfinished[index], self.replicas.get(index, Replica())
        curves = {name: getattr(replica, name)[: state.epochs] for name in CURVES}
        kept, epoch = (
            (state.best, state.best_epoch) if state.best else (model_part(state.tensors), state.epochs - 1)
        )
        taken = curves["validation_loss"] or curves["end_loss"]
        return replace(
            replica,
            **curves,
            state=kept,
            kept_epoch=epoch,
            kept_loss=taken[epoch] if taken and epoch >= 0 else None,
            steps=state.steps,
            stopped=reason,
        )


def _extend(replica: Replica, results: Sequence[EpochResult]) -> None:
    """Append epochs to the curves; what was not taken has no entry."""
    for name in CURVES:
        found = [getattr(result, name) for result in results]
        getattr(replica, name).extend(x for x in found if x is not None)


def _best(
    before: ReplicaState,
    replica: Replica,
    now: int,
    tensors: dict[str, Array],
    rules: Sequence[StopRule],
) -> tuple[dict[str, Array], int, int]:
    """The best parameters so far, their epoch and the last one that improved, where early stopping asks for them."""
    best, best_epoch, improved = before.best, before.best_epoch, before.improved_epoch
    rule = next((rule for rule in rules if isinstance(rule, EarlyStopping)), None)
    if rule is not None:
        curve = replica.monitored()
        if best_epoch < 0 or score(curve[now]) < score(curve[best_epoch]):
            best, best_epoch = {k: x.copy(order="K") for k, x in model_part(tensors).items()}, now
        if improved < 0 or score(curve[now]) < score(curve[improved]) - rule.min_delta:
            improved = now
    return best, best_epoch, improved


def score(loss: float) -> float:
    """A loss to compare by: NaN is worse than every number."""
    return math.inf if math.isnan(loss) else loss


def model_part(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The model's own among a state's tensors, under the names that the model gives them."""
    return {name.removeprefix(MODEL): value for name, value in tensors.items() if name.startswith(MODEL)}

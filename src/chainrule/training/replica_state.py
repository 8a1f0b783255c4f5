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
#: what a replica has a number of for every epoch
CURVES = ("loss", "validation_loss", "gradient_norm", "end_loss", "lr")
PARTS = "part_losses"  # of which it has several numbers for every epoch


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """What callbacks are to be told of an epoch beyond what the curves hold: its steps, and its seconds."""

    steps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ReplicaState:
    """An unfinished replica after its last finished epoch: one object, replaced whole, so never half true.

    ``best`` holds the model's tensors at the lowest loss and ``best_epochs`` that epoch, ``improved_epochs`` the last
    one that improved enough for early stopping to go on waiting (counted from 0; none before the first). If the loss is
    the mean of losses of the model's parts, there is one of each for every part, by its own loss. ``unanswered`` is
    set from the end of an epoch until all callbacks have returned: ``tensors`` are then those before the first
    callback, so that all of them can be asked again. ``stop`` is the callbacks' reason to end the replica, or empty.
    """

    epochs: int
    steps: int
    tensors: dict[str, Array]
    best: dict[str, Array]
    best_epochs: tuple[int, ...] = ()
    improved_epochs: tuple[int, ...] = ()
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
    def best_epoch(self) -> int:
        """The best epoch, of several parts the latest; -1 before the first."""
        return max(self.best_epochs, default=-1)

    @property
    def improved_epoch(self) -> int:
        """The last epoch in which the loss, or that of any part, improved enough; -1 before the first."""
        return max(self.improved_epochs, default=-1)

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
        best, best_epochs, improved_epochs = _best(before, replica, epochs - 1, tensors, rules, trainer.parts)

        def after(tensors: dict[str, Array]) -> ReplicaState:
            return ReplicaState(
                epochs=epochs,
                steps=before.steps + sum(result.steps for result in results),
                tensors=tensors,
                best=best,
                best_epochs=best_epochs,
                improved_epochs=improved_epochs,
                unanswered=unanswered,
            )

        self.unfinished[index] = after(tensors)
        if in_place:  # the trainer's own memory is the state until it is copied to where it was before
            trainer.copy_into(before.tensors)
            self.unfinished[index] = after(before.tensors)

    def ended(self, index: int, reason: str) -> Replica:
        """The replica with the parameters of its last finished epoch or, for early stopping, of its best."""
        state, replica = self.unfinished[index], self.replicas.get(index, Replica())
        curves = {name: getattr(replica, name)[: state.epochs] for name in (*CURVES, PARTS)}
        kept, epochs = (
            (state.best, state.best_epochs)
            if state.best
            else (model_part(state.tensors), (state.epochs - 1,))
        )
        taken = curves["validation_loss"] or curves["end_loss"]
        loss = taken[epochs[0]] if taken and epochs[0] >= 0 else None
        if len(epochs) > 1:
            loss = sum(replica.watched(epoch)[part] for part, epoch in enumerate(epochs)) / len(epochs)
        return replace(
            replica,
            **curves,
            state=kept,
            kept_epoch=max(epochs),
            kept_epochs=epochs if len(epochs) > 1 else (),
            kept_loss=loss,
            steps=state.steps,
            stopped=reason,
        )


def _extend(replica: Replica, results: Sequence[EpochResult]) -> None:
    """Append epochs to the curves; what was not taken has no entry."""
    for name in CURVES:
        found = [getattr(result, name) for result in results]
        getattr(replica, name).extend(x for x in found if x is not None)
    replica.part_losses.extend(result.part_losses for result in results if result.part_losses)


def _best(
    before: ReplicaState,
    replica: Replica,
    now: int,
    tensors: dict[str, Array],
    rules: Sequence[StopRule],
    parts: Sequence[str],
) -> tuple[dict[str, Array], tuple[int, ...], tuple[int, ...]]:
    """The best parameters so far, their epochs and the last that improved, where early stopping asks for them.

    The names of each part's tensors begin with one of ``parts``. What ``before`` holds is left as it is: it may be on
    its way into a checkpoint.
    """
    rule = next((rule for rule in rules if isinstance(rule, EarlyStopping)), None)
    if rule is None:
        return before.best, before.best_epochs, before.improved_epochs
    best = before.best
    better = _lower(replica, now, before.best_epochs)
    if any(better):
        prefixes = parts if replica.part_losses else ("",)
        fresh = tuple(prefix for prefix, is_better in zip(prefixes, better, strict=True) if is_better)
        own = model_part(tensors).items()
        best = {name: x.copy(order="K") if name.startswith(fresh) else best[name] for name, x in own}
    improved = _lower(replica, now, before.improved_epochs, rule.min_delta)
    return best, _moved(before.best_epochs, better, now), _moved(before.improved_epochs, improved, now)


def _lower(replica: Replica, now: int, epochs: Sequence[int], by: float = 0.0) -> list[bool]:
    """Whether the loss of each part is lower now than in an earlier epoch, by more than so much."""
    losses = replica.watched(now)
    if not epochs:
        return [True] * len(losses)
    former = [replica.watched(epoch)[part] for part, epoch in enumerate(epochs)]
    return [score(loss) < score(before) - by for loss, before in zip(losses, former, strict=True)]


def _moved(epochs: Sequence[int], moves: Sequence[bool], now: int) -> tuple[int, ...]:
    """The epochs, of which some become the present one."""
    return tuple(now if moved else epoch for moved, epoch in zip(moves, epochs or moves, strict=True))


def score(loss: float) -> float:
    """A loss to compare by: NaN is worse than every number."""
    return math.inf if math.isnan(loss) else loss


def model_part(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The model's own among a state's tensors, under the names that the model gives them."""
    return {name.removeprefix(MODEL): value for name, value in tensors.items() if name.startswith(MODEL)}

"""Whether what stands in a checkpoint fits together: curves, epochs and numbers of replicas."""

from __future__ import annotations

from chainrule.errors import ShapeError
from chainrule.training.history import Replica
from chainrule.training.replica_state import ReplicaState


def check_meaning(
    replicas: dict[int, Replica], unfinished: dict[int, ReplicaState], restarts: int, parts: int = 0
) -> None:
    """ShapeError unless curves, epochs and numbers of replicas fit together, as they do in what ``Saver`` writes.

    The loss is the mean of ``parts`` losses, if that is not 0.
    """
    for replica in replicas.values():
        _check_parts(replica, parts)
    for unended in unfinished.values():
        _check_epochs(unended, parts)
    counts = [count for replica in replicas.values() for count in (replica.steps, replica.dropped or 0)]
    counts += [count for state in unfinished.values() for count in (state.steps, state.epochs)]
    require(all(0 <= count < 2**63 for count in counts), "numbers of steps and epochs from 0 on")
    known = all(0 <= index < restarts for index in (*replicas, *unfinished))
    require(known, f"replicas from 0 to {restarts - 1}")
    begun = all(state.epochs == 0 for index, state in unfinished.items() if index not in replicas)
    require(begun, "the curves of every replica that has begun")
    for index, replica in replicas.items():
        epochs = len(replica.loss)
        lengths = {len(replica.validation_loss), len(replica.end_loss)}
        require(len(replica.gradient_norm) == epochs and lengths <= {0, epochs}, "curves of one length")
        # the epoch that diverged has a learning rate and nothing else; with L-BFGS there are none
        require(len(replica.lr) in (0, epochs, epochs + 1), "learning rates of the same epochs")
        require(-1 <= replica.kept_epoch < epochs, "a kept epoch that there was")
        require(bool(replica.state or not replica.stopped), "the parameters of every replica that has ended")
        state = unfinished.get(index)
        if state is not None and not replica.stopped:
            require(state.epochs == epochs == len(replica.lr or replica.loss), "curves up to the last epoch")


def _check_parts(replica: Replica, parts: int) -> None:
    """ShapeError unless each loss that was watched has the losses of the parts whose mean it is."""
    epochs = len(replica.validation_loss or replica.end_loss) if parts else 0
    fits = len(replica.part_losses) == epochs and all(len(losses) == parts for losses in replica.part_losses)
    require(fits, f"losses of {parts} parts in every epoch")
    kept = replica.kept_epochs
    fits = len(kept) in (0, parts) and (not kept or (min(kept) >= 0 and max(kept) == replica.kept_epoch))
    require(fits, f"a kept epoch of each of {parts} parts")


def _check_epochs(state: ReplicaState, parts: int) -> None:
    """ShapeError unless an unfinished replica has epochs of as many parts as the model has."""
    for epochs in (state.best_epochs, state.improved_epochs):
        fits = len(epochs) == ((parts or 1) if state.best else 0)
        require(fits and all(0 <= epoch < state.epochs for epoch in epochs), "epochs of each part")


def require(fits: bool, expected: str) -> None:
    """ShapeError, which says what was expected, unless it fits."""
    if not fits:
        raise ShapeError(f"its parts do not fit together, there should be {expected}")

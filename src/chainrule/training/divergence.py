"""Numbers that are no longer finite, or a loss that rises: whether a replica diverged, and what the user is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from chainrule.errors import NonFiniteError, SourceLine, describe_line
from chainrule.nonfinite import NonFinite
from chainrule.training.epoch_result import EpochResult
from chainrule.training.nonfinite import first_bad_step
from chainrule.training.replica_state import ReplicaState
from chainrule.training.trainer import Trainer
from chainrule.training.training_warning import warn

SMALLER_STEPS = "Try smaller steps, clip_norm=1.0, or standardised X and y."
RISE = 2.0  # times the first epoch's loss: a run that ends above it has learned nothing


def diverged(trainer: Trainer, number: int, results: Sequence[EpochResult]) -> str:
    """What diverged in the epochs up to ``number``, naming the first non-finite number; empty if nothing did."""
    bad = next((result for result in results if not result.is_finite()), None)
    if bad is None and trainer.is_finite():
        return ""
    what = "a parameter or the optimizer's state is no longer finite" if bad is None else _first_of(bad)
    return f"diverged: {what} in epoch {number}"


def _first_of(result: EpochResult) -> str:
    """The first of an epoch's numbers that is not finite, in words."""
    numbers = {
        "the loss": result.loss,
        "the gradient's norm": result.gradient_norm,
        "the validation loss": result.validation_loss,
        "the loss at its end": result.end_loss,
    }
    found = ((name, x) for name, x in numbers.items() if x is not None and not math.isfinite(x))
    return next(f"{name} became {x}" for name, x in found)


def explain(
    index: int,
    before: ReplicaState,
    trainer: Trainer,
    reason: str,
    nonfinite: NonFinite,
    line: SourceLine | None,
    tick: Callable[[], None],
) -> None:
    """Warn that a replica diverged, naming the first non-finite value; NonFiniteError if ``nonfinite="raise"``.

    ``before`` is the replica's state at the start of the epoch that diverged, which is run once more.
    """
    found = first_bad_step(trainer, index, before.tensors, before.epochs, before.steps, tick)
    what = f"replica {index} {reason}; its parameters are those of the last finite epoch."
    if found is None:
        found = NonFiniteError(f"{what} {SMALLER_STEPS}")
    else:
        found.what = f"{what} {found.what[0].upper()}{found.what[1:]}"
        found.where = found.where or describe_line(line)
    if nonfinite == "raise":
        raise found
    warn(str(found), line, index, reason)


def risen(curve: Sequence[float]) -> str:
    """What to say of a curve of losses that ends far above where it began; empty otherwise."""
    first, last = (curve[0], curve[-1]) if len(curve) > 1 else (0.0, 0.0)
    if not (first > 0 and last > RISE * first):
        return ""
    return f"the training loss rose from {first:.4g} in the first epoch to {last:.4g} in the last"

"""The life of one replica: its epochs are entered, a rule or a bad number ends it, and what is kept of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

from chainrule.errors import NonFiniteError, SourceLine, describe_line
from chainrule.nonfinite import NonFinite
from chainrule.training.checkpoint import CURVES, Live, RunState, model_part
from chainrule.training.history import Replica
from chainrule.training.nonfinite import first_bad_step
from chainrule.training.stopping import EarlyStopping, GradientNorm, StopRule
from chainrule.training.trainer import EpochResult, Trainer

ALL_EPOCHS = "all epochs done"
SMALLER_STEPS = "Try smaller steps, clip_norm=1.0, or standardised X and y."
RISE = 2.0  # times the first epoch's loss: what ends above has not been trained


class TrainingWarning(UserWarning):
    """Training ended in a way that the user should know about, or its checkpoint could not be written.

    To make an error of it, for example in a test::

        warnings.simplefilter("error", cr.TrainingWarning)
    """


def commit(
    state: RunState,
    index: int,
    results: Sequence[EpochResult],
    trainer: Trainer,
    rules: Sequence[StopRule],
    in_place: bool,
) -> None:
    """Make epochs part of the run: after the last assignment an interruption does not lose them.

    Unless ``in_place``, what the state holds is never written to again.
    """
    live, replica = state.lives[index], state.replicas[index]
    replica.loss.extend(result.loss for result in results)
    replica.gradient_norm.extend(result.gradient_norm for result in results)
    replica.validation_loss.extend(r.validation_loss for r in results if r.validation_loss is not None)
    replica.end_loss.extend(result.end_loss for result in results if result.end_loss is not None)
    tensors = trainer.arrays if in_place else trainer.snapshot()
    steps = live.steps + sum(result.steps for result in results)
    now, best, best_epoch, improved = (
        live.epochs + len(results) - 1,
        live.best,
        live.best_epoch,
        live.improved_epoch,
    )
    rule = next((rule for rule in rules if isinstance(rule, EarlyStopping)), None)
    if rule is not None:
        curve = replica.monitored()
        if best_epoch < 0 or score(curve[now]) < score(curve[best_epoch]):
            best, best_epoch = {k: x.copy(order="K") for k, x in model_part(tensors).items()}, now
        if improved < 0 or score(curve[now]) < score(curve[improved]) - rule.min_delta:
            improved = now
    done = Live(now + 1, steps, tensors, best, best_epoch, improved)
    state.lives[index] = done
    if in_place:  # the trainer's own memory is the state until it is copied to where it was before
        trainer.copy_into(live.tensors)
        state.lives[index] = replace(done, tensors=live.tensors)


def score(loss: float) -> float:
    """A loss to compare by: one that is not a number is the worst, whenever it comes."""
    return math.inf if math.isnan(loss) else loss


def rules_say(rules: Sequence[StopRule], live: Live, trainer: Trainer) -> str:
    """A stop rule's reason to end the replica, or nothing; depends on the run's state alone."""
    for rule in rules if live.epochs else ():
        if isinstance(rule, GradientNorm):
            norm = trainer.full_gradient_norm()
            if norm <= rule.tolerance:
                at = f"gradient norm {norm:.3g} <= {rule.tolerance:g} after epoch {live.epochs}"
                return f"critical point reached: {at}"
        elif live.epochs - 1 - live.improved_epoch >= rule.patience:
            return f"no improvement in {rule.patience} epochs after epoch {live.improved_epoch + 1}"
    return ""


def diverged(trainer: Trainer, number: int, results: Sequence[EpochResult]) -> str:
    """Why epochs cannot be kept: a loss or a parameter that is not finite; nothing if they can."""
    for result in results:
        if not math.isfinite(result.loss):
            what = f"the loss became {result.loss}"
            break
        if not math.isfinite(result.gradient_norm):
            what = f"the gradient's norm became {result.gradient_norm}"
            break
        if result.validation_loss is not None and not math.isfinite(result.validation_loss):
            what = f"the validation loss became {result.validation_loss}"
            break
        if result.end_loss is not None and not math.isfinite(result.end_loss):
            what = f"the loss at its end became {result.end_loss}"
            break
    else:
        if trainer.is_finite():
            return ""
        what = "a parameter or the optimizer's state is no longer finite"
    return f"diverged: {what} in epoch {number}"


def explain(
    index: int,
    live: Live,
    trainer: Trainer,
    reason: str,
    nonfinite: NonFinite,
    line: SourceLine | None,
    tick: Callable[[], None],
) -> None:
    """Tell the user why a replica ends, with the first bad number; NonFiniteError where that is wanted."""
    found = first_bad_step(trainer, index, live.tensors, live.epochs, live.steps, tick)
    what = f"replica {index} {reason}; its parameters are those of the last finite epoch."
    if found is None:
        text = f"{what} Try a smaller step size, clip_norm=1.0, or standardised inputs."
        found = NonFiniteError(text)
    else:
        found.what = f"{what} {found.what[0].upper()}{found.what[1:]}"
        found.where = found.where or describe_line(line)
    if nonfinite == "raise":
        raise found
    warn(str(found), line)


def ended(state: RunState, index: int, reason: str) -> Replica:
    """The replica with the parameters of its last finished epoch or, for early stopping, of its best."""
    live, replica = state.lives[index], state.replicas.get(index, Replica())
    curves = {name: getattr(replica, name)[: live.epochs] for name in CURVES}
    kept, epoch = (live.best, live.best_epoch) if live.best else (model_part(live.tensors), live.epochs - 1)
    taken = curves["validation_loss"] or curves["end_loss"]
    return replace(
        replica,
        **curves,
        state=kept,
        kept_epoch=epoch,
        kept_loss=taken[epoch] if taken and epoch >= 0 else None,
        steps=live.steps,
        stopped=reason,
    )


def risen(curve: Sequence[float]) -> str:
    """What a curve of losses says that ends far above where it began; nothing otherwise."""
    first, last = (curve[0], curve[-1]) if len(curve) > 1 else (0.0, 0.0)
    if not (first > 0 and last > RISE * first):
        return ""
    return f"the training loss rose from {first:.4g} in the first epoch to {last:.4g} in the last"


def warn(text: str, line: SourceLine | None) -> None:
    """A TrainingWarning at the user's line."""
    warnings.warn_explicit(text, TrainingWarning, *(line or ("chainrule", 0)))

"""What makes a run the same as another: only such a one may be resumed from a checkpoint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from chainrule.errors import SettingError, SourceLine
from chainrule.ops.record import Array
from chainrule.optim.schedules import describe_rate
from chainrule.training.batches import Rows
from chainrule.training.checkpoint import Checkpoint, Saver
from chainrule.training.folds import Fold
from chainrule.training.sparse_rows import Matrix, is_sparse
from chainrule.training.trainer import Trainer


def checkpoint_of(checkpoint: str | Path | Checkpoint | None, resume: bool) -> Checkpoint | None:
    """Where the run is saved, if anywhere; SettingError where nothing names the run that is to be resumed."""
    if checkpoint is None and resume:
        raise SettingError(
            "resume=True needs the checkpoint to go on from", hint='checkpoint="run.safetensors"'
        )
    return checkpoint if isinstance(checkpoint, Checkpoint | None) else Checkpoint(checkpoint)


def saver_of(
    checkpoint: Checkpoint, trainer: Trainer, epochs: int, line: SourceLine | None, **given: object
) -> Saver:
    """A saver that knows what makes this run the same as another: what was ``given`` for it, and its data."""
    settings = trainer.settings
    description = {
        "model": describe(trainer.model),
        "loss": describe(trainer.objective.loss),
        **{name: describe(thing) for name, thing in given.items()},
        "data": digest(trainer.shared, trainer.validation, folds=trainer.folds),
        # a single replica may go on for longer; of several, the first ones are already done
        "epochs": epochs if settings.restarts > 1 else None,
        **asdict(settings),
    }
    return Saver(checkpoint, description, partial(_changeable, trainer), line, len(trainer.parts))


def _changeable(trainer: Trainer) -> dict[str, str]:
    """What callbacks may change and a checkpoint does not hold, as text: all but numbers in arrays."""
    parts = [] if trainer.optimizer is None else trainer.optimizer.parts()
    optimizers = [
        part.describe() | {"lr": describe_rate(part.lr) if callable(part.lr) else None} for part in parts
    ]
    return {"the model": describe(trainer.model), "the optimizer": describe(optimizers)}


def describe(thing: object) -> str:
    """``repr`` without the memory addresses of functions, so that it is the same in another process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(thing))


def digest(*parts: Rows | None, folds: Sequence[Fold] = ()) -> str:
    """Tells other data, and other rows of them for any replica, from these."""
    sha = hashlib.sha256()
    for part in parts:
        for array in () if part is None else (*_arrays(part.x), part.y):
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            sha.update(array.data if array.size else b"")
        sha.update(b";")
    for fold in folds:
        for numbers in (fold.train, fold.validation):
            sha.update(f"{len(numbers)};".encode())
            sha.update(numbers.data)
    return sha.hexdigest()


def _arrays(x: Matrix) -> tuple[Array, ...]:
    """The memory of rows, be they sparse or not."""
    if not is_sparse(x):
        return (np.asarray(x),)
    return x.data, x.indices, x.indptr, np.array(x.shape)

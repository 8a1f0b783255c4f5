"""A run on disk: everything that a killed run needs to go on as if it had never been killed."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import ModelFileError, SettingError, ShapeError
from chainrule.files import load_tensors, save_tensors
from chainrule.ops.record import Array
from chainrule.training.batches import Rows
from chainrule.training.history import Replica
from chainrule.training.sparse_rows import is_sparse
from chainrule.training.trainer import MODEL

CURVES = ("loss", "validation_loss", "gradient_norm", "end_loss")
_FACTS = ("steps", "stopped", "kept_epoch", "kept_loss", "dropped")  # of a replica
_COUNTS = ("epochs", "steps", "best_epoch", "improved_epoch")  # of an unfinished one


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is saved; ``seconds`` is the least time between two saves (the end is always saved).

    >>> import numpy as np
    >>> import tempfile, pathlib
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.npz")
    ...     for epochs in (2, 5):
    ...         history = cr.fit(
    ...             nn.Linear(1, 1, seed=0), (x, 2 * x), loss=nn.squared_error, optimizer=optim.SGD(0.1),
    ...             epochs=epochs, seed=0, checkpoint=cr.Checkpoint(path, seconds=60), resume=path.exists(),
    ...         )
    >>> history.loss.shape
    (1, 5)
    """

    path: str | Path
    seconds: float = 1.0


@dataclass(frozen=True)
class Live:
    """An unfinished replica after its last finished epoch: one object, replaced whole, so never half true.

    ``best`` and the two epochs (counted from 0; -1: none yet) serve early stopping: the model's tensors at
    the lowest loss, and the last epoch that improved enough to go on waiting.
    """

    epochs: int
    steps: int
    tensors: dict[str, Array]
    best: dict[str, Array]
    best_epoch: int = -1
    improved_epoch: int = -1

    @classmethod
    def start(cls, tensors: dict[str, Array]) -> Live:
        """Before the first epoch."""
        return cls(0, 0, tensors, {})


@dataclass
class RunState:
    """A run between two epochs: the replicas begun so far by number, and of those under way their state."""

    replicas: dict[int, Replica]
    lives: dict[int, Live]


class Saver:
    """Writes a run's state to its checkpoint, not more often than asked; knows what run it belongs to."""

    def __init__(self, checkpoint: Checkpoint, description: dict[str, Any]) -> None:
        self.path, self.pause = Path(checkpoint.path), checkpoint.seconds
        self._description: dict[str, Any] = json.loads(json.dumps(description))
        self._last = -np.inf

    def save(self, run: RunState, *, always: bool = False) -> None:
        """Save unless the last save was too recent; FileWriteError leaves the previous checkpoint."""
        now = time.monotonic()
        if not always and now - self._last < self.pause:
            return
        self._last = now
        replicas, lives = dict(run.replicas), dict(run.lives)  # other threads go on
        tensors: dict[str, Array] = {}
        for i, live in lives.items():
            tensors |= {f"live/{i}/{k}": v for k, v in live.tensors.items()}
            tensors |= {f"best/{i}/{k}": v for k, v in live.best.items()}
        for i, replica in replicas.items():
            for curve in CURVES:
                values = getattr(replica, curve)[: lives[i].epochs if i in lives else None]
                tensors[f"replica/{i}/{curve}"] = np.array(values, np.float64)
            tensors |= {f"replica/{i}/state/{k}": v for k, v in replica.state.items()}
        metadata = {
            "run": self._description,
            "replicas": {str(i): {name: getattr(r, name) for name in _FACTS} for i, r in replicas.items()},
            "lives": {str(i): {name: getattr(r, name) for name in _COUNTS} for i, r in lives.items()},
        }
        save_tensors(self.path, tensors, metadata, kind="checkpoint")

    def start(self, run: RunState) -> None:
        """Save before the first epoch, so that a path that cannot be written to shows at once.

        Raises FileWriteError, or SettingError rather than replace a file that is not a checkpoint.
        """
        if self.path.is_file():
            try:
                load_tensors(self.path, kind="checkpoint")
            except ModelFileError as error:
                raise SettingError(
                    f"{self.path} exists and is not a checkpoint that could be replaced",
                    got=error.what,
                    hint="name another file, or remove that one",
                ) from None
        self.save(run, always=True)

    def load(self, like: dict[str, Array]) -> RunState:
        """Read a run back whose tensors are like these.

        Raises SettingError where it was started with other settings, ModelFileError for a damaged file.
        """
        tensors, metadata = load_tensors(self.path, kind="checkpoint")
        self._check_same(metadata.get("run"))
        try:
            replicas = {int(i): _read_replica(tensors, i, fact) for i, fact in metadata["replicas"].items()}
            lives = {int(i): _read_live(tensors, i, counts) for i, counts in metadata["lives"].items()}
            for live in lives.values():
                _check_like(live.tensors, like)
            kept = [
                *(live.best for live in lives.values()),
                *(replica.state for replica in replicas.values()),
            ]
            for state in kept:
                if state:
                    _check_like(state, model_part(like))
        except (AttributeError, KeyError, TypeError, ValueError, ShapeError) as error:
            raise ModelFileError(f"{self.path}: the checkpoint is damaged", got=repr(error)) from None
        return RunState(replicas, lives)

    def _check_same(self, saved: Any) -> None:
        if not isinstance(saved, dict):
            raise ModelFileError(f"{self.path}: the checkpoint is damaged", got=f"run {saved!r}")
        names = [name for name, value in self._description.items() if saved.get(name) != value]
        if names:
            raise SettingError(
                f"{self.path}: the checkpoint belongs to another run",
                expected="; ".join(f"{name} {saved.get(name)}" for name in names),
                got="; ".join(f"{name} {self._description[name]}" for name in names),
                hint="repeat that run's model, data and settings, or start afresh with resume=False",
            )


def describe(thing: object) -> str:
    """``repr`` without the memory addresses of functions, so that it is the same in another process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(thing))


def digest(*parts: Rows | None) -> str:
    """Tells other data from these."""
    sha = hashlib.sha256()
    for part in parts:
        for array in () if part is None else (*_arrays(part.x), part.y):
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            sha.update(array.data if array.size else b"")
        sha.update(b";")
    return sha.hexdigest()


def _arrays(x: Any) -> tuple[Array, ...]:
    """The memory of rows, be they sparse or not."""
    return (x.data, x.indices, x.indptr, np.array(x.shape)) if is_sparse(x) else (x,)


def model_part(tensors: dict[str, Array]) -> dict[str, Array]:
    """The model's own among a state's tensors, under the names that the model gives them."""
    return _part(tensors, MODEL)


def _part(tensors: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _check_like(found: dict[str, Array], like: dict[str, Array]) -> None:
    forms = [{name: (array.shape, array.dtype) for name, array in part.items()} for part in (found, like)]
    if forms[0] != forms[1]:
        raise ShapeError("the tensors are not those of this run", expected=forms[1], got=forms[0])


def _read_replica(tensors: dict[str, Array], index: str, fact: dict[str, Any]) -> Replica:
    curves = {curve: tensors[f"replica/{index}/{curve}"].tolist() for curve in CURVES}
    kept_loss = fact["kept_loss"]
    return Replica(
        **curves,
        steps=int(fact["steps"]),
        stopped=str(fact["stopped"]),
        kept_epoch=int(fact["kept_epoch"]),
        kept_loss=None if kept_loss is None else float(kept_loss),
        dropped=None if fact["dropped"] is None else int(fact["dropped"]),
        state=_part(tensors, f"replica/{index}/state/"),
    )


def _read_live(tensors: dict[str, Array], index: str, counts: dict[str, Any]) -> Live:
    return Live(
        **{name: int(counts[name]) for name in _COUNTS},
        tensors=_part(tensors, f"live/{index}/"),
        best=_part(tensors, f"best/{index}/"),
    )

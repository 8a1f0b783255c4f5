"""A run on disk: all that a killed run needs to continue as if it had never been killed."""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import ModelFileError, SettingError, ShapeError, SourceLine
from chainrule.files import USUAL, FileWriteError, load_tensors, save_tensors
from chainrule.foreign_text import WIDTH, clipped, quoted
from chainrule.ops.record import Array
from chainrule.optim.settings import check_count, check_number, keep_checked
from chainrule.system.locks import FileLock, alone_in
from chainrule.system.temporaries import remove_abandoned
from chainrule.training.checkpoint_meaning import check_meaning, require
from chainrule.training.history import Replica
from chainrule.training.replica_state import CURVES, PARTS, ReplicaState, RunState, Unanswered, model_part
from chainrule.training.training_warning import warn

_FACTS = ("steps", "stopped", "kept_epoch", "kept_loss", "dropped")  # of a replica
_COUNTS = ("epochs", "steps", "best_epoch", "improved_epoch")  # of an unfinished one
_EPOCHS = ("best_epochs", "improved_epochs")  # of its parts, where the model has several


@dataclass(frozen=True)
class Checkpoint:
    """The file that a run is saved to, at most once in ``seconds`` seconds; the end of a run is always saved.

    ``mode`` holds the permissions of a new file, from which the process's umask is taken: 0o600 keeps it private.
    ``settings`` are texts by name that the file keeps: where another run is to be resumed from it, the error names
    those that differ. Raises SettingError for a path that is none, and for settings out of range.

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

    path: str | PathLike[str]
    seconds: float = 1.0
    mode: int = USUAL
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | PathLike) or "\0" in str(self.path):
            raise SettingError(
                "a checkpoint's path must be a text or a Path",
                got=quoted(self.path),
                hint='"run.safetensors"',
            )
        whole = isinstance(self.seconds, float) and self.seconds == math.inf  # the end alone is saved then
        seconds = math.inf if whole else check_number("seconds", self.seconds, least=0)
        keep_checked(self, seconds=seconds, mode=check_count("mode", self.mode, least=0, most=0o7777))


_MAY_PASS = ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "ESTALE", "ETIMEDOUT", "EMFILE", "ENFILE")
#: a disk that is full, a network that is away, too many open files; not every system has all of them
PASSING = {getattr(errno, name) for name in _MAY_PASS if hasattr(errno, name)}


#: what JSON holds of a replica
Facts = dict[str, Any]


class Saver:
    """Writes a run's state to its checkpoint, no more often than asked, and reads it back for the same run only.

    ``description`` identifies the run. ``settings`` describes what callbacks may change and the checkpoint does not
    hold; ``changed`` names those settings that differ in the run that was loaded. The loss is the mean of ``parts``
    losses, if that is not 0. From ``opened`` until ``close`` no other run saves to the same file. A relative path is
    resolved once, at the start. Warnings point to ``line``.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        description: dict[str, object],
        settings: Callable[[], dict[str, str]],
        line: SourceLine | None = None,
        parts: int = 0,
    ) -> None:
        self._parts = parts
        self.path, self.pause = Path(checkpoint.path).absolute(), checkpoint.seconds
        self._mode, self._lock = checkpoint.mode, FileLock(Path(os.path.realpath(self.path)))
        self._description: Facts = json.loads(json.dumps(description))
        self._settings, self._line = settings, line
        self._told = dict(checkpoint.settings)
        self.changed: list[str] = []
        self._last, self._failing = -np.inf, False

    def keep(self, run: RunState, *, always: bool) -> None:
        """Save as ``save`` does; a full disk is no reason to lose the training that the file protects."""
        try:
            self.save(run, always=always)
            self._failing = False
        except FileWriteError as error:
            self._warn_once(error)

    def _warn_once(self, error: FileWriteError) -> None:
        """Warn that it could not be saved, once until that works again."""
        if not self._failing:
            self._failing = True
            left = ", and the previous checkpoint is untouched" if os.path.lexists(self.path) else ""
            warn(f"{error.what}; training goes on{left}; saving is tried again", self._line)

    def save(self, run: RunState, *, always: bool = False) -> None:
        """Save unless the last save was too recent; FileWriteError leaves the previous checkpoint."""
        now = time.monotonic()
        if not always and now - self._last < self.pause:
            return
        self._last = now
        # other threads go on: a replica that ends in between is there twice, and its end is what counts
        unfinished, replicas = dict(run.unfinished), dict(run.replicas)
        tensors: dict[str, Array] = {}
        for i, state in unfinished.items():
            tensors |= {f"live/{i}/{k}": v for k, v in state.tensors.items()}
            tensors |= {f"best/{i}/{k}": v for k, v in state.best.items()}
        for i, replica in replicas.items():
            finished = unfinished[i].epochs if i in unfinished and not replica.stopped else None
            for curve in CURVES:
                values = getattr(replica, curve)[:finished]
                tensors[f"replica/{i}/{curve}"] = np.array(values, np.float64)
            if self._parts:
                several = np.array(replica.part_losses[:finished], np.float64)
                tensors[f"replica/{i}/{PARTS}"] = several.reshape(-1, self._parts)
            tensors |= {f"replica/{i}/state/{k}": v for k, v in replica.state.items()}
        metadata = {
            "run": self._description,
            "settings": self._settings(),
            "told": self._told,
            "replicas": {str(i): _facts_of_replica(replica) for i, replica in replicas.items()},
            "lives": {str(i): _facts_of(state) for i, state in unfinished.items()},
        }
        self._take()
        save_tensors(self.path, tensors, metadata, kind="checkpoint", mode=self._mode, lock=self._lock)

    def _take(self) -> None:
        """Lock the file; CheckpointInUseError if another run holds it."""
        if not self._lock.take():
            raise CheckpointInUseError(
                f"another run saves to {self.path}",
                expected="a checkpoint for each run",
                hint="name another file, or wait for that run to end",
            )

    def close(self) -> None:
        """Unlock the file."""
        self._lock.release()

    def opened(self, fresh: RunState, like: dict[str, Array], resume: bool) -> RunState:
        """Return the run to continue: the one in the file, or the fresh one, which is saved at once.

        Raises as ``start`` and ``load``, and CheckpointInUseError where another run saves to the same file. A disk
        that is full is no error but a TrainingWarning.
        """
        with alone_in(self.path.parent):  # two that begin at once: one of them sees the other's file
            self._take()
            remove_abandoned(self._lock.path)  # a run that has nothing left to do writes nothing
            if resume and exists(self.path):
                return self.load(like)
            try:
                self.start(fresh)
            except FileWriteError as error:
                if not may_pass(error):
                    raise
                self._warn_once(error)
        return fresh

    def start(self, run: RunState) -> None:
        """Save before the first epoch, so that a path that cannot be written to shows at once.

        Raises FileWriteError, or SettingError rather than replace a file that is not a checkpoint.
        """
        if exists(self.path) and self.path.is_file():
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
        """Read back a run whose tensors have the names, shapes and dtypes of ``like``.

        Raises SettingError if it was started with other settings, ModelFileError for a damaged file.
        """
        tensors, metadata = load_tensors(self.path, kind="checkpoint")
        self._check_same(metadata.get("run"), metadata.get("told"))
        try:
            settings = metadata["settings"]
            self.changed = [name for name, text in self._settings().items() if settings[name] != text]
            replicas = {int(i): _read_replica(tensors, i, fact) for i, fact in metadata["replicas"].items()}
            unfinished = {int(i): _read_state(tensors, i, fact) for i, fact in metadata["lives"].items()}
            for state in unfinished.values():
                _check_like(state.tensors, like)
            kept = [
                *(state.best for state in unfinished.values()),
                *(replica.state for replica in replicas.values()),
            ]
            for part in kept:
                if part:
                    _check_like(part, model_part(like))
            check_meaning(replicas, unfinished, self._description["restarts"], self._parts)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, ShapeError) as error:
            raise ModelFileError(f"{self.path}: the checkpoint is damaged", got=quoted(error)) from None
        return RunState(replicas, unfinished)

    def _check_same(self, saved: object, told: object) -> None:
        if not isinstance(saved, dict):
            raise ModelFileError(f"{self.path}: the checkpoint is damaged", got=f"run {quoted(saved)}")
        if all(saved.get(name) == value for name, value in self._description.items()):
            return
        then, now = told if isinstance(told, dict) else {}, self._told
        if not any(then.get(name) != value for name, value in now.items()):
            then, now = _in_words(saved, "as they were"), _in_words(self._description, "as they are now")
        names = [name for name in now if then.get(name) != now[name]]
        raise SettingError(
            f"{self.path}: the checkpoint belongs to another run",
            expected="; ".join(f"{name} {clipped(then.get(name), WIDTH)}" for name in names),
            got="; ".join(f"{name} {clipped(now[name], WIDTH)}" for name in names),
            hint="repeat that run's model, data and settings, or name another checkpoint for a new run",
        )


def _in_words(description: dict[str, Any], when: str) -> dict[str, Any]:
    """What makes a run the same, with words in place of most of the digest of its data."""
    return description | {"data": f"rows {when} ({clipped(description.get('data'), 9)})"}


class CheckpointInUseError(FileWriteError):
    """Another run, of this process or another one, saves to the same checkpoint.

    >>> from chainrule.files import FileWriteError
    >>> from chainrule.training import CheckpointInUseError
    >>> issubclass(CheckpointInUseError, FileWriteError)
    True
    """


def begun_in(checkpoint: str | PathLike[str] | Checkpoint | None) -> tuple[int, int] | None:
    """The epochs and replicas of a run of several that a checkpoint holds; None where there is no such run yet.

    Raises ModelFileError for a damaged file.
    """
    path = Path(checkpoint.path if isinstance(checkpoint, Checkpoint) else checkpoint or "")
    if checkpoint is None or not exists(path):
        return None
    run = load_tensors(path, kind="checkpoint")[1].get("run")
    epochs, replicas = (run.get("epochs"), run.get("restarts")) if isinstance(run, dict) else (None, None)
    return (epochs, replicas) if isinstance(epochs, int) and isinstance(replicas, int) else None


def exists(path: Path) -> bool:
    """Whether the file exists; FileWriteError if that cannot be found out, as for a name that is too long."""
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileWriteError(f"{path} cannot be looked up: {reason}", hint="name another file") from error


def may_pass(error: FileWriteError) -> bool:
    """Whether a later try to write may succeed."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in PASSING


def _part(tensors: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _check_like(found: dict[str, Array], like: dict[str, Array]) -> None:
    forms = [{name: (array.shape, array.dtype) for name, array in part.items()} for part in (found, like)]
    if forms[0] != forms[1]:
        raise ShapeError("the tensors are not those of this run", expected=forms[1], got=forms[0])


def _facts_of_replica(replica: Replica) -> Facts:
    """What is no array of a replica."""
    facts = {name: getattr(replica, name) for name in _FACTS}
    return facts | ({"kept_epochs": replica.kept_epochs} if replica.kept_epochs else {})


def _read_replica(tensors: dict[str, Array], index: str, fact: Facts) -> Replica:
    arrays = {curve: tensors[f"replica/{index}/{curve}"] for curve in CURVES if curve != "lr"}
    # in a file of before they were recorded, the learning rates of its epochs are not known
    arrays["lr"] = tensors.get(f"replica/{index}/lr", np.full(len(arrays["loss"]), np.nan))
    require(all(a.dtype == np.float64 and a.ndim == 1 for a in arrays.values()), "curves of float64 [epochs]")
    curves = {curve: array.tolist() for curve, array in arrays.items()}
    kept_loss = fact["kept_loss"]
    return Replica(
        **curves,
        steps=int(fact["steps"]),
        stopped=str(fact["stopped"]),
        kept_epoch=int(fact["kept_epoch"]),
        kept_loss=None if kept_loss is None else float(kept_loss),
        dropped=None if fact["dropped"] is None else int(fact["dropped"]),
        state=_part(tensors, f"replica/{index}/state/"),
        part_losses=_read_parts(tensors.get(f"replica/{index}/{PARTS}")),
        kept_epochs=tuple(map(int, fact.get("kept_epochs", ()))),
    )


def _read_parts(losses: Array | None) -> list[tuple[float, ...]]:
    """The losses of a model's parts after each epoch [epochs, parts]; none where it has no parts."""
    if losses is None:
        return []
    require(losses.dtype == np.float64 and losses.ndim == 2, "losses of parts of float64 [epochs, parts]")
    return [tuple(row) for row in losses.tolist()]


def _facts_of(state: ReplicaState) -> Facts:
    """What is no array of an unfinished replica."""
    facts = {name: getattr(state, name) for name in _COUNTS}
    if len(state.best_epochs) > 1:
        facts |= {name: getattr(state, name) for name in _EPOCHS}
    return facts | {"unanswered": state.unanswered and asdict(state.unanswered), "stop": state.stop}


def _read_state(tensors: dict[str, Array], index: str, facts: Facts) -> ReplicaState:
    told = facts["unanswered"]
    best, improved = (
        _read_epochs(facts, whole, each) for whole, each in zip(_COUNTS[2:], _EPOCHS, strict=True)
    )
    return ReplicaState(
        epochs=int(facts["epochs"]),
        steps=int(facts["steps"]),
        best_epochs=best,
        improved_epochs=improved,
        tensors=_part(tensors, f"live/{index}/"),
        best=_part(tensors, f"best/{index}/"),
        unanswered=told and Unanswered(steps=int(told["steps"]), seconds=float(told["seconds"])),
        stop=str(facts["stop"]),
    )


def _read_epochs(facts: Facts, whole: str, each: str) -> tuple[int, ...]:
    """An epoch of every part, or the only one; none before the first."""
    only = int(facts[whole])
    require(only >= -1, "epochs from 0 on, or -1")
    return tuple(map(int, facts.get(each, [only] * (only >= 0))))

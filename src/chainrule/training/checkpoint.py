"""A run on disk: everything that a killed run needs to go on as if it had never been killed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import ModelFileError, SettingError
from chainrule.files import load_tensors, save_tensors
from chainrule.ops.record import Array
from chainrule.training.history import Replica
from chainrule.training.trainer import Settings

_CURVES = ("loss", "validation_loss", "gradient_norm")


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is saved, and how many seconds at least lie between two saves (the last epoch always is)."""

    path: str | Path
    seconds: float = 1.0


@dataclass(frozen=True)
class Live:
    """The unfinished replica after its last finished epoch: one object, replaced whole, so never half true."""

    epochs: int
    steps: int
    tensors: dict[str, Array]
    best: dict[str, Array]  # the tensors at the best epoch, where early stopping will want them


@dataclass
class RunState:
    """A run between two epochs: all replicas so far, the last of which may be unfinished."""

    replicas: list[Replica]
    live: Live


class Saver:
    """Writes a run's state to its checkpoint, not more often than asked."""

    def __init__(self, checkpoint: Checkpoint, settings: Settings, description: dict[str, Any]) -> None:
        self.path, self._pause = Path(checkpoint.path), checkpoint.seconds
        self._metadata = {"settings": asdict(settings), **description}
        self._last = -np.inf

    def save(self, run: RunState, *, always: bool = False) -> None:
        """Save unless the last save was too recent."""
        now = time.monotonic()
        if not always and now - self._last < self._pause:
            return
        self._last = now
        tensors: dict[str, Array] = {f"live/{k}": v for k, v in run.live.tensors.items()}
        tensors |= {f"best/{k}": v for k, v in run.live.best.items()}
        for i, replica in enumerate(run.replicas):
            for curve in _CURVES:
                tensors[f"replica/{i}/{curve}"] = np.array(getattr(replica, curve), np.float64)
            tensors |= {f"replica/{i}/state/{k}": v for k, v in replica.state.items()}
        facts = [{"steps": r.steps, "stopped": r.stopped, "kept_epoch": r.kept_epoch} for r in run.replicas]
        live = {"epochs": run.live.epochs, "steps": run.live.steps}
        save_tensors(
            self.path, tensors, {**self._metadata, "replicas": facts, "live": live}, kind="checkpoint"
        )

    def load(self) -> RunState:
        """Read the run back; SettingError where it was started with other settings."""
        tensors, metadata = load_tensors(self.path, kind="checkpoint")
        try:
            facts = metadata["replicas"]
            differing = {
                key: (metadata.get(key), value)
                for key, value in self._metadata.items()
                if metadata.get(key) != value
            }
            replicas = [_read_replica(tensors, i, fact) for i, fact in enumerate(facts)]
            epochs, steps = int(metadata["live"]["epochs"]), int(metadata["live"]["steps"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"{self.path}: the checkpoint is damaged", got=repr(error)) from None
        if differing:
            raise SettingError(
                f"{self.path}: the checkpoint belongs to a run with other settings",
                expected="; ".join(f"{key}: {old}" for key, (old, _) in differing.items()),
                got="; ".join(f"{key}: {new}" for key, (_, new) in differing.items()),
                hint="repeat the settings of that run, or start afresh with resume=False",
            )
        return RunState(replicas, Live(epochs, steps, _part(tensors, "live/"), _part(tensors, "best/")))


def _part(tensors: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _read_replica(tensors: dict[str, Array], index: int, fact: dict[str, Any]) -> Replica:
    curves = {curve: tensors[f"replica/{index}/{curve}"].tolist() for curve in _CURVES}
    return Replica(
        **curves,
        steps=int(fact["steps"]),
        stopped=str(fact["stopped"]),
        kept_epoch=int(fact["kept_epoch"]),
        state=_part(tensors, f"replica/{index}/state/"),
    )

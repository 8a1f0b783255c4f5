"""Small runs drawn at random: everything that a run's state may hold, and whatever callbacks do to it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim


def slower(epoch: cr.Epoch) -> None:
    """A rate that follows from the epoch."""
    epoch.optimizer.lr = 0.1 * 0.7**epoch.number


def slower_yet(epoch: cr.Epoch) -> None:
    """A rate that follows from the one before: asked twice about the same epoch, it would show."""
    if epoch.number % 2:
        epoch.optimizer.lr = 0.8 * epoch.optimizer.lr


def shrink(epoch: cr.Epoch) -> None:
    """Other parameters."""
    for parameter in epoch.model.parameters():
        parameter.data[...] *= 1 - 0.01 * (1 + epoch.replica)


def stop(epoch: cr.Epoch) -> bool:
    """Enough, for each replica at another time."""
    return epoch.number >= 5 + 2 * epoch.replica


def step_size(step: int) -> float:
    """An ordinary function of the step, which cannot be traced."""
    return 0.05 / (1 + int(step) // 7)


class Trap:
    """A callback that sends this process a signal, once it is set to."""

    __name__ = "trap"

    def __init__(self) -> None:
        self.calls, self.number = 0, 0

    def set(self, number: int, calls: int) -> None:
        """Send the signal at the so many-th call from now on."""
        self.number, self.calls = number, calls

    def __call__(self, epoch: cr.Epoch) -> None:
        """Count."""
        self.calls -= 1
        if self.calls == 0:
            os.kill(os.getpid(), self.number)


def optimizers(replicas: int) -> list[tuple[Any, bool]]:
    """Optimizers, and whether callbacks can change their rate."""
    return [
        (optim.SGD(0.1, momentum=0.9, nesterov=True), True),
        (optim.Adam(0.02), True),
        (optim.AdamW(optim.CosineDecay(0.05, steps=60), weight_decay=0.1), False),
        (optim.NAdam(step_size), False),
        (optim.RMSprop(optim.Warmup(0.01, steps=9)), False),
        (optim.Adagrad(0.1), True),
        (optim.SGD([0.1 / (1 + i) for i in range(replicas)]), True),
        (optim.groups({"*.bias": optim.SGD(step_size), "*": optim.Adam(0.02)}), False),
    ]


@dataclass
class Plan:
    """One run: how its model is made, its data, and the arguments of ``cr.fit``."""

    model: dict[str, Any]
    rows: int
    settings: dict[str, Any]
    seconds: float  # between two saves
    trap: Trap

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Plan:
        """Any of them."""
        replicas = int(rng.choice([1, 1, 2, 3, 4]))
        optimizer, changes = optimizers(replicas)[rng.integers(8)]
        possible = [shrink, stop] + [slower, slower_yet] * changes
        callbacks: list[Any] = [c for c in possible if rng.random() < 0.4]
        trap = Trap()
        callbacks.insert(int(rng.integers(len(callbacks) + 1)), trap)
        callbacks = callbacks if rng.random() < 0.8 else []
        rules = [rule for rule in (cr.EarlyStopping(3), cr.GradientNorm(1e-3)) if rng.random() < 0.25]
        settings = {
            "loss": nn.squared_error,
            "optimizer": optimizer,
            "epochs": int(rng.integers(3, 14)),
            "batch_size": int(rng.choice([5, 8, 16, 100])),
            "drop_last": bool(rng.random() < 0.2),
            "restarts": cr.Halving(replicas, every=int(rng.integers(1, 4)))
            if replicas > 1 and rng.random() < 0.5
            else replicas,
            "penalty": nn.l2(1e-3) if rng.random() < 0.3 else None,
            "clip_norm": 1.0 if rng.random() < 0.3 else None,
            "stop": rules,
            "callbacks": callbacks,
            "seed": int(rng.integers(100)),
            "executor": "interpreted" if rng.random() < 0.15 else "compiled",
        }
        model = {
            "dropout": 0.3 if rng.random() < 0.4 else 0.0,
            "batch_norm": bool(rng.random() < 0.4),
            "seed": 0,
            "dtype": rng.choice([np.float32, np.float64]),
        }
        return cls(
            model, int(rng.integers(17, 41)), settings, float(rng.choice([0.0, 0.0, 0.005, 1000.0])), trap
        )

    def run(self, path: Path | None = None, threads: int = 1) -> tuple[cr.History, nn.Module]:
        """Train; with a path, go on from the checkpoint there if there is one."""
        rng = np.random.default_rng(self.rows)
        x = rng.normal(size=(self.rows, 3))
        y = np.sin(x[:, :2])
        model = nn.MLP([3, 4, 2], **self.model)
        more: dict[str, Any] = {}
        if path is not None:
            more = {"checkpoint": cr.Checkpoint(path, seconds=self.seconds), "resume": True}
        held_out = (x[:6], y[:6]) if self.rows % 3 else None
        settings = self.settings | more
        return cr.fit(model, (x, y), validation=held_out, threads=threads, progress=False, **settings), model

    def __str__(self) -> str:
        names = [c.__name__ for c in self.settings["callbacks"]]
        return (
            f"{self.model}, {self.rows} rows, {self.settings | {'callbacks': names}}, every {self.seconds} s"
        )


def facts(history: cr.History, model: nn.Module) -> dict[str, str]:
    """All that a run gives, to the bit."""
    found: dict[str, str] = {"best": str(history.best)}
    states = {"model": model.state_dict()}
    for i, replica in enumerate(history.replicas):
        states[f"replica {i}"] = replica.state
        found |= {f"replica {i} {k}": json.dumps(v) for k, v in vars(replica).items() if k != "state"}
    for name, state in states.items():
        found |= {f"{name} {k}": hashlib.sha256(v.tobytes()).hexdigest() for k, v in sorted(state.items())}
    return found

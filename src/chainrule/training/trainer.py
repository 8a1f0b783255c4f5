"""What a run needs for every epoch: traced steps for each batch size, and all state that an epoch changes."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from chainrule.graph import Node
from chainrule.ops.record import Array, is_float
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor
from chainrule.training.batches import Rows, epoch_orders
from chainrule.training.differences import Differences
from chainrule.training.executors import RUNNERS, Executor, Runner
from chainrule.training.halving import Halving
from chainrule.training.step import Objective, Step, Update, gradient_step, loss_step, training_step

EVALUATION_ROWS = 4096  # rows at once where no gradient is needed
MODEL = "model."  # prefix of the model's tensors among those of the state


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do, in plain numbers; a resumed run must have the same."""

    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int
    restarts: int
    clip_norm: float | None
    executor: Executor = "compiled"
    update: Update = "joint"
    halving: Halving | None = None


@dataclass(frozen=True)
class EpochResult:
    """Means over an epoch's rows, and how many minibatches there were."""

    loss: float
    gradient_norm: float
    steps: int


class Trainer:
    """Runs epochs of one model on ``arrays``: its parameters and buffers, and the optimizer's state, by name.

    These are the tensors' own memory; a ``twin`` shares everything but has arrays of its own, so that several
    replicas train at the same time. Without an optimizer only the objective and its gradient are to be had.
    """

    def __init__(
        self,
        objective: Objective,
        rows: Rows,
        validation: Rows | None,
        optimizer: Optimizer | None,
        settings: Settings,
        differences: Differences,
    ) -> None:
        self.objective, self.model = objective, objective.model
        self._differences, self._choice = differences, 0
        self.rows, self.validation, self.optimizer, self.settings = rows, validation, optimizer, settings
        if optimizer is not None:
            optimizer.attach(self.model)
        self.tensors = self._named_tensors()
        self.arrays = {name: tensor.numpy() for name, tensor in self.tensors.items()}
        self._start = {
            name: array.copy() for name, array in self.arrays.items() if not name.startswith(MODEL)
        }
        self._lock = threading.Lock()  # tracing, initialising and callbacks go through the model itself
        self._prepared: dict[object, tuple[Callable[[Mapping[Node, Array]], Runner], dict[Node, str]]] = {}
        self._runners: dict[object, Runner] = {}

    def _named_tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {f"{MODEL}{name}": tensor for name, tensor in self.model.named_state()}
        if self.optimizer is not None:
            found |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.named_state()}
        return found | self._differences.tensors()

    def twin(self) -> Trainer:
        """A trainer of the same steps on memory of its own."""
        other = copy.copy(self)
        other.arrays = {name: array.copy(order="K") for name, array in self.arrays.items()}
        other._runners = {}
        return other

    # State

    def snapshot(self) -> dict[str, Array]:
        """Copies of the state."""
        return {name: array.copy() for name, array in self.arrays.items()}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Put a snapshot back."""
        for name, array in self.arrays.items():
            np.copyto(array, snapshot[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The model itself in this trainer's state, at inference; what is done to it is done to the trainer."""
        own = [
            (t.numpy(), self.arrays[n]) for n, t in self.tensors.items() if t.numpy() is not self.arrays[n]
        ]
        with self._lock:
            for visible, array in own:
                np.copyto(visible, array)
            self.model.eval()  # who calls the model must not drop units or move moments
            yield
            for visible, array in own:
                np.copyto(array, visible)

    def is_finite(self) -> bool:
        """Whether every number of the state is."""
        return all(bool(np.isfinite(array).all()) for array in self.arrays.values() if is_float(array.dtype))

    def begin(self, replica: int) -> None:
        """Start a replica: its own first parameters where there are several, a fresh optimizer."""
        if self.settings.restarts > 1:
            with self._lock:
                self.model.initialise(self.settings.seed, replica)
                for name, tensor in self.tensors.items():
                    if name.startswith(MODEL):
                        np.copyto(self.arrays[name], tensor.numpy())
        for name, value in self._start.items():
            np.copyto(self.arrays[name], value)
        self.become(replica)

    def become(self, replica: int) -> None:
        """Take over the numbers and the penalty that are this replica's own."""
        for name, value in self._differences.of(replica).items():
            np.copyto(self.arrays[name], value)
        self._choice = self._differences.which[replica]
        self.objective = replace(self.objective, penalty=self._differences.penalties[self._choice])

    # Work

    def run_epoch(self, replica: int, epoch: int, tick: Callable[[], None]) -> EpochResult:
        """Visit the training rows once, in the order that belongs to (seed, replica, epoch)."""
        s = self.settings
        parts = epoch_orders(
            len(self.rows),
            s.batch_size,
            shuffle=s.shuffle,
            drop_last=s.drop_last,
            key=(s.seed, replica, epoch),
        )
        return self.run_minibatches(parts, tick)

    def run_minibatches(self, parts: Sequence[Array], tick: Callable[[], None]) -> EpochResult:
        """Visit minibatches, given by the row numbers in each [minibatches, rows], part after part."""
        data = (self.rows.x, self.rows.y)
        records = np.concatenate([self._step(part.shape[1]).run(data, part, tick) for part in parts])
        weights = np.concatenate([np.full(len(part), part.shape[1]) for part in parts])
        loss, norm = weights @ records / weights.sum()
        return EpochResult(float(loss), float(norm), len(records))

    def _step(self, count: int) -> Runner:
        """The training step for a minibatch of this many rows."""

        def make() -> Step:
            assert self.optimizer is not None
            forms = self.rows.forms(count)
            s = self.settings
            return training_step(self.objective, self.optimizer, s.clip_norm, forms, s.update)

        return self._ready(("train", count, self._choice), make)

    def _ready(self, key: object, make: Callable[[], Step]) -> Runner:
        """A step on this trainer's arrays; traced and compiled once for all twins."""
        if key not in self._runners:
            with self._lock:
                if key not in self._prepared:
                    leaves = {tensor.node: name for name, tensor in self.tensors.items()}
                    self._prepared[key] = RUNNERS[self.settings.executor](make()), leaves
            prepared, leaves = self._prepared[key]
            self._runners[key] = prepared({node: self.arrays[name] for node, name in leaves.items()})
        return self._runners[key]

    def validation_loss(self) -> float | None:
        """Mean loss over the validation rows at inference; None where there are none."""
        return None if self.validation is None else self._mean_loss(self.validation)

    def training_loss(self) -> float:
        """Mean loss over the training rows at inference."""
        return self._mean_loss(self.rows)

    def _mean_loss(self, rows: Rows) -> float:
        values, weights = [], []
        for start in range(0, len(rows), EVALUATION_ROWS):
            part = slice(start, start + EVALUATION_ROWS)
            x, y = rows.x[part], rows.y[part]
            forms = rows.forms(len(x))
            step = self._ready(forms, partial(loss_step, self.objective, forms))
            values.append(float(step(x, y)[0]))
            weights.append(len(x))
        return _mean(values, weights)

    def objective_and_gradient(self) -> tuple[float, list[Array]]:
        """Loss plus penalty over all training rows at inference, and its gradient for each parameter."""
        make = partial(gradient_step, self.objective, self.rows.forms(len(self.rows)))
        value, *gradients = self._ready(("gradient", self._choice), make)(self.rows.x, self.rows.y)
        return float(value), gradients

    def full_gradient_norm(self) -> float:
        """Norm of the objective's gradient over all training rows (SPEC A10, erratum 10)."""
        return norm(self.objective_and_gradient()[1])


def norm(gradients: list[Array]) -> float:
    """The Euclidean norm of all arrays together."""
    return math.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in gradients))


def _mean(values: tuple[float, ...] | list[float], weights: list[int]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)

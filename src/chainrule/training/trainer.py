"""What a run needs for every epoch: traced steps for each batch size, and all state that an epoch changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chainrule.ops.record import Array, Form, is_float
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor
from chainrule.training.batches import Rows, epoch_orders
from chainrule.training.executors import RUNNERS, Executor, Runner
from chainrule.training.step import Objective, Step, gradient_step, loss_step, training_step

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


@dataclass(frozen=True)
class EpochResult:
    """Means over an epoch's rows, and how many minibatches there were."""

    loss: float
    gradient_norm: float
    steps: int


class Trainer:
    """Runs epochs of one model. The state is the parameters, the buffers and the optimizer's state.

    Without an optimizer only the whole objective and its gradient are to be had.
    """

    def __init__(
        self,
        objective: Objective,
        rows: Rows,
        validation: Rows | None,
        optimizer: Optimizer | None,
        settings: Settings,
    ) -> None:
        self.objective, self.model = objective, objective.model
        self.rows, self.validation, self.optimizer, self.settings = rows, validation, optimizer, settings
        self._optimizer_start = {} if optimizer is None else optimizer.attach(self.model).state_dict()
        self._steps: dict[int, Runner] = {}
        self._loss_steps: dict[tuple[Form, Form], Runner] = {}

    # State

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Everything that an epoch changes, by name."""
        found: dict[str, Tensor] = {f"{MODEL}{name}": tensor for name, tensor in self.model.named_state()}
        if self.optimizer is not None:
            found |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.named_state()}
        return found

    def snapshot(self) -> dict[str, Array]:
        """Copies of the state."""
        return {name: tensor.numpy().copy() for name, tensor in self.tensors.items()}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Put a snapshot back."""
        for name, tensor in self.tensors.items():
            np.copyto(tensor.numpy(), snapshot[name])

    def is_finite(self) -> bool:
        """Whether every number of the state is."""
        arrays = [tensor.numpy() for tensor in self.tensors.values()]
        return all(bool(np.isfinite(array).all()) for array in arrays if is_float(array.dtype))

    def begin(self, replica: int) -> None:
        """Start a replica: its own first parameters where there are several, a fresh optimizer."""
        if self.settings.restarts > 1:
            self.model.initialise(self.settings.seed, replica)
        if self.optimizer is not None:
            self.optimizer.load_state_dict(self._optimizer_start)

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
        data = (self.rows.x, self.rows.y)
        records = np.concatenate([self._step(part.shape[1]).run(data, part, tick) for part in parts])
        weights = np.concatenate([np.full(len(part), part.shape[1]) for part in parts])
        loss, norm = weights @ records / weights.sum()
        return EpochResult(float(loss), float(norm), len(records))

    def _ready(self, step: Step) -> Runner:
        return RUNNERS[self.settings.executor](step)

    def _step(self, count: int) -> Runner:
        """The training step for a minibatch of this many rows, traced once."""
        assert self.optimizer is not None
        if count not in self._steps:
            step = training_step(
                self.objective, self.optimizer, self.settings.clip_norm, self.rows.forms(count)
            )
            self._steps[count] = self._ready(step)
        return self._steps[count]

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
            if forms not in self._loss_steps:
                self._loss_steps[forms] = self._ready(loss_step(self.objective, forms))
            values.append(float(self._loss_steps[forms](x, y)[0]))
            weights.append(len(x))
        return _mean(values, weights)

    @cached_property
    def _gradient_step(self) -> Runner:
        return self._ready(gradient_step(self.objective, self.rows.forms(len(self.rows))))

    def objective_and_gradient(self) -> tuple[float, list[Array]]:
        """Loss plus penalty over all training rows at inference, and its gradient for each parameter."""
        value, *gradients = self._gradient_step(self.rows.x, self.rows.y)
        return float(value), gradients

    def full_gradient_norm(self) -> float:
        """Norm of the objective's gradient over all training rows (SPEC A10, erratum 10)."""
        return norm(self.objective_and_gradient()[1])


def norm(gradients: list[Array]) -> float:
    """The Euclidean norm of all arrays together."""
    return math.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in gradients))


def _mean(values: tuple[float, ...] | list[float], weights: list[int]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)

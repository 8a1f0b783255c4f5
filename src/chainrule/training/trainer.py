"""What a run needs for every epoch: traced steps for each batch size, and all state that an epoch changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from chainrule.nn.module import Module
from chainrule.ops.record import Array, Form
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor
from chainrule.training.batches import Rows, minibatches
from chainrule.training.step import (
    InterpretedStep,
    Loss,
    Penalty,
    gradient_step,
    loss_step,
    training_step,
)

EVALUATION_ROWS = 4096  # rows at once where no gradient is needed


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do, in plain numbers; a resumed run must have the same."""

    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int
    restarts: int
    clip_norm: float | None


@dataclass(frozen=True)
class EpochResult:
    """Means over an epoch's minibatches, and how many there were."""

    loss: float
    gradient_norm: float
    steps: int


class Trainer:
    """Runs epochs of one model. The state is the parameters, the buffers and the optimizer's state.

    Without an optimizer only the whole objective and its gradient are to be had.
    """

    def __init__(
        self,
        model: Module,
        rows: Rows,
        validation: Rows | None,
        loss: Loss,
        optimizer: Optimizer | None,
        penalty: Penalty | None,
        settings: Settings,
    ) -> None:
        self.model, self.rows, self.validation = model, rows, validation
        self.loss, self.optimizer, self.penalty, self.settings = loss, optimizer, penalty, settings
        self._optimizer_start: dict[str, Array] = {}
        if optimizer is not None:
            self._optimizer_start = optimizer.attach(model).state_dict()
        self._steps: dict[int, InterpretedStep] = {}
        self._loss_steps: dict[tuple[Form, Form], InterpretedStep] = {}
        self._gradient_steps: dict[int, InterpretedStep] = {}

    # State

    def tensors(self) -> dict[str, Tensor]:
        """Everything that an epoch changes, by name."""
        found: dict[str, Tensor] = {f"model.{name}": tensor for name, tensor in self.model.named_state()}
        if self.optimizer is not None:
            found |= {f"optimizer.{name}": tensor for name, tensor in self.optimizer.named_state()}
        return found

    def snapshot(self) -> dict[str, Array]:
        """Copies of the state."""
        return {name: tensor.numpy().copy() for name, tensor in self.tensors().items()}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Put a snapshot back."""
        for name, tensor in self.tensors().items():
            np.copyto(tensor.numpy(), snapshot[name])

    def begin(self, replica: int) -> None:
        """Start a replica: its own first parameters where there are several, the optimizer's state at zero."""
        if self.settings.restarts > 1:
            self.model.initialise(self.settings.seed, replica)
        if self.optimizer is not None:
            self.optimizer.load_state_dict(self._optimizer_start)

    # Work

    def run_epoch(self, replica: int, epoch: int, tick: Callable[[], None]) -> EpochResult:
        """Visit every training row once in the order that belongs to (seed, replica, epoch)."""
        s = self.settings
        losses, norms, weights = [], [], []
        for batch in minibatches(
            len(self.rows),
            s.batch_size,
            shuffle=s.shuffle,
            drop_last=s.drop_last,
            key=(s.seed, replica, epoch),
        ):
            if len(batch) not in self._steps:
                self._steps[len(batch)] = self._trace_step(len(batch))
            loss, norm = self._steps[len(batch)](self.rows.x[batch], self.rows.y[batch])
            losses.append(float(loss))
            norms.append(float(norm))
            weights.append(len(batch))
            tick()
        return EpochResult(
            float(np.average(losses, weights=weights)), float(np.average(norms, weights=weights)), len(losses)
        )

    def _trace_step(self, count: int) -> InterpretedStep:
        assert self.optimizer is not None
        step = training_step(
            self.model,
            self.loss,
            self.optimizer,
            self.penalty,
            self.settings.clip_norm,
            self.rows.forms(count),
        )
        return InterpretedStep(step)

    def validation_loss(self) -> float:
        """Mean loss over the validation rows at inference."""
        assert self.validation is not None
        return self._mean_loss(self.validation)

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
                self._loss_steps[forms] = InterpretedStep(loss_step(self.model, self.loss, forms))
            values.append(float(self._loss_steps[forms](x, y)[0]))
            weights.append(len(x))
        return float(np.average(values, weights=weights))

    def objective_and_gradient(self) -> tuple[float, list[Array]]:
        """Loss plus penalty over all training rows at inference, and its gradient for each parameter."""
        count = len(self.rows)
        if count not in self._gradient_steps:
            step = gradient_step(self.model, self.loss, self.penalty, self.rows.forms(count))
            self._gradient_steps[count] = InterpretedStep(step)
        objective, *gradients = self._gradient_steps[count](self.rows.x, self.rows.y)
        return float(objective), gradients

    def full_gradient_norm(self) -> float:
        """Norm of the objective's gradient over all training rows (SPEC A10, erratum 10)."""
        _, gradients = self.objective_and_gradient()
        return float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients)))

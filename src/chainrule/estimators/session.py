"""Training under way: a network's arrays, the rows, and compiled steps shared by all estimators alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.estimators.losses import LossChoice, WeightedLoss
from chainrule.estimators.network import PREFIX, Network, Recipe
from chainrule.estimators.rules import Rule
from chainrule.ops.record import Array
from chainrule.training.batches import Rows, minibatches
from chainrule.training.combination import Combination
from chainrule.training.differences import differences
from chainrule.training.step import Objective
from chainrule.training.trainer import EpochResult, Settings, Trainer

OPTIMIZER = "optimizer."  # of an optimizer's tensors among those of a trainer


@dataclass(frozen=True)
class Plan:
    """Everything that the machine code of a training step depends on, the sizes of minibatches apart."""

    network: Recipe
    loss: LossChoice
    rule: Rule
    weighted: bool
    labels: bool  # the target is one of class numbers
    clip_norm: float | None = None

    def target(self, y: Array, weight: Array | None) -> Array:
        """The target as training reads it: floats in the network's dtype or labels, weights as a last column."""
        dtype = np.dtype(self.network.dtype)
        if not self.weighted:
            return np.ascontiguousarray(y, np.int64 if self.labels else dtype)
        return np.column_stack([y, np.ones(len(y)) if weight is None else weight]).astype(dtype)

    def loss_of(self, network: Network) -> WeightedLoss:
        """The loss with the network's penalty."""
        return WeightedLoss(self.loss, self.weighted, self.labels, network)


@lru_cache(maxsize=32)
def _trainer(plan: Plan, features: int, target_shape: tuple[int, ...], rows: int) -> Trainer:
    """A trainer whose twins train; it holds traced steps and machine code, and no data of anybody's.

    One for each number of rows, so that the sizes of minibatches it has steps for stay few.
    """
    network = plan.network.build()
    dtype = np.dtype(plan.network.dtype)
    x = np.zeros((1, features), dtype)
    y = np.zeros((1, *target_shape), np.int64 if plan.labels and not plan.weighted else dtype)
    optimizer = plan.rule.build()
    # L-BFGS takes loss and gradient at inference, where the loss is without the penalty
    penalty = network_penalty if optimizer is None else None
    objective = Objective(network, plan.loss_of(network), penalty)
    settings = Settings(1, False, False, 0, 1, plan.clip_norm)
    # a mean over weights is not one over rows, and a function of the user's own may be anything
    combination: Combination = "mean" if plan.loss.has_reduction and not plan.weighted else "whole"
    return Trainer(
        objective,
        Rows(x, y),
        None,
        optimizer,
        settings,
        differences(network, optimizer, penalty, 1),
        combination=combination,
    )


def network_penalty(network: Any) -> Any:
    """The penalty of a network of ours."""
    return network.penalty()


class Session:
    """A network in training: its own arrays, by name, and the rows that it sees."""

    def __init__(self, plan: Plan, x: Any, target: Array, values: Mapping[str, Array]) -> None:
        self.plan = plan
        self.trainer = _trainer(plan, x.shape[1], target.shape[1:], len(target)).twin()
        self._shapes = x.shape, target.shape
        self.take_rows(x, target)
        self.load(values)

    def fits(self, plan: Plan, x: Any, target: Array) -> bool:
        """Whether training may go on with these rows in this session."""
        return plan == self.plan and self._shapes == (x.shape, target.shape)

    def take_rows(self, x: Any, target: Array) -> None:
        """Other rows of the same shapes."""
        self.trainer.rows = Rows(x, target)

    def release_rows(self) -> None:
        """Let go of the rows: between calls an estimator holds none."""
        rows = self.trainer.rows
        self.trainer.rows, self.trainer.validation = Rows(rows.x[:0].copy(), rows.y[:0].copy()), None

    def watch(self, x: Any, target: Array) -> None:
        """Take these rows for the validation loss."""
        self.trainer.validation = Rows(x, target)

    @property
    def network_arrays(self) -> dict[str, Array]:
        """Parameters and buffers but alpha, by name: the memory that training changes."""
        return self._part(PREFIX, "alpha")

    @property
    def solver_arrays(self) -> dict[str, Array]:
        """What the update rule remembers."""
        return self._part(OPTIMIZER)

    def _part(self, prefix: str, *without: str) -> dict[str, Array]:
        named = {n.removeprefix(prefix): a for n, a in self.trainer.arrays.items() if n.startswith(prefix)}
        return {name: array for name, array in named.items() if name not in without}

    def load(self, values: Mapping[str, Array]) -> None:
        """Take over parameters and buffers."""
        for name, value in values.items():
            np.copyto(self.trainer.arrays[PREFIX + name], value)

    def load_solver(self, values: Mapping[str, Array]) -> None:
        """Take over what an update rule remembered."""
        for name, value in values.items():
            np.copyto(self.trainer.arrays[OPTIMIZER + name], value)

    def set_alpha(self, alpha: float) -> None:
        """Set the strength of the penalty."""
        self.trainer.arrays[PREFIX + "alpha"][...] = alpha

    def set_rate(self, rate: float) -> None:
        """Set the step size."""
        self.trainer.arrays[OPTIMIZER + "lr"][...] = rate

    def run_epoch(self, order: Array, batch_size: int) -> EpochResult:
        """Visit the rows in this order, in minibatches of which the last may be smaller."""
        return self.trainer.run_minibatches(minibatches(order, batch_size, drop_last=False))

    def validation_loss(self) -> float:
        """Mean loss over the rows that are watched."""
        value = self.trainer.validation_loss()
        assert value is not None
        return value

    def is_finite(self) -> bool:
        """Whether all parameters and all that the update rule remembers are finite."""
        return self.trainer.is_finite()

    def snapshot(self) -> dict[str, Array]:
        """Copies of parameters and buffers."""
        return {name: array.copy(order="K") for name, array in self.network_arrays.items()}

    # L-BFGS sees all parameters as one vector

    def flat(self) -> Array:
        """All parameters, in the order of the network's own, float64."""
        return np.concatenate([a.ravel().astype(np.float64) for a in self._parameters()])

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        """Loss with penalty over all rows at ``theta``, and its gradient."""
        start = 0
        for array in self._parameters():
            array[...] = theta[start : start + array.size].reshape(array.shape)
            start += array.size
        value, gradients = self.trainer.objective_and_gradient()
        return value, np.concatenate([g.ravel().astype(np.float64) for g in gradients])

    def _parameters(self) -> Sequence[Array]:
        return [self.trainer.arrays[PREFIX + name] for name, _ in self.trainer.model.named_parameters()]

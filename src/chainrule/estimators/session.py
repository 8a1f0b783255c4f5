"""A network in training: its arrays, its rows, and compiled steps that all networks of its kind share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from chainrule.estimators.inputs import Features, in_dtype
from chainrule.estimators.losses import LossChoice, WeightedLoss
from chainrule.estimators.network import PREFIX, Network, Recipe
from chainrule.estimators.rules import Rule
from chainrule.nn.module import Module
from chainrule.ops.record import Array, is_float
from chainrule.tensor import Tensor
from chainrule.training.batches import Rows
from chainrule.training.combination import Combination
from chainrule.training.concurrency import at_a_time
from chainrule.training.differences import differences
from chainrule.training.epoch_result import EpochResult
from chainrule.training.halving import Halving
from chainrule.training.settings import Settings
from chainrule.training.step import Objective
from chainrule.training.trainer import Trainer

OPTIMIZER = "optimizer."  # of an optimizer's tensors among those of a trainer


@dataclass(frozen=True)
class Plan:
    """Everything that the machine code of a training step depends on, but for the size of the minibatch."""

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
            return np.ascontiguousarray(y, np.int64) if self.labels else in_dtype(y, dtype)
        return in_dtype(np.column_stack([y, np.ones(len(y)) if weight is None else weight]), dtype)

    def loss_of(self, network: Network) -> WeightedLoss:
        """The loss with the network's penalty."""
        return WeightedLoss(self.loss, self.weighted, self.labels, network)


@lru_cache(maxsize=32)
def _trainer(plan: Plan, features: int, target_shape: tuple[int, ...], rows: int) -> Trainer:
    """The trainer of which each session has a twin: it holds traced steps and machine code, and no user's data.

    One for each number of rows, so that the sizes of minibatches it has steps for stay few.
    """
    network = plan.network.build()
    dtype = np.dtype(plan.network.dtype)
    x = np.zeros((1, features), dtype)
    y = np.zeros((1, *target_shape), np.int64 if plan.labels and not plan.weighted else dtype)
    optimizer = plan.rule.build()
    # L-BFGS takes loss and gradient at inference, where the loss is without the penalty
    penalty = network_penalty if optimizer is None else None
    objective = Objective(model=network, loss=plan.loss_of(network), penalty=penalty)
    settings = Settings(
        batch_size=1, shuffle=False, drop_last=False, seed=0, restarts=1, clip_norm=plan.clip_norm
    )
    # a mean over weights is not one over rows, and a function of the user's own may be anything
    combination: Combination = "mean" if plan.loss.has_reduction and not plan.weighted else "whole"
    return Trainer(
        objective=objective,
        rows=Rows(x, y),
        optimizer=optimizer,
        settings=settings,
        differences=differences(network, optimizer, penalty, 1),
        combination=combination,
    )


def network_penalty(network: Module) -> Tensor:
    """The penalty of a network of ours."""
    assert isinstance(network, Network)
    return network.penalty()


class Session:
    """A network in training: its own arrays, by name, and the rows that it sees."""

    def __init__(self, plan: Plan, x: Features, target: Array, values: Mapping[str, Array]) -> None:
        self.plan = plan
        self.trainer = _trainer(plan, x.shape[1], target.shape[1:], len(target)).twin()
        self._shapes = x.shape, target.shape
        self.take_rows(x, target)
        self.load(values)

    def fits(self, plan: Plan, x: Features, target: Array) -> bool:
        """Whether training may go on with these rows in this session."""
        return plan == self.plan and self._shapes == (x.shape, target.shape)

    def take_rows(self, x: Features, target: Array) -> None:
        """Train on other rows of the same shapes from now on."""
        self.trainer.rows = Rows(x, target)

    def release_rows(self) -> None:
        """Drop the rows, so that an estimator keeps none between calls."""
        rows = self.trainer.rows
        self.trainer.rows, self.trainer.validation = Rows(rows.x[:0].copy(), rows.y[:0].copy()), None

    def watch(self, x: Features, target: Array) -> None:
        """Use these rows for the validation loss."""
        self.trainer.validation = Rows(x, target)

    @property
    def network_arrays(self) -> dict[str, Array]:
        """Parameters and buffers but alpha, by name: the memory that training changes."""
        return self._part(PREFIX, "alpha")

    @property
    def solver_arrays(self) -> dict[str, Array]:
        """The optimizer's state by name."""
        return self._part(OPTIMIZER)

    def _part(self, prefix: str, *without: str) -> dict[str, Array]:
        named = {n.removeprefix(prefix): a for n, a in self.trainer.arrays.items() if n.startswith(prefix)}
        return {name: array for name, array in named.items() if name not in without}

    def load(self, values: Mapping[str, Array]) -> None:
        """Copy these values into the parameters and buffers."""
        for name, value in values.items():
            np.copyto(self.trainer.arrays[PREFIX + name], value)

    def load_solver(self, values: Mapping[str, Array]) -> None:
        """Copy these values into the optimizer's state."""
        for name, value in values.items():
            np.copyto(self.trainer.arrays[OPTIMIZER + name], value)

    def set_alpha(self, alpha: float) -> None:
        """Set the strength of the penalty."""
        self.trainer.arrays[PREFIX + "alpha"][...] = alpha

    def run_epochs(
        self, orders: Array, batch_size: int, rates: Sequence[float], tick: Callable[[], None]
    ) -> list[EpochResult]:
        """Visit the rows in these orders [epochs, rows], in minibatches of which the last may be smaller.

        Each epoch has its learning rate. ``tick`` is called about ten times a second and may raise.
        """
        return self.trainer.visit(orders, batch_size, rates, tick)

    def training_loss(self) -> float:
        """Mean loss over the training rows, at inference."""
        return self.trainer.loss_of(self.trainer.rows)

    def validation_loss(self) -> float:
        """Mean loss over the validation rows, at inference."""
        value = self.trainer.validation_loss()
        assert value is not None
        return value

    def is_finite(self) -> bool:
        """Whether all parameters, buffers and the optimizer's state are finite."""
        return self.trainer.is_finite()

    def network_is_finite(self) -> bool:
        """Whether all parameters and buffers are finite."""
        return all(np.isfinite(a).all() for a in self.network_arrays.values() if is_float(a.dtype))

    def most_at_once(self, workers: int, batch_size: int, restarts: int, halving: Halving | None) -> int:
        """How many of ``workers`` networks like this one may train at the same time: as many as there is memory for."""
        asked = self.trainer.twin()
        asked.settings = replace(asked.settings, batch_size=batch_size, restarts=restarts, halving=halving)
        return at_a_time(asked, workers, "auto", False)

    def snapshot(self) -> dict[str, Array]:
        """Copies of parameters and buffers."""
        return {name: array.copy(order="K") for name, array in self.network_arrays.items()}

    def mark(self) -> Callable[[], None]:
        """A function that brings back everything that training changes as it is now."""
        return partial(self.trainer.restore, self.trainer.snapshot())

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

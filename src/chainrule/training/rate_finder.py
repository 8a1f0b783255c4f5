"""``cr.find_lr``: which step size to begin with, from one short run in which it grows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.compiled import compile
from chainrule.errors import SettingError
from chainrule.nn.module import Module, generator
from chainrule.notebook import line_chart
from chainrule.ops.record import Array
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.settings import check_count, check_number
from chainrule.tensor import Tensor
from chainrule.training.batches import as_rows
from chainrule.training.step import Loss

SMOOTHING = 0.9  # share of the running mean that each step keeps
TOO_HIGH = 4.0  # times the lowest loss: there the run has diverged
_DRAWS = 0x17F1  # keeps its minibatches apart from those of a training run


@dataclass(frozen=True)
class RateCurve:
    """The loss against the step size: ``rates`` and ``losses`` [steps], as far as the run went before it diverged.

    ``smoothed`` is a running mean of the losses. ``lr`` is where it falls most steeply: a rate to begin with.
    """

    rates: Array
    losses: Array

    @property
    def smoothed(self) -> Array:
        """The losses' running mean, without the bias of its beginning."""
        return _smoothed(self.losses.tolist())

    @property
    def lr(self) -> float:
        """The suggestion."""
        reach = max(len(self.rates) // 10, 1)  # steps to either side over which the fall is measured
        if len(self.rates) <= 2 * reach:
            return float(self.rates[0])
        falls = self.smoothed[2 * reach :] - self.smoothed[: -2 * reach]
        return float(self.rates[reach + int(np.argmin(falls))])

    def __repr__(self) -> str:
        return f"<RateCurve: lr {self.lr:.3g}, {len(self.rates)} steps from {self.rates[0]:.3g} on>"

    def _repr_html_(self) -> str:
        lines = {"loss": self.losses, "running mean": self.smoothed}
        return line_chart(self.rates, lines, "step size", "loss", logarithmic=(True, False), mark=self.lr)


def _smoothed(losses: list[float]) -> Array:
    total, result = 0.0, []
    for i, loss in enumerate(losses, 1):
        total = SMOOTHING * total + (1 - SMOOTHING) * loss
        result.append(total / (1 - SMOOTHING**i))
    return np.array(result)


def find_lr(
    model: Module,
    data: tuple[Any, Any],
    *,
    loss: Loss,
    optimizer: Optimizer,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 128,
    seed: int = 0,
) -> RateCurve:
    """Train a copy for ``steps`` steps with a rate that grows from ``lowest`` to ``highest`` (Smith, 2017).

    Nothing that is passed in changes: neither parameters nor buffers, mode, gradients, the optimizer or its
    state. The run ends early where the loss is no longer finite or 4 times its lowest running mean. Arguments as
    in ``cr.fit``; the optimizer's own lr does not matter. Raises SettingError and DataError as ``cr.fit``.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> found = cr.find_lr(nn.MLP([1, 16, 1], seed=0), (x, x**2), loss=nn.squared_error, optimizer=optim.Adam())
    >>> 1e-4 < found.lr < 1
    True
    """
    if not isinstance(optimizer, Optimizer):
        raise SettingError(
            "find_lr: no optimizer with a step size", expected="such as optim.Adam()", got=optimizer
        )
    lowest, highest = check_number("lowest", lowest, above=0), check_number("highest", highest, above=0)
    count = check_count("steps", steps)
    if not lowest < highest or count < 2:
        raise SettingError(
            "find_lr: no range to try", expected="lowest < highest, 2 steps", got=(lowest, highest, steps)
        )
    rows = as_rows(data, model)
    step = _step(copy.deepcopy(model), loss, optimizer, lowest, highest, count)
    drawn = generator(_DRAWS, seed)
    size = min(check_count("batch_size", batch_size), len(rows))
    losses: list[float] = []
    with np.errstate(all="ignore"):
        for _ in range(count):
            batch = drawn.permutation(len(rows))[:size]
            value = step(rows.x[batch], rows.y[batch]).item()
            if not np.isfinite(value) or (losses and value > TOO_HIGH * abs(_smoothed(losses).min())):
                break
            losses.append(value)
    if not losses:
        raise SettingError("find_lr: the loss is not finite before the first step", got=value)
    rates = lowest * (highest / lowest) ** (np.arange(len(losses)) / (count - 1))
    return RateCurve(rates, np.array(losses))


def _step(
    model: Module, loss: Loss, optimizer: Optimizer, lowest: float, highest: float, count: int
) -> Callable[..., Any]:
    """A training step on the copy, compiled, whose rate grows from step to step."""
    own = copy.copy(optimizer)
    own.base_rate = Tensor.leaf(np.array(1.0))
    own.attach(model)
    growth = np.log(highest / lowest) / (count - 1)
    own.lr = lambda steps: lowest * f.exp(steps * growth)
    model.train()
    model.zero_grad()

    def step(x: Tensor, y: Tensor) -> Tensor:
        model.zero_grad()
        value = loss(model(x), y)
        value.backward()
        own.step()
        return value

    return compile(step)

"""``cr.find_lr``: a learning rate to begin with, from one short run in which it grows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chainrule import functions as f
from chainrule.compiled import compile
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.nn.module import Module, generator
from chainrule.notebook import line_chart
from chainrule.ops.record import Array
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.settings import check_count, check_number
from chainrule.tensor import Tensor
from chainrule.training.batches import as_rows
from chainrule.training.step import Loss

SMOOTHING = 0.9  # share of the running mean that each step keeps
MOST_STEPS = 10**7  # each of them is a step of training
TOO_HIGH = 4.0  # times the lowest loss: there the run has diverged
_DRAWS = 0x17F1  # keeps its minibatches apart from those of a training run


@dataclass(frozen=True)
class RateCurve:
    """The loss against the learning rate: ``rates`` and ``losses`` [steps], up to where the run diverged.

    ``smoothed`` is a running mean of the losses. ``lr`` is where it falls most steeply: a rate to begin with.
    """

    rates: Array
    losses: Array

    @property
    def smoothed(self) -> Array:
        """The running mean of the losses [steps], corrected for its bias towards its start."""
        return _smoothed(self.losses.tolist())

    @property
    def lr(self) -> float:
        """The learning rate at which the running mean falls most steeply."""
        reach = max(len(self.rates) // 10, 1)  # steps to either side over which the fall is measured
        if len(self.rates) <= 2 * reach:
            return float(self.rates[0])
        falls = self.smoothed[2 * reach :] - self.smoothed[: -2 * reach]
        return float(self.rates[reach + int(np.argmin(falls))])

    def __repr__(self) -> str:
        return f"<RateCurve: lr {self.lr:.3g}, {len(self.rates)} steps from {self.rates[0]:.3g} on>"

    def _repr_html_(self) -> str:
        lines = {"loss": self.losses, "running mean": self.smoothed}
        return line_chart(
            self.rates, lines, "learning rate", "loss", logarithmic=(True, False), marks=[self.lr]
        )


def _smoothed(losses: list[float]) -> Array:
    total, result = 0.0, []
    for i, loss in enumerate(losses, 1):
        total = SMOOTHING * total + (1 - SMOOTHING) * loss
        result.append(total / (1 - SMOOTHING**i))
    return np.array(result)


def find_lr(
    model: Module,
    data: tuple[object, object],
    *,
    loss: Loss,
    optimizer: Optimizer,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 128,
    seed: int = 0,
) -> RateCurve:
    """Train a copy for ``steps`` steps while the learning rate grows from ``lowest`` to ``highest`` (Smith, 2017).

    Neither the model (parameters, buffers, mode, gradients) nor the optimizer and its state change; the optimizer's own
    lr is not used. The run ends early when the loss is no longer finite or above 4 times its lowest running mean. The
    other arguments are those of ``cr.fit``. Raises SettingError and DataError as ``cr.fit`` does.

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
            "find_lr needs an optimizer with a learning rate",
            expected="such as optim.Adam()",
            got=quoted(optimizer),
        )
    lowest, highest, count = _range(lowest, highest, steps)
    own = copy.deepcopy(model)
    rows = as_rows(data, own)
    step = _step(own, loss, optimizer, lowest, highest, count)
    drawn = generator(_DRAWS, check_count("seed", seed, least=0))
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
        raise SettingError(
            "find_lr: the loss is not finite before the first step",
            got=value,
            hint="standardise X and y, or start from smaller weights",
        )
    rates = lowest * (highest / lowest) ** (np.arange(len(losses)) / (count - 1))
    return RateCurve(rates, np.array(losses))


def _range(lowest: float, highest: float, steps: int) -> tuple[float, float, int]:
    """The learning rates to go from and to, and the number of steps; SettingError where there is no range to try."""
    lowest, highest = check_number("lowest", lowest, above=0), check_number("highest", highest, above=0)
    count = check_count("steps", steps, least=2, most=MOST_STEPS)
    if not lowest < highest:
        raise SettingError(
            "find_lr needs lowest < highest",
            got=f"lowest={lowest:g}, highest={highest:g}",
            hint="lowest=1e-6, highest=10.0",
        )
    return lowest, highest, count


def _step(
    model: Module, loss: Loss, optimizer: Optimizer, lowest: float, highest: float, count: int
) -> Callable[[Array, Array], Tensor]:
    """A training step on the copy, compiled, whose rate grows from step to step."""
    growth = np.log(highest / lowest) / (count - 1)
    own = optimizer.fresh(lr=lambda steps: lowest * f.exp(steps * growth)).attach(model)
    model.train()
    model.zero_grad()

    def step(x: Tensor, y: Tensor) -> Tensor:
        model.zero_grad()
        value = loss(model(x), y)
        value.backward()
        own.step()
        return value

    return compile(step)

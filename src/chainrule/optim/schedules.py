"""Step sizes as functions of the number of steps taken so far.

Each schedule is a formula in tensor operations, so that it becomes part of a traced training step. It takes a
tensor, a number or a NumPy array of step counts and computes in float64, so that all of them agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError, TracingError
from chainrule.graph import new_leaf
from chainrule.ops.record import Array
from chainrule.optim.settings import check_count, check_number
from chainrule.per_replica import is_number
from chainrule.tensor import TRACE, Tensor
from chainrule.trace import tracing

#: a number, or a function of the number of steps taken so far
Rate = float | Callable[[Any], Any]
#: or a number for each replica
Rates = Rate | Sequence[float]
#: tensor in, tensor out
Schedule = Callable[[Tensor], Tensor]
Own = TypeVar("Own")


def _of_steps(formula: Callable[[Own, Tensor], Tensor]) -> Callable[[Own, Any], Any]:
    """Let a formula on a float64 tensor take numbers and arrays too, and then return the like."""

    @wraps(formula)
    def call(self: Own, steps: Any) -> Any:
        if isinstance(steps, Tensor):
            return formula(self, steps.astype(np.float64))
        rate = formula(self, Tensor.leaf(np.array(steps, np.float64)))
        if rate._data is None:  # inside a trace
            return rate
        return rate.numpy() if rate.shape else rate.item()

    return call


@dataclass(frozen=True)
class Constant:
    """The same step size always.

    >>> from chainrule import optim
    >>> optim.Constant(0.1)(1000)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        check_number("lr", self.lr, least=0)

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The step size after ``steps`` steps."""
        return steps * 0.0 + self.lr


@dataclass(frozen=True)
class InverseTime:
    """lr / (1 + decay * steps), under which stochastic gradient descent converges (row B10).

    >>> from chainrule import optim
    >>> optim.InverseTime(1.0, decay=0.5)(2)
    0.5
    """

    lr: float
    decay: float

    def __post_init__(self) -> None:
        check_number("lr", self.lr, least=0)
        check_number("decay", self.decay, least=0)

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The step size after ``steps`` steps."""
        return self.lr / (1.0 + self.decay * steps)


@dataclass(frozen=True)
class StepDecay:
    """lr, multiplied by ``factor`` once ``every`` so many steps.

    >>> from chainrule import optim
    >>> schedule = optim.StepDecay(1.0, factor=0.5, every=10)
    >>> schedule(9), schedule(10), schedule(20)
    (1.0, 0.5, 0.25)
    """

    lr: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        check_number("lr", self.lr, least=0)
        check_number("factor", self.factor, above=0, most=1)
        check_count("every", self.every)

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The step size after ``steps`` steps."""
        return self.lr * self.factor ** f.floor(steps / float(self.every))


@dataclass(frozen=True)
class CosineDecay:
    """Half a cosine from lr to ``final`` over ``steps`` steps, then ``final`` (Loshchilov & Hutter, 2017).

    >>> from chainrule import optim
    >>> schedule = optim.CosineDecay(1.0, steps=100, final=0.5)
    >>> schedule(0), schedule(50), schedule(1000)
    (1.0, 0.75, 0.5)
    """

    lr: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        check_number("lr", self.lr, least=0)
        check_count("steps", self.steps)
        check_number("final", self.final, least=0)

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The step size after ``steps`` steps."""
        return _half_cosine(self.lr, self.final, f.minimum(steps / float(self.steps), 1.0))


@dataclass(frozen=True)
class Warmup:
    """A linear rise during the first ``steps`` steps, then ``schedule`` from its beginning.

    ``schedule`` is a number or any function of the step. Step t < ``steps`` takes (t + 1) / (``steps`` + 1)
    of its first value, so that no step is of size 0.

    >>> from chainrule import optim
    >>> schedule = optim.Warmup(optim.InverseTime(1.0, decay=1.0), steps=3)
    >>> [schedule(t) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 0.5]
    """

    schedule: Rate
    steps: int

    def __post_init__(self) -> None:
        as_schedule("schedule", self.schedule)
        check_count("steps", self.steps)

    @cached_property
    def _following(self) -> Schedule:
        return as_schedule("schedule", self.schedule)

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The step size after ``steps`` steps."""
        risen = f.minimum((steps + 1.0) / (self.steps + 1.0), 1.0)
        return risen * self._following(f.maximum(steps - float(self.steps), 0.0))


@dataclass(frozen=True)
class OneCycle:
    """Up to ``peak`` during the fraction ``rise`` of ``steps`` steps, then down, both along half a cosine.

    It begins at peak / ``initial_divisor`` and ends at the beginning / ``final_divisor``, where it stays
    (Smith & Topin, 2018, in the form of torch.optim.lr_scheduler.OneCycleLR).

    >>> from chainrule import optim
    >>> schedule = optim.OneCycle(1.0, steps=100)
    >>> schedule(0), schedule(29), round(schedule(99), 9)
    (0.04, 1.0, 4e-06)
    """

    peak: float
    steps: int
    rise: float = 0.3
    initial_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        check_number("peak", self.peak, least=0)
        check_count("steps", self.steps, least=2)
        check_number("rise", self.rise, least=0, below=1)
        check_number("initial_divisor", self.initial_divisor, above=0)
        check_number("final_divisor", self.final_divisor, above=0)

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The step size after ``steps`` steps."""
        first = self.peak / self.initial_divisor
        top, last = max(self.rise * self.steps - 1.0, 0.0), self.steps - 1.0  # the steps of peak and end
        falling = _half_cosine(
            self.peak, first / self.final_divisor, (f.minimum(steps, last) - top) / (last - top)
        )
        if top == 0.0:
            return falling
        return f.where(steps <= top, _half_cosine(first, self.peak, steps / top), falling)


@dataclass(frozen=True, eq=False)
class Table:
    """Step sizes read from a table, whose last entry holds for all later steps; made by :func:`tabulate`.

    >>> from chainrule import optim
    >>> schedule = optim.Table([0.1, 0.01])
    >>> [schedule(step) for step in (0, 1, 100)]
    [0.1, 0.01, 0.01]
    """

    rates: Array

    @cached_property
    def _leaf(self) -> Tensor:
        # graphs made with this table read it and carry no copy
        return Tensor.leaf(np.array(self.rates, np.float64))

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The step size after ``steps`` steps."""
        return f.take(self._leaf, f.clip(steps, 0.0, len(self.rates) - 1.0).astype(np.int64))


def tabulate(lr: Rate, steps: int) -> Table:
    """The values of any function of the step at 0, 1, ..., steps - 1, as a schedule that can be traced.

    The function is called with Python integers. Raises SettingError where it does not return a number.

    >>> from chainrule import optim
    >>> schedule = optim.tabulate(lambda step: 0.1 if step < 2 else 0.01, steps=4)
    >>> [schedule(step) for step in (0, 1, 2, 100)]
    [0.1, 0.1, 0.01, 0.01]
    """
    _check_rate("lr", lr)
    function = lr if callable(lr) else Constant(lr)
    return Table(_on_host(function, np.arange(check_count("steps", steps))))


# How an optimizer uses them


def as_schedule(name: str, lr: Rate) -> Schedule:
    """A number or a function of the step as a function of tensors; SettingError for anything else.

    A function that is not made of tensor operations can then be used eagerly but not be traced.
    """
    _check_rate(name, lr)
    if not callable(lr):
        return Constant(lr)
    return lr if traceable(lr) else _Opaque(lr)


def traceable(lr: Rate) -> bool:
    """Whether a function of the step is made of tensor operations; called once with a traced tensor.

    What is not can be brought into a traced step with :func:`tabulate`.

    >>> from chainrule import optim
    >>> optim.traceable(optim.StepDecay(0.1, 0.5, 9)), optim.traceable(lambda step: 0.1 / (step // 9 + 1))
    (True, False)
    """
    if not callable(lr):
        return True
    with tracing():
        try:
            rate = lr(Tensor(None, new_leaf((), np.float64)))
        except Exception:  # a fault of the function itself shows when it is called for its value
            return False
    return isinstance(rate, Tensor) and rate.shape == ()


@dataclass(frozen=True)
class _Opaque:
    """A Python function of the step, called with integers; it has no place in a graph."""

    function: Callable[[Any], Any]

    def __call__(self, steps: Tensor) -> Tensor:
        if TRACE.get() is not None:
            raise TracingError(
                "lr is a Python function, whose value is only known when it is called",
                expected="a schedule, or a function made of tensor operations",
                got=describe_rate(self.function),
                hint="look its values up instead: lr=optim.tabulate(lr, steps)",
            )
        return Tensor.leaf(_on_host(self.function, steps.numpy()))


def _check_rate(name: str, lr: Rate) -> None:
    if is_number(lr):
        check_number(name, lr, least=0)
    elif not callable(lr):
        raise SettingError(
            f"{name} is no step size", expected="a number >= 0 or a function of the step", got=repr(lr)
        )


def _on_host(function: Callable[[Any], Any], steps: Array) -> Array:
    """Values of a Python function at each of the steps, float64."""
    rates = [(int(step), function(int(step))) for step in steps.flat]
    for step, rate in rates:
        if np.shape(rate) != () or not float(rate) >= 0:
            raise SettingError(
                f"lr returned no step size at step {step}", expected="a number >= 0", got=repr(rate)
            )
    return np.array([float(rate) for _, rate in rates]).reshape(steps.shape)


def rates(lr: Rate, steps: Array) -> Array:
    """The step sizes after each of these numbers of steps, float64 of the same shape.

    >>> rates(StepDecay(0.5, 0.1, 10), np.array([0, 9, 10]))
    array([0.5 , 0.5 , 0.05])
    """
    schedule = as_schedule("lr", lr)
    if not callable(lr) or type(lr).__module__ == __name__:  # these take arrays
        return schedule(Tensor.leaf(np.asarray(steps, np.float64))).numpy()
    return np.array([float(schedule(Tensor.leaf(np.array(float(n)))).numpy()) for n in steps.flat]).reshape(
        steps.shape
    )


def describe_rate(lr: Rates) -> Any:
    """A number as it is, a schedule as a dict of its name and settings, a function by its name."""
    if is_number(lr):
        return lr
    if isinstance(lr, tuple):
        return list(lr)
    if isinstance(lr, Table):
        return {"name": "Table", "steps": len(lr.rates)}
    if hasattr(lr, "__dataclass_fields__"):
        settings = {name: getattr(lr, name) for name in lr.__dataclass_fields__}
        return {"name": type(lr).__name__} | {name: describe_rate(value) for name, value in settings.items()}
    return getattr(lr, "__qualname__", type(lr).__qualname__)


def _half_cosine(start: float, end: float, progress: Tensor) -> Tensor:
    """From start at progress 0 to end at progress 1, exact at both."""
    height = 0.5 + 0.5 * f.cos(math.pi * progress)
    return start * height + end * (1.0 - height)

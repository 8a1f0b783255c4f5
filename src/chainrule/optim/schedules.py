"""Schedules: the learning rate as a function of the number of steps taken so far. A step is one update.

Each schedule is a formula in tensor operations, so that it becomes part of a traced training step. It takes the number
of steps as a tensor, a number or a NumPy array, and computes in float64, so that all of them agree.
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
from chainrule.foreign_text import quoted
from chainrule.graph import new_leaf
from chainrule.ops.record import Array
from chainrule.optim.settings import check_count, check_number, keep_checked
from chainrule.per_replica import is_number
from chainrule.tensor import TRACE, Tensor
from chainrule.trace import tracing

#: the learning rate as a function of the number of steps taken so far
RateFunction = Callable[[Any], Any]
#: a learning rate: a number, or a function of the number of steps
Rate = float | RateFunction
#: or a number for each replica
Rates = Rate | Sequence[float]
#: tensor in, tensor out
Schedule = Callable[[Tensor], Tensor]
Own = TypeVar("Own")


def _of_steps(formula: Callable[[Own, Tensor], Tensor]) -> Callable[[Own, Any], Any]:
    """Let a formula on a float64 tensor take numbers and arrays as well, and return the same kind."""

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
    """The same learning rate ``lr`` at every step.

    >>> from chainrule import optim
    >>> optim.Constant(0.1)(1000)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        keep_checked(self, lr=check_number("lr", self.lr, least=0))

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The learning rate after ``steps`` steps."""
        return steps * 0.0 + self.lr


@dataclass(frozen=True)
class InverseTime:
    """lr / (1 + decay * steps), under which stochastic gradient descent converges.

    >>> from chainrule import optim
    >>> optim.InverseTime(1.0, decay=0.5)(2)
    0.5

    Lectures: B10.
    """

    lr: float
    decay: float

    def __post_init__(self) -> None:
        keep_checked(
            self, lr=check_number("lr", self.lr, least=0), decay=check_number("decay", self.decay, least=0)
        )

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The learning rate after ``steps`` steps."""
        return self.lr / (1.0 + self.decay * steps)


@dataclass(frozen=True)
class StepDecay:
    """``lr``, multiplied by ``factor`` after every ``every`` steps.

    >>> from chainrule import optim
    >>> schedule = optim.StepDecay(1.0, factor=0.5, every=10)
    >>> schedule(9), schedule(10), schedule(20)
    (1.0, 0.5, 0.25)
    """

    lr: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        keep_checked(
            self,
            lr=check_number("lr", self.lr, least=0),
            factor=check_number("factor", self.factor, above=0, most=1),
            every=check_count("every", self.every),
        )

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The learning rate after ``steps`` steps."""
        return self.lr * self.factor ** f.floor(steps / float(self.every))


@dataclass(frozen=True)
class CosineDecay:
    """A fall along half a cosine from ``lr`` to ``final`` in ``steps`` steps, and then ``final``.

    Loshchilov & Hutter, 2017, without restarts.

    >>> from chainrule import optim
    >>> schedule = optim.CosineDecay(1.0, steps=100, final=0.5)
    >>> schedule(0), schedule(50), schedule(1000)
    (1.0, 0.75, 0.5)
    """

    lr: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        keep_checked(
            self,
            lr=check_number("lr", self.lr, least=0),
            steps=check_count("steps", self.steps),
            final=check_number("final", self.final, least=0),
        )

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The learning rate after ``steps`` steps."""
        return _half_cosine(self.lr, self.final, f.minimum(steps / float(self.steps), 1.0))


@dataclass(frozen=True)
class Warmup:
    """A linear rise during the first ``steps`` steps, then ``schedule`` from its beginning.

    ``schedule`` is a number or a function of the number of steps. Step t < ``steps`` takes (t + 1) / (``steps`` + 1) of
    its first value, so that no step has learning rate 0.

    >>> from chainrule import optim
    >>> schedule = optim.Warmup(optim.InverseTime(1.0, decay=1.0), steps=3)
    >>> [schedule(t) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 0.5]
    """

    schedule: Rate
    steps: int

    def __post_init__(self) -> None:
        as_schedule("schedule", self.schedule)
        keep_checked(self, steps=check_count("steps", self.steps))

    @cached_property
    def _following(self) -> Schedule:
        return as_schedule("schedule", self.schedule)

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The learning rate after ``steps`` steps."""
        risen = f.minimum((steps + 1.0) / (self.steps + 1.0), 1.0)
        return risen * self._following(f.maximum(steps - float(self.steps), 0.0))


@dataclass(frozen=True)
class OneCycle:
    """A rise to ``peak`` during the fraction ``rise`` of ``steps`` steps, then a fall, each along half a cosine.

    It starts at peak / ``initial_divisor``, ends at its start / ``final_divisor`` and stays there (Smith & Topin, 2018,
    in the form of torch.optim.lr_scheduler.OneCycleLR).

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
        keep_checked(
            self,
            peak=check_number("peak", self.peak, least=0),
            steps=check_count("steps", self.steps, least=2),
            rise=check_number("rise", self.rise, least=0, below=1),
            initial_divisor=check_number("initial_divisor", self.initial_divisor, above=0),
            final_divisor=check_number("final_divisor", self.final_divisor, above=0),
        )

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The learning rate after ``steps`` steps."""
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
    """Learning rates read from a table ``rates`` [steps], whose last entry holds for all later steps.

    :func:`tabulate` makes one of any function.

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
        """The learning rate after ``steps`` steps."""
        return f.take(self._leaf, f.clip(steps, 0.0, len(self.rates) - 1.0).astype(np.int64))


def tabulate(lr: Rate, steps: int) -> Table:
    """Call a function of the number of steps at 0, 1, ..., steps - 1 and return its values as a schedule.

    The schedule can be traced, whatever the function does with the Python integers that it is given. Raises
    SettingError where it does not return a number >= 0.

    >>> from chainrule import optim
    >>> schedule = optim.tabulate(lambda step: 0.1 if step < 2 else 0.01, steps=4)
    >>> [schedule(step) for step in (0, 1, 2, 100)]
    [0.1, 0.1, 0.01, 0.01]
    """
    _check_rate("lr", lr)
    function = lr if callable(lr) else Constant(lr)
    return Table(_on_host(function, np.arange(check_count("steps", steps, most=MOST_LISTED))))


MOST_LISTED = 10**9  # by tabulate: 8 GB
BLOCK = 1 << 16  # values of a Python function at once, at least those of an epoch


class Listed:
    """A Python function of the number of steps, for use in a traced step: the trace looks its values up in a table.

    The table holds a block of steps, ``first`` is the number of steps before it; whoever runs the traced step has a
    :class:`Listing` write both beforehand. The run has ``steps`` steps, of which at most ``at_once`` are taken between
    two such moments. Called for its value, this calls the function itself.
    """

    def __init__(self, function: RateFunction, steps: int, at_once: int) -> None:
        self.function, self.steps = function, steps
        self.block = min(steps, max(BLOCK, at_once))
        self.table = Tensor.leaf(np.zeros(self.block * (1 + (steps > self.block))))
        self.first = Tensor.leaf(np.array(-2.0 * self.block))  # nothing is listed yet

    @_of_steps
    def __call__(self, steps: Tensor) -> Tensor:
        """The learning rate after ``steps`` steps."""
        if TRACE.get() is None:
            return Tensor.leaf(_on_host(self.function, np.minimum(steps.numpy(), self.steps - 1)))
        place = f.clip(steps - self.first, 0.0, len(self.table) - 1.0)
        return f.take(self.table, place.astype(np.int64))


class Listing:
    """Writes the values of a :class:`Listed` function into tables, computing each block once for all replicas."""

    def __init__(self, listed: Listed) -> None:
        self.listed = listed
        self._known: dict[int, Array] = {}

    def fill(self, table: Array, first: Array, begin: int, count: int) -> None:
        """Make the table hold the values of steps ``begin`` to ``begin + count``, unless it already does."""
        size, start = self.listed.block, int(first)
        if not start <= begin <= begin + count <= start + len(table):
            number = begin // size
            for i, part in enumerate(table.reshape(-1, size)):
                part[...] = self._block(number + i)
            first[...] = number * size

    def at(self, steps: Array) -> Array:
        """The values at these steps; those of the blocks computed last are not computed again."""
        size, known = self.listed.block, self._known
        return np.array(
            [
                known[n // size][n % size] if n // size in known else _rate_at(n, self.listed.function(n))
                for n in map(int, steps)
            ]
        )

    def _block(self, number: int) -> Array:
        """The values of a block of steps; beyond the last step, the value of the last."""
        known, listed = self._known, self.listed
        if number not in known:
            steps = range(number * listed.block, min((number + 1) * listed.block, listed.steps))
            found = _on_host(listed.function, np.array(steps or [listed.steps - 1]))
            found = np.pad(found, (0, listed.block - len(found)), mode="edge")
            # several threads may do this, so the dict is replaced whole
            self._known = known = dict([*known.items()][-3:]) | {number: found}
        return known[number]


# How an optimizer uses them


def as_schedule(name: str, lr: Rate) -> Schedule:
    """A learning rate as a function of tensors; SettingError unless it is a number >= 0 or a function.

    A function that is not made of tensor operations works eagerly and cannot be traced.
    """
    _check_rate(name, lr)
    if not callable(lr):
        return Constant(lr)
    return lr if traceable(lr) else _Opaque(lr)


def traceable(lr: Rate) -> bool:
    """Whether a function of the number of steps is made of tensor operations; it is called once with a traced tensor.

    One that is not can be used in a traced step after :func:`tabulate`.

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
    """A Python function of the number of steps, called with integers; it cannot become part of a graph."""

    function: RateFunction

    def __call__(self, steps: Tensor) -> Tensor:
        if TRACE.get() is not None:
            raise TracingError(
                "lr is a Python function and cannot be traced",
                expected="a schedule, or a function made of tensor operations",
                got=describe_rate(self.function),
                hint="list its values beforehand: lr=optim.tabulate(lr, steps)",
            )
        return Tensor.leaf(_on_host(self.function, steps.numpy()))


def _check_rate(name: str, lr: Rate) -> None:
    if is_number(lr):
        check_number(name, lr, least=0)
    elif not callable(lr):
        raise SettingError(
            f"{name} must be a number >= 0 or a function of the number of steps",
            got=quoted(lr),
            hint=f"{name}=1e-3, or {name}=optim.CosineDecay(1e-3, steps=1000)",
        )


def _on_host(function: RateFunction, steps: Array) -> Array:
    """The values of a Python function at each of these steps, float64."""
    return np.array([_rate_at(int(step), function(int(step))) for step in steps.flat]).reshape(steps.shape)


def _rate_at(step: int, value: Any) -> float:
    """A function's value as a learning rate; SettingError unless it is a number >= 0."""
    try:
        rate = float(value) if np.shape(value) == () else math.nan
    except (TypeError, ValueError):
        rate = math.nan
    if not rate >= 0:
        raise SettingError(
            f"the learning rate of step {step} must be a number >= 0",
            got=quoted(value),
            hint="return a float for every number of steps, 0 included",
        )
    return rate


def rates(lr: Rate, steps: Array) -> Array:
    """The learning rates after each of these numbers of steps, float64 of the same shape.

    >>> rates(StepDecay(0.5, 0.1, 10), np.array([0, 9, 10]))
    array([0.5 , 0.5 , 0.05])
    """
    schedule = as_schedule("lr", lr)
    if not callable(lr) or takes_arrays(lr):
        return schedule(Tensor.leaf(np.asarray(steps, np.float64))).numpy()
    return np.array([float(schedule(Tensor.leaf(np.array(float(n)))).numpy()) for n in steps.flat]).reshape(
        steps.shape
    )


def takes_arrays(lr: Rate) -> bool:
    """Whether this is one of the schedules above, which compute the values of many steps in one call."""
    return type(lr) in (Constant, InverseTime, StepDecay, CosineDecay, OneCycle, Table) or (
        isinstance(lr, Warmup) and (not callable(lr.schedule) or takes_arrays(lr.schedule))
    )


def describe_rate(lr: Rates) -> object:
    """A learning rate for reports: a number as it is, a schedule as a dict of name and settings, a function's name."""
    if is_number(lr):
        return lr
    if isinstance(lr, tuple):
        return list(lr)
    if isinstance(lr, Listed):
        return describe_rate(lr.function)
    if isinstance(lr, Table):
        return {"name": "Table", "steps": len(lr.rates)}
    if hasattr(lr, "__dataclass_fields__"):
        settings = {name: getattr(lr, name) for name in lr.__dataclass_fields__}
        return {"name": type(lr).__name__} | {name: describe_rate(value) for name, value in settings.items()}
    return getattr(lr, "__qualname__", type(lr).__qualname__)


def _half_cosine(start: float, end: float, progress: Tensor) -> Tensor:
    """Half a cosine from ``start`` at progress 0 to ``end`` at progress 1, exact at both."""
    height = 0.5 + 0.5 * f.cos(math.pi * progress)
    return start * height + end * (1.0 - height)

"""The base of every optimizer: an update rule in tensor operations, and the state that it keeps of each parameter.

Called eagerly the rule computes new values; while a training step is traced it becomes part of that step's graph.
The rules themselves are in ``rules.py``, learning rates that change in ``schedules.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from inspect import signature
from typing import Protocol, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from chainrule.claims import check_unclaimed
from chainrule.errors import GradientError, ModelFileError, SettingError, ShapeError, caller_line
from chainrule.foreign_text import quoted
from chainrule.missing import as_array
from chainrule.ops.record import Array
from chainrule.optim.schedules import (
    Listed,
    Rate,
    Rates,
    Schedule,
    as_schedule,
    describe_rate,
    traceable,
)
from chainrule.optim.settings import check_flag, check_number
from chainrule.per_replica import as_numbers
from chainrule.tensor import TRACE, Tensor, no_grad


class HasParameters(Protocol):
    """What an optimizer can be attached to: a model that names its parameters."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter once, with its name."""


class Optimizer:
    """Base of the optimizers: a subclass gives ``slots``, ``prepare`` and ``rule``.

    Attach it to a model, then call ``step()`` after each ``backward()``; ``cr.fit`` does both by itself.

    ``lr`` is the learning rate: a number >= 0, or a function of the number of steps taken
    so far. With ``cr.fit(restarts=R)`` it may be a sequence of R numbers, one for each replica. ``weight_decay``
    adds weight_decay * parameter to each gradient, which is the gradient of a penalty weight_decay / 2 * w^2; with
    ``decoupled`` each step multiplies the parameters by 1 - lr * weight_decay instead. Biases (parameters whose
    ``penalised`` is False) decay only with ``decay_biases``.

    To copy or pickle a model with its optimizer, do so to both at once, ``copy.deepcopy((model, opt))``: a copy of the
    optimizer alone updates copies of the parameters that belong to no model. Raises SettingError for settings out of
    range.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> class SignDescent(optim.Optimizer):
    ...     def rule(self, p, g, state, scalars):
    ...         return p - scalars["lr"] * cr.sign(g), {}
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> opt = SignDescent(0.5).attach([w])
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.numpy()
    array([ 0.5, -1.5], dtype=float32)

    Lectures: A17.
    """

    def __init__(
        self, lr: Rates, weight_decay: float = 0.0, *, decoupled: bool = False, decay_biases: bool = False
    ) -> None:
        # a leaf, so that another learning rate does not make another graph; float64, as all scalar work
        self.base_rate = Tensor.leaf(np.array(1.0))
        self.lr = lr
        self.weight_decay = check_number("weight_decay", weight_decay, least=0)
        self.decoupled, self.decay_biases = decoupled, check_flag("decay_biases", decay_biases)
        self.attach([])

    # What a subclass says

    def slots(self) -> dict[str, float]:
        """The state arrays of each parameter, by name, with the value that fills them at first."""
        return {}

    def shared(self) -> dict[str, float]:
        """The float64 scalars of state that all parameters share, by name, with their first values."""
        return {}

    def prepare(self, lr: Tensor, t: Tensor) -> dict[str, Tensor]:
        """The float64 scalars that the rule needs in step ``t`` (counted from 1), computed once for all parameters.

        Entries named in ``shared`` become the new values of that state.
        """
        return {"lr": lr}

    def rule(
        self, p: Tensor, g: Tensor, state: dict[str, Tensor], scalars: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The new value of parameter ``p`` with gradient ``g``, and the new ``state`` of ``p``.

        ``scalars`` are those of ``prepare``, cast to the parameter's dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rule()")

    # The learning rate

    @property
    def lr(self) -> Rates:
        """The learning rate: a number, a function of the number of steps, or a tuple of one number per replica.

        Setting it takes effect at the next step.
        """
        if self._schedule is not None or isinstance(self._lr, tuple):
            return cast(Rates, self._lr)
        return float(self.base_rate.peek())

    @lr.setter
    def lr(self, lr: Rates) -> None:
        self._lr: Rates | None
        self._schedule: Schedule | None
        if isinstance(lr, Tensor) or (
            isinstance(lr, list | tuple) and any(isinstance(x, Tensor) for x in lr)
        ):
            raise SettingError(
                "lr is the learning rate; parameters were given",
                expected="a number >= 0, a schedule or a list of numbers",
                got=type(lr).__name__ + " of tensors" * (not isinstance(lr, Tensor)),
                hint=f"optim.{type(self).__name__}(1e-3).attach(model); cr.fit attaches it by itself",
            )
        if isinstance(lr, list | tuple) or (isinstance(lr, np.ndarray) and lr.ndim == 1):
            self._lr, self._schedule = as_numbers("lr", list(lr), _check_rate), None
            return
        schedule = as_schedule("lr", cast(Rate, lr))
        # a number stands in its leaf alone: another one is then no reason to trace again
        self._lr, self._schedule = (lr, schedule) if callable(lr) else (None, None)
        if not callable(lr):
            self.base_rate.assign(Tensor.leaf(np.array(lr, np.float64)))

    def rate(self) -> Tensor:
        """The learning rate of the next step, a float64 scalar."""
        if self._schedule is None:
            return self.base_rate
        return self._schedule(self.steps.astype(np.float64)).astype(np.float64)

    # Training

    def __copy__(self) -> Self:
        """A copy for the same parameters, with a state of its own that starts as this one's is now."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin.base_rate, twin.steps = copy(self.base_rate), copy(self.steps)
        twin.shared_state = {name: copy(tensor) for name, tensor in self.shared_state.items()}
        twin.state = [{slot: copy(tensor) for slot, tensor in slots.items()} for slots in self.state]
        return twin

    def attach(self, model: HasParameters | Iterable[Tensor]) -> Self:
        """Choose what ``step`` updates, the parameters of a model or a list of tensors, with new state; returns itself.

        Frozen parameters (``requires_grad`` False) may be among them: neither they nor their state change while they
        are frozen. Raises SettingError for tensors that cannot be trained, and for one that is given twice.
        """
        self._named(model)
        # new leaves, so that a shallow copy attached elsewhere leaves this one's state alone
        self.steps = Tensor.leaf(np.array(0, np.int64))
        self.shared_state = {name: Tensor.leaf(np.array(first)) for name, first in self.shared().items()}
        self.state = [
            {slot: Tensor.leaf(np.full_like(p.peek(), first)) for slot, first in self.slots().items()}
            for p in self.parameters
        ]
        return self

    def _named(self, model: HasParameters | Iterable[Tensor]) -> list[tuple[str, Tensor]]:
        """Remember what to update; returns the parameters with their names."""
        self._model: HasParameters | None = None
        if hasattr(model, "named_parameters"):
            self._model = cast(HasParameters, model)
            named = list(self._model.named_parameters())
        else:
            named = [(str(i), p) for i, p in enumerate(model)]
        _check_trainable(named)
        self.names = [name for name, _ in named]
        self.parameters = [p for _, p in named]
        return named

    def step(self) -> None:
        """Update every attached parameter that has a gradient, each from the values before the step.

        Raises SettingError if nothing is attached, GradientError if no parameter has a gradient, InTrainingError if
        ``cr.fit`` trains the parameters in another thread.

        Lectures: B18.
        """
        self._check_step()
        with no_grad():
            count, rate = self.steps + 1, self.rate()
            scalars = self.prepare(rate, count.astype(np.float64))
            shared = {name: scalars.pop(name) for name in self.shared_state}
            if self.weight_decay and self.decoupled:
                scalars["kept"] = 1.0 - rate * self.weight_decay
            by_dtype = {
                dtype: {name: scalar.astype(dtype) for name, scalar in scalars.items()}
                for dtype in dict.fromkeys(p.dtype for p in self.parameters)
            }
            changes = [
                (p, state, *self._changed(p, p.grad, state, by_dtype[p.dtype]))
                for p, state in zip(self.parameters, self.state, strict=True)
                if p.grad is not None and p.requires_grad
            ]
            for p, state, new, new_state in changes:
                p.assign(new)
                for slot, value in new_state.items():
                    state[slot].assign(value)
            for name, value in shared.items():
                self.shared_state[name].assign(value)
            self.steps.assign(count)

    def _check_step(self) -> None:
        if TRACE.get() is None:
            check_unclaimed("what this optimizer updates", self.parameters)
        if isinstance(self._lr, tuple):
            raise SettingError(
                f"lr has one learning rate for each of {len(self._lr)} replicas, and step() is for a single network",
                expected="one learning rate outside cr.fit",
                hint=f"cr.fit(restarts={len(self._lr)}), or opt.lr = {self._lr[0]:g}",
            )
        if not self.parameters:
            raise SettingError(
                "step() with an optimizer that is attached to nothing", hint="call opt.attach(model) first"
            )
        self._check_model()
        if not any(p.requires_grad for p in self.parameters):
            raise GradientError(
                "step() where every parameter is frozen", hint="set requires_grad = True on some of them"
            )
        if all(p.grad is None for p in self.parameters if p.requires_grad):
            raise GradientError("step() without a gradient", hint="call loss.backward() before opt.step()")

    def _check_model(self) -> None:
        """SettingError if the model has gained parameters since it was attached: they would not be trained."""
        if self._model is None:
            return
        known = {id(p) for p in self.parameters}
        new = [name for name, p in self._model.named_parameters() if id(p) not in known and p.requires_grad]
        if new:
            raise SettingError(
                "the model has gained parameters since the optimizer was attached",
                got=", ".join(new),
                where=caller_line(),
                hint="call opt.attach(model) after the model is complete; the optimizer's state starts anew",
            )

    def _changed(
        self, p: Tensor, g: Tensor, state: dict[str, Tensor], scalars: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Apply weight decay, then the rule."""
        value = p if TRACE.get() is None else p.detach()  # nothing is recorded here, but a trace would be
        if self.weight_decay and (self.decay_biases or getattr(p, "penalised", True)):
            if self.decoupled:
                value = value * scalars["kept"]
            else:
                g = g + self.weight_decay * value
        return self.rule(value, g, state, scalars)

    def zero_grad(self) -> None:
        """Set the gradients of all attached parameters to None."""
        for p in self.parameters:
            p.grad = None

    # State and settings

    def named_state(self) -> Iterator[tuple[str, Tensor]]:
        """All state by name: the step count, the learning rate, shared scalars, each parameter's slots."""
        yield "steps", self.steps
        yield "lr", self.base_rate
        yield from self.shared_state.items()
        for name, state in zip(self.names, self.state, strict=True):
            for slot, tensor in state.items():
                yield f"{name}.{slot}", tensor

    def parts(self) -> list[Optimizer]:
        """The optimizers that this one consists of: itself alone, unless it is one of ``optim.groups``."""
        return [self]

    def counters(self) -> list[Tensor]:
        """The state that all parameters share: the count of steps, and the shared scalars."""
        return [self.steps, *self.shared_state.values()]

    def fresh(self, lr: Rates | None = None) -> Self:
        """A copy with the same settings, attached to nothing and without state; ``lr`` replaces the learning rate.

        >>> from chainrule import optim
        >>> optim.SGD(0.1, momentum=0.9).fresh(lr=0.5)
        SGD(lr=0.5, momentum=0.9, nesterov=False, weight_decay=0.0, decay_biases=False)
        """
        other = copy(self)
        if lr is not None:
            other.lr = lr
        return other.attach([])

    def fresh_for(self, steps: int, at_once: int) -> Self:
        """A fresh copy for a run of so many steps, ``at_once`` to an epoch, whose learning rate can be traced.

        If each replica has a learning rate of its own, the copy starts with the first one's.
        """
        if isinstance(self.lr, tuple):
            return self.fresh(self.lr[0])
        rate = cast(Rate, self.lr)
        if not callable(rate) or traceable(rate):
            return self.fresh()
        # an ordinary Python function of the step cannot be traced, so its values are listed beforehand
        return self.fresh(Listed(rate, steps, at_once))

    def state_dict(self) -> dict[str, Array]:
        """Copies of all state, by name."""
        return {name: tensor.peek().copy() for name, tensor in self.named_state()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Restore state that :meth:`state_dict` of the same optimizer on the same model returned.

        Raises ModelFileError if the names differ and ShapeError if a shape does; then nothing is changed.
        """
        own = dict(self.named_state())
        if own.keys() != state.keys():
            raise ModelFileError(
                f"the state does not fit this {type(self).__name__}",
                expected=f"the names {', '.join(own)}",
                got=f"missing {sorted(own.keys() - state.keys())}, extra {sorted(state.keys() - own.keys())}",
                hint="attach the same model to an optimizer with the same settings first",
            )
        for name, tensor in own.items():
            if np.shape(state[name]) != tensor.shape:
                raise ShapeError(
                    f"{name} has another shape", expected=tensor.shape, got=np.shape(state[name])
                )
        for name, tensor in own.items():
            tensor.assign(Tensor.leaf(as_array(state[name], name=name).astype(tensor.dtype)))

    def describe(self) -> dict[str, object]:
        """The optimizer's name and settings as plain numbers, strings and dicts, for reports and checkpoints.

        >>> from chainrule import optim
        >>> optim.SGD(optim.CosineDecay(0.1, steps=100), momentum=0.9).describe()["lr"]
        {'name': 'CosineDecay', 'lr': 0.1, 'steps': 100, 'final': 0.0}
        """
        settings = {name: getattr(self, name) for name in signature(type(self)).parameters}
        return {"name": type(self).__name__} | settings | {"lr": describe_rate(self.lr)}

    def __repr__(self) -> str:
        settings = ((name, getattr(self, name)) for name in signature(type(self)).parameters)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in settings)})"


def _check_rate(lr: object) -> float:
    if callable(lr):
        raise SettingError(
            "lr: of several learning rates, each must be a number",
            got=quoted(lr),
            hint="pass one schedule for all replicas, or one number for each",
        )
    return check_number("lr", lr, least=0)


def _check_trainable(named: Sequence[tuple[str, object]]) -> None:
    for name, p in named:
        # a parameter may be frozen now, and trained later
        trainable = isinstance(p, Tensor) and (
            p.node.owner is not None if p.requires_grad else hasattr(p, "penalised")
        )
        if not trainable:
            raise SettingError(
                f"attach: {name} cannot be trained",
                expected="a model, or a list of tensors made with requires_grad=True",
                got="a computed tensor" if isinstance(p, Tensor) else type(p).__name__,
            )
    if len({id(p) for _, p in named}) < len(named):
        raise SettingError("attach: a parameter is given twice", hint="give each parameter once")

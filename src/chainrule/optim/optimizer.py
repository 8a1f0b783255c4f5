"""What every optimizer is: a rule that says how one parameter and its state change, written with tensor operations.

Run eagerly the rule computes; traced it becomes part of the training step's graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.module import Module, Parameter
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, no_grad

#: a number, or a function of the number of steps taken so far (a scalar tensor) that returns one
Rate = float | Callable[[Any], Any]


class Optimizer:
    """Base of the optimizers: a subclass gives ``slots`` and ``rule``.

    ``lr`` is a number, or a schedule: a function of the number of steps taken so far, written with tensor
    operations. ``attach`` a model, then ``step()`` after each ``backward()``.
    """

    #: names of the state arrays that each parameter has, all zero at first
    slots: tuple[str, ...] = ()

    def __init__(self, lr: Rate) -> None:
        if isinstance(lr, int | float) and not lr >= 0:
            raise SettingError("lr: a step size is not negative", expected=">= 0", got=lr)
        self.lr = lr
        # a leaf, so that another step size does not make another graph
        self.base_rate = Tensor.leaf(np.array(lr if isinstance(lr, int | float) else 1.0, np.float64))
        self.steps = Tensor.leaf(np.array(0, np.int64))
        self.parameters: list[Parameter] = []
        self.state: list[dict[str, Tensor]] = []

    def attach(self, model: Module | Iterable[Parameter]) -> Self:
        """Say which parameters to update; their state starts at zero."""
        self.parameters = model.parameters() if isinstance(model, Module) else list(model)
        self.state = [
            {slot: Tensor.leaf(np.zeros(p.shape, p.dtype)) for slot in self.slots} for p in self.parameters
        ]
        self.steps.assign(Tensor.leaf(np.array(0, np.int64)))
        return self

    def rule(
        self, p: Tensor, g: Tensor, state: dict[str, Tensor], lr: Tensor, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The new value of a parameter with gradient ``g``, and its new state; ``t`` counts steps from 1."""
        raise NotImplementedError

    def rate(self) -> Tensor:
        """The present step size, a float64 scalar."""
        if callable(self.lr):
            taken = self.steps if self.steps.data is None else self.steps.detach()
            return Tensor.leaf(np.zeros((), np.float64)) + self.lr(taken.astype(np.float64))
        return self.base_rate

    def step(self) -> None:
        """Update every attached parameter that has a gradient, all from the values before (SPEC B18)."""
        if not self.parameters:
            raise SettingError("the optimizer has nothing to update", hint="call opt.attach(model) first")
        with no_grad():
            count, rate = self.steps + 1, self.rate()
            clocks: dict[Any, tuple[Tensor, Tensor]] = {}
            changes = []
            for p, state in zip(self.parameters, self.state, strict=True):
                if p.grad is None:
                    continue
                if p.dtype not in clocks:
                    clocks[p.dtype] = rate.astype(p.dtype), count.astype(p.dtype)
                changes.append((p, state, *self.rule(p, p.grad, state, *clocks[p.dtype])))
            for p, state, new, new_state in changes:
                p.assign(new)
                for slot, value in new_state.items():
                    state[slot].assign(value)
            self.steps.assign(count)

    def zero_grad(self) -> None:
        """Forget the gradients of all attached parameters."""
        for p in self.parameters:
            p.grad = None

    def named_state(self) -> Iterator[tuple[str, Tensor]]:
        """Every state tensor by name: the step count, then each parameter's slots."""
        yield "steps", self.steps
        for i, state in enumerate(self.state):
            for slot, tensor in state.items():
                yield f"{i}.{slot}", tensor

    def state_dict(self) -> dict[str, Array]:
        """Copies of the state by name."""
        return {name: tensor.numpy().copy() for name, tensor in self.named_state()}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Take over a state made by :meth:`state_dict` of the same optimizer on the same model."""
        for name, tensor in self.named_state():
            tensor.assign(Tensor.leaf(np.array(state[name])))

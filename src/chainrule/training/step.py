"""One training step as one graph: forward, loss, penalty, backward, clipping and update, joined by tracing.

The step is what a user would write by hand; running it eagerly gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.graph import Node, new_leaf
from chainrule.interpret import Interpreted
from chainrule.nn.module import Module
from chainrule.ops.record import Array, Form
from chainrule.optim.clipping import clip_norm as clip_gradients
from chainrule.optim.clipping import gradient_norm
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor
from chainrule.trace import tracing

Loss = Callable[[Tensor, Tensor], Tensor]
Penalty = Callable[[Module], Tensor]


@dataclass(frozen=True)
class Step:
    """A traced computation: what goes in, what comes out, and which tensors it updates in place."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Tensor, Node, Node], ...] = ()


def training_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    penalty: Penalty | None,
    clip_norm: float | None,
    forms: Sequence[Form],
) -> Step:
    """The step for a minibatch of these forms (x, y); its outputs are the loss and the gradient's norm."""
    model.train()
    model.zero_grad()
    with tracing() as trace:
        x, y = (Tensor(None, new_leaf(*form, name)) for form, name in zip(forms, "xy", strict=True))
        value = loss(model(x), y)
        objective = value if penalty is None else value + penalty(model)
        objective.backward()
        norm = _norm_and_clip(model, clip_norm)
        optimizer.step()
    return Step((x.node, y.node), (value.node, norm.node), tuple(trace.updates))


def _norm_and_clip(model: Module, clip_norm: float | None) -> Tensor:
    if clip_norm is None:
        return gradient_norm(model.parameters())
    return clip_gradients(model.parameters(), clip_norm)


def loss_step(model: Module, loss: Loss, forms: Sequence[Form]) -> Step:
    """The loss of a minibatch at inference, without any update."""
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        with tracing():
            x, y = (Tensor(None, new_leaf(*form, name)) for form, name in zip(forms, "xy", strict=True))
            value = loss(model(x), y)
    finally:
        for module, mode in modes:
            module.training = mode
    return Step((x.node, y.node), (value.node,))


def gradient_step(model: Module, loss: Loss, penalty: Penalty | None, forms: Sequence[Form]) -> Step:
    """The objective (loss and penalty) at inference and its gradient, one output per parameter."""
    model.eval()
    model.zero_grad()
    with tracing():
        x, y = (Tensor(None, new_leaf(*form, name)) for form, name in zip(forms, "xy", strict=True))
        value = loss(model(x), y)
        objective = value if penalty is None else value + penalty(model)
        objective.backward()
        gradients = [
            Tensor.leaf(np.zeros(p.shape, p.dtype)) if p.grad is None else p.grad for p in model.parameters()
        ]
    return Step((x.node, y.node), (objective.node, *(g.node for g in gradients)))


class InterpretedStep:
    """A step run node by node with NumPy."""

    def __init__(self, step: Step) -> None:
        self._count = len(step.outputs)
        self._program = Interpreted(step.inputs, [*step.outputs, *(after for _, _, after in step.updates)])
        self._buffers = [tensor.numpy() for tensor, _, _ in step.updates]

    def __call__(self, *arrays: Array) -> list[Any]:
        """Run once: the outputs; updated tensors change in place, all at the same time (SPEC B18)."""
        values = self._program(*arrays)
        # a value that is a view may look into a buffer that is about to change
        new = [v if v.flags.owndata else v.copy() for v in values[self._count :]]
        for buffer, value in zip(self._buffers, new, strict=True):
            np.copyto(buffer, value)
        return values[: self._count]

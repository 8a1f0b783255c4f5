"""Tracing: user code runs once on tensors without values, and what it did is a graph.

Tensors that existed before are leaves of that graph. What the code assigns to them (parameters, optimizer
state, running moments) are outputs that belong to the same buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from chainrule.errors import SourceLine, user_line
from chainrule.graph import Node
from chainrule.ops.record import Array
from chainrule.tensor import TRACE, Tensor

#: values that code asked for while it was traced: of which tensor, as it then was, and the user's line
Values = dict[Tensor, tuple[Array, SourceLine | None]]


@dataclass
class Trace:
    """What was recorded: the node and the gradient that each tensor had before it was changed."""

    assigned: dict[Tensor, Node] = field(default_factory=dict)
    gradients: dict[Tensor, Tensor | None] = field(default_factory=dict)
    updates: list[tuple[Tensor, Node, Node]] = field(default_factory=list)  # (tensor, before, after)
    values: Values = field(default_factory=dict)
    made: set[Node] = field(default_factory=set)  # leaves of tensors that did not exist before
    reset: set[Tensor] = field(default_factory=set)  # whose gradient was set to None before any was added
    used: set[Tensor] = field(default_factory=set)  # whose gradient was looked at

    def left_gradients(self) -> list[Tensor]:
        """Tensors that the recorded code leaves a gradient in, to which its next run would add another."""
        return [tensor for tensor in self.gradients if tensor._grad is not None and tensor not in self.reset]

    def note_value(self, tensor: Tensor) -> None:
        """A value of a tensor from outside was asked for, so the graph may depend on it."""
        if tensor not in self.values and tensor._data is not None:
            self.values[tensor] = tensor._data.copy(), user_line()


@contextmanager
def tracing() -> Iterator[Trace]:
    """Record instead of compute. On exit every tensor has its former node and gradient back."""
    trace = Trace()
    token = TRACE.set(trace)
    try:
        yield trace
    finally:
        TRACE.reset(token)
        for tensor, before in trace.assigned.items():
            trace.updates.append((tensor, before, tensor.node))
            tensor.node = before
        for tensor, gradient in trace.gradients.items():
            tensor.grad = gradient
        trace.assigned.clear()
        trace.gradients.clear()

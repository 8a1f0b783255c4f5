"""Two ways to run a traced step: node by node with NumPy, or as machine code with a native loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from chainrule.graph import Node
from chainrule.interpret import Interpreted
from chainrule.ops.record import Array
from chainrule.training.step import Step

if TYPE_CHECKING:
    from chainrule.compiler.program import Binary

Executor = Literal["compiled", "interpreted"]
Tick = Callable[[], None]
CALL_SECONDS = 0.1  # native code comes back to Python about this often


class Runner(Protocol):
    """A step ready to run."""

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run once: the outputs. Updated tensors change in place, all at the same time (SPEC B18)."""

    def run(self, data: Sequence[Array], order: Array, tick: Tick) -> Array:
        """Run once for each row of ``order`` [steps, rows], row numbers of ``data``: [steps, outputs]."""


class InterpretedStep:
    """A step run node by node with NumPy. ``arrays`` is the memory that leaves stand for, if not their own."""

    def __init__(self, step: Step, arrays: Mapping[Node, Array] | None = None) -> None:
        arrays = arrays or {}
        self._count, self._state = len(step.outputs), list(arrays.values())
        results = [*step.outputs, *(after for _, _, after in step.updates)]
        self._program = Interpreted([*step.inputs, *arrays], results)
        self._buffers = [arrays.get(before, tensor.numpy()) for tensor, before, _ in step.updates]
        self._changing = {id(buffer) for buffer in self._buffers}

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run once: the outputs; updated tensors change in place, all at the same time (SPEC B18)."""
        values = self._program(*arrays, *self._state)
        # a value that is a buffer, or a view of one, is about to change
        new = [
            v if v.flags.owndata and id(v) not in self._changing else v.copy() for v in values[self._count :]
        ]
        for buffer, value in zip(self._buffers, new, strict=True):
            np.copyto(buffer, value)
        return values[: self._count]

    def run(self, data: Sequence[Array], order: Array, tick: Tick) -> Array:
        """Run once for each row of ``order``."""
        records = np.empty((len(order), self._count))
        for record, batch in zip(records, order, strict=True):
            record[:] = [float(value) for value in self(*(array[batch] for array in data))]
            tick()
        return records


class CompiledStep:
    """A step as machine code, for minibatches of one size, on memory of its own."""

    def __init__(self, binary: Binary, arrays: Mapping[Node, Array]) -> None:
        from chainrule.compiler.program import Instance

        self._program = Instance(binary, arrays)
        self._chunk = 1

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run once: the outputs."""
        return self._program(*arrays)

    def run(self, data: Sequence[Array], order: Array, tick: Tick) -> Array:
        """Run once for each row of ``order``, in native code that comes back ten times a second."""
        parts = []
        start = 0
        while start < len(order):
            began = time.perf_counter()
            part = order[start : start + self._chunk]
            parts.append(self._program.stream(data, part))
            start += len(part)
            tick()
            rate = len(part) / max(time.perf_counter() - began, 1e-7)
            self._chunk = max(1, min(8 * self._chunk, int(CALL_SECONDS * rate)))
        return np.concatenate(parts)


def compiled(step: Step) -> Callable[[Mapping[Node, Array]], Runner]:
    """Compile once; the result makes runners on any memory."""
    from chainrule.compiler.program import Binary

    updates = [(before, after) for _, before, after in step.updates]
    scalars = all(output.shape == () for output in step.outputs)
    binary = Binary(step.inputs, step.outputs, updates, rows=step.inputs[0].shape[0] if scalars else None)
    return partial(CompiledStep, binary)


def interpreted(step: Step) -> Callable[[Mapping[Node, Array]], Runner]:
    """Nothing to do beforehand."""
    return partial(InterpretedStep, step)


#: what makes a traced step ready, by the executor's name
RUNNERS: dict[Executor, Callable[[Step], Callable[[Mapping[Node, Array]], Runner]]] = {
    "compiled": compiled,
    "interpreted": interpreted,
}

"""A compiled graph, ready to run: its buffers, its arena, and the native function."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.compiler.host import Library, Target, host
from chainrule.compiler.memory import ALIGNMENT, Place
from chainrule.compiler.pipeline import Code, lower
from chainrule.compiler.views import View
from chainrule.errors import IndexOutOfRangeError
from chainrule.graph import Node
from chainrule.ops.record import Array
from chainrule.ops.source import constant


class Program:
    """Runs a graph as machine code. Updated leaves change in place; outputs are copied out."""

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        updates: Sequence[tuple[Node, Node]] = (),
        target: Target | None = None,
    ) -> None:
        self.target = target or host()
        self.inputs = list(inputs)
        self.code: Code = lower(outputs, updates, _unusual_strides(outputs, updates, set(inputs)), self.target)
        self._library = Library(self.code.text, self.target)
        self._step = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._library.address("step"))
        self._arena = aligned(self.code.arena_bytes)
        self._kept: list[Any] = [None] * len(self.code.buffers)
        self._table = np.zeros(len(self.code.buffers) + 1, np.uint64)
        self._table[-1] = self._arena.ctypes.data
        self._slots = {node: i for i, node in enumerate(self.code.buffers)}
        for node in self.code.buffers:
            if node.op is constant:
                self.bind(node, np.ascontiguousarray(node.params["value"]))
            elif node.value is not None:
                self.bind(node, node.value)

    def bind(self, node: Node, array: Array) -> None:
        """Use this array's memory as the node's; it must have the strides that were compiled for."""
        slot = self._slots.get(node)
        if slot is not None:
            self._kept[slot] = array
            self._table[slot] = array.ctypes.data

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run once."""
        for node, array in zip(self.inputs, arrays, strict=True):
            self.bind(node, np.ascontiguousarray(array, dtype=node.dtype))
        self._step(self._table.ctypes.data)
        status = self._arena[self.code.status_offset : self.code.status_offset + 4].view(np.int32)
        if status[0]:
            status[0] = 0
            raise IndexOutOfRangeError("an index was out of range in compiled code")
        return [self._output(view, place) for view, place in self.code.outputs]

    def _output(self, view: View, place: Place) -> Array:
        """A copy of an output from the memory it was left in."""
        dtype = view.root.dtype
        if place.buffer is None:
            memory = self._arena[place.offset :].view(np.uint8)
        else:
            memory = self._kept[self._slots[place.buffer]].reshape(-1, order="A").view(np.uint8)
        strides = [s * dtype.itemsize for s in view.strides]
        return np.ndarray(view.shape, dtype, memory, view.offset * dtype.itemsize, strides).copy()


def aligned(count: int) -> Array:
    """Zeroed bytes that start where vectors like to."""
    raw = np.zeros(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]


def _unusual_strides(
    outputs: Sequence[Node], updates: Sequence[tuple[Node, Node]], inputs: set[Node]
) -> Mapping[Node, tuple[int, ...]]:
    from chainrule.graph import topological

    nodes = topological([*outputs, *(value for _, value in updates)])
    found = {}
    for node in nodes:
        if node.value is not None and node not in inputs and not node.inputs:
            found[node] = tuple(s // node.value.itemsize for s in node.value.strides)
    return found

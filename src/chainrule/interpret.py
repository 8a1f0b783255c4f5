"""Evaluates a graph with NumPy, node by node: slow, obvious, and the oracle for everything faster."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, describe_line
from chainrule.graph import Node, topological
from chainrule.ops.record import Array


class Interpreted:
    """A graph ready to run many times: inputs in, outputs out; a value is dropped after its last use."""

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
        given = set(inputs)
        order = topological(outputs, stop=lambda node: node in given or node.value is not None)
        self._slot = {node: i for i, node in enumerate(dict.fromkeys([*inputs, *order]))}
        self._inputs = [self._slot[node] for node in inputs]
        self._outputs = [self._slot[node] for node in outputs]
        self._known = [n for n in order if n not in given and n.value is not None]
        self._steps = self._schedule([n for n in order if n not in given and n.value is None])

    def _schedule(self, order: list[Node]) -> list[tuple[Node, list[int], int, list[int]]]:
        """For each node: where its operands are, where its value goes, and what nobody needs afterwards."""
        slot = self._slot
        last_use = {slot[x]: i for i, node in enumerate(order) for x in node.inputs}
        for kept in self._outputs:
            last_use.pop(kept, None)
        dead: dict[int, list[int]] = {}
        for index, step in last_use.items():
            dead.setdefault(step, []).append(index)
        return [(n, [slot[x] for x in n.inputs], slot[n], dead.get(i, [])) for i, n in enumerate(order)]

    def bytes(self) -> int:
        """Memory of all values that are computed, if every one were kept."""
        return sum(math.prod(node.shape) * node.dtype.itemsize for node, *_ in self._steps)

    def __call__(self, *arrays: Array) -> list[Array]:
        """Values of the outputs. They may share memory with the inputs."""
        values: list[Any] = [None] * len(self._slot)
        for node in self._known:
            values[self._slot[node]] = node.value
        for index, array in zip(self._inputs, arrays, strict=True):
            values[index] = array
        with np.errstate(all="ignore"):  # a logarithm of 0 is -inf, as in compiled code; nothing is printed
            for node, operands, target, dead in self._steps:
                values[target] = value_of(node, [values[i] for i in operands])
                for index in dead:
                    values[index] = None
        return [values[i] for i in self._outputs]


def value_of(node: Node, operands: Sequence[Array]) -> Array:
    """One node's value from those of its inputs."""
    try:
        value = node.op.value(*operands, **node.params)
    except ChainruleError as error:
        error.where = error.where or describe_line(node.line)
        raise
    except LookupError as error:
        raise ChainruleError(str(error), where=describe_line(node.line)) from None
    array = np.asarray(value)
    return array if array.dtype == node.dtype else array.astype(node.dtype)


def evaluate(outputs: Iterable[Node], given: Mapping[Node, Array] | None = None) -> list[Array]:
    """The values of the outputs, given those of some nodes."""
    given = given or {}
    return Interpreted(list(given), list(outputs))(*given.values())

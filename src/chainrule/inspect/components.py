"""Partial derivatives element by element: how each element of a quantity affects each of the next (lecture E)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.graph import Node
from chainrule.inspect.steps import Edge, Steps
from chainrule.ops.record import Array


class Jacobians:
    """The Jacobian of each quantity with respect to each quantity that it is computed from."""

    def __init__(self, told: Steps) -> None:
        self.told = told
        self._found: dict[int, Array] = {}

    def of(self, edge: Edge, rows: int | None = None) -> Array:
        """The Jacobian [elements of the upper quantity, elements of the lower one], or only its first ``rows``."""
        known = self._found.get(id(edge))
        size = math.prod(edge.upper.shape)
        wanted = size if rows is None else min(rows, size)
        if known is not None and len(known) >= wanted:
            return known[:wanted]
        unit = np.zeros(size, edge.upper.dtype)
        lines = []
        for i in range(wanted):
            unit[i] = 1
            lines.append(edge.send(unit.reshape(edge.upper.shape).copy()).reshape(-1))
            unit[i] = 0
        matrix = np.stack(lines) if lines else np.zeros((0, math.prod(edge.lower.shape)))
        self._found[id(edge)] = matrix
        return matrix

    def row(self, edge: Edge, i: int) -> Array:
        """One row of the Jacobian: the partial derivatives of one element of the upper quantity."""
        unit = np.zeros(math.prod(edge.upper.shape), edge.upper.dtype)
        unit[i] = 1
        return edge.send(unit.reshape(edge.upper.shape)).reshape(-1)

    def above(self, node: Node, element: int) -> Iterator[tuple[Node, int, float]]:
        """The elements that depend on one element, each with its partial derivative, if it is not zero."""
        for edge in self.told.edges.get(node, ()):
            column = self.of(edge)[:, element]
            for i in np.flatnonzero(column):
                yield edge.upper, int(i), float(column[i])

    def paths(self, node: Node, element: int) -> Iterator[list[tuple[Node, int, float]]]:
        """Iterate over the paths from one element to the target: (quantity, element, partial) for each edge."""
        stack: list[tuple[Node, int, list[tuple[Node, int, float]]]] = [(node, element, [])]
        while stack:
            at, i, path = stack.pop()
            if at is self.told.recording.target:
                yield path
                continue
            for upper, k, partial in reversed(list(self.above(at, i))):
                stack.append((upper, k, [*path, (upper, k, partial)]))

    def count_paths(self, node: Node, element: int) -> int:
        """Count the paths from one element to the target, without following each."""
        counts: dict[Node, list[int]] = {}
        for at in reversed(self.told.steps):
            size = math.prod(at.shape)
            if at is self.told.recording.target:
                counts[at] = [1] * size
                continue
            counts[at] = [0] * size
            for edge in self.told.edges.get(at, ()):
                nonzero = self.of(edge) != 0
                for i in range(size):
                    counts[at][i] += sum(counts[edge.upper][int(k)] for k in np.flatnonzero(nonzero[:, i]))
        return counts[node][element]

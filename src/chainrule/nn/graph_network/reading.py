"""Reads edges in any accepted form into arrays."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from chainrule.errors import SettingError
from chainrule.missing import as_array, need_whole
from chainrule.ops.record import Array

#: an edge of a graph: the neuron it leaves and the neuron it enters
Edge = tuple[Hashable, Hashable]


@runtime_checkable
class Digraph(Protocol):
    """What is read of a ``networkx.DiGraph``."""

    def is_directed(self) -> bool:
        """Whether its edges have a direction."""
        ...

    def is_multigraph(self) -> bool:
        """Whether two neurons may have several edges."""
        ...

    def edges(self, *, data: bool) -> Iterable[tuple[Hashable, Hashable, Mapping[str, float]]]:
        """All edges, each with its attributes."""
        ...


class Coordinates(Protocol):
    """What is read of a ``scipy.sparse`` matrix in coordinate format."""

    shape: tuple[int, int]
    row: Array
    col: Array
    data: Array


@runtime_checkable
class SparseMatrix(Protocol):
    """A ``scipy.sparse`` matrix of any format."""

    def tocoo(self) -> Coordinates:
        """The matrix in coordinate format."""
        ...


Edges = Iterable[Edge] | Mapping[Edge, float] | Digraph | SparseMatrix | Array


@dataclass(frozen=True)
class EdgeList:
    """Edges as arrays of indices into ``labels``, the neurons' names or numbers, with weights if any were given."""

    labels: Array  # [neurons], objects or int64
    source: Array  # [edges], int64
    target: Array  # [edges], int64
    weights: Array | None  # [edges]

    def where(self, neurons: Iterable[Hashable], role: str) -> Array:
        """Return the indices of neurons in ``labels``; raise SettingError for repeated ones and ones without edges."""
        wanted = list(neurons)
        if self.labels.dtype.kind == "i" and len(wanted) > 1000:
            positions = self._numbered(wanted)
        else:
            known = {label: i for i, label in enumerate(self.labels.tolist())}
            positions = [known.get(neuron, -1) for neuron in wanted]
        unknown = [neuron for neuron, i in zip(wanted, positions, strict=True) if i < 0]
        if unknown:
            raise SettingError(
                f"GraphNetwork: {role} that occur in no edge: {listed(unknown)}",
                expected=f"neurons among the {len(self.labels)} that edges name: {listed(self.labels.tolist())}",
                got=listed(wanted),
                hint="check the spelling, or add the missing edges",
            )
        if len(set(positions)) < len(positions):
            repeated = [n for i, n in enumerate(wanted) if positions[i] in positions[:i]]
            raise SettingError(f"GraphNetwork: {role} listed twice: {listed(repeated)}", got=listed(wanted))
        return np.array(positions, np.int64)

    def _numbered(self, wanted: list[Hashable]) -> list[int]:
        numbers = np.asarray(wanted)
        if numbers.dtype.kind not in "iu":
            return [-1] * len(wanted)
        at = np.minimum(np.searchsorted(self.labels, numbers), len(self.labels) - 1)
        return np.where(self.labels[at] == numbers, at, -1).tolist()


def listed(neurons: Iterable[Hashable], most: int = 8) -> str:
    """Neurons as text for an error message, at most ``most`` of them."""
    named = [repr(neuron) for neuron in neurons]
    return ", ".join(named[:most]) + (f", ... ({len(named)} in all)" if len(named) > most else "")


def read_edges(edges: Edges) -> EdgeList:
    """Read pairs, a mapping to weights, a networkx.DiGraph, a sparse adjacency matrix or an integer array [E, 2]."""
    if isinstance(edges, SparseMatrix):
        found = _from_matrix(edges)
    elif isinstance(edges, Digraph):
        found = _from_digraph(edges)
    elif isinstance(edges, np.ndarray):
        found = _from_array(edges)
    elif isinstance(edges, Mapping):
        need_whole("GraphNetwork: the weights", list(edges.values()))
        found = _from_pairs(list(edges), np.array([float(w) for w in edges.values()]))
    else:
        found = _from_pairs(list(edges), None)
    if not len(found.source):
        raise SettingError("GraphNetwork: there are no edges", expected="at least one (from, to) pair")
    if found.weights is not None and not np.isfinite(found.weights).all():
        raise SettingError("GraphNetwork: a weight is not finite")
    return found


def _from_pairs(pairs: list[Edge], weights: Array | None) -> EdgeList:
    numbers: dict[Hashable, int] = {}
    ends: list[int] = []
    for pair in pairs:
        if isinstance(pair, str) or not hasattr(pair, "__len__") or len(pair) != 2:
            raise SettingError("GraphNetwork: not an edge", expected="a (from, to) pair", got=repr(pair))
        ends.extend(numbers.setdefault(neuron, len(numbers)) for neuron in pair)
    labels = np.empty(len(numbers), object)
    labels[:] = list(numbers)
    both = np.array(ends, np.int64).reshape(-1, 2)
    return EdgeList(labels, both[:, 0], both[:, 1], weights)


def _from_digraph(graph: Digraph) -> EdgeList:
    if not graph.is_directed() or graph.is_multigraph():
        raise SettingError(
            "GraphNetwork: the graph must be directed, with at most one edge between two neurons",
            expected="a networkx.DiGraph",
            got=type(graph).__name__,
        )
    found = [(a, b, data.get("weight")) for a, b, data in graph.edges(data=True)]
    weighted = [w is not None for _, _, w in found]
    if any(weighted) and not all(weighted):
        a, b, _ = found[weighted.index(False)]
        raise SettingError("GraphNetwork: some edges have no weight", got=f"no weight at {(a, b)!r}")
    weights = np.array([w for _, _, w in found], np.float64) if any(weighted) else None
    return _from_pairs([(a, b) for a, b, _ in found], weights)


def _from_matrix(matrix: SparseMatrix) -> EdgeList:
    """Entry [i, j] is the weight of the edge from neuron i to neuron j; a boolean matrix gives no weights."""
    found = matrix.tocoo()
    rows, columns = found.shape
    if rows != columns:
        raise SettingError(
            "GraphNetwork: an adjacency matrix must be square", expected="[neurons, neurons]", got=found.shape
        )
    numbered = _from_array(np.stack([found.row, found.col], axis=1).astype(np.int64))
    weights = None if found.data.dtype.kind == "b" else as_array(found.data, np.float64, "weights")
    return replace(numbered, weights=weights)


def _from_array(array: Array) -> EdgeList:
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise SettingError(
            "GraphNetwork: an array of edges needs one (from, to) row per edge",
            expected="integers [edges, 2]",
            got=f"{array.dtype}{list(array.shape)}",
        )
    if array.size and array.min() < 0:
        raise SettingError("GraphNetwork: a neuron's number must not be negative", got=int(array.min()))
    ends = array.astype(np.int64)
    if not array.size or ends.max() < 4 * ends.size + 1024:  # the numbers are dense enough for a lookup table
        present = np.zeros(int(ends.max(initial=-1)) + 1, bool)
        present[ends.ravel()] = True
        labels = np.flatnonzero(present)
        if len(labels) < len(present):
            ends = (np.cumsum(present) - 1)[ends]
    else:
        labels, ends = np.unique(ends, return_inverse=True)
        ends = ends.reshape(array.shape)
    return EdgeList(labels, ends[:, 0], ends[:, 1], None)

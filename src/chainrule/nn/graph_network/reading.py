"""Edges in whatever form the user has them, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.ops.record import Array


@dataclass(frozen=True)
class EdgeList:
    """Edges as positions in ``labels``, which are the neurons' names or numbers; weights where some were given."""

    labels: Array  # [neurons], objects or int64
    source: Array  # [edges], int64
    target: Array  # [edges], int64
    weights: Array | None  # [edges]

    def where(self, neurons: Iterable[Any], role: str) -> Array:
        """Positions of neurons in ``labels``; a SettingError that names those that no edge has, or repeats."""
        wanted = list(neurons)
        if self.labels.dtype.kind == "i" and len(wanted) > 1000:
            positions = self._numbered(wanted)
        else:
            known = {label: i for i, label in enumerate(self.labels.tolist())}
            positions = [known.get(neuron, -1) for neuron in wanted]
        unknown = [neuron for neuron, i in zip(wanted, positions, strict=True) if i < 0]
        if unknown:
            raise SettingError(
                f"GraphNetwork: {role} that no edge has: {listed(unknown)}",
                expected=f"some of the {len(self.labels)} neurons: {listed(self.labels.tolist())}",
                got=listed(wanted),
                hint="check the spelling; neurons are known by the edges that they have",
            )
        if len(set(positions)) < len(positions):
            repeated = [n for i, n in enumerate(wanted) if positions[i] in positions[:i]]
            raise SettingError(f"GraphNetwork: {role} named twice: {listed(repeated)}", got=listed(wanted))
        return np.array(positions, np.int64)

    def _numbered(self, wanted: list[Any]) -> list[int]:
        numbers = np.asarray(wanted)
        if numbers.dtype.kind not in "iu":
            return [-1] * len(wanted)
        at = np.minimum(np.searchsorted(self.labels, numbers), len(self.labels) - 1)
        return np.where(self.labels[at] == numbers, at, -1).tolist()


def listed(neurons: Iterable[Any], most: int = 8) -> str:
    """Neurons in an error message, not too many of them."""
    named = [repr(neuron) for neuron in neurons]
    return ", ".join(named[:most]) + (f", ... ({len(named)} in all)" if len(named) > most else "")


def read_edges(edges: Any) -> EdgeList:
    """Pairs, a mapping to weights, a networkx.DiGraph, a sparse adjacency matrix or an integer array [E, 2]."""
    if hasattr(edges, "tocoo"):
        found = _from_matrix(edges)
    elif hasattr(edges, "is_directed") and hasattr(edges, "edges"):
        found = _from_digraph(edges)
    elif isinstance(edges, np.ndarray):
        found = _from_array(edges)
    elif isinstance(edges, Mapping):
        found = _from_pairs(list(edges), np.array([float(w) for w in edges.values()]))
    else:
        found = _from_pairs(list(edges), None)
    if not len(found.source):
        raise SettingError("GraphNetwork: there are no edges", expected="at least one (from, to) pair")
    if found.weights is not None and not np.isfinite(found.weights).all():
        raise SettingError("GraphNetwork: a weight is not finite")
    return found


def _from_pairs(pairs: list[Any], weights: Array | None) -> EdgeList:
    numbers: dict[Any, int] = {}
    ends: list[int] = []
    for pair in pairs:
        if isinstance(pair, str) or not hasattr(pair, "__len__") or len(pair) != 2:
            raise SettingError("GraphNetwork: this is no edge", expected="a (from, to) pair", got=repr(pair))
        ends.extend(numbers.setdefault(neuron, len(numbers)) for neuron in pair)
    labels = np.empty(len(numbers), object)
    labels[:] = list(numbers)
    both = np.array(ends, np.int64).reshape(-1, 2)
    return EdgeList(labels, both[:, 0], both[:, 1], weights)


def _from_digraph(graph: Any) -> EdgeList:
    if not graph.is_directed() or graph.is_multigraph():
        raise SettingError(
            "GraphNetwork: edges need a direction, and one between two neurons",
            expected="a networkx.DiGraph",
            got=type(graph).__name__,
        )
    found = [(a, b, data.get("weight")) for a, b, data in graph.edges(data=True)]
    weighted = [w is not None for _, _, w in found]
    if any(weighted) and not all(weighted):
        a, b, _ = found[weighted.index(False)]
        raise SettingError("GraphNetwork: some edges have a weight, others none", got=f"none: {(a, b)!r}")
    weights = np.array([float(w) for _, _, w in found]) if any(weighted) else None
    return _from_pairs([(a, b) for a, b, _ in found], weights)


def _from_matrix(matrix: Any) -> EdgeList:
    """Entry [i, j] is the weight of the edge from neuron i to neuron j; a boolean matrix gives no weights."""
    found = matrix.tocoo()
    rows, columns = found.shape
    if rows != columns:
        raise SettingError(
            "GraphNetwork: an adjacency matrix is square", expected="[neurons, neurons]", got=found.shape
        )
    numbered = _from_array(np.stack([found.row, found.col], axis=1).astype(np.int64))
    weights = None if found.data.dtype.kind == "b" else np.asarray(found.data, np.float64)
    return replace(numbered, weights=weights)


def _from_array(array: Array) -> EdgeList:
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise SettingError(
            "GraphNetwork: an array of edges has a row for each",
            expected="integers [edges, 2], (from, to)",
            got=f"{array.dtype}{list(array.shape)}",
        )
    if array.size and array.min() < 0:
        raise SettingError("GraphNetwork: neurons are numbered from 0 on", got=int(array.min()))
    ends = array.astype(np.int64)
    if not array.size or ends.max() < 4 * ends.size + 1024:  # a table over all numbers is affordable
        present = np.zeros(int(ends.max(initial=-1)) + 1, bool)
        present[ends.ravel()] = True
        labels = np.flatnonzero(present)
        if len(labels) < len(present):
            ends = (np.cumsum(present) - 1)[ends]
    else:
        labels, ends = np.unique(ends, return_inverse=True)
        ends = ends.reshape(array.shape)
    return EdgeList(labels, ends[:, 0], ends[:, 1], None)

"""How a graph is laid out for computing: neurons in units, edges in blocks between two units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.graph_network.levels import grouped
from chainrule.nn.graph_network.reading import EdgeList, listed
from chainrule.ops.record import Array
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class Unit:
    """Neurons of one level with one activation, next to each other in the network's order of neurons."""

    start: int
    count: int
    activation: str | None  # None for inputs


@dataclass(frozen=True, eq=False)
class Block:
    """The edges from one unit to another, listed by the neuron that they enter, and by the one that they leave.

    They are entries ``first`` to ``first + count`` of the network's edges in the order of computation.
    """

    lower: int  # units
    upper: int
    first: int
    count: int
    rows: Tensor  # [upper neurons + 1]: where each upper neuron's edges start, among all edges
    source: Tensor  # [count]: the lower neuron of each edge
    columns: Tensor  # [lower neurons + 1]: where each lower neuron's edges start in the two that follow
    target: Tensor  # [count]: the upper neuron
    position: Tensor  # [count]: which of all edges it is

    @property
    def incidence(self) -> tuple[Tensor, ...]:
        """The operands that describe the edges to a primitive of ``ops/edges.py``."""
        return (self.rows, self.source, self.columns, self.target, self.position)


@dataclass(frozen=True, eq=False)
class Plan:
    """Units and blocks in the order of computation. ``order`` says which edge of the user's comes when."""

    neurons: Array  # [neurons]: positions in the user's labels
    order: Array  # [edges]
    units: tuple[Unit, ...]
    blocks: tuple[Block, ...]
    lower: Array  # [edges] in the order of computation: places in ``neurons``
    upper: Array

    def __deepcopy__(self, memo: Any) -> Plan:
        """Nothing in it changes: copies of a network share it."""
        return self


def plan_of(edges: EdgeList, level: Array, inputs: Array, activation: Array, names: tuple[str, ...]) -> Plan:
    """Lay a graph out; ``activation`` [neurons] says which of ``names`` each neuron has."""
    rest = np.ones(len(level), bool)
    rest[inputs] = False
    rest &= level > 0  # the constant neuron comes right after the inputs
    hidden = np.flatnonzero(rest)
    hidden = hidden[np.lexsort((activation[hidden], level[hidden]))]
    constant = np.setdiff1d(np.flatnonzero(level == 0), inputs)
    neurons = np.concatenate([inputs, constant, hidden])
    place = np.empty(len(neurons), np.int64)
    place[neurons] = np.arange(len(neurons))
    units = _units(level[neurons], activation[neurons], names)
    lower, upper = place[edges.source], place[edges.target]
    order, blocks = _blocks(edges, lower, upper, units)
    return Plan(neurons, order, units, blocks, lower[order], upper[order])


def _units(level: Array, activation: Array, names: tuple[str, ...]) -> tuple[Unit, ...]:
    changes = np.flatnonzero((np.diff(level) != 0) | ((np.diff(activation) != 0) & (level[1:] > 0))) + 1
    found = []
    for start, end in zip([0, *changes.tolist()], [*changes.tolist(), len(level)], strict=True):
        name = names[int(activation[start])] if level[start] else None
        found.append(Unit(start, end - start, name))
    return tuple(found)


def _blocks(
    edges: EdgeList, lower: Array, upper: Array, units: tuple[Unit, ...]
) -> tuple[Array, tuple[Block, ...]]:
    """Edges in the order of computation: by upper unit, lower unit, upper neuron, then as they were given."""
    starts = np.array([unit.start for unit in units])
    unit_of = np.repeat(np.arange(len(units)), [unit.count for unit in units])
    block = unit_of[upper] * len(units) + unit_of[lower]
    largest = max(unit.count for unit in units)
    key = block * largest + (upper - starts[unit_of[upper]])
    _, order = _stable(key)
    block, source, target = block[order], lower[order], upper[order]
    firsts = np.flatnonzero(np.r_[True, np.diff(block) != 0])
    found = []
    for first, end in zip(firsts.tolist(), [*firsts[1:].tolist(), len(block)], strict=True):
        above, below = divmod(int(block[first]), len(units))
        u, v = units[above], units[below]
        local_target, local_source = target[first:end] - u.start, source[first:end] - v.start
        rows, _ = grouped(local_target, u.count)
        columns, by_source = grouped(local_source, v.count)
        _refuse_duplicates(edges, order[first:end][by_source], columns, local_target[by_source])
        arrays = (first + rows, local_source, columns, local_target[by_source], first + by_source)
        tensors = (Tensor.leaf(array.astype(np.int32)) for array in arrays)
        found.append(Block(below, above, first, end - first, *tensors))
    return order, tuple(found)


def _stable(key: Array) -> tuple[Array, Array]:
    ordered = bool((key[1:] >= key[:-1]).all())
    order = np.arange(len(key)) if ordered else np.argsort(key, kind="stable")
    return key, order


def _refuse_duplicates(edges: EdgeList, order: Array, columns: Array, target: Array) -> None:
    """Edges of one lower neuron come by ascending upper neuron, so that equal ones follow each other."""
    same = np.flatnonzero(target[1:] == target[:-1])
    same = same[~np.isin(same + 1, columns)]
    if len(same):
        twice = order[same]
        pairs = zip(
            edges.labels[edges.source[twice]].tolist(),
            edges.labels[edges.target[twice]].tolist(),
            strict=True,
        )
        raise SettingError(
            f"GraphNetwork: edges given twice: {listed(pairs)}",
            expected="at most one edge from a neuron to another",
            hint="add their weights up into one edge",
        )

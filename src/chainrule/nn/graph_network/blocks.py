"""How a graph is laid out for computing: neurons in units, edges in blocks between two units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.graph_network.levels import grouped
from chainrule.nn.graph_network.reading import EdgeList, listed
from chainrule.ops.record import Array
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class Unit:
    """Consecutive neurons of one level with one activation."""

    start: int
    count: int
    activation: str | None  # None for inputs


@dataclass(frozen=True, eq=False)
class Block:
    """The edges from one unit to another, sorted by the neuron they enter and by the neuron they leave.

    In the order of computation they are the network's edges ``first`` to ``first + count``.
    """

    lower: int  # index of the unit that the edges leave
    upper: int  # index of the unit that the edges enter
    first: int
    count: int
    rows: Tensor  # [upper neurons + 1]: index of each upper neuron's first edge, among all edges
    source: Tensor  # [count]: the lower neuron of each edge
    columns: Tensor  # [lower neurons + 1]: index of each lower neuron's first entry in target and position
    target: Tensor  # [count]: the upper neuron of each edge, sorted by lower neuron
    position: Tensor  # [count]: the index of that edge among all edges

    @property
    def incidence(self) -> tuple[Tensor, ...]:
        """The operands that describe the edges to the primitives of ``ops/edges.py``."""
        return (self.rows, self.source, self.columns, self.target, self.position)


@dataclass(frozen=True, eq=False)
class Plan:
    """Units and blocks in the order of computation."""

    neurons: Array  # [neurons]: positions in the user's labels
    order: Array  # [edges]: the user's edges in the order of computation
    units: tuple[Unit, ...]
    blocks: tuple[Block, ...]
    lower: Array  # [edges]: the index in ``neurons`` of the neuron that each edge leaves
    upper: Array  # [edges]: and of the one that it enters

    def __deepcopy__(self, memo: dict[int, object]) -> Plan:
        """Return the object itself: it is immutable, and copies of a network share it."""
        return self


def plan_of(edges: EdgeList, level: Array, inputs: Array, activation: Array, names: tuple[str, ...]) -> Plan:
    """Order a graph for computation; ``activation`` [neurons] holds indices into ``names``."""
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
    """Sort the edges by upper unit, lower unit and upper neuron; edges that tie keep the user's order."""
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
    """Raise SettingError for repeated edges; they are neighbours, since edges are sorted by both their ends."""
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
            expected="at most one edge between two neurons",
            hint="use one edge whose weight is their sum",
        )

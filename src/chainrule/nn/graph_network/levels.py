"""Finds the order in which neurons are computed, by Kahn's algorithm on arrays, and explains graphs without one."""

from __future__ import annotations

import numpy as np

from chainrule.errors import SettingError
from chainrule.foreign_text import clipped
from chainrule.nn.graph_network.reading import EdgeList, listed
from chainrule.ops.record import Array


def levels_of(edges: EdgeList, inputs: Array, outputs: Array) -> Array:
    """The level of every neuron: 0 for inputs, else one more than the highest level that it reads.

    Takes time proportional to neurons and edges. Raises SettingError for cycles (shown as a path), self loops, inputs
    with incoming edges, neurons without any that are no inputs, and outputs that no input reaches.
    """
    count = len(edges.labels)
    _refuse_loops(edges)
    waits_for = np.bincount(edges.target, minlength=count)
    _refuse_fed_inputs(edges, inputs, waits_for)
    _refuse_unfed(edges, inputs, outputs, waits_for)
    starts, order = grouped(edges.source, count)
    level = np.full(count, -1, np.int64)
    frontier, depth = np.flatnonzero(waits_for == 0), 0
    while len(frontier):
        level[frontier] = depth
        depth += 1
        reached = edges.target[order[ranges(starts[frontier], starts[frontier + 1])]]
        np.subtract.at(waits_for, reached, 1)
        frontier = np.unique(reached[waits_for[reached] == 0])
    if (level < 0).any():
        _refuse_cycle(edges, level < 0)
    return level


def grouped(keys: Array, count: int) -> tuple[Array, Array]:
    """Return the start of each key's entries in a stable sort by key [count + 1], and the sorted order."""
    ordered = len(keys) < 2 or bool((keys[1:] >= keys[:-1]).all())
    order = np.arange(len(keys)) if ordered else np.argsort(keys, kind="stable")
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=count), out=starts[1:])
    return starts, order


def ranges(starts: Array, ends: Array) -> Array:
    """Concatenate the integer ranges [start, end)."""
    counts = ends - starts
    offsets = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) + np.repeat(starts - offsets, counts)


def _refuse_loops(edges: EdgeList) -> None:
    loops = edges.source == edges.target
    if loops.any():
        raise SettingError(
            f"GraphNetwork: a neuron feeds itself: {listed(edges.labels[edges.source[loops]].tolist())}",
            expected="a graph without cycles",
            hint="remove these edges",
        )


def _refuse_fed_inputs(edges: EdgeList, inputs: Array, fed: Array) -> None:
    wrong = inputs[fed[inputs] > 0]
    if len(wrong):
        into = np.flatnonzero(np.isin(edges.target, wrong))
        pairs = zip(
            edges.labels[edges.source[into]].tolist(), edges.labels[edges.target[into]].tolist(), strict=True
        )
        raise SettingError(
            f"GraphNetwork: inputs with incoming edges: {listed(edges.labels[wrong].tolist())}",
            expected="inputs without incoming edges",
            got=f"the edges {listed(pairs)}",
        )


def _refuse_unfed(edges: EdgeList, inputs: Array, outputs: Array, fed: Array) -> None:
    """Raise SettingError for neurons without incoming edges that are no inputs, and for outputs cut off by them."""
    feeds = np.bincount(edges.source, minlength=len(fed))
    unfed = np.setdiff1d(np.flatnonzero((fed == 0) & (feeds > 0)), inputs)
    lost = outputs[(fed[outputs] == 0) & ~np.isin(outputs, inputs)]
    if not len(unfed) and not len(lost):
        return
    reached = np.zeros(len(fed), bool)
    frontier = inputs
    starts, order = grouped(edges.source, len(fed))
    while len(frontier):
        reached[frontier] = True
        following = edges.target[order[ranges(starts[frontier], starts[frontier + 1])]]
        frontier = np.unique(following[~reached[following]])
    unreached = edges.labels[outputs[~reached[outputs]]].tolist()
    if unreached:
        raise SettingError(
            f"GraphNetwork: outputs that no input reaches: {listed(unreached)}",
            expected="a path from an input to every output",
            got=f"no incoming edge: {listed(edges.labels[np.union1d(unfed, lost)].tolist())}",
            hint="add the missing edges, or list more neurons in inputs",
        )
    raise SettingError(
        f"GraphNetwork: neurons without incoming edges that are no inputs: {listed(edges.labels[unfed].tolist())}",
        expected="an incoming edge for every neuron that is no input",
        hint="list them in inputs, or remove their edges",
    )


def _refuse_cycle(edges: EdgeList, left: Array) -> None:
    """Raise SettingError with a cycle. Each neuron left over reads another one, so following these finds a cycle."""
    inside = left[edges.source] & left[edges.target]
    reads = np.full(len(left), -1, np.int64)
    reads[edges.target[inside]] = edges.source[inside]
    at = int(np.flatnonzero(reads >= 0)[0])
    seen: dict[int, int] = {}
    path: list[int] = []
    while at not in seen:
        seen[at] = len(path)
        path.append(at)
        at = int(reads[at])
    cycle = edges.labels[[at, *path[seen[at] :][::-1]]].tolist()
    shown = [clipped(neuron) for neuron in cycle]
    if len(shown) > 12:
        shown = [*shown[:6], "...", *shown[-5:]]
    raise SettingError(
        f"GraphNetwork: the edges have a cycle: {' -> '.join(shown)}",
        expected="a graph without cycles",
        got=f"a cycle of {len(cycle) - 1} neurons",
        hint="remove one of these edges",
    )

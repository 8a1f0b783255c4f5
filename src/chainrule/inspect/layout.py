"""Lays out a graph in layers, with few crossings and straight edges.

After Sugiyama, Tagawa and Toda (1981): longest-path layers, invisible boxes where an edge passes a layer, order by
barycentres, then positions. Positions are the least-squares fit to the neighbours' that keeps the order and the
distances within a layer: an isotonic regression.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chainrule.inspect.scene import Point

SWEEPS = 12


@dataclass
class Layout:
    """The centres of the boxes, and the points that each edge passes through, from border to border."""

    centres: list[Point]
    routes: list[list[Point]]
    #: centres of the labels, by the edge's number
    labels: dict[int, Point]


@dataclass
class _Grid:
    """Boxes and invisible boxes: ``along`` holds sizes in the direction of the flow, ``across`` the other sizes."""

    along: list[float]
    across: list[float]
    rank: list[int]
    chains: list[list[int]]  # for each edge, the boxes that it passes through, including its ends
    above: list[list[int]]
    below: list[list[int]]
    real: int

    def add(self, along: float, across: float, rank: int) -> int:
        self.along.append(along)
        self.across.append(across)
        self.rank.append(rank)
        self.above.append([])
        self.below.append([])
        return len(self.rank) - 1


def layered(
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[tuple[int, int]],
    *,
    down: bool = False,
    gap: float = 22,
    layer_gap: float = 56,
    labels: Mapping[int, tuple[float, float]] | None = None,
    ranks: Sequence[int] | None = None,
    spread: bool = True,
) -> Layout:
    """Place boxes of the given (width, height) so that every edge leads to a later layer.

    ``labels`` holds the sizes of texts on edges, by the edge's number. ``ranks`` prescribes the layers; the boxes
    then keep their order within a layer. Layers run from left to right, or from top to bottom if ``down`` is set.
    """
    labels = labels or {}
    span = 2 if labels else 1
    oriented = [(h, w) if down else (w, h) for w, h in sizes]  # (along, across)
    rank = list(ranks) if ranks is not None else _ranks(len(sizes), edges, span)
    grid = _Grid([s[0] for s in oriented], [s[1] for s in oriented], rank, [], [], [], len(sizes))
    grid.above, grid.below = [[] for _ in sizes], [[] for _ in sizes]
    for number, (u, v) in enumerate(edges):
        size = labels.get(number)
        _thread(grid, u, v, None if size is None else ((size[1], size[0]) if down else size))
    layers: list[list[int]] = [[] for _ in range(max(grid.rank, default=-1) + 1)]
    for box in _first_order(grid) if ranks is None else range(len(grid.rank)):
        layers[grid.rank[box]].append(box)
    if ranks is None:
        layers = _with_few_crossings(layers, grid)
    across = _positions(layers, grid, gap)
    along, depth = _layer_positions(layers, grid, layer_gap)
    return _finish(grid, edges, layers, across, along, depth, labels, down, spread)


def _ranks(count: int, edges: Sequence[tuple[int, int]], span: int) -> list[int]:
    """Assign layers by the longest path from a source; a source goes right before its first reader."""
    inputs: list[list[int]] = [[] for _ in range(count)]
    outputs: list[list[int]] = [[] for _ in range(count)]
    for u, v in edges:
        outputs[u].append(v)
        inputs[v].append(u)
    waiting = [len(x) for x in inputs]
    order = [i for i in range(count) if not waiting[i]]
    rank = [0] * count
    for u in order:  # grows during the loop
        for v in outputs[u]:
            rank[v] = max(rank[v], rank[u] + span)
            waiting[v] -= 1
            if not waiting[v]:
                order.append(v)
    assert len(order) == count, "the graph has no cycle"
    for u in range(count):
        if not inputs[u] and outputs[u]:
            rank[u] = min(rank[v] for v in outputs[u]) - span
    return rank


def _thread(grid: _Grid, u: int, v: int, label: tuple[float, float] | None) -> None:
    """Route an edge through an invisible box in every layer in between; the middle one holds the label."""
    chain = [u]
    passed = list(range(grid.rank[u] + 1, grid.rank[v]))
    for r in passed:
        here = label is not None and r == passed[(len(passed) - 1) // 2]
        size = label if here and label is not None else (0.0, 0.0)
        chain.append(grid.add(size[0], size[1], r))
    chain.append(v)
    for a, b in pairwise(chain):
        grid.below[a].append(b)
        grid.above[b].append(a)
    grid.chains.append(chain)


def _first_order(grid: _Grid) -> list[int]:
    """Order boxes by a depth-first walk back from the last layer, so that connected boxes start close together."""
    ends = [i for i in range(grid.real) if not grid.below[i]]
    seen: dict[int, None] = {}
    stack = ends[::-1]
    while stack:
        box = stack.pop()
        if box not in seen:
            seen[box] = None
            stack.extend(grid.above[box][::-1])
    return list(seen)


def _with_few_crossings(layers: list[list[int]], grid: _Grid) -> list[list[int]]:
    """Reduce crossings by sweeps that sort each layer by its neighbours' mean position, and swaps. Keeps the best."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, grid)
    for sweep in range(2 * SWEEPS):
        if fewest == 0:
            break
        if sweep == SWEEPS:  # restart from the reversed order, which leads to another local optimum
            layers = [layer[::-1] for layer in best]
        downwards = sweep % 2 == 0
        for r in range(1, len(layers)) if downwards else range(len(layers) - 2, -1, -1):
            _sort_layer(layers, r, r - 1 if downwards else r + 1, grid)
        _swap_neighbours(layers, grid, ties=sweep % 4 >= 2)
        crossings = _crossings(layers, grid)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _sort_layer(layers: list[list[int]], r: int, fixed: int, grid: _Grid) -> None:
    """Sort one layer by the mean position of its neighbours in the layer ``fixed``."""
    neighbours = grid.above if fixed < r else grid.below
    place = {box: i for i, box in enumerate(layers[fixed])}
    own = {box: i * len(place) / max(len(layers[r]), 1) for i, box in enumerate(layers[r])}

    def barycentre(box: int) -> float:
        near = [place[n] for n in neighbours[box]]
        return sum(near) / len(near) if near else own[box]

    layers[r].sort(key=barycentre)


def _swap_neighbours(layers: list[list[int]], grid: _Grid, ties: bool) -> None:
    """Swap adjacent boxes wherever that reduces crossings; with ``ties``, also where it leaves them equal."""
    for r, layer in enumerate(layers):
        sides = [(grid.above, layers[r - 1])] if r else []
        sides += [(grid.below, layers[r + 1])] if r + 1 < len(layers) else []
        places = [(side, {box: i for i, box in enumerate(other)}) for side, other in sides]
        for i in range(len(layer) - 1):
            left, right = layer[i], layer[i + 1]
            now = after = 0
            for side, place in places:
                a, b = [place[n] for n in side[left]], [place[n] for n in side[right]]
                if len(a) * len(b) > 400:  # too many pairs to compare; the sweeps alone decide
                    continue
                now += sum(x > y for x in a for y in b)
                after += sum(x < y for x in a for y in b)
            if after < now or (ties and after == now):
                layer[i], layer[i + 1] = right, left


def _crossings(layers: list[list[int]], grid: _Grid) -> int:
    """Count the crossings between adjacent layers, as inversions with a Fenwick tree."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {box: i for i, box in enumerate(lower)}
        ends = [place[v] for u in upper for v in sorted(grid.below[u], key=place.__getitem__)]
        tree = [0] * (len(lower) + 1)
        for count, end in enumerate(ends):
            i, smaller = end + 1, 0
            while i:
                smaller += tree[i]
                i &= i - 1
            total += count - smaller
            i = end + 1
            while i <= len(lower):
                tree[i] += 1
                i += i & -i
    return total


def _positions(layers: list[list[int]], grid: _Grid, gap: float) -> list[float]:
    """Coordinates across the flow."""
    at = [0.0] * len(grid.rank)
    offsets = []
    for layer in layers:
        places, position = [], 0.0
        for i, box in enumerate(layer):
            if i:
                before = layer[i - 1]
                small = grid.across[box] == 0 or grid.across[before] == 0
                position += (grid.across[before] + grid.across[box]) / 2 + (gap * 0.7 if small else gap)
            places.append(position)
            at[box] = position
        middle = (places[-1] if places else 0.0) / 2
        for box in layer:
            at[box] -= middle
        offsets.append(np.array(places))
    for sweep in range(2 * SWEEPS + 1):  # ends downwards, which centres each box among its inputs
        downwards = sweep % 2 == 0
        for r in range(len(layers)) if downwards else range(len(layers) - 1, -1, -1):
            _settle(layers[r], offsets[r], at, grid, grid.above if downwards else grid.below)
    return at


def _settle(
    layer: list[int], offsets: np.ndarray, at: list[float], grid: _Grid, neighbours: list[list[int]]
) -> None:
    """Move one layer as close to its neighbours as order and distances allow."""
    wanted, weights = [], []
    for box in layer:
        near = neighbours[box]
        pull = [_pull(grid, box, n) for n in near]
        total = sum(pull)
        wanted.append(sum(p * at[n] for p, n in zip(pull, near, strict=True)) / total if near else at[box])
        weights.append(total if near else 0.05)
    for box, position, offset in zip(
        layer, rising(np.array(wanted) - offsets, weights), offsets, strict=True
    ):
        at[box] = float(position + offset)


def rising(wanted: Iterable[float], weights: Iterable[float]) -> list[float]:
    """The numbers that nowhere fall and are nearest to those wanted, by weighted squares (isotonic regression).

    Neighbours that would fall share their mean. SciPy's function takes longer to import than a report to write.

    >>> rising([1.0, 3.0, 2.0], [1.0, 1.0, 1.0])
    [1.0, 2.5, 2.5]
    """
    groups: list[tuple[float, float, int]] = []  # mean, weight and size
    for pair in zip(wanted, weights, strict=True):
        group = (*pair, 1)
        while groups and groups[-1][0] > group[0]:
            (a, n, some), (b, m, more) = groups.pop(), group
            group = ((a * n + b * m) / (n + m), n + m, some + more)
        groups.append(group)
    return [mean for mean, _, size in groups for _ in range(size)]


def _pull(grid: _Grid, box: int, other: int) -> float:
    """The weight of aligning two neighbours: largest within a long edge, to keep it straight."""
    invisible = (box >= grid.real) + (other >= grid.real)
    return (1.0, 2.0, 8.0)[invisible]


def _layer_positions(
    layers: list[list[int]], grid: _Grid, layer_gap: float
) -> tuple[list[float], list[float]]:
    """The start and the depth of each layer along the flow."""
    starts, depths, at = [], [], 0.0
    for layer in layers:
        depth = max((grid.along[box] for box in layer), default=0.0)
        starts.append(at)
        depths.append(depth)
        at += depth + layer_gap
    return starts, depths


def _finish(
    grid: _Grid,
    edges: Sequence[tuple[int, int]],
    layers: list[list[int]],
    across: list[float],
    starts: list[float],
    depths: list[float],
    labels: Mapping[int, tuple[float, float]],
    down: bool,
    spread: bool,
) -> Layout:
    def point(along: float, cross: float) -> Point:
        return (cross, along) if down else (along, cross)

    def middle(box: int) -> float:
        return starts[grid.rank[box]] + depths[grid.rank[box]] / 2

    leaving = _ports(grid, edges, across, 0, spread)
    entering = _ports(grid, edges, across, 1, spread)
    routes, places = [], {}
    for number, ((u, v), chain) in enumerate(zip(edges, grid.chains, strict=True)):
        route = [point(middle(u) + grid.along[u] / 2, across[u] + leaving[number])]
        for box in chain[1:-1]:
            r = grid.rank[box]
            route += [point(starts[r], across[box]), point(starts[r] + depths[r], across[box])]
            if grid.along[box]:
                places[number] = point(middle(box), across[box])
        route.append(point(middle(v) - grid.along[v] / 2, across[v] + entering[number]))
        routes.append(_straightened(route))
    assert set(places) == set(labels), "every label is placed"
    return Layout([point(middle(i), across[i]) for i in range(grid.real)], routes, places)


def _ports(
    grid: _Grid, edges: Sequence[tuple[int, int]], across: list[float], end: int, spread: bool
) -> list[float]:
    """The offset of each edge's start (end 0) or end (end 1) from the middle of the box's side."""
    offsets = [0.0] * len(edges)
    if not spread:
        return offsets
    at: dict[int, list[int]] = {}
    for number, edge in enumerate(edges):
        at.setdefault(edge[end], []).append(number)
    for box, numbers in at.items():
        neighbour = {n: grid.chains[n][1 if end == 0 else -2] for n in numbers}
        numbers.sort(key=lambda n: across[neighbour[n]])
        room = max(grid.across[box] - 16, 0)
        step = min(14.0, room / max(len(numbers) - 1, 1))
        for i, number in enumerate(numbers):
            offsets[number] = (i - (len(numbers) - 1) / 2) * step
    return offsets


def _straightened(route: list[Point]) -> list[Point]:
    """Remove points that coincide with the one before."""
    kept = [route[0]]
    for x, y in route[1:]:
        if abs(x - kept[-1][0]) + abs(y - kept[-1][1]) > 0.01:
            kept.append((x, y))
    return kept if len(kept) > 1 else route[:2]

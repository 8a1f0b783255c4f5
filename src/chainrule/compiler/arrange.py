"""Pass 5: where every value lies, and in which order the kernels run.

An update is written straight into the buffer it replaces, once every other reader of the old value has run.
Intermediate values share one arena: two that are never needed at the same time may use the same bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from chainrule.compiler.kernels import Kernel, Layout, Place, Plan, root_of, view_of
from chainrule.compiler.lowering import VIEWS
from chainrule.compiler.views import Strides, contiguous, is_dense
from chainrule.graph import Node, topological
from chainrule.ops import contract, movement
from chainrule.ops.edges import EDGES
from chainrule.ops.source import constant, leaf

ALIGNMENT = 64


def arrange(
    plan: Plan,
    updates: Sequence[tuple[Node, Node]],
    strides: Mapping[Node, Strides],
    *,
    shared: bool = False,
) -> Layout:
    """Place everything; ``updates`` are (leaf, new value), ``strides`` those of leaves in an unusual order.

    With ``shared`` as many kernels as possible have the same phase: threads may run them side by side, so none
    of them writes where another one reads or writes. Otherwise each is a phase of its own.
    """
    in_place, copies = _in_place(plan, updates)
    kernels, phases, postponed = _schedule(plan.kernels, in_place, shared)
    copies += [(value, target) for value, target in in_place.items() if value in postponed]
    in_place = {value: target for value, target in in_place.items() if value not in postponed}
    places: dict[Node, Place] = {}
    for node in [*topological(plan.outputs), *(target for target, _ in updates)]:
        if node.op is leaf or node.op is constant:
            places[node] = Place(node, 0, strides.get(node) or contiguous(node.shape))
    plain, late = _read_through_reshape(plan), dict(copies)
    joined = _joined(kernels, {*map(root_of, plan.outputs), *in_place, *late})
    wanted = _as_their_update(kernels, in_place, places)
    orders: dict[Kernel, tuple[int, ...]] = {}
    arena = _Arena(_last_reads(kernels, phases, [*plan.outputs, *(value for value, _ in copies)]))
    for step, kernel in zip(phases, kernels, strict=True):
        arena.release(before=step)
        order = orders[kernel] = _axis_order(kernel, places, in_place, wanted)
        for node in kernel.stored:
            target = in_place.get(node)
            if target is not None:
                places[node] = Place(target, 0, places[target].strides)
            elif node in late:
                there = places[late[node]].strides
                strides_here = there if is_dense(node.shape, there) else contiguous(node.shape)
                places[node] = Place(None, arena.take(node), strides_here)
            elif node in joined:
                places[node] = _inside(node, *joined[node], places, arena)
            elif node not in places:
                offset = arena.take(node)
                places[node] = Place(None, offset, contiguous(node.shape, None if node in plain else order))
    return Layout(kernels, phases, orders, places, copies, arena.size)


def _inside(node: Node, whole: Node, before: int, places: dict[Node, Place], arena: _Arena) -> Place:
    """The place of a part of a join, behind ``before`` of its elements; the join's own where it has none yet."""
    if whole not in places:
        places[whole] = Place(None, arena.take(whole), contiguous(whole.shape))
    return Place(None, places[whole].offset + before * node.dtype.itemsize, contiguous(node.shape))


def _joined(kernels: Sequence[Kernel], kept: set[Node]) -> dict[Node, tuple[Node, int]]:
    """What only a join along the first axis reads, and how many elements lie before it there.

    It is computed where the join would copy it to.
    """
    readers = Counter(root_of(x) for kernel in kernels for x in kernel.reads())
    computed = {node for kernel in kernels for node in kernel.stored}
    found: dict[Node, tuple[Node, int]] = {}
    for kernel in kernels:
        root = kernel.root
        if root is None or root.op is not movement.concat or root.params["axis"] != 0 or root in kept:
            continue
        before = 0
        for x in root.inputs:
            if readers[x] == 1 and x in computed - kept and root.inputs.count(x) == 1:
                found[x] = root, before
            before += math.prod(x.shape)
    # one that is a part itself lies where it was put first
    return {x: (whole, before) for x, (whole, before) in found.items() if whole not in found}


def _in_place(
    plan: Plan, updates: Sequence[tuple[Node, Node]]
) -> tuple[dict[Node, Node], list[tuple[Node, Node]]]:
    """Which new values can be written into their leaf by the kernel that computes them; the rest are copied."""
    found: dict[Node, Node] = {}
    copies = []
    home = {node: kernel for kernel in plan.kernels for node in kernel.stored}
    for target, value in updates:
        if value is target:
            continue
        kernel = home.get(value)
        if kernel is None or value in found or not _reads_pointwise(kernel, target):
            copies.append((value, target))
        else:
            found[value] = target
    return found, copies


def _reads_pointwise(kernel: Kernel, target: Node) -> bool:
    """Whether the kernel reads the leaf, if at all, only at the point that it is about to write."""
    body = set(kernel.body)
    for node in kernel.nodes:
        for x in node.inputs:
            if root_of(x) is target and (x is not target or node not in body or x.shape != kernel.space):
                return False
    return True


def _schedule(
    kernels: Sequence[Kernel], in_place: Mapping[Node, Node], shared: bool
) -> tuple[list[Kernel], list[int], set[Node]]:
    """An order in which values are computed before they are read, and old values read before they are replaced.

    With it come the phases. Where the order is impossible, some replacements are postponed to the end; those
    are the third result.
    """
    writer = {
        target: kernel for kernel in kernels for node in kernel.stored if (target := in_place.get(node))
    }
    home = {node: kernel for kernel in kernels for node in kernel.nodes}
    before: dict[Kernel, set[Kernel]] = {kernel: set() for kernel in kernels}
    late: dict[Kernel, set[Kernel]] = {kernel: set() for kernel in kernels}
    for kernel in kernels:
        for x in kernel.reads():
            root = root_of(x)
            if root in home and home[root] is not kernel:
                before[kernel].add(home[root])
            if root in writer and writer[root] is not kernel:
                late[writer[root]].add(kernel)
    order: list[Kernel] = []
    done: set[Kernel] = set()
    postponed: set[Node] = set()
    waiting = list(kernels)
    while waiting:
        ready = next((k for k in waiting if before[k] <= done and late[k] <= done), None)
        if ready is None:  # the replacement would come too early: write elsewhere, copy at the end
            ready = next(k for k in waiting if before[k] <= done)
            postponed |= {node for node in ready.stored if node in in_place}
            late[ready] = set()
        waiting.remove(ready)
        done.add(ready)
        order.append(ready)
    if not shared:
        return order, list(range(len(order))), postponed
    phase: dict[Kernel, int] = {}
    for kernel in order:
        phase[kernel] = 1 + max((phase[other] for other in before[kernel] | late[kernel]), default=-1)
    order.sort(key=phase.__getitem__)
    return order, [phase[kernel] for kernel in order], postponed


def _read_through_reshape(plan: Plan) -> set[Node]:
    """Nodes whose elements must lie in the usual order because a reshape reads them, or a user or edges do."""
    found = {root_of(x) for x in plan.outputs}
    for node in topological(plan.outputs):
        if node.op in EDGES:
            found.update([node, *map(root_of, node.inputs)])
        if node.op in VIEWS:
            root = root_of(node)
            if node.op is movement.reshape and len(root.shape) > 1:
                found.add(root)
    return found


def _as_their_update(
    kernels: Sequence[Kernel], in_place: Mapping[Node, Node], places: Mapping[Node, Place]
) -> dict[Node, Strides]:
    """What an update reads point by point, a gradient above all, had best lie like the leaf that it updates."""
    found: dict[Node, Strides] = {}
    for kernel in kernels:
        targets = [in_place[node] for node in kernel.stored if node in in_place]
        if kernel.root is None and targets:
            found |= {x: places[targets[0]].strides for x in kernel.reads() if x.shape == kernel.space}
    return found


def _axis_order(
    kernel: Kernel,
    places: Mapping[Node, Place],
    in_place: Mapping[Node, Node],
    wanted: Mapping[Node, Strides],
) -> tuple[int, ...]:
    """Axes of the space, last the one along which most of what is read and written lies closest together."""
    ndim = len(kernel.space)
    usual = tuple(range(ndim))
    if ndim < 2 or (kernel.root is not None and kernel.root.op is not contract.matmul):
        return usual
    score = [0.0] * ndim
    score[-1] = 0.5  # a tie stays as it is
    operands = () if kernel.root is None else kernel.root.inputs
    reads = [x for x in kernel.reads() if x.shape == kernel.space and x not in operands]
    views = [view_of(x, places) for x in reads]
    if kernel.root is not None:
        views = [view for view in views if view.root.op is leaf]
        score[:-2] = [-1e9] * (ndim - 2)
    strides = [view.strides for view in views]
    strides += [places[in_place[node]].strides for node in kernel.stored if node in in_place]
    strides += [wanted[node] for node in kernel.stored if node in wanted and node not in in_place]
    for row in strides:
        for axis, stride in enumerate(row):
            score[axis] += stride == 1 and kernel.space[axis] > 1
    best = max(usual, key=lambda axis: score[axis])
    return (*(axis for axis in usual if axis != best), best)


def _last_reads(kernels: Sequence[Kernel], phases: Sequence[int], kept: Iterable[Node]) -> dict[Node, int]:
    """For each stored node the phase after which nobody reads it."""
    last: dict[Node, int] = {}
    for step, kernel in zip(phases, kernels, strict=True):
        for node in kernel.stored:
            last[node] = step
        for x in kernel.reads():
            last[root_of(x)] = step
    for node in kept:
        last[root_of(node)] = len(kernels)  # more than any phase
    return last


class _Arena:
    """Hands out byte ranges; the first gap that is large enough is taken."""

    def __init__(self, last: Mapping[Node, int]) -> None:
        self.size = 0
        self._last = last
        self._live: list[tuple[int, int, Node]] = []  # (first byte, last byte + 1, node), sorted

    def take(self, node: Node) -> int:
        """An offset for a node that is computed now."""
        count = int(np.prod(node.shape, dtype=np.int64)) * node.dtype.itemsize
        needed = -(-max(count, 1) // ALIGNMENT) * ALIGNMENT
        start = 0
        for first, end, _ in self._live:
            if first - start >= needed:
                break
            start = max(start, end)
        self._live.append((start, start + needed, node))
        self._live.sort(key=lambda item: item[0])
        self.size = max(self.size, start + needed)
        return start

    def release(self, *, before: int) -> None:
        """Forget what is not read in this phase or a later one."""
        self._live = [item for item in self._live if self._last[item[2]] >= before]

"""Checks on what each pass leaves, so that a mistake of the compiler is an error and never a wrong number.

On with CHAINRULE_VERIFY=1, and in all tests. The checks are made apart from the passes: they replay a plan and ask
at every read whether the memory holds the value that is wanted, instead of asking the pass how it placed it.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NoReturn

import numpy as np

from chainrule.compiler.cache import OFF
from chainrule.compiler.kernels import Kernel, Layout, Place, Plan
from chainrule.compiler.lowering import ELEMENTWISE, REDUCTIONS, VIEWS
from chainrule.compiler.views import Strides, View
from chainrule.errors import ChainruleError
from chainrule.graph import Node, check, describe_form, topological
from chainrule.ops import movement, random
from chainrule.ops.edges import edge_dot
from chainrule.ops.record import Array, Shape
from chainrule.ops.source import constant, leaf

Update = tuple[Node, Node]
SAMPLES = 64  # elements of a view that are followed to their memory


class VerificationError(ChainruleError, AssertionError):
    """The compiler broke one of its own rules: a mistake of chainrule, not of the program that it compiled.

    ``expected`` is the rule that was broken.
    """


def enabled() -> bool:
    """Whether every pass is checked."""
    return os.environ.get("CHAINRULE_VERIFY", "").strip().lower() not in ("", *OFF)


def _broken(rule: str, got: str) -> NoReturn:
    raise VerificationError(
        "the compiler broke one of its rules",
        expected=rule,
        got=got,
        hint="please report it; executor='interpreted' computes the same without the compiler",
    )


# Passes from graph to graph


def verify_graph(before: Sequence[Node], after: Sequence[Node]) -> None:
    """What a pass makes of a graph has results of the same form, made of the same leaves."""
    if [(x.shape, x.dtype) for x in before] != [(x.shape, x.dtype) for x in after]:
        got = f"{[*map(describe_form, before)]} became {[*map(describe_form, after)]}"
        _broken("a pass keeps the shapes and dtypes of the results", got)
    new = _leaves(after) - _leaves(before)
    if new:
        _broken("a pass adds no leaves", repr(new))
    try:
        check(after)
    except ChainruleError as error:
        _broken("shapes and dtypes follow from the inputs", f"{error.what}: {error.got}")


def _leaves(nodes: Iterable[Node]) -> set[Node]:
    return {node for node in topological(nodes) if node.op is leaf}


# Fusion


def verify_plan(plan: Plan) -> None:
    """Every node is computed once and before it is read, at the point where it is read."""
    computed: dict[Node, list[Kernel]] = {}
    there: set[Node] = set()  # what kernels so far have stored
    for kernel in plan.kernels:
        _verify_kernel(kernel, there)
        for node in dict.fromkeys(kernel.nodes):
            computed.setdefault(node, []).append(kernel)
        for node in kernel.stored:
            if node in there:
                _broken("a value is stored by one kernel", repr(node))
        there.update(kernel.stored)
    for node in topological(plan.outputs):
        if node.op in VIEWS or node.op in (leaf, constant):
            continue
        if node not in computed:
            _broken("every node is computed", repr(node))
        if len(computed[node]) > 1 and (node.op not in ELEMENTWISE or node in there):
            _broken("a node that is stored, or not elementwise, is computed once", repr(node))
    for node in plan.outputs:
        if not _is_there(_root(node), there):
            _broken("results are stored", repr(node))


def _verify_kernel(kernel: Kernel, there: set[Node]) -> None:
    root = kernel.root
    terms = _verify_nodes(kernel.inside, {}, there, None if root is None else root.inputs[0].shape)
    if kernel.inside and (root is None or root.op not in REDUCTIONS):
        _broken("only a reduction computes its terms itself", repr(root))
    point: dict[Node, None] = {}
    if root is not None:
        if root.shape != kernel.space:
            _broken("a kernel runs over the shape of its root", f"{root!r} in a kernel over {kernel.space}")
        for x in root.inputs:
            if x not in terms:
                _verify_read(root, x, terms, there)
        point[root] = None
    own = _verify_nodes(kernel.body, point, there, kernel.space)
    for node in kernel.stored:
        if node not in own:
            _broken("a kernel stores what it computes at each point", repr(node))


def _verify_nodes(
    nodes: Sequence[Node], own: dict[Node, None], there: set[Node], space: Shape | None
) -> dict[Node, None]:
    """Go through one section of a kernel; ``own`` is what it may use already, and the result what it has then."""
    for node in nodes:
        if node in own:
            _broken("a kernel computes a node once", repr(node))
        if node.op is not edge_dot:
            if node.op not in ELEMENTWISE and node.op is not random.random_bits:
                _broken("only elementwise nodes join a loop", repr(node))
            if node.shape != space:
                _broken("nodes of a loop have the loop's shape", f"{node!r} in a loop over {space}")
        for x in node.inputs:
            if x not in own:
                _verify_read(node, x, own, there)
            elif x.shape != node.shape or node.op is edge_dot:
                _broken("values of the same loop are read at the same point", f"{node!r} reads {x!r}")
        own[node] = None
    return own


def _verify_read(node: Node, x: Node, own: Iterable[Node], there: set[Node]) -> None:
    if _root(x) in own:
        _broken("values of the same loop are read at the same point", f"{node!r} reads {x!r}, a view")
    if not _is_there(_root(x), there):
        _broken("a value is computed, and stored, before it is read", f"{node!r} reads {x!r}")


def _is_there(root: Node, there: set[Node]) -> bool:
    return root.op in (leaf, constant) or root in there


def _root(node: Node) -> Node:
    """As ``kernels.root_of``, which what is checked here uses."""
    return node if node.op not in VIEWS else _root(node.inputs[0])


# Memory


def verify_layout(plan: Plan, layout: Layout, updates: Sequence[Update], *, shared: bool) -> None:
    """Replay the kernels: whatever is read is in memory then, and results and updates are in place at the end."""
    if Counter(map(id, layout.kernels)) != Counter(map(id, plan.kernels)):
        _broken("every kernel runs once", f"{len(layout.kernels)} of {len(plan.kernels)} kernels")
    if any(b < a or (b == a and not shared) for a, b in itertools.pairwise(layout.phases)):
        _broken("phases rise, and only threads have several kernels in one", repr(layout.phases))
    for kernel in layout.kernels:
        if sorted(layout.orders[kernel]) != list(range(len(kernel.space))):
            _broken("a kernel goes along each axis once", f"{layout.orders[kernel]} of {kernel.space}")
    for node, place in layout.places.items():
        _verify_place(node, place, layout.arena_bytes)
    memory = _Memory(layout)
    runs = zip(layout.phases, layout.kernels, strict=True)
    for _, group in itertools.groupby(runs, key=lambda run: run[0]):
        memory.run([kernel for _, kernel in group])
    for value, target in layout.copies:  # one after the other
        memory.expect(value, "late copies")
        _verify_same_form(value, target)
        memory.write(target, value)
    for target, value in updates:
        if memory.holder(layout.places[target]) is not _root(value):
            _broken("an updated leaf holds its new value at the end", f"{target!r}, {value!r}")
        own = layout.places[_root(value)]
        if own.buffer is target and own != layout.places[target]:
            _broken("a new value lies as the leaf that it replaces", f"{own} for {layout.places[target]}")
    for node in plan.outputs[: len(plan.outputs) - len(updates)]:
        memory.expect(node, "the results")


def _verify_place(node: Node, place: Place, arena_bytes: int) -> None:
    if len(place.strides) != len(node.shape):
        _broken("a place has a stride for each axis", f"{node!r}: {place.strides}")
    if place.buffer is not None:
        if place.offset:
            _broken("a leaf's memory is used from its beginning", f"{node!r}: byte {place.offset}")
        _verify_same_form(node, place.buffer)
        return
    if not _is_dense(node.shape, place.strides):
        _broken("values lie in the arena without gaps", f"{node!r}: strides {place.strides}")
    if place.offset < 0 or place.offset % node.dtype.itemsize or _end(node, place) > arena_bytes:
        _broken("values lie inside the arena", f"{node!r} from byte {place.offset}, of {arena_bytes}")


def _verify_same_form(value: Node, target: Node) -> None:
    if (value.shape, value.dtype) != (target.shape, target.dtype):
        _broken("a leaf's memory holds values of its own form", f"{value!r} in that of {target!r}")


def _is_dense(shape: Shape, strides: Strides) -> bool:
    step = 1
    for stride, length in sorted((s, n) for n, s in zip(shape, strides, strict=True) if n > 1):
        if stride != step:
            return 0 in shape
        step *= length
    return True


def _end(node: Node, place: Place) -> int:
    return place.offset + math.prod(node.shape) * node.dtype.itemsize


class _Memory:
    """Which value each piece of memory holds, while the kernels of a layout run."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        # a leaf's memory is replaced as a whole; pieces of the arena are (first byte, byte behind the last, value)
        self._buffers = {x: x for x in layout.places if x.op in (leaf, constant)}
        self._arena: list[tuple[int, int, Node]] = []

    def holder(self, place: Place) -> Node | None:
        """The value in the memory of a leaf."""
        return None if place.buffer is None else self._buffers[place.buffer]

    def expect(self, node: Node, reader: object) -> None:
        """The value that a reader wants has to be in its place, and a view has to find it there."""
        root = _root(node)
        place = self._layout.places[root]
        if place.buffer is not None:
            whole = self._buffers[place.buffer] is root
        else:
            size = _end(root, place) - place.offset
            whole = not size or (place.offset, _end(root, place), root) in self._arena
        if not whole:
            _broken("memory holds a value until its last reader", f"{reader!r} reads {node!r}")
        _verify_view(node, self._layout.view(node), place)

    def write(self, target: Node, value: Node) -> None:
        """A value takes a place: that of ``target``."""
        place = self._layout.places[target]
        if place.buffer is not None:
            self._buffers[place.buffer] = _root(value)
            return
        first, end = place.offset, _end(target, place)
        self._arena = [piece for piece in self._arena if piece[1] <= first or end <= piece[0]]
        if first < end:
            self._arena.append((first, end, value))

    def run(self, kernels: Sequence[Kernel]) -> None:
        """The kernels of one phase, which may run at the same time."""
        for kernel in kernels:
            for x in kernel.reads():
                self.expect(x, kernel.nodes)
        for kernel in kernels:
            for node in kernel.stored:
                self._verify_write(node, kernel, kernels)
        for kernel in kernels:
            for node in kernel.stored:
                self.write(node, node)

    def _verify_write(self, node: Node, kernel: Kernel, beside: Sequence[Kernel]) -> None:
        """Nobody reads or writes this memory in the same phase, but the kernel itself at the very same point."""
        for other in beside:
            for written in other.stored:
                if written is not node and self._overlap(node, written):
                    _broken("no two values are written to the same memory at once", f"{node!r}, {written!r}")
            for x in other.reads():
                if self._overlap(node, _root(x)) and not (
                    other is kernel
                    and (self._is_pointwise(kernel, node, x) or self._is_part(kernel, node, x))
                ):
                    _broken("nothing is overwritten that is still read", f"{node!r} replaces {x!r}")

    def _overlap(self, a: Node, b: Node) -> bool:
        one, other = self._layout.places[a], self._layout.places[b]
        if one.buffer is not other.buffer or 0 in a.shape or 0 in b.shape:
            return False
        return one.buffer is not None or (one.offset < _end(b, other) and other.offset < _end(a, one))

    def _is_pointwise(self, kernel: Kernel, node: Node, x: Node) -> bool:
        """Whether the kernel reads x only in its body, at the point that it is about to write."""
        root = _root(x)
        places = self._layout.places
        if places[node] != places[root] or root.shape != kernel.space:
            return False
        body = set(kernel.body)
        readers = [n for n in kernel.nodes if any(_root(y) is root for y in n.inputs)]
        plain = all(y is root for n in readers for y in n.inputs if _root(y) is root)
        return plain and all(n in body and n.op is not edge_dot for n in readers)

    def _is_part(self, kernel: Kernel, node: Node, x: Node) -> bool:
        """Whether x was computed where a join along the first axis wants it."""
        if kernel.root is not node or node.op is not movement.concat or node.params["axis"] != 0:
            return False
        places = self._layout.places
        before = itertools.takewhile(lambda y: y is not x, node.inputs)
        offset = sum(math.prod(y.shape) for y in before) * node.dtype.itemsize
        return places[x].offset == places[node].offset + offset and places[x].strides == places[node].strides


def _verify_view(node: Node, view: View, place: Place) -> None:
    """Follow some elements, those at the corners among them, to where the view says they lie."""
    if 0 in node.shape:
        return
    root = _root(node)
    if view.root is not root or view.shape != node.shape or len(view.strides) != len(node.shape):
        _broken("a view is of its root, in its own shape", f"{node!r}: {view}")
    at = _samples(node.shape)
    says = view.offset + np.array(view.strides, np.int64) @ at
    lies = np.array(place.strides, np.int64) @ _followed(node, at)
    if not np.array_equal(says, lies):
        _broken("a view finds its elements in the memory of its root", f"{node!r}: {view}")


def _samples(shape: Shape) -> Array:
    """Indices [axes, samples] of elements: all of a small array, else corners and some in between."""
    count = math.prod(shape)
    flat = (
        np.unique(np.linspace(0, count - 1, SAMPLES).astype(np.int64))
        if count > SAMPLES
        else np.arange(count)
    )
    corners = np.array(
        [*itertools.islice(itertools.product(*((0, n - 1) for n in shape)), SAMPLES)], np.int64
    )
    return np.concatenate([_unravelled(flat, shape), corners.reshape(len(corners), len(shape)).T], axis=1)


def _unravelled(flat: Array, shape: Shape) -> Array:
    """Indices [axes, samples] of elements numbered as they are read."""
    rows = np.empty((len(shape), len(flat)), np.int64)
    for axis in reversed(range(len(shape))):
        flat, rows[axis] = np.divmod(flat, shape[axis])
    return rows


def _followed(node: Node, at: Array) -> Array:
    """The indices, in the root, of the elements that a view shows at these indices."""
    while node.op in VIEWS:
        (x,), p = node.inputs, node.params
        if node.op is movement.transpose:
            there = np.empty_like(at)
            there[list(p["axes"])] = at
        elif node.op is movement.slice:
            there = at * np.reshape(p["step"], (-1, 1)) + np.reshape(p["start"], (-1, 1))
        elif node.op is movement.broadcast:
            there = at[len(node.shape) - len(x.shape) :] * np.reshape([n > 1 for n in x.shape], (-1, 1))
        else:
            places = np.array([math.prod(node.shape[i + 1 :]) for i in range(len(node.shape))], np.int64)
            there = _unravelled(places @ at, x.shape)
        at, node = there.astype(np.int64), x
    return at


# Threads


def verify_partition(rows: Array, kernels: Sequence[tuple[int, int]]) -> None:
    """The parts of each kernel's partition, given as (units, step), are disjoint and make up the whole.

    ``rows`` are as ``partition_kernels`` makes them: rank, threads, then first and last unit of each kernel.
    """
    for number, (units, step) in enumerate(kernels):
        parts = sorted((int(a), int(b)) for a, b in rows[:, 2 + 2 * number : 4 + 2 * number] if a != b)
        ends = [0, *(b for _, b in parts)]
        starts = [*(a for a, _ in parts), units]
        if starts != ends:
            _broken("the parts of a partition make up the whole kernel", f"{parts} of {units}")
        if any(a % step for a, _ in parts):
            _broken("the parts of a partition begin at whole steps", f"{parts} in steps of {step}")

"""Pass 5: kernels -> functions of LLVM IR. Every kernel takes one pointer for each piece of memory it touches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from chainrule.compiler import blocks
from chainrule.compiler.fuse import LONG, Kernel
from chainrule.compiler.host import Target
from chainrule.compiler.ir import I32, I64, PTR, Function, Type, Value, const, first_lanes
from chainrule.compiler.loops import (
    Access,
    Axis,
    Key,
    Lanes,
    Role,
    broadcast_strides,
    merged_axes,
    read,
    write,
)
from chainrule.compiler.lowering import ELEMENTWISE, FAULTY, REDUCTIONS, VIEWS, convert, scalar_of, threefry
from chainrule.compiler.memory import Layout, Place
from chainrule.compiler.views import Strides, View, contiguous
from chainrule.graph import Node
from chainrule.ops import contract, edges, indexing, random
from chainrule.ops.faults import Fault
from chainrule.ops.source import constant

Pointers = dict[Key, Value]
Point = Callable[[Value, Lanes, list[Value]], list[Value]]
Bounds = tuple[Value, Value] | None  # from the first to before the last turn of a loop; None for all
WIDE = 4  # registers side by side, where only that hides the latency of an addition
LINE = 64  # bytes that two processors should not both write
#: they look at their indices even where there is nothing to move
PICKING = {indexing.gather, indexing.scatter_add}
LONG_CYCLES = 12  # of a vector of exponentials and the like


@dataclass(frozen=True)
class Share:
    """How threads may divide a kernel: the ``units`` of its outermost loop, in multiples of ``step``.

    ``cycles`` is about what all of them take.
    """

    units: int
    step: int
    cycles: float


def literal(node: Node) -> Value | None:
    """The number that a node is known to be everywhere, as a scalar."""
    while node.op in VIEWS:
        node = node.inputs[0]
    if node.op is not constant or node.params["value"].size != 1:
        return None
    number = node.params["value"].reshape(-1)[0]
    return const(number, Type(scalar_of(node.dtype)))


class KernelWriter:
    """Writes one kernel.

    Pointers and strides are keyed by node and role, for the same node may be read in two ways (``loops.Key``).

    With ``shared`` each call does a part of the kernel: the function's last parameters are the first unit and
    the one after the last, as ``share`` counts them. How a kernel is divided changes no bit.
    """

    def __init__(
        self, kernel: Kernel, layout: Layout, target: Target, name: str, *, shared: bool = False
    ) -> None:
        self.kernel, self.layout, self.target, self.shared = kernel, layout, target, shared
        self._units, self._step = 1, 1
        # elementwise work takes known numbers as literals; other loops want them in memory
        whole = () if kernel.root is None or kernel.root.op in REDUCTIONS else kernel.root.inputs
        self.reads: dict[Node, View] = {
            x: layout.view(x) for x in kernel.reads() if x in whole or literal(x) is None
        }
        self.places: list[tuple[Node | None, int]] = []  # (buffer, byte offset) of each pointer parameter
        roots = [layout.places[view.root] for view in self.reads.values()]
        for place in [*roots, *(layout.places[node] for node in kernel.stored)]:
            if (place.buffer, place.offset) not in self.places:
                self.places.append((place.buffer, place.offset))
        parameters = [(PTR, f"p{i}") for i in range(len(self.places))] + [
            (PTR, "scratch"),
            (PTR, "status"),
        ]
        self.f = Function(name, [*parameters, *([(I64, "first"), (I64, "last")] if shared else [])])
        self.scratch, self.status = self.f.parameters[len(self.places) :][:2]
        dtypes = [n.dtype for n in kernel.nodes] + [x.dtype for x in self.reads]
        narrow = any(dtype == np.float32 for dtype in dtypes) or all(dtype != np.float64 for dtype in dtypes)
        self.width = target.lanes(32 if narrow else 64)

    # Sharing among threads

    @property
    def share(self) -> Share:
        """What this kernel's parameters count, once it is written."""
        return Share(self._units, self._step, cycles(self.kernel, self.width))

    def bounds(self, length: int, step: int = 1) -> Bounds:
        """The part of a loop of that length that a call does, if this is the loop to be shared."""
        if not self.shared or length <= step:
            return None
        self._units, self._step = length, step
        first, last = self.f.parameters[-2:]
        return first, last

    # Memory

    def pointer(self, place: Place) -> Value:
        """The parameter that points to a place."""
        return self.f.parameters[self.places.index((place.buffer, place.offset))]

    def start(self) -> Pointers:
        """Where each read and each stored node begins, in every role that it has."""
        found: Pointers = {}
        for x, view in self.reads.items():
            base = self.pointer(self.layout.places[view.root])
            if view.offset:
                base = self.f.offset(base, const(view.offset, I64), memory_scalar(x))
            found |= {Key(x, role): base for role in self.roles(x)}
        for node in self.kernel.stored:
            found[Key(node)] = self.pointer(self.layout.places[node])
        for node in self.kernel.nodes:
            if node.op is random.random_bits:
                found[element_of(node)] = const(0, I64)  # not a pointer: the number of the element
        return found

    def roles(self, x: Node) -> list[Role]:
        """The ways in which the kernel reads a node from outside."""
        kernel, found = self.kernel, list[Role]()
        readers = {node for node in kernel.nodes if x in node.inputs}
        if not readers.isdisjoint(kernel.body):
            found.append("point")
        if kernel.root is not None and kernel.root.op in REDUCTIONS:
            if kernel.root in readers or not readers.isdisjoint(kernel.inside):
                found.append("term")
        elif kernel.root in readers:
            found += ["operand", "index"]
        if any(node.op is random.random_bits and node.inputs[0] is x for node in readers):
            found.append("operand")  # both words of a seed, at every point
        return found

    def strides(self, nodes: Sequence[Node], space: tuple[int, ...], role: Role) -> dict[Key, Strides]:
        """Strides of all that these nodes read from outside at a point of the space, and of their random elements."""
        own = set(self.kernel.nodes)
        found: dict[Key, Strides] = {}
        for node in nodes:
            if node.op is random.random_bits:
                found[element_of(node)] = contiguous(node.shape)
                continue  # its seed and counter stand still
            for x in node.inputs:
                if x in self.reads and x not in own:
                    found[Key(x, role)] = broadcast_strides(self.reads[x], space)
        return found

    def body_strides(self) -> dict[Key, Strides]:
        """Strides of all that the body reads and that the kernel stores, as seen from its space."""
        stored = {Key(node): self.layout.places[node].strides for node in self.kernel.stored}
        return self.strides(self.kernel.body, self.kernel.space, "point") | stored

    def moved(self, pointers: Pointers, axis: Axis, index: Value) -> Pointers:
        """Pointers after ``index`` turns of a loop."""
        result = dict(pointers)
        for key, stride in axis.strides.items():
            if stride == 0 or index.name == "0":
                continue
            by = self.f.binary("mul", index, const(stride, I64)) if stride != 1 else index
            if key.role == "element":
                result[key] = self.f.binary("add", pointers[key], by)
            else:
                result[key] = self.f.offset(pointers[key], by, memory_scalar(key.node))
        return result

    # Computing at a point

    def compute(
        self,
        nodes: Sequence[Node],
        env: dict[Node, Value],
        pointers: Pointers,
        strides: Mapping[Key, int],
        lanes: Lanes,
        role: Role = "point",
    ) -> None:
        """Values of nodes at one point, into ``env``; what is read and not yet there is loaded."""
        for node in nodes:
            if node in env:
                continue
            if node.op is random.random_bits:
                env[node] = self._bits(node, env, pointers, strides, lanes, role)
                continue
            operands = [self.fetch(x, env, pointers, strides, lanes, role) for x in node.inputs]
            wide = max((v.type.lanes for v in operands), default=1)
            same = [self.f.splat(v, wide) if v.type.lanes < wide else v for v in operands]
            if node.op in FAULTY:
                self._note_faulty(node, same, lanes)
            env[node] = ELEMENTWISE[node.op](self.f, node, *same)

    def _note_faulty(self, node: Node, operands: Sequence[Value], lanes: Lanes) -> None:
        """Note where operands have no result, in the lanes that count."""
        found = FAULTY[node.op](self.f, node, *operands)
        if found is None:
            return
        mask, fault = found
        if mask.type.lanes > 1 and lanes.mask is not None:
            mask = self.f.binary("and", mask, lanes.mask)
        self.note(fault, self.f.any_lane(mask))

    def fetch(
        self,
        x: Node,
        env: dict[Node, Value],
        pointers: Pointers,
        strides: Mapping[Key, int],
        lanes: Lanes,
        role: Role,
    ) -> Value:
        """A node's value at the point: computed before, a literal, or loaded."""
        if x not in env:
            known = literal(x)
            if known is None:
                key = Key(x, role)
                known = read(self.f, access(x, pointers[key]), along(key, strides, lanes), lanes)
            env[x] = known
        return env[x]

    def _bits(
        self,
        node: Node,
        env: dict[Node, Value],
        pointers: Pointers,
        strides: Mapping[Key, int],
        lanes: Lanes,
        role: Role,
    ) -> Value:
        f, (seed, counter) = self.f, node.inputs
        word, element = Type("i32", lanes.count), element_of(node)
        first = f.convert("trunc", pointers[element], "i32")
        steps = f.binary("mul", f.iota(word), const(along(element, strides, lanes), word))
        index = f.binary("add", f.splat(first, lanes.count), steps)
        base, (apart,) = pointers[Key(seed, "operand")], self.reads[seed].strides
        key = tuple(f.load(f.offset(base, const(i * apart, I64), "i32"), I32) for i in range(2))
        count = self.fetch(counter, env, pointers, {}, Lanes(1, 1), role)
        return threefry(f, (key[0], key[1]), index, f.splat(count, lanes.count))

    def store(
        self, env: Mapping[Node, Value], pointers: Pointers, strides: Mapping[Key, int], lanes: Lanes
    ) -> None:
        """Write what others read."""
        for node in self.kernel.stored:
            key = Key(node)
            write(self.f, env[node], access(node, pointers[key]), along(key, strides, lanes), lanes)

    # Loops

    @contextmanager
    def nest(
        self, axes: Sequence[Axis], pointers: Pointers, carried: list[Value], bounds: Bounds = None
    ) -> Iterator[tuple[Pointers, list[Value]]]:
        """Plain loops over axes, carrying values; the list that is given out is the one to change.

        ``bounds`` are those of the outermost one.
        """
        if not axes:
            yield pointers, carried
            return
        first, last = bounds or (const(0, I64), const(axes[0].length, I64))
        with self.f.loop(first, last, 1, carried) as loop:
            with self.nest(axes[1:], self.moved(pointers, axes[0], loop.index), list(loop.values)) as (
                inner,
                values,
            ):
                yield inner, values
            loop.values = values
        carried[:] = loop.values

    def strip_between(self, bounds: Bounds, length: int, width: int, point: Point) -> None:
        """A vector loop from a multiple of the width to another one, or to the end; nothing is carried."""
        if bounds is None:
            self.strip(length, width, [], point)
            return
        whole = length // width * width
        first, last = bounds
        stop = self.f.intrinsic("smin", last, const(whole, I64)) if whole < length else last
        with self.f.branch(self.f.icmp("slt", first, stop)), self.f.loop(first, stop, width) as loop:
            point(loop.index, Lanes(width, width), [])
        if whole < length:
            lanes = 1 << (length - whole - 1).bit_length()
            with self.f.branch(self.f.icmp("eq", last, const(length, I64))):
                point(const(whole, I64), Lanes(lanes, length - whole), [])

    def strip(
        self, length: int, width: int, carried: list[Value], point: Point, *, fixed: bool = False
    ) -> list[Value]:
        """A vector loop: whole vectors, then what is left (in a vector of the same width if ``fixed``)."""
        whole = length // width * width
        values = carried
        if whole == width:
            values = point(const(0, I64), Lanes(width, width), values)
        elif whole:
            with self.f.loop(const(0, I64), const(whole, I64), width, values) as loop:
                loop.values = point(loop.index, Lanes(width, width), loop.values)
            values = loop.values
        left = length - whole
        if left:
            lanes = width if fixed else 1 << (left - 1).bit_length()
            values = point(const(whole, I64), Lanes(lanes, left), values)
        return values

    # The kinds of kernels

    def write(self) -> Function:
        """The whole function."""
        root = self.kernel.root
        if 0 not in self.kernel.space or (root is not None and root.op in PICKING):
            if root is None:
                self._map()
            elif root.op in REDUCTIONS:
                self._reduce(root)
            elif root.op is contract.matmul:
                self._product(root)
            else:
                from chainrule.compiler.moves import write_move

                write_move(self, root)
        self.f.ret()
        return self.f

    def _map(self) -> None:
        kernel = self.kernel
        axes = merged_axes(kernel.space, self.layout.orders[kernel], self.body_strides())
        self._run_map(axes, self.start())

    def _run_map(self, axes: list[Axis], pointers: Pointers) -> None:
        body = self.kernel.body
        inner = axes[-1] if axes else Axis(1, {})
        outside = self.bounds(axes[0].length) if len(axes) > 1 else None
        inside = self.bounds(inner.length, 4 * LINE) if len(axes) <= 1 else None
        with self.nest(axes[:-1], pointers, [], outside) as (outer, _):
            fixed = self._constantalong(body, inner)
            known: dict[Node, Value] = {}
            self.compute(fixed, known, outer, {}, Lanes(1, 1))

            def point(index: Value, lanes: Lanes, _: list[Value]) -> list[Value]:
                env, here = dict(known), self.moved(outer, inner, index)
                self.compute(body, env, here, inner.strides, lanes)
                self.store(env, here, inner.strides, lanes)
                return []

            self.strip_between(inside, inner.length, self.width, point)

    def _stands_still(self, x: Node, still: set[Node], axes: Sequence[Axis]) -> bool:
        """Whether an operand has one value along the axes."""
        if x in still or literal(x) is not None:
            return True
        return x in self.reads and all(axis.length == 1 or axis.strides[Key(x)] == 0 for axis in axes)

    def _constantalong(self, nodes: Sequence[Node], axis: Axis) -> list[Node]:
        """The nodes that have one value along the axis, computed once before its loop."""
        fixed: set[Node] = set()
        for node in nodes:
            if axis.length > 1 and node.op is random.random_bits:
                continue
            if all(self._stands_still(x, fixed, (axis,)) for x in node.inputs):
                fixed.add(node)
        return [node for node in nodes if node in fixed]

    def _reduce(self, root: Node) -> None:
        x = root.inputs[0]
        reduced = root.params["axis"]
        space = x.shape
        if 0 in space:
            self._neutral(root)
            return
        strides = self._from_input(root)
        vector = self._vector_axis(space, [row for key, row in strides.items() if key.role == "term"])
        kept = [a for a in range(len(space)) if a not in reduced]
        if vector in reduced and self._is_narrow(root, kept):
            vector = max(kept, key=lambda a: (space[a], a))
        outer, inner = (
            merged_axes(space, sorted(axes, key=lambda a: (a == vector, a)), strides)
            for axes in (kept, reduced)
        )
        if vector in reduced or not outer:
            self._reducealong(root, outer, inner)
        else:
            self._reduce_across(root, outer, inner)

    def _is_narrow(self, root: Node, kept: Sequence[int]) -> bool:
        """Whether there are so few terms that long functions had better work on many results at once."""
        space = root.inputs[0].shape
        terms = math.prod(n for a, n in enumerate(space) if a not in kept)
        results = max((space[a] for a in kept), default=1)
        long = any(node.op in LONG for node in (*self.kernel.inside, *self.kernel.body))
        return long and terms <= self.width <= results

    def _from_input(self, root: Node) -> dict[Key, Strides]:
        """Strides of everything as seen from the reduction's input; results stand still along reduced axes."""
        space, axis, keep = root.inputs[0].shape, root.params["axis"], root.params["keepdims"]
        found = self.strides([*self.kernel.inside, root], space, "term")
        for key, row in self.body_strides().items():
            kept = list(row)
            if keep:
                found[key] = tuple(0 if a in axis else s for a, s in enumerate(kept))
            else:
                found[key] = tuple(0 if a in axis else kept.pop(0) for a in range(len(space)))
        return found

    def _vector_axis(self, space: tuple[int, ...], rows: Sequence[Strides]) -> int:
        """The axis along which most of what is read lies closest together."""
        score = [sum(row[a] == 1 for row in rows) if space[a] > 1 else -1 for a in range(len(space))]
        return max(range(len(space)), key=lambda a: (score[a], a), default=0)

    def _neutral(self, root: Node) -> None:
        """A reduction over nothing: the neutral element everywhere."""
        start = const(REDUCTIONS[root.op].start(root), Type(scalar_of(root.dtype)))
        axes = merged_axes(root.shape, range(len(root.shape)), self.body_strides())
        with self.nest(axes, self.start(), []) as (here, _):
            env = {root: start}
            self.compute(self.kernel.body, env, here, {}, Lanes(1, 1))
            self.store(env, here, {}, Lanes(1, 1))

    def _term(self, root: Node, pointers: Pointers, strides: Mapping[Key, int], lanes: Lanes) -> Value:
        """The element that is reduced, at one point."""
        env: dict[Node, Value] = {}
        x = root.inputs[0]
        self.compute(self.kernel.inside, env, pointers, strides, lanes, "term")
        value = convert(self.f, self.fetch(x, env, pointers, strides, lanes, "term"), x.dtype, root.dtype)
        return self.f.splat(value, lanes.count) if value.type.lanes < lanes.count else value

    def _reduce_across(self, root: Node, outer: list[Axis], inner: list[Axis]) -> None:
        """Lanes are different results: each lane adds up its own column."""
        combine, axis = REDUCTIONS[root.op], outer[-1]
        width = self.width * (WIDE if axis.length >= self.width * WIDE else 1)

        def point(index: Value, lanes: Lanes, _: list[Value]) -> list[Value]:
            here = self.moved(start, axis, index)
            zero = const(combine.start(root), Type(scalar_of(root.dtype), lanes.count))

            def add(deep: Pointers, total: Value) -> Value:
                return combine.join(self.f, root, total, self._term(root, deep, axis.strides, lanes))

            total = [zero]
            if self._in_blocks(root, blocks.turns(inner)):
                wide = blocks.sum_over_axes(self, inner, here, zero, add)
                total = [blocks.narrow(self.f, wide, zero.type.scalar)]
            else:
                with self.nest(inner, here, total) as (deep, carried):
                    carried[0] = add(deep, carried[0])
            env = {root: total[0]}
            self.compute(self.kernel.body, env, here, axis.strides, lanes)
            self.store(env, here, axis.strides, lanes)
            return []

        outside = self.bounds(outer[0].length) if len(outer) > 1 else None
        inside = self.bounds(axis.length, width) if len(outer) == 1 else None
        with self.nest(outer[:-1], self.start(), [], outside) as (start, _):
            self.strip_between(inside, axis.length, width, point)

    def _reducealong(self, root: Node, outer: list[Axis], inner: list[Axis]) -> None:
        """Lanes are different terms of one result; they are joined at the end, always in the same order."""
        combine, f = REDUCTIONS[root.op], self.f
        axis = inner[-1] if inner else Axis(1, {})
        width = self.width * (WIDE if axis.length >= self.width * WIDE else 1)
        width = min(width, 1 << (axis.length - 1).bit_length())
        neutral = const(combine.start(root), Type(scalar_of(root.dtype), width))

        def term(here: Pointers) -> Point:
            def point(index: Value, lanes: Lanes, carried: list[Value]) -> list[Value]:
                value = self._term(root, self.moved(here, axis, index), axis.strides, lanes)
                if lanes.active < lanes.count:
                    value = f.select(first_lanes(lanes.active, lanes.count), value, neutral)
                return [combine.join(f, root, carried[0], value)]

            return point

        with self.nest(outer, self.start(), [], self.bounds(outer[0].length) if outer else None) as (here, _):
            total = [neutral]
            if self._in_blocks(root, blocks.turns(inner[:-1]) * -(-axis.length // width)):
                total = [self._along_in_blocks(inner[:-1], axis, width, here, neutral, term)]
            else:
                with self.nest(inner[:-1], here, total) as (deep, carried):
                    carried[:] = self.strip(axis.length, width, list(carried), term(deep), fixed=True)
            joined = self._joined(root, total[0])
            env = {root: blocks.narrow(f, joined, neutral.type.scalar)}
            self.compute(self.kernel.body, env, here, {}, Lanes(1, 1))
            self.store(env, here, {}, Lanes(1, 1))

    def _in_blocks(self, root: Node, terms: int) -> bool:
        """Whether so many terms in one accumulator would round too much."""
        return REDUCTIONS[root.op].in_blocks and root.dtype.kind == "f" and terms > blocks.BLOCK

    def _along_in_blocks(
        self,
        outside: Sequence[Axis],
        axis: Axis,
        width: int,
        here: Pointers,
        neutral: Value,
        term: Callable[[Pointers], Point],
    ) -> Value:
        """The terms of a long sum along the vector axis: whole vectors, then what is left; lanes of doubles."""
        whole, left = axis.length // width, axis.length % width
        totals = []
        if whole:
            vectors = Axis(whole, {key: stride * width for key, stride in axis.strides.items()})
            lanes = Lanes(width, width)

            def add(deep: Pointers, total: Value) -> Value:
                return term(deep)(const(0, I64), lanes, [total])[0]

            totals.append(blocks.sum_over_axes(self, [*outside, vectors], here, neutral, add))
        if left:

            def add_rest(deep: Pointers, total: Value) -> Value:
                return term(deep)(const(whole * width, I64), Lanes(width, left), [total])[0]

            axes = outside or [Axis(1, {})]
            totals.append(blocks.sum_over_axes(self, axes, here, neutral, add_rest))
        return totals[0] if len(totals) == 1 else self.f.binary("fadd", *totals)

    def _joined(self, root: Node, lanes: Value) -> Value:
        """All lanes as one: halves are joined until one lane is left."""
        f, join = self.f, REDUCTIONS[root.op].join
        while (count := lanes.type.lanes) > 1:
            half = Type(lanes.type.scalar, count // 2)
            parts = []
            for first in (0, count // 2):
                picked = ", ".join(f"i32 {first + i}" for i in range(count // 2))
                if count == 2:
                    parts.append(f.lane(lanes, first))
                else:
                    mask = f"<{count // 2} x i32> <{picked}>"
                    parts.append(f.op(f"shufflevector {lanes}, {lanes.type} poison, {mask}", half))
            lanes = join(f, root, *parts)
        return lanes

    def preload_scalars(self, known: dict[Node, Value], here: Pointers, *axes: Axis) -> None:
        """Load what does not change along the axes, and compute what depends on nothing else, once before them."""
        still: set[Node] = set()
        for node in self.kernel.body:
            if node.op is not random.random_bits and all(
                self._stands_still(x, still, axes) for x in node.inputs
            ):
                still.add(node)
        self.compute([n for n in self.kernel.body if n in still], known, here, {}, Lanes(1, 1))

    def note(self, fault: Fault, condition: Value) -> None:
        """Note the fault where the condition holds; the program raises after the run.

        Nothing is written otherwise, so that no thread takes back what another one has noted.
        """
        with self.f.branch(condition):
            self.f.store(const(fault, I32), self.status)

    def _product(self, root: Node) -> None:
        from chainrule.compiler.products import write_product

        write_product(self, root)


def cycles(kernel: Kernel, lanes: int) -> float:
    """About how long a kernel takes: enough to divide work among threads."""
    elementwise = sum(LONG_CYCLES if node.op in LONG else 1 for node in kernel.body) + len(kernel.stored) + 1
    total = float(math.prod(kernel.space) * elementwise)
    if kernel.root is not None and kernel.root.op is contract.matmul:
        total += math.prod(kernel.root.shape) * kernel.root.inputs[0].shape[-1] / 2
    elif kernel.root is not None and kernel.root.op in edges.EDGES:
        total += 2.5 * edges.products(kernel.root)
    elif kernel.root is not None:
        terms = math.prod(kernel.root.inputs[0].shape)
        total += terms * (2 + sum(LONG_CYCLES if node.op in LONG else 1 for node in kernel.inside))
    return total / lanes


def element_of(node: Node) -> Key:
    """The key of a random node's element number."""
    return Key(node, "element")


def along(key: Key, strides: Mapping[Key, int], lanes: Lanes) -> int:
    """How far apart a vector's elements lie. Every key of a vector loop has a stride: a missing one is an error."""
    return 0 if lanes.count == 1 else strides[key]


def memory_scalar(node: Node) -> str:
    """The LLVM type of one element in memory."""
    scalar = scalar_of(node.dtype)
    return "i8" if scalar == "i1" else scalar


def access(node: Node, pointer: Value) -> Access:
    """The node's memory from a pointer on."""
    return Access(pointer, memory_scalar(node), node.dtype.kind == "b")

"""The kernels of sums along the edges of a sparse graph: the minibatch in the lanes, sums in registers.

A neuron's edges are read one after the other. Several at a time add to registers of their own, because an addition
has to wait for the one before; the registers are joined at the end. Which edge goes to which register depends on
the graph alone, so neither threads nor the minibatch's size change the order in which a sum is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from chainrule.compiler.codegen.blocks import BLOCK, add_wide, narrow, wide_zeros
from chainrule.compiler.codegen.builder import I32, I64, Function, Type, Value, const, const_vector
from chainrule.compiler.codegen.loops import Axis, Key, Lanes, read, write
from chainrule.compiler.codegen.points import compute
from chainrule.compiler.codegen.writer import KernelWriter, access
from chainrule.compiler.lowering import scalar_of
from chainrule.graph import Node
from chainrule.ops.edges import edge_dot, edge_sum

Plus = Callable[[Value, Value], Value]
LINE = 64  # bytes of a line of the cache
IN_FLIGHT = 8  # sums that hide the latency of an addition
AHEAD = 12  # edges from the one whose values are asked for to the one that is computed
DOTS = 4  # edges whose dot products are finished together
MANY = 4096  # edges of one neuron that are added up without blocks


def write_edges(writer: KernelWriter, root: Node) -> None:
    """The whole kernel."""
    if root.op is edge_dot:
        _Dots(writer, root).write()
        return
    dot = next((node for node in writer.kernel.body if node.op is edge_dot), None)
    if dot is None:
        _Sums(writer, root).write()
    else:
        _Backward(writer, root, dot).write()


@dataclass(frozen=True)
class Columns:
    """Columns of the minibatch that are computed at once: where they start, and how many lanes they fill."""

    start: int
    lanes: Lanes


def columns_of(batch: int, width: int) -> list[Columns]:
    """The minibatch as vectors; the last one may be narrower, or only partly used."""
    found = []
    for start in range(0, batch, width):
        left = min(width, batch - start)
        found.append(Columns(start, Lanes(1 << (left - 1).bit_length(), left)))
    return found


class _Edges:
    """What both kinds of kernels read: values by row, and the integers that describe the edges."""

    last: Value  # of the edges, as ``integer`` counts them

    def __init__(self, writer: KernelWriter, root: Node) -> None:
        self.writer, self.root, self.f = writer, root, writer.f
        self.start = writer.start()
        self.pointers = {key.node: at for key, at in self.start.items() if key.role in ("operand", "point")}
        self.scalar = Type(scalar_of(root.dtype))
        self.columns = columns_of(root.inputs[0].shape[1], writer.width)

    def neurons(self, count: int) -> tuple[Value, Value]:
        """The first and the one after the last that a call computes."""
        return self.writer.bounds(count) or (const(0, I64), const(count, I64))

    @property
    def same_width(self) -> list[Columns]:
        """The columns as vectors of one width, where lanes are added up in the end."""
        return [Columns(c.start, Lanes(self.zero.type.lanes, c.lanes.active)) for c in self.columns]

    @property
    def zero(self) -> Value:
        """Where a sum over such vectors starts."""
        wide = max((columns.lanes.count for columns in self.columns), default=1)
        return const(0, Type(self.scalar.scalar, wide))

    def multiple(self, begin: Value, end: Value, step: int) -> Value:
        """The end of the last whole step."""
        whole = self.f.binary("and", self.f.binary("sub", end, begin), const(-step, I64))
        return self.f.binary("add", begin, whole)

    def up_to(self, end: Value, begin: Value, count: int) -> list[Value]:
        """So many edges from ``begin`` on; the last one again for those beyond the end."""
        last = self.f.plus(end, -1)
        return [self.f.intrinsic("smin", self.f.plus(begin, k), last) for k in range(count)]

    def integer(self, node: Node, index: Value) -> Value:
        """An entry of one of the edges' arrays."""
        raw = self.f.load(self.f.offset(self.pointers[node], index, "i32"), I32)
        return self.f.convert("sext", raw, "i64")

    def from_first(self, node: Node, rows: Node) -> None:
        """Let an array with one entry an edge be read by the number that an edge has among all edges."""
        first = self.integer(rows, const(0, I64))
        back = self.f.binary("sub", const(0, I64), first)
        self.pointers[node] = self.f.offset(self.pointers[node], back, scalar_of(node.dtype))

    def row(self, node: Node, index: Value) -> Value:
        """Where a neuron's values start."""
        stride = self.strides(node)[0]
        return self.f.offset(self.pointers[node], self.f.times(index, stride), self.scalar.scalar)

    def at(self, node: Node, edge: Value) -> Value:
        """Where an edge's number is, by the number that the edge has among all."""
        stride = self.strides(node)[0]
        return self.f.offset(self.pointers[node], self.f.times(edge, stride), self.scalar.scalar)

    def strides(self, node: Node) -> tuple[int, ...]:
        """How far apart neurons, and columns of the minibatch, lie; or edges."""
        return (self.writer.reads.get(node) or self.writer.layout.places[node]).strides

    def values(self, node: Node, row: Value, columns: Columns) -> Value:
        """A neuron's values in some columns; beyond the last one 0, which adds nothing to a dot product."""
        stride = self.strides(node)[1]
        at = self.f.offset(row, const(columns.start * stride, I64), self.scalar.scalar)
        return read(self.f, access(node, at), stride, columns.lanes, other=0)

    def as_stored(self, x: Value) -> Value:
        """The value as memory holds it: truth values are bytes."""
        return self.f.convert("zext", x, "i8") if x.type.scalar == "i1" else x

    def later(self, edge: Value) -> Value:
        """An edge further on."""
        return self.f.intrinsic("smin", self.f.plus(edge, AHEAD), self.last)

    def fetch(self, pointer: Value, *, to_write: bool = False) -> None:
        """Ask for what is in memory there, long before it is used: it may be anywhere."""
        hints = (const(int(to_write), I32), const(3, I32), const(1, I32))
        self.f.call(None, "llvm.prefetch.p0", pointer, *hints)

    def fetch_values(self, node: Node, neuron: Value, part: list[Columns]) -> None:
        """Ask for a neuron's values."""
        row, size = self.row(node, neuron), self.scalar.bits // 8
        begin, end = part[0].start * size, (part[-1].start + part[-1].lanes.active) * size
        for byte in range(begin, end, LINE):
            self.fetch(self.f.offset(row, const(byte, I64), "i8"))

    def now(self, x: Value) -> Value:
        """The same value, computed here: put off, as LLVM likes to, it needs more registers than there are."""
        if not x.type.is_float or x.type.bits * x.type.lanes < 128:
            return x
        return self.f.op(f'call {x.type} asm sideeffect "", "=x,0"({x})', x.type)

    def plus_product(self, a: Value, b: Value, total: Value) -> Value:
        """a b + total."""
        f = self.f
        if a.type.is_float:
            if self.writer.target.fma:
                return f.fma(a, b, total)
            return f.binary("fadd", f.binary("fmul", a, b), total)
        boolean = a.type.scalar == "i1"
        return f.binary("or" if boolean else "add", f.binary("and" if boolean else "mul", a, b), total)

    def dot_lanes(self, ours: Sequence[Value], theirs: Iterable[Value]) -> Value:
        """The products of two neurons' values, summed but for the lanes of a vector."""
        blocks = [self.zero]
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if k and k % BLOCK == 0:
                blocks.append(self.zero)
            blocks[-1] = self.plus_product(a, b, blocks[-1])
        if len(blocks) == 1 or not self.scalar.is_float:
            return reduce(self.plus, blocks)
        totals = wide_zeros([self.zero])
        for block in blocks:
            totals = add_wide(self.f, totals, [block])
        return narrow(self.f, totals[0], self.scalar.scalar)

    def plus(self, a: Value, b: Value) -> Value:
        """a + b."""
        return self.f.binary("fadd" if a.type.is_float else "or" if a.type.scalar == "i1" else "add", a, b)


class _Sums(_Edges):
    """Upwards or downwards: every neuron adds up weight times value of its neighbours."""

    def __init__(self, writer: KernelWriter, root: Node) -> None:
        super().__init__(writer, root)
        self.from_values, self.weights, rows, source, columns, target, self.position = root.inputs
        self.up = root.op is edge_sum
        self.starts, self.neighbour = (rows, source) if self.up else (columns, target)
        if self.up:
            self.from_first(source, rows)
        self.last = self.f.plus(self.integer(self.starts, const(root.shape[0], I64)), -1)

    @property
    def parts(self) -> list[list[Columns]]:
        """As many columns as registers hold."""
        at_once = self.writer.target.registers // 2
        return [self.columns[k : k + at_once] for k in range(0, len(self.columns), at_once)]

    def write(self) -> None:
        """The sum of every neuron."""
        first, last = self.neurons(self.root.shape[0])
        with self.f.loop(first, last, 1) as loop:
            begin = self.integer(self.starts, loop.index)
            end = self.integer(self.starts, self.f.plus(loop.index, 1))
            for part in self.parts:
                self.store(loop.index, part, self.sums(begin, end, part))

    @property
    def may_be_long(self) -> bool:
        """Whether a neuron may have very many edges: there is at most one from each neuron on the other side."""
        others = (self.root.inputs[4] if self.up else self.root.inputs[2]).shape[0] - 1
        return self.scalar.is_float and min(others, self.neighbour.shape[0]) > MANY

    def blocks(
        self,
        begin: Value,
        end: Value,
        size: int,
        zeros: list[Value],
        sums: Callable[[Value, Value], list[Value]],
    ) -> tuple[Value, list[Value]]:
        """Where the blocks of ``size`` edges end, and their sums added in float64; most neurons have no such block."""
        f, far = self.f, self.multiple(begin, end, size)
        some = f.convert("zext", f.icmp("slt", begin, far), "i64")
        with f.guarded_loop(const(0, I64), some, 1, zeros) as once:
            with f.loop(begin, far, size, wide_zeros(zeros)) as loop:
                block = sums(loop.index, f.plus(loop.index, size))
                loop.values = add_wide(f, loop.values, block)
            once.values = [narrow(f, total, self.scalar.scalar) for total in loop.values]
        return far, once.values

    def sums(self, begin: Value, end: Value, part: list[Columns]) -> list[Value]:
        """The sum over edges from ``begin`` to ``end``, for each vector of columns."""
        if not self.may_be_long:
            return self.short_sums(begin, end, part)
        zeros = [const(0, Type(self.scalar.scalar, columns.lanes.count)) for columns in part]
        size = BLOCK * self.together(part)
        far, before = self.blocks(begin, end, size, zeros, lambda a, b: self.short_sums(a, b, part))
        rest = self.short_sums(far, end, part)
        return [self.plus(a, b) for a, b in zip(before, rest, strict=True)]

    def together(self, part: list[Columns]) -> int:
        """How many edges add to registers of their own."""
        count = max(1, IN_FLIGHT // len(part))
        return 1 << (count.bit_length() - 1)

    def short_sums(self, begin: Value, end: Value, part: list[Columns]) -> list[Value]:
        """The sum over edges from ``begin`` to ``end``, in one accumulator for each register."""
        f, count = self.f, len(part)
        together = self.together(part)
        zeros = [const(0, Type(self.scalar.scalar, columns.lanes.count)) for columns in part]
        totals, middle = zeros * together, begin
        if together > 1:
            middle = self.multiple(begin, end, together)
            with f.guarded_loop(begin, middle, together, totals) as loop:
                loop.values = [
                    total
                    for k in range(together)
                    for total in self.add(
                        f.plus(loop.index, k), part, loop.values[k * count : (k + 1) * count]
                    )
                ]
            totals = loop.values
        with f.guarded_loop(middle, end, 1, totals[:count]) as loop:
            loop.values = self.add(loop.index, part, loop.values)
        totals = [*loop.values, *totals[count:]]
        while len(totals) > count:
            half = len(totals) // 2
            totals = [self.plus(a, b) for a, b in zip(totals[:half], totals[half:], strict=True)]
        return totals

    def add(self, edge: Value, part: list[Columns], totals: list[Value]) -> list[Value]:
        """One edge's products, added to the totals."""
        self.fetch_values(self.from_values, self.integer(self.neighbour, self.later(edge)), part)
        row = self.row(self.from_values, self.integer(self.neighbour, edge))
        weight = self.weight(edge if self.up else self.integer(self.position, edge))
        return [
            self.plus_product(
                self.f.splat(weight, columns.lanes.count), self.values(self.from_values, row, columns), total
            )
            for columns, total in zip(part, totals, strict=True)
        ]

    def weight(self, edge: Value) -> Value:
        """The weight of an edge, by its number among all."""
        return read(self.f, access(self.weights, self.at(self.weights, edge)), 0, Lanes(1, 1))

    def store(self, neuron: Value, part: list[Columns], totals: list[Value]) -> None:
        """A neuron's sums, through the elementwise work that follows, to memory."""
        writer, kernel = self.writer, self.writer.kernel
        body = [node for node in kernel.body if node.op is not edge_dot]
        stored = [node for node in kernel.stored if node.op is not edge_dot]
        strides = writer.strides(body, kernel.space, "point")
        strides |= {Key(node): writer.layout.places[node].strides for node in stored}
        rows, across = (
            Axis(kernel.space[a], {key: row[a] for key, row in strides.items()}) for a in range(2)
        )
        here = writer.moved(self.start, rows, neuron)
        for columns, total in zip(part, totals, strict=True):
            at = writer.moved(here, across, const(columns.start, I64))
            env = {self.root: total}
            compute(writer, body, env, at, across.strides, columns.lanes)
            for node in stored:
                write(
                    self.f, env[node], access(node, at[Key(node)]), across.strides[Key(node)], columns.lanes
                )


class _Dots(_Edges):
    """Every edge multiplies the values at its ends and sums over the minibatch."""

    def __init__(self, writer: KernelWriter, root: Node) -> None:
        super().__init__(writer, root)
        self.upper, self.lower, self.rows, self.source = root.inputs[:4]
        self.from_first(self.source, self.rows)
        self.last = self.f.plus(self.integer(self.rows, const(self.upper.shape[0], I64)), -1)
        self.from_first(root, self.rows)

    def write(self) -> None:
        """For every upper neuron: its edges, several at a time, the last few beside some that do not count."""
        f = self.f
        first, last = self.neurons(self.upper.shape[0])
        with f.loop(first, last, 1) as loop:
            above = self.row(self.upper, loop.index)
            own = [self.values(self.upper, above, columns) for columns in self.same_width]
            begin = self.integer(self.rows, loop.index)
            end = self.integer(self.rows, f.plus(loop.index, 1))
            middle = self.multiple(begin, end, DOTS)
            with f.guarded_loop(begin, middle, DOTS) as inner:
                found = self.dots(own, [f.plus(inner.index, k) for k in range(DOTS)])
                f.store(self.as_stored(found), self.at(self.root, inner.index))
            with f.guarded_loop(middle, end, DOTS) as inner:
                edges = self.up_to(end, inner.index, DOTS)
                left = f.splat(f.binary("sub", end, inner.index), len(edges))
                mask = f.icmp("slt", const_vector(range(len(edges)), Type("i64", len(edges))), left)
                found = self.as_stored(self.dots(own, edges))
                f.store(found, self.at(self.root, inner.index), mask)

    def dots(self, own: list[Value], edges: list[Value]) -> Value:
        """The dot products of some edges, one a lane."""
        totals = []
        for edge in edges:
            self.fetch_values(self.lower, self.integer(self.source, self.later(edge)), self.columns)
            row = self.row(self.lower, self.integer(self.source, edge))
            totals.append(self.dot_lanes(own, (self.values(self.lower, row, c) for c in self.same_width)))
        return lane_sums(self.f, totals, self.plus)


class _Backward(_Sums):
    """Downwards, and on the way the dot products of the same edges: what is above them is read once."""

    def __init__(self, writer: KernelWriter, root: Node, dot: Node) -> None:
        super().__init__(writer, root)
        self.dot, self.lower = dot, dot.inputs[1]
        self.from_first(dot, root.inputs[2])

    def write(self) -> None:
        """For every lower neuron: its edges, several at a time, the last few beside some that do not count."""
        f = self.f
        first, last = self.neurons(self.root.shape[0])
        whole = len(self.parts) == 1
        with f.loop(first, last, 1) as loop:
            below = self.row(self.lower, loop.index)
            own = [self.values(self.lower, below, columns) for columns in self.same_width]
            begin = self.integer(self.starts, loop.index)
            end = self.integer(self.starts, f.plus(loop.index, 1))
            for part in () if whole else self.parts:
                self.store(loop.index, part, self.sums(begin, end, part))
            totals = [self.zero] * len(own) if whole else []
            before: list[Value] = []
            if whole and self.may_be_long:
                begin, before = self.blocks(begin, end, BLOCK, totals, partial(self.some, own, totals))
            middle = self.multiple(begin, end, DOTS)
            totals = self.some(own, totals, begin, middle)
            with f.guarded_loop(middle, end, DOTS, totals) as inner:
                inner.values = self.both(own, self.up_to(end, inner.index, DOTS), inner.values, inner.index)
            if whole:
                totals = inner.values
                if before:
                    totals = [self.plus(a, b) for a, b in zip(before, totals, strict=True)]
                self.store(loop.index, self.same_width, totals)

    def some(self, own: list[Value], totals: list[Value], begin: Value, end: Value) -> list[Value]:
        """The totals after a multiple of ``DOTS`` edges."""
        with self.f.guarded_loop(begin, end, DOTS, totals) as inner:
            edges = [self.f.plus(inner.index, k) for k in range(DOTS)]
            inner.values = self.both(own, edges, inner.values)
        return inner.values

    def both(
        self, own: list[Value], edges: list[Value], totals: list[Value], begin: Value | None = None
    ) -> list[Value]:
        """Some edges' products added to the totals (where there are any), and their dot products stored.

        With ``begin`` an edge that is not ``begin`` plus its place stands for the last one, and does not count.
        """
        f, dots, positions = self.f, [], []
        for k, edge in enumerate(edges):
            later = self.later(edge)
            self.fetch_values(self.from_values, self.integer(self.neighbour, later), self.columns)
            place = self.integer(self.position, later)
            for node in (self.weights, self.dot):
                self.fetch(self.at(node, place), to_write=node is self.dot)
            row = self.row(self.from_values, self.integer(self.neighbour, edge))
            positions.append(self.integer(self.position, edge))
            above = [self.values(self.from_values, row, columns) for columns in self.same_width]
            if totals:
                weight = f.splat(self.weight(positions[-1]), above[0].type.lanes)
                more = [self.plus_product(weight, g, total) for g, total in zip(above, totals, strict=True)]
                if begin is not None and k:
                    counts = f.icmp("eq", edge, f.plus(begin, k))
                    more = [f.select(counts, new, old) for new, old in zip(more, totals, strict=True)]
                totals = [self.now(total) for total in more]
            dots.append(self.now(self.dot_lanes(own, above)))
        found = self.as_stored(lane_sums(f, dots, self.plus))
        for k, position in enumerate(positions):  # one that does not count is the last edge's, once more
            f.store(f.lane(found, k), self.at(self.dot, position))
        return totals


def lane_sums(f: Function, vectors: list[Value], plus: Plus) -> Value:
    """The sum of each vector's lanes, one a lane: neighbours are added until one number is left of each."""
    each = vectors[0].type.lanes
    while each > 1:
        each //= 2
        if len(vectors) > 1:
            vectors = [_neighbours(f, a, b, plus) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
        else:
            vectors = [_neighbours(f, vectors[0], None, plus)]
    while len(vectors) > 1:
        vectors = [_beside(f, a, b) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
    return vectors[0]


def _neighbours(f: Function, a: Value, b: Value | None, plus: Plus) -> Value:
    """Sums of lanes 0 and 1, 2 and 3, ... of a, then of b."""
    count = a.type.lanes * (1 if b is None else 2)
    even, odd = (f.shuffle(a, a if b is None else b, range(k, count, 2)) for k in (0, 1))
    return plus(even, odd)


def _beside(f: Function, a: Value, b: Value) -> Value:
    """The lanes of a, then those of b."""
    if a.type.lanes > 1:
        return f.shuffle(a, b, range(2 * a.type.lanes))
    pair = Type(a.type.scalar, 2)
    first = f.op(f"insertelement {pair} poison, {a}, i32 0", pair)
    return f.op(f"insertelement {first}, {b}, i32 1", pair)

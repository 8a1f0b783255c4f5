"""Pass 7: what calls the kernels. ``step`` runs them once, ``run`` does so for one minibatch after another.

Several threads may be inside at the same time, each with a rank of its own. Kernels of one phase do not touch what
others of it write, so barriers are needed only between phases. What a thread does of each kernel is in its row of
``partition``: rank, count of threads, then the first unit and the one after the last for each kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from chainrule.compiler.codegen.builder import I64, PTR, Function, Type, Value, const
from chainrule.compiler.codegen.writer import KernelWriter
from chainrule.compiler.host import Target
from chainrule.compiler.kernels import Layout
from chainrule.compiler.lowering import convert, scalar_of
from chainrule.compiler.views import is_dense
from chainrule.graph import Node

RUN = [
    (PTR, "table"),
    (PTR, "data"),
    (PTR, "order"),
    (I64, "steps"),
    (PTR, "records"),
    (PTR, "partition"),
    (PTR, "barrier"),
]
FLAG_BYTES = 128  # apart, so that waiting for one flag does not slow down writing another


@dataclass(frozen=True)
class Output:
    """Where an output is left: in the arena (-1) or a leaf's memory, in bytes."""

    slot: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Stream:
    """What the native loop over minibatches feeds: input leaves whose rows are picked from larger arrays."""

    inputs: tuple[Node, ...]
    rows: int


@dataclass(frozen=True)
class Call:
    """A kernel's function, and how many bytes of memory a call needs for itself."""

    name: str
    writer: KernelWriter
    scratch: int


@dataclass(frozen=True)
class Arena:
    """Where things lie in the last piece of memory: the number of a fault, then scratch memory for each thread."""

    status: int
    scratch: int
    scratch_bytes: int  # for one thread


def write_step(
    layout: Layout,
    buffers: Sequence[Node],
    calls: Sequence[Call],
    away: Mapping[str, int],
    arena: Arena,
    *,
    shared: bool,
) -> Function:
    """``step(table)``, or ``step(table, partition, barrier)``: every kernel once.

    ``away`` are the kernels of other modules: where their addresses stand in the table.
    """
    f = Function("step", [(PTR, "table"), *([(PTR, "partition"), (PTR, "barrier")] if shared else [])])
    bases = [table_entry(f, i) for i in range(len(buffers) + 1)]
    slot: dict[Node | None, Value] = dict(zip([*buffers, None], bases, strict=True))
    own = at(f, slot[None], arena.scratch)
    if shared:
        rank = f.load(f.parameters[1], I64)
        own = f.offset(own, f.times(rank, arena.scratch_bytes), "i8")
    for number, call in enumerate(calls):
        arguments = [at(f, slot[buffer], offset) for buffer, offset in call.writer.places]
        arguments += [own, at(f, slot[None], arena.status)]
        if not shared:
            call_kernel(f, call.name, away, arguments)
            continue
        if number and layout.phases[number] > layout.phases[number - 1]:
            emit_barrier(f)
        first, last = (
            f.load(f.offset(f.parameters[1], const(2 + 2 * number + i, I64), "i64"), I64) for i in (0, 1)
        )
        with f.branch(f.icmp("slt", first, last)):
            call_kernel(f, call.name, away, [*arguments, first, last])
    if layout.copies:
        if not shared:
            copy_late(f, layout, slot)
        else:
            emit_barrier(f)
            with f.branch(f.icmp("eq", rank, const(0, I64))):
                copy_late(f, layout, slot)
    f.ret()
    return f


def call_kernel(f: Function, name: str, away: Mapping[str, int], arguments: Sequence[Value]) -> None:
    """A call by name, or by the address in the table."""
    if name not in away:
        f.call(None, name, *arguments)
        return
    f.do(f"call void {table_entry(f, away[name]).name}({', '.join(map(str, arguments))})")


def emit_barrier(f: Function) -> None:
    """Emit a wait for the other threads, if any; the last two parameters are ``partition`` and ``barrier``."""
    partition, barrier = f.parameters[-2:]
    count = f.load(f.offset(partition, const(1, I64), "i64"), I64)
    with f.branch(f.icmp("sgt", count, const(1, I64))):
        f.call(None, "barrier", barrier, f.load(partition, I64), count)


def barrier_text(target: Target) -> str:
    """``barrier(state, rank, count)``: returns once all threads have called it equally often.

    A thread raises its own flag and watches the others'. After a while it offers its processor to others by the
    function that ``state`` starts with; the flags follow, ``FLAG_BYTES`` apart.
    """
    pause = _PAUSES.get(target.triple.split("-")[0], "")
    return _BARRIER.format(pause=pause, bytes=FLAG_BYTES)


_PAUSES = {
    "x86_64": 'call void asm sideeffect "pause", "~{memory}"()',
    "i686": 'call void asm sideeffect "pause", "~{memory}"()',
    "aarch64": 'call void asm sideeffect "yield", "~{memory}"()',
    "arm64": 'call void asm sideeffect "yield", "~{memory}"()',
}
_BARRIER = """
define void @barrier(ptr %state, i64 %rank, i64 %count) noinline #0 {{
entry:
  %flags = getelementptr i8, ptr %state, i64 {bytes}
  %place = mul i64 %rank, {bytes}
  %own = getelementptr i8, ptr %flags, i64 %place
  %before = load i64, ptr %own, align 8
  %turn = add i64 %before, 1
  store atomic i64 %turn, ptr %own release, align 8
  br label %each
each:
  %r = phi i64 [ 0, %entry ], [ %next, %there ]
  %at = mul i64 %r, {bytes}
  %flag = getelementptr i8, ptr %flags, i64 %at
  br label %look
look:
  %looks = phi i64 [ 0, %each ], [ %more, %waited ]
  %seen = load atomic i64, ptr %flag acquire, align 8
  %come = icmp sge i64 %seen, %turn
  br i1 %come, label %there, label %wait
wait:
  {pause}
  %more = add i64 %looks, 1
  %low = and i64 %more, 4095
  %long = icmp eq i64 %low, 0
  br i1 %long, label %give, label %waited
give:
  %yield = load ptr, ptr %state, align 8
  %none = icmp eq ptr %yield, null
  br i1 %none, label %waited, label %offer
offer:
  %ignored = call i32 %yield()
  br label %waited
waited:
  br label %look
there:
  %next = add i64 %r, 1
  %again = icmp slt i64 %next, %count
  br i1 %again, label %each, label %done
done:
  ret void
}}
"""


def write_run(
    stream: Stream, buffers: Sequence[Node], outputs: Sequence[Output], *, shared: bool
) -> Function:
    """``run(table, data, order, steps, records, partition, barrier)``: gather, step, record the outputs, again.

    Without ``order`` minibatches are the rows one after the other, read where they lie.
    """
    f = Function("run", RUN)
    table, data, order, steps, records, partition, _ = f.parameters
    fed = [
        (f.load(f.offset(data, const(i, I64), "ptr"), PTR), buffers.index(node), row_bytes(node))
        for i, node in enumerate(stream.inputs)
        if node in buffers
    ]
    into = [table_entry(f, slot) for _, slot, _ in fed]
    arena = table_entry(f, len(buffers))
    first, last = const(0, I64), const(stream.rows, I64)
    if shared:
        rank, count = (f.load(f.offset(partition, const(i, I64), "i64"), I64) for i in (0, 1))
        first, last = (f.binary("udiv", f.times(end, stream.rows), count) for end in (rank, f.plus(rank, 1)))
    picked = f.icmp("ne", order, Value("null", PTR))
    with f.loop(const(0, I64), steps, 1) as loop:
        start = f.binary("mul", loop.index, const(stream.rows, I64))
        with f.branch(picked), f.branch(f.icmp("slt", first, last)), f.loop(first, last, 1) as rows:
            row = f.load(f.offset(order, f.binary("add", start, rows.index), "i64"), I64)
            for (source, _, size), to in zip(fed, into, strict=True):
                there = f.offset(to, f.times(rows.index, size), "i8")
                copy_bytes(f, there, f.offset(source, f.times(row, size), "i8"), size)
        with f.branch(f.icmp("eq", order, Value("null", PTR))):
            for source, slot, size in fed:
                here = f.offset(source, f.times(start, size), "i8")
                f.store(here, f.offset(table, const(slot, I64), "ptr"))
        if shared:
            emit_barrier(f)
            f.call(None, "step", table, *f.parameters[-2:])
            emit_barrier(f)
        else:
            f.call(None, "step", table)
        place = f.binary("mul", loop.index, const(len(outputs), I64))
        with f.branch(f.icmp("eq", rank, const(0, I64))) if shared else nullcontext():
            _record(f, outputs, arena, records, place)
    f.ret()
    return f


def _record(f: Function, outputs: Sequence[Output], arena: Value, records: Value, place: Value) -> None:
    for i, output in enumerate(outputs):
        dtype = np.dtype(output.dtype)
        value = f.load(at(f, arena, output.offset), Type(scalar_of(dtype)))
        wide = convert(f, value, dtype, np.dtype(np.float64))
        f.store(wide, f.offset(records, f.plus(place, i), "double"))


def row_bytes(node: Node) -> int:
    """Of one row of an input."""
    return math.prod(node.shape[1:]) * node.dtype.itemsize


def copy_bytes(f: Function, into: Value, source: Value, size: int) -> None:
    """A copy of known length."""
    f.declared.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
    f.do(f"call void @llvm.memcpy.p0.p0.i64({into}, {source}, i64 {size}, i1 false)")


def table_entry(f: Function, index: int) -> Value:
    """A pointer from the table, the first parameter."""
    return f.load(f.offset(f.parameters[0], const(index, I64), "ptr"), PTR)


def at(f: Function, base: Value, offset: int) -> Value:
    """So many bytes further."""
    return f.offset(base, const(offset, I64), "i8") if offset else base


def copy_late(f: Function, layout: Layout, slot: Mapping[Node | None, Value]) -> None:
    """Updates that could not be written in place."""
    for value, target in layout.copies:
        place, into = layout.places[value], layout.places[target]
        source, size = at(f, slot[place.buffer], place.offset), value.dtype.itemsize
        if place.strides == into.strides and is_dense(value.shape, place.strides):
            copy_bytes(f, slot[into.buffer], source, math.prod(value.shape) * size)
        elif math.prod(value.shape):
            axes = list(zip(value.shape, place.strides, into.strides, strict=True))
            copy_elements(f, slot[into.buffer], source, axes, size)


def copy_elements(
    f: Function, into: Value, source: Value, axes: Sequence[tuple[int, int, int]], size: int
) -> None:
    """A copy between arrays that lie differently; axes are (length, stride there, stride here), in elements."""
    if not axes:
        copy_bytes(f, into, source, size)
        return
    (length, there, here), *rest = axes
    with f.loop(const(0, I64), const(length, I64), 1) as loop:
        into, source = (
            f.offset(p, f.times(loop.index, stride * size), "i8")
            for p, stride in ((into, here), (source, there))
        )
        copy_elements(f, into, source, rest, size)

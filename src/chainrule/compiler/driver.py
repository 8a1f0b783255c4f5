"""Pass 6b: what calls the kernels. ``step`` runs them once, ``run`` does so for one minibatch after another.

Several threads may be inside at the same time, each with a rank of its own. Kernels of one phase do not touch what
others of it write, so threads meet only between phases. What a thread does of each kernel stands in its row of
``shares``: rank, count of threads, then the first unit and the one after the last for each kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.compiler.emit import KernelWriter
from chainrule.compiler.host import Target
from chainrule.compiler.ir import I64, PTR, Function, Type, Value, const
from chainrule.compiler.lowering import convert, scalar_of
from chainrule.compiler.memory import Layout
from chainrule.graph import Node

RUN = [
    (PTR, "table"),
    (PTR, "data"),
    (PTR, "order"),
    (I64, "steps"),
    (PTR, "records"),
    (PTR, "shares"),
    (PTR, "meeting"),
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
    """A kernel's function, and whether it wants memory of its own, the place for reports, or both."""

    name: str
    writer: KernelWriter
    scratch: int  # bytes that a call needs for itself


@dataclass(frozen=True)
class Arena:
    """Where things lie in the last piece of memory: reports of errors, then scratch memory for each thread."""

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
    """``step(table)``, or ``step(table, shares, meeting)``: every kernel once.

    ``away`` are the kernels of other modules: where their addresses stand in the table.
    """
    f = Function("step", [(PTR, "table"), *([(PTR, "shares"), (PTR, "meeting")] if shared else [])])
    bases = [table_entry(f, i) for i in range(len(buffers) + 1)]
    slot: dict[Node | None, Value] = dict(zip([*buffers, None], bases, strict=True))
    own = at(f, slot[None], arena.scratch)
    if shared:
        rank = f.load(f.parameters[1], I64)
        own = f.offset(own, f.times(rank, arena.scratch_bytes), "i8")
    for number, call in enumerate(calls):
        arguments = [at(f, slot[buffer], offset) for buffer, offset in call.writer.places]
        if not call.scratch or call.writer.wants_both:
            arguments.append(at(f, slot[None], arena.status))
        if call.scratch:
            arguments.append(own)
        if not shared:
            call_kernel(f, call.name, away, arguments)
            continue
        if number and layout.phases[number] > layout.phases[number - 1]:
            meet(f)
        first, last = (
            f.load(f.offset(f.parameters[1], const(2 + 2 * number + i, I64), "i64"), I64) for i in (0, 1)
        )
        with f.branch(f.icmp("slt", first, last)):
            call_kernel(f, call.name, away, [*arguments, first, last])
    if layout.copies:
        if not shared:
            copy_late(f, layout, slot)
        else:
            meet(f)
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


def meet(f: Function) -> None:
    """Wait for the other threads, if there are any; the last two parameters are ``shares`` and ``meeting``."""
    shares, meeting = f.parameters[-2:]
    count = f.load(f.offset(shares, const(1, I64), "i64"), I64)
    with f.branch(f.icmp("sgt", count, const(1, I64))):
        f.call(None, "meet", meeting, f.load(shares, I64), count)


def meeting_text(target: Target) -> str:
    """``meet(meeting, rank, count)``: returns once all threads have called it equally often.

    A thread raises its own flag and watches the others'. After a while it offers its processor to others by the
    function that ``meeting`` starts with; the flags follow, ``FLAG_BYTES`` apart.
    """
    pause = {
        "x86_64": 'call void asm sideeffect "pause", "~{memory}"()',
        "i686": 'call void asm sideeffect "pause", "~{memory}"()',
        "aarch64": 'call void asm sideeffect "yield", "~{memory}"()',
        "arm64": 'call void asm sideeffect "yield", "~{memory}"()',
    }.get(target.triple.split("-")[0], "")
    return f"""
define void @meet(ptr %meeting, i64 %rank, i64 %count) noinline #0 {{
entry:
  %flags = getelementptr i8, ptr %meeting, i64 {FLAG_BYTES}
  %place = mul i64 %rank, {FLAG_BYTES}
  %own = getelementptr i8, ptr %flags, i64 %place
  %before = load i64, ptr %own, align 8
  %turn = add i64 %before, 1
  store atomic i64 %turn, ptr %own release, align 8
  br label %each
each:
  %r = phi i64 [ 0, %entry ], [ %next, %there ]
  %at = mul i64 %r, {FLAG_BYTES}
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
  %yield = load ptr, ptr %meeting, align 8
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
    """``run(table, data, order, steps, records, shares, meeting)``: gather, step, record the outputs, again.

    Without ``order`` minibatches are the rows one after the other, read where they lie.
    """
    f = Function("run", RUN)
    table, data, order, steps, records, shares, _ = f.parameters
    fed = [
        (f.load(f.offset(data, const(i, I64), "ptr"), PTR), buffers.index(node), row_bytes(node))
        for i, node in enumerate(stream.inputs)
        if node in buffers
    ]
    into = [table_entry(f, slot) for _, slot, _ in fed]
    arena = table_entry(f, len(buffers))
    first, last = const(0, I64), const(stream.rows, I64)
    if shared:
        rank, count = (f.load(f.offset(shares, const(i, I64), "i64"), I64) for i in (0, 1))
        first, last = (f.binary("udiv", f.times(end, stream.rows), count) for end in (rank, f.plus(rank, 1)))
    picked = f.icmp("ne", order, Value("null", PTR))
    with f.loop(const(0, I64), steps, 1) as loop:
        start = f.binary("mul", loop.index, const(stream.rows, I64))
        with f.branch(picked), f.branch(f.icmp("slt", first, last)), f.loop(first, last, 1) as rows:
            row = f.load(f.offset(order, f.binary("add", start, rows.index), "i64"), I64)
            for (source, _, size), to in zip(fed, into, strict=True):
                copy_bytes(
                    f,
                    f.offset(to, f.times(rows.index, size), "i8"),
                    f.offset(source, f.times(row, size), "i8"),
                    size,
                )
        with f.branch(f.icmp("eq", order, Value("null", PTR))):
            for source, slot, size in fed:
                f.store(
                    f.offset(source, f.times(start, size), "i8"), f.offset(table, const(slot, I64), "ptr")
                )
        if shared:
            meet(f)
            f.call(None, "step", table, *f.parameters[-2:])
            meet(f)
        else:
            f.call(None, "step", table)
        place = f.binary("mul", loop.index, const(len(outputs), I64))
        if shared:
            with f.branch(f.icmp("eq", rank, const(0, I64))):
                _record(f, outputs, arena, records, place)
        else:
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
        source = at(f, slot[place.buffer], place.offset)
        assert place.strides == into.strides, "arrange() lays a postponed update out like its leaf"
        copy_bytes(f, slot[into.buffer], source, math.prod(value.shape) * value.dtype.itemsize)

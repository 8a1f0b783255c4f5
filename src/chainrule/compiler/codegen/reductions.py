"""Kernels of sums, maxima and their kin: lanes are different results, or different terms of one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from chainrule.compiler.codegen import blocks
from chainrule.compiler.codegen.builder import I64, Type, Value, const, first_lanes
from chainrule.compiler.codegen.loops import Axis, Key, Lanes, merged_axes
from chainrule.compiler.codegen.nests import Point, nest, strip, strip_between
from chainrule.compiler.codegen.points import compute, fetch, store
from chainrule.compiler.codegen.writer import KernelWriter, Pointers
from chainrule.compiler.lowering import REDUCTIONS, convert, scalar_of
from chainrule.compiler.views import Strides
from chainrule.graph import Node

WIDE = 4  # registers side by side, where only that hides the latency of an addition


def write_reduction(writer: KernelWriter, root: Node) -> None:
    """The whole kernel."""
    x = root.inputs[0]
    reduced = root.params["axis"]
    space = x.shape
    if 0 in space:
        _neutral(writer, root)
        return
    strides = _from_input(writer, root)
    vector = _vector_axis(space, [row for key, row in strides.items() if key.role == "term"])
    kept = [a for a in range(len(space)) if a not in reduced]
    if vector in reduced and _is_narrow(writer, root, kept):
        vector = max(kept, key=lambda a: (space[a], a))
    outer, inner = (
        merged_axes(space, sorted(axes, key=lambda a: (a == vector, a)), strides) for axes in (kept, reduced)
    )
    if vector in reduced or not outer:
        _reduce_along(writer, root, outer, inner)
    else:
        _reduce_across(writer, root, outer, inner)


def _is_narrow(writer: KernelWriter, root: Node, kept: Sequence[int]) -> bool:
    """Whether there are so few terms that long functions had better work on many results at once."""
    space = root.inputs[0].shape
    terms = math.prod(n for a, n in enumerate(space) if a not in kept)
    results = max((space[a] for a in kept), default=1)
    long = any(node.op.cost == "long" for node in (*writer.kernel.inside, *writer.kernel.body))
    return long and terms <= writer.width <= results


def _from_input(writer: KernelWriter, root: Node) -> dict[Key, Strides]:
    """Strides of everything as seen from the reduction's input; results stand still along reduced axes."""
    space, axis, keep = root.inputs[0].shape, root.params["axis"], root.params["keepdims"]
    found = writer.strides([*writer.kernel.inside, root], space, "term")
    for key, row in writer.body_strides().items():
        kept = list(row)
        if keep:
            found[key] = tuple(0 if a in axis else s for a, s in enumerate(kept))
        else:
            found[key] = tuple(0 if a in axis else kept.pop(0) for a in range(len(space)))
    return found


def _vector_axis(space: tuple[int, ...], rows: Sequence[Strides]) -> int:
    """The axis along which most of what is read lies closest together."""
    score = [sum(row[a] == 1 for row in rows) if space[a] > 1 else -1 for a in range(len(space))]
    return max(range(len(space)), key=lambda a: (score[a], a), default=0)


def _neutral(writer: KernelWriter, root: Node) -> None:
    """A reduction over nothing: the neutral element everywhere."""
    start = const(REDUCTIONS[root.op].start(root), Type(scalar_of(root.dtype)))
    axes = merged_axes(root.shape, range(len(root.shape)), writer.body_strides())
    with nest(writer, axes, writer.start(), []) as (here, _):
        env = {root: start}
        compute(writer, writer.kernel.body, env, here, {}, Lanes(1, 1))
        store(writer, env, here, {}, Lanes(1, 1))


def _term(
    writer: KernelWriter, root: Node, pointers: Pointers, strides: Mapping[Key, int], lanes: Lanes
) -> Value:
    """The element that is reduced, at one point."""
    env: dict[Node, Value] = {}
    x = root.inputs[0]
    compute(writer, writer.kernel.inside, env, pointers, strides, lanes, "term")
    value = convert(writer.f, fetch(writer, x, env, pointers, strides, lanes, "term"), x.dtype, root.dtype)
    return writer.f.splat(value, lanes.count) if value.type.lanes < lanes.count else value


def _reduce_across(writer: KernelWriter, root: Node, outer: list[Axis], inner: list[Axis]) -> None:
    """Lanes are different results: each lane adds up its own column."""
    combine, axis = REDUCTIONS[root.op], outer[-1]
    width = writer.width * (WIDE if axis.length >= writer.width * WIDE else 1)

    def point(index: Value, lanes: Lanes, _: list[Value]) -> list[Value]:
        here = writer.moved(start, axis, index)
        zero = const(combine.start(root), Type(scalar_of(root.dtype), lanes.count))

        def add(deep: Pointers, total: Value) -> Value:
            return combine.join(writer.f, root, total, _term(writer, root, deep, axis.strides, lanes))

        total = [zero]
        if _in_blocks(root, blocks.turns(inner)):
            wide = blocks.sum_over_axes(writer, inner, here, zero, add)
            total = [blocks.narrow(writer.f, wide, zero.type.scalar)]
        else:
            with nest(writer, inner, here, total) as (deep, carried):
                carried[0] = add(deep, carried[0])
        env = {root: total[0]}
        compute(writer, writer.kernel.body, env, here, axis.strides, lanes)
        store(writer, env, here, axis.strides, lanes)
        return []

    outside = writer.bounds(outer[0].length) if len(outer) > 1 else None
    inside = writer.bounds(axis.length, width) if len(outer) == 1 else None
    with nest(writer, outer[:-1], writer.start(), [], outside) as (start, _):
        strip_between(writer, inside, axis.length, width, point)


def _reduce_along(writer: KernelWriter, root: Node, outer: list[Axis], inner: list[Axis]) -> None:
    """Lanes are different terms of one result; they are joined at the end, always in the same order."""
    combine, f = REDUCTIONS[root.op], writer.f
    axis = inner[-1] if inner else Axis(1, {})
    width = writer.width * (WIDE if axis.length >= writer.width * WIDE else 1)
    width = min(width, 1 << (axis.length - 1).bit_length())
    neutral = const(combine.start(root), Type(scalar_of(root.dtype), width))

    def term(here: Pointers) -> Point:
        def point(index: Value, lanes: Lanes, carried: list[Value]) -> list[Value]:
            value = _term(writer, root, writer.moved(here, axis, index), axis.strides, lanes)
            if lanes.active < lanes.count:
                value = f.select(first_lanes(lanes.active, lanes.count), value, neutral)
            return [combine.join(f, root, carried[0], value)]

        return point

    with nest(writer, outer, writer.start(), [], writer.bounds(outer[0].length) if outer else None) as (
        here,
        _,
    ):
        total = [neutral]
        if _in_blocks(root, blocks.turns(inner[:-1]) * -(-axis.length // width)):
            total = [_along_in_blocks(writer, inner[:-1], axis, width, here, neutral, term)]
        else:
            with nest(writer, inner[:-1], here, total) as (deep, carried):
                carried[:] = strip(writer, axis.length, width, list(carried), term(deep), fixed=True)
        joined = _joined(writer, root, total[0])
        env = {root: blocks.narrow(f, joined, neutral.type.scalar)}
        compute(writer, writer.kernel.body, env, here, {}, Lanes(1, 1))
        store(writer, env, here, {}, Lanes(1, 1))


def _in_blocks(root: Node, terms: int) -> bool:
    """Whether so many terms in one accumulator would round too much."""
    return REDUCTIONS[root.op].in_blocks and root.dtype.kind == "f" and terms > blocks.BLOCK


def _along_in_blocks(
    writer: KernelWriter,
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

        totals.append(blocks.sum_over_axes(writer, [*outside, vectors], here, neutral, add))
    if left:

        def add_rest(deep: Pointers, total: Value) -> Value:
            return term(deep)(const(whole * width, I64), Lanes(width, left), [total])[0]

        axes = outside or [Axis(1, {})]
        totals.append(blocks.sum_over_axes(writer, axes, here, neutral, add_rest))
    return totals[0] if len(totals) == 1 else writer.f.binary("fadd", *totals)


def _joined(writer: KernelWriter, root: Node, lanes: Value) -> Value:
    """All lanes as one: halves are joined until one lane is left."""
    f, join = writer.f, REDUCTIONS[root.op].join
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

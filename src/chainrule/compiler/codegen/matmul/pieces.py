"""Small pieces of code that all contraction kernels are made of: indices, addresses, sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chainrule.compiler.codegen.builder import I64, Function, Value, const, first_lanes
from chainrule.compiler.host import Target


@contextmanager
def iterate(f: Function, start: Value, stop: Value, step: int) -> Iterator[Value]:
    """A loop that runs at least once; its index is known where it runs only once."""
    if start.number is not None and stop.number is not None and stop.number - start.number <= step:
        yield start
        return
    with f.loop(start, stop, step) as loop:
        yield loop.index


def difference(f: Function, a: Value, b: Value) -> Value:
    """a - b of indices."""
    if a == b:
        return const(0, a.type)
    return f.binary("sub", a, b) if b.number is None else f.plus(a, -b.number)


def smaller(f: Function, a: Value, b: Value) -> Value:
    """The smaller of two indices."""
    if a.number is not None and b.number is not None:
        return a if a.number <= b.number else b
    return f.intrinsic("smin", a, b)


def larger(f: Function, a: Value, b: Value) -> Value:
    """The larger of two indices."""
    if a.number is not None and b.number is not None:
        return a if a.number >= b.number else b
    return f.intrinsic("smax", a, b)


def at(f: Function, pointer: Value, index: Value | int, stride: int, scalar: str) -> Value:
    """The address ``index`` strides further."""
    steps = const(index * stride, I64) if isinstance(index, int) else f.times(index, stride)
    return f.offset(pointer, steps, scalar)


def multiply_add(f: Function, target: Target, a: Value, b: Value, c: Value) -> Value:
    """a b + c; rounded once where the target can."""
    if not a.type.is_float:
        return f.binary("add", f.binary("mul", a, b), c)
    if target.fma:
        return f.fma(a, b, c)
    return f.binary("fadd", f.binary("fmul", a, b), c)


def add(f: Function, a: Value, b: Value) -> Value:
    """a + b."""
    return f.binary("fadd" if a.type.is_float else "add", a, b)


def lanes_for(active: int) -> tuple[int, Value | None]:
    """The smallest vector for so many numbers, and the mask of those that count."""
    lanes = 1 << (active - 1).bit_length()
    return lanes, None if lanes == active else first_lanes(active, lanes)


def narrowed(f: Function, value: Value, lanes: int) -> Value:
    """The first lanes of a vector."""
    if lanes == value.type.lanes:
        return value
    return f.lane(value, 0) if lanes == 1 else f.shuffle(value, value, range(lanes))


def widened(f: Function, value: Value, lanes: int) -> Value:
    """A vector that begins with this one; its other lanes hold anything."""
    if lanes == value.type.lanes:
        return value
    if value.type.lanes == 1:
        type = value.type._replace(lanes=lanes)
        return f.op(f"insertelement {type} poison, {value}, i32 0", type)
    return f.shuffle(value, value, [i if i < value.type.lanes else -1 for i in range(lanes)])

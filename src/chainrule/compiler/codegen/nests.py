"""Loops over the axes of a kernel: plain ones, and ones that go on by a vector at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chainrule.compiler.codegen.builder import I64, Value, const
from chainrule.compiler.codegen.loops import Axis, Lanes
from chainrule.compiler.codegen.writer import Bounds, KernelWriter, Pointers

Point = Callable[[Value, Lanes, list[Value]], list[Value]]


@contextmanager
def nest(
    writer: KernelWriter,
    axes: Sequence[Axis],
    pointers: Pointers,
    carried: list[Value],
    bounds: Bounds = None,
) -> Iterator[tuple[Pointers, list[Value]]]:
    """Plain loops over axes, carrying values; the list that is given out is the one to change.

    ``bounds`` are those of the outermost one.
    """
    if not axes:
        yield pointers, carried
        return
    first, last = bounds or (const(0, I64), const(axes[0].length, I64))
    with writer.f.loop(first, last, 1, carried) as loop:
        with nest(writer, axes[1:], writer.moved(pointers, axes[0], loop.index), list(loop.values)) as (
            inner,
            values,
        ):
            yield inner, values
        loop.values = values
    carried[:] = loop.values


def strip(
    writer: KernelWriter, length: int, width: int, carried: list[Value], point: Point, *, fixed: bool = False
) -> list[Value]:
    """A vector loop: whole vectors, then what is left (in a vector of the same width if ``fixed``)."""
    whole = length // width * width
    values = carried
    if whole == width:
        values = point(const(0, I64), Lanes(width, width), values)
    elif whole:
        with writer.f.loop(const(0, I64), const(whole, I64), width, values) as loop:
            loop.values = point(loop.index, Lanes(width, width), loop.values)
        values = loop.values
    left = length - whole
    if left:
        lanes = width if fixed else 1 << (left - 1).bit_length()
        values = point(const(whole, I64), Lanes(lanes, left), values)
    return values


def strip_between(writer: KernelWriter, bounds: Bounds, length: int, width: int, point: Point) -> None:
    """A vector loop from a multiple of the width to another one, or to the end; nothing is carried."""
    if bounds is None:
        strip(writer, length, width, [], point)
        return
    whole = length // width * width
    first, last = bounds
    stop = writer.f.intrinsic("smin", last, const(whole, I64)) if whole < length else last
    with writer.f.branch(writer.f.icmp("slt", first, stop)), writer.f.loop(first, stop, width) as loop:
        point(loop.index, Lanes(width, width), [])
    if whole < length:
        lanes = 1 << (length - whole - 1).bit_length()
        with writer.f.branch(writer.f.icmp("eq", last, const(length, I64))):
            point(const(whole, I64), Lanes(lanes, length - whole), [])

"""Long sums in blocks: every ``BLOCK`` terms are added in the sum's own type, and the sums of blocks as doubles.

One accumulator for all terms would round each of them to the size of the whole sum: ten million times 0.1 in
float32 would make 998501. So the error of a sum is that of ``BLOCK`` terms, however many there are. ``sums.py``
does the same with NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from chainrule.compiler.codegen.builder import I64, Function, Value, const
from chainrule.compiler.codegen.loops import Axis
from chainrule.compiler.codegen.nests import nest
from chainrule.compiler.codegen.writer import KernelWriter, Pointers

BLOCK = 128  # terms that one accumulator takes, as in ``sums.py``


def wide_zeros(zeros: Sequence[Value]) -> list[Value]:
    """Accumulators for the sums of blocks."""
    return [const(0, zero.type.of("double")) for zero in zeros]


def add_wide(f: Function, totals: Sequence[Value], sums: Sequence[Value]) -> list[Value]:
    """Sums of blocks added to the totals."""
    wide = (f.convert("fpext", x, "double") if x.type.scalar == "float" else x for x in sums)
    return [f.binary("fadd", total, x) for total, x in zip(totals, wide, strict=True)]


def narrow(f: Function, x: Value, scalar: str) -> Value:
    """A total in the type that the sum has."""
    return x if x.type.scalar == scalar else f.convert("fptrunc", x, scalar)


def sum_in_blocks(
    f: Function,
    stop: int,
    step: int,
    turns: int,
    zeros: list[Value],
    turn: Callable[[Value, list[Value]], list[Value]],
    totals: list[Value],
) -> list[Value]:
    """``turn(index, sums)`` for every ``step``-th index before ``stop``; after ``turns`` of them sums go to totals.

    If there are very many totals, they are added in blocks as well.
    """
    sizes = [turns * step]
    while sizes[-1] * BLOCK < stop:
        sizes.append(sizes[-1] * BLOCK)

    def level(k: int, first: Value, last: Value, totals: list[Value]) -> list[Value]:
        with f.loop(first, last, sizes[k], totals) as blocks:
            end = f.intrinsic("smin", f.plus(blocks.index, sizes[k]), last)
            if k:
                sums = level(k - 1, blocks.index, end, wide_zeros(zeros))
            else:
                with f.loop(blocks.index, end, step, zeros) as loop:
                    loop.values = turn(loop.index, list(loop.values))
                sums = loop.values
            blocks.values = add_wide(f, blocks.values, sums)
        return blocks.values

    return level(len(sizes) - 1, const(0, I64), const(stop, I64), totals)


def sum_over_axes(
    writer: KernelWriter,
    axes: Sequence[Axis],
    here: Pointers,
    zero: Value,
    add: Callable[[Pointers, Value], Value],
) -> Value:
    """The total of a loop nest in which ``add(pointers, sum)`` adds the terms of one point; lanes of doubles.

    A block is some turns of the innermost axis, or several whole turns of the axes inside another one.
    """
    split, inside = len(axes) - 1, 1
    while split > 0 and inside * axes[split].length <= BLOCK:
        inside *= axes[split].length
        split -= 1
    axis = axes[split]
    carried = wide_zeros([zero])
    with nest(writer, axes[:split], here, carried) as (outer, totals):

        def turn(index: Value, sums: list[Value]) -> list[Value]:
            with nest(writer, axes[split + 1 :], writer.moved(outer, axis, index), sums) as (deep, inner):
                inner[0] = add(deep, inner[0])
            return sums

        totals[:] = sum_in_blocks(
            writer.f, axis.length, 1, max(1, BLOCK // inside), [zero], turn, list(totals)
        )
    return carried[0]


def turns(axes: Sequence[Axis]) -> int:
    """How many terms a loop nest adds to one accumulator."""
    return math.prod(axis.length for axis in axes)

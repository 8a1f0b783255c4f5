"""The entry: a product's plan, carried out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chainrule.compiler.codegen.builder import I64, Function, Type, Value, const
from chainrule.compiler.codegen.matmul.dots import dots_parts, write_dots
from chainrule.compiler.codegen.matmul.pieces import larger, smaller
from chainrule.compiler.codegen.matmul.plan import Dots, plan
from chainrule.compiler.codegen.matmul.product import Epilogue, Product
from chainrule.compiler.codegen.matmul.tiles import StripWriter, strip_parts
from chainrule.compiler.host import Target


@dataclass(frozen=True)
class Parts:
    """How a product may be divided: the units of an axis of the result, best in multiples of ``step``.

    Units are rows or, where every call would pack the whole of B, tiles of columns.
    """

    columns: bool
    units: int
    step: int


def parts(product: Product, target: Target) -> Parts:
    """The division that ``emit_product`` counts in."""
    product = product.normal()
    way = plan(product, target)
    if isinstance(way, Dots):
        return Parts(False, product.M, way.rows)
    tiles = sum(strip.tiles for strip in way)
    step = math.lcm(*(strip.rows for strip in way))
    if tiles > 1 and (2 * step > product.M or (tiles > 3 and any(strip.pack_b for strip in way))):
        return Parts(True, tiles, 1)
    return Parts(False, product.M, step)


def emit_product(
    f: Function,
    target: Target,
    product: Product,
    a: Value,
    b: Value,
    part: tuple[Value, Value],
    epilogue: Epilogue,
    scratch: Value | None,
) -> None:
    """Write the code of a part of a product: from its first unit to before the last (i64), as ``parts`` counts them.

    The first is a multiple of the step, the last too or the number of units; literal ones give shorter code.
    ``a`` and ``b`` point to A[0, 0] and B[0, 0]; ``scratch`` to ``scratch_bytes`` of memory, aligned to 8 bytes,
    that only this call uses. How a product is divided among calls changes no bit.
    """
    product = product.normal()
    way, columns = plan(product, target), parts(product, target).columns
    if not product.M or not product.N:
        return

    def write() -> None:
        if isinstance(way, Dots):
            write_dots(f, target, product, way, a, b, *part, epilogue, scratch)
            return
        before = 0  # tiles of the strips before
        for strip in way:
            writer = StripWriter(f, target, product, strip, epilogue, scratch)
            if columns:
                _write_tiles(writer, a, b, part, before, alone=len(way) == 1)
            else:
                writer.write(a, b, part, (const(0, I64), const(strip.tiles, I64)))
            before += strip.tiles

    first, last = part
    if first.number is None or last.number is None:
        with f.branch(f.icmp("slt", first, last)):
            write()
    elif first.number < last.number:
        write()


def _write_tiles(
    writer: StripWriter, a: Value, b: Value, part: tuple[Value, Value], before: int, *, alone: bool
) -> None:
    """The tiles of a strip that are in a part of the product; ``before`` tiles of other strips come first."""
    f, count = writer.f, writer.strip.tiles
    every_row = const(0, I64), const(writer.product.M, I64)
    tiles = within(f, part, before, count)
    if alone or all(edge.number is not None for edge in part):
        writer.write(a, b, every_row, tiles)
        return
    with f.branch(f.icmp("slt", *tiles)):
        one = count == 1  # then it is this one, whatever the bounds are called
        writer.write(a, b, every_row, (const(0, I64), const(1, I64)) if one else tiles)


def within(f: Function, part: tuple[Value, Value], before: int, count: int) -> tuple[Value, Value]:
    """The units of a part that are among ``count`` after the first ``before`` ones, counted from there."""
    first, last = (f.plus(edge, -before) for edge in part)
    return larger(f, first, const(0, I64)), smaller(f, last, const(count, I64))


def scratch_bytes(product: Product, target: Target) -> int:
    """Memory that one call needs: packed operands, sums in progress, the results of a tile."""
    product = product.normal()
    way = plan(product, target)
    if isinstance(way, Dots):
        return sum(dots_parts(product, way)) * product.bytes
    lanes = target.lanes(Type(product.scalar).bits)
    return max((sum(strip_parts(product, s, lanes).values()) for s in way), default=0) * product.bytes

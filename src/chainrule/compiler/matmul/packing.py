"""Copies of operands in the order in which tiles read them.

B becomes one panel for each vector of columns: ``depth`` steps over K of one vector each. A becomes one panel for each
tile of rows: ``depth`` steps of one element for each row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chainrule.compiler.ir import I64, Function, Type, Value, const
from chainrule.compiler.matmul.plan import Strip
from chainrule.compiler.matmul.product import Product, lanes_for, smaller


@contextmanager
def span(f: Function, start: Value, stop: Value, step: int) -> Iterator[Value]:
    """A loop whose index is known where it runs only once; it runs at least once."""
    if start.name.isdigit() and stop.name.isdigit() and int(stop.name) - int(start.name) <= step:
        yield start
        return
    with f.loop(start, stop, step) as loop:
        yield loop.index


def difference(f: Function, a: Value, b: Value) -> Value:
    """a - b of indices."""
    if b.name.isdigit():
        return f.plus(a, -int(b.name))
    return f.binary("sub", a, b)


def offset(f: Function, pointer: Value, index: Value, stride: int, scalar: str) -> Value:
    """The address ``index`` strides further."""
    return f.offset(pointer, f.times(index, stride), scalar)


# B


def pack_b(
    f: Function,
    product: Product,
    strip: Strip,
    lanes: int,
    b: Value,
    tiles: tuple[Value, Value],
    depth: Value,
    to: Value,
) -> None:
    """The columns of tiles [first, last) into panels; ``b`` is moved to the block's first step over K."""
    scalar, wide = product.scalar, len(strip.lanes)
    first = offset(f, b, tiles[0], lanes * wide * product.b_strides[1], scalar)
    narrow = strip.active < lanes
    panels = f.plus(f.times(difference(f, tiles[1], tiles[0]), wide), -narrow)
    if panels.name != "0":
        with span(f, const(0, I64), panels, 1) as panel:
            source = offset(f, first, panel, lanes * product.b_strides[1], scalar)
            pack_panel(
                f, product, source, offset(f, to, panel, lanes * strip.depth, scalar), lanes, lanes, depth
            )
    if narrow:
        source = offset(f, first, panels, lanes * product.b_strides[1], scalar)
        target = offset(f, to, panels, lanes * strip.depth, scalar)
        pack_panel(f, product, source, target, lanes, strip.active, depth)


def pack_panel(
    f: Function, product: Product, b: Value, to: Value, lanes: int, active: int, depth: Value
) -> None:
    """``depth`` steps of ``active`` columns, each step a whole vector in memory; lanes in excess hold anything."""
    (b_k, b_n), scalar = product.b_strides, product.scalar
    square = max(1, 16 // product.bytes)
    if b_n == 1:
        narrow, mask = lanes_for(active)
        with span(f, const(0, I64), depth, 1) as k:
            values = f.load(offset(f, b, k, b_k, scalar), Type(scalar, narrow), mask)
            f.store(values, offset(f, to, k, lanes, scalar))
    elif b_k == 1 and product.K >= square and lanes >= square:
        last = f.plus(depth, -square)
        with span(f, const(0, I64), depth, square) as start:
            k = smaller(f, start, last)  # the last square begins earlier where it would stick out
            rows = turned(f, offset(f, b, k, b_k, scalar), b_n, scalar, lanes, active)
            for i, row in enumerate(rows):
                f.store(row, offset(f, to, f.plus(k, i), lanes, scalar))
    else:
        with span(f, const(0, I64), depth, 1) as k:
            source, target = offset(f, b, k, b_k, scalar), offset(f, to, k, lanes, scalar)
            for n in range(active):
                element = f.load(offset(f, source, const(n, I64), b_n, scalar), Type(scalar))
                f.store(element, f.offset(target, const(n, I64), scalar))


def turned(f: Function, b: Value, b_n: int, scalar: str, lanes: int, active: int) -> list[Value]:
    """Vectors of columns from columns that lie along K: as many steps over K as 16 bytes hold.

    Loads of 16 bytes put every column into its quarter of a register, so that only shuffles inside quarters are left.
    """
    square = 16 * 8 // Type(scalar).bits
    parts = []
    for i in range(square):
        pieces = [
            f.load(offset(f, b, const(min(n, active - 1), I64), b_n, scalar), Type(scalar, square))
            for n in range(i, lanes, square)
        ]
        while len(pieces) > 1:
            pieces = [
                f.shuffle(x, y, range(2 * x.type.lanes))
                for x, y in zip(pieces[::2], pieces[1::2], strict=True)
            ]
        parts.append(pieces[0])
    if square == 2:
        return [_interleaved(f, *parts, picked) for picked in ((0, 2), (1, 3))]
    low, high = (0, 4, 1, 5), (2, 6, 3, 7)
    pairs = [_interleaved(f, parts[i], parts[i + 1], picked) for i in (0, 2) for picked in (low, high)]
    first, last = (0, 1, 4, 5), (2, 3, 6, 7)
    return [_interleaved(f, pairs[i], pairs[i + 2], picked) for i in (0, 1) for picked in (first, last)]


def _interleaved(f: Function, x: Value, y: Value, picked: tuple[int, ...]) -> Value:
    """The same shuffle of two quarters in every quarter of two vectors."""
    quarter, lanes = len(picked), x.type.lanes
    indices = [
        start + p if p < quarter else lanes + start + p - quarter
        for start in range(0, lanes, quarter)
        for p in picked
    ]
    return f.shuffle(x, y, indices)


# A


def pack_a(
    f: Function, product: Product, strip: Strip, a: Value, rows: tuple[Value, Value], depth: Value, to: Value
) -> None:
    """The rows [first, last), tile by tile; ``a`` is moved to the block's first step over K."""
    (a_m, a_k), scalar, height = product.a_strides, product.scalar, strip.rows
    with span(f, rows[0], rows[1], height) as i:
        source = offset(f, a, smaller(f, i, const(product.M - height, I64)), a_m, scalar)
        panel = offset(f, to, difference(f, i, rows[0]), strip.depth, scalar)
        with span(f, const(0, I64), depth, 1) as k:
            here, target = offset(f, source, k, a_k, scalar), offset(f, panel, k, height, scalar)
            if a_m == 1:
                f.store(f.load(here, Type(scalar, height)), target)
            else:
                for r in range(height):
                    element = f.load(offset(f, here, const(r, I64), a_m, scalar), Type(scalar))
                    f.store(element, f.offset(target, const(r, I64), scalar))

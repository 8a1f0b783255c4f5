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
    scalar, wide, b_n = product.scalar, strip.vectors, product.b_strides[1]
    first = offset(f, b, tiles[0], lanes * wide * b_n, scalar)
    count = difference(f, tiles[1], tiles[0])
    if b_n == 1:
        with span(f, const(0, I64), count, 1) as tile:
            source = offset(f, first, tile, lanes * wide, scalar)
            _copy_tile(f, product, strip, lanes, source, depth, offset(f, to, tile, lanes * wide * strip.depth, scalar))
        return
    whole = f.plus(f.times(count, wide), -(strip.active < lanes))
    for start, stop, active in ((const(0, I64), whole, lanes), (whole, f.plus(whole, 1), strip.active)):
        if stop.name != "0" and (active < lanes or start.name == "0"):
            with span(f, start, stop, 1) as panel:
                source = offset(f, first, panel, lanes * b_n, scalar)
                _turn_panel(f, product, source, active, depth, offset(f, to, panel, lanes * strip.depth, scalar), lanes)


def _copy_tile(
    f: Function, product: Product, strip: Strip, lanes: int, b: Value, depth: Value, to: Value
) -> None:
    """The vectors of a tile, which lie side by side, to one panel each."""
    scalar, last = product.scalar, strip.vectors - 1
    with span(f, const(0, I64), depth, 1) as k:
        source, target = offset(f, b, k, product.b_strides[0], scalar), offset(f, to, k, lanes, scalar)
        for v in range(strip.vectors):
            count, mask = lanes_for(strip.active) if v == last else (lanes, None)
            values = f.load(f.offset(source, const(v * lanes, I64), scalar), Type(scalar, count), mask)
            f.store(values, f.offset(target, const(v * lanes * strip.depth, I64), scalar))


def _turn_panel(
    f: Function, product: Product, b: Value, active: int, depth: Value, to: Value, lanes: int
) -> None:
    """``active`` columns that do not lie side by side; lanes in excess hold anything."""
    (b_k, b_n), scalar, steps = product.b_strides, product.scalar, product.K
    square = 16 // product.bytes
    if b_k == 1 and steps >= square and lanes >= square:
        last = f.plus(depth, -square)
        with span(f, const(0, I64), depth, square) as start:
            k = smaller(f, start, last)  # the last square begins earlier where it would stick out
            for i, row in enumerate(turned(f, f.offset(b, k, scalar), b_n, scalar, lanes, active)):
                f.store(row, offset(f, to, f.plus(k, i), lanes, scalar))
        return
    with span(f, const(0, I64), depth, 1) as k:
        source, target = offset(f, b, k, b_k, scalar), offset(f, to, k, lanes, scalar)
        for n in range(active):
            element = f.load(f.offset(source, const(n * b_n, I64), scalar), Type(scalar))
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

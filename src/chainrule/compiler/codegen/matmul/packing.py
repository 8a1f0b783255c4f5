"""Copies of operands in the order in which tiles read them.

B becomes one panel for each vector of columns: ``depth`` steps over K of one vector each. A becomes one panel for each
tile of rows: ``depth`` steps of one element for each row.
"""

from __future__ import annotations

from chainrule.compiler.codegen.builder import I64, Function, Type, Value, const
from chainrule.compiler.codegen.matmul.pieces import at, difference, iterate, lanes_for, smaller
from chainrule.compiler.codegen.matmul.plan import Strip
from chainrule.compiler.codegen.matmul.product import Product

Range = tuple[Value, Value]  # from the first to before the last

# B


def pack_b(
    f: Function, product: Product, strip: Strip, lanes: int, b: Value, tiles: Range, depth: Value, to: Value
) -> None:
    """The columns of tiles into panels; ``b`` is the strip's first column at the block's first step over K."""
    scalar, b_n, wide = product.scalar, product.b_strides[1], lanes * strip.vectors
    first, count = at(f, b, tiles[0], wide * b_n, scalar), difference(f, tiles[1], tiles[0])
    if b_n == 1:
        with iterate(f, const(0, I64), count, 1) as tile:
            source = at(f, first, tile, wide, scalar)
            _copy_tile(f, product, strip, lanes, source, depth, at(f, to, tile, wide * strip.depth, scalar))
        return
    panels = f.times(count, strip.vectors)
    whole = f.plus(panels, -1) if strip.active < lanes else panels
    if whole.number != 0:
        with iterate(f, const(0, I64), whole, 1) as panel:
            source = at(f, first, panel, lanes * b_n, scalar)
            _turn_panel(
                f, product, lanes, lanes, source, depth, at(f, to, panel, lanes * strip.depth, scalar)
            )
    if strip.active < lanes:
        source = at(f, first, whole, lanes * b_n, scalar)
        _turn_panel(
            f, product, lanes, strip.active, source, depth, at(f, to, whole, lanes * strip.depth, scalar)
        )


def _copy_tile(
    f: Function, product: Product, strip: Strip, lanes: int, b: Value, depth: Value, to: Value
) -> None:
    """The vectors of a tile, which lie side by side, to one panel each."""
    scalar = product.scalar
    with iterate(f, const(0, I64), depth, 1) as k:
        source, target = at(f, b, k, product.b_strides[0], scalar), at(f, to, k, lanes, scalar)
        for v in range(strip.vectors):
            count, mask = lanes_for(strip.active if v == strip.vectors - 1 else lanes)
            values = f.load(at(f, source, v, lanes, scalar), Type(scalar, count), mask)
            f.store(values, at(f, target, v, lanes * strip.depth, scalar))


def _turn_panel(
    f: Function, product: Product, lanes: int, active: int, b: Value, depth: Value, to: Value
) -> None:
    """``active`` columns that do not lie side by side; lanes in excess hold anything."""
    (b_k, b_n), scalar, steps = product.b_strides, product.scalar, product.K
    square = 16 // product.bytes
    if b_k == 1 and steps >= square and lanes >= square:
        last = f.plus(depth, -square)
        with iterate(f, const(0, I64), depth, square) as start:
            k = smaller(f, start, last)  # the last square begins earlier where it would stick out
            rows = transposed(f, f.offset(b, k, scalar), b_n, scalar, lanes, active)
            for i, row in enumerate(rows):
                f.store(row, at(f, to, f.plus(k, i), lanes, scalar))
        return
    with iterate(f, const(0, I64), depth, 1) as k:
        source, target = at(f, b, k, b_k, scalar), at(f, to, k, lanes, scalar)
        for n in range(active):
            f.store(f.load(at(f, source, n, b_n, scalar), Type(scalar)), at(f, target, n, 1, scalar))


def transposed(f: Function, b: Value, b_n: int, scalar: str, lanes: int, active: int) -> list[Value]:
    """Vectors of columns, from columns that lie along K: as many steps over K as 16 bytes hold.

    Loads of 16 bytes put every column into its quarter of a register; only shuffles inside quarters are left.
    """
    square = 16 * 8 // Type(scalar).bits
    parts = []
    for i in range(square):
        columns = [min(n, active - 1) for n in range(i, lanes, square)]
        pieces = [f.load(at(f, b, n, b_n, scalar), Type(scalar, square)) for n in columns]
        while len(pieces) > 1:
            pairs = zip(pieces[::2], pieces[1::2], strict=True)
            pieces = [f.shuffle(x, y, range(2 * x.type.lanes)) for x, y in pairs]
        parts.append(pieces[0])
    if square == 2:
        x, y = parts
        return [_shuffle_quarters(f, x, y, picked) for picked in ((0, 2), (1, 3))]
    low, high = (0, 4, 1, 5), (2, 6, 3, 7)
    zipped = [_shuffle_quarters(f, parts[i], parts[i + 1], picked) for i in (0, 2) for picked in (low, high)]
    first, last = (0, 1, 4, 5), (2, 3, 6, 7)
    return [
        _shuffle_quarters(f, zipped[i], zipped[i + 2], picked) for i in (0, 1) for picked in (first, last)
    ]


def _shuffle_quarters(f: Function, x: Value, y: Value, picked: tuple[int, ...]) -> Value:
    """The same shuffle of 16 bytes of x and 16 bytes of y, all along both vectors."""
    quarter, lanes = len(picked), x.type.lanes
    starts = range(0, lanes, quarter)
    return f.shuffle(x, y, [s + (p if p < quarter else lanes + p - quarter) for s in starts for p in picked])


# A


def pack_a(
    f: Function, product: Product, strip: Strip, a: Value, rows: Range, depth: Value, to: Value
) -> None:
    """Rows, tile by tile; ``a`` is the first row at the block's first step over K."""
    (a_m, a_k), scalar, height = product.a_strides, product.scalar, strip.rows
    with iterate(f, *rows, height) as i:
        source = at(f, a, smaller(f, i, const(product.M - height, I64)), a_m, scalar)
        panel = at(f, to, difference(f, i, rows[0]), strip.depth, scalar)
        with iterate(f, const(0, I64), depth, 1) as k:
            here, target = at(f, source, k, a_k, scalar), at(f, panel, k, height, scalar)
            lanes = height if a_m == 1 else 1
            for r in range(0, height, lanes):
                f.store(f.load(at(f, here, r, a_m, scalar), Type(scalar, lanes)), at(f, target, r, 1, scalar))

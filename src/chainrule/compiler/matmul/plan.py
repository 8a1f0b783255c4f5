"""How a product is computed on a target, decided from shapes and strides alone: the same product, the same bits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from chainrule.compiler.host import Target
from chainrule.compiler.ir import Type
from chainrule.compiler.matmul.product import Product

# Caches as all processors of the last ten years have them at least (bytes).
FIRST_SETS, FIRST_WAYS, LINE, PAGE = 64, 8, 64, 4096
A_BLOCK = 256 << 10  # rows of A that stay in the second-level cache while all columns pass
B_BLOCK = 1 << 20  # columns of B that are packed at a time
DEEP = 1024  # up to here sums over K stay in registers from beginning to end
DEPTH = 256  # beyond: terms added up in registers before they go to a partial sum in memory
FEW_ROWS = 8  # below: packing B costs more than it brings
BIG = 1 << 22  # multiplications that are worth a longer loop body, which takes longer to compile


@dataclass(frozen=True)
class Strip:
    """Columns side by side that are computed by one kind of register tile."""

    first: int  # column
    tiles: int  # side by side
    vectors: int  # of a tile
    active: int  # lanes of the last vector that are columns of the result
    rows: int  # of a tile
    splits: int = (
        1  # interleaved sums over K that hide the latency of an addition where a tile has few vectors
    )
    unroll: int = 1  # steps over K in one turn of the loop
    pack_a: bool = False
    pack_b: bool = False
    depth: int = 0  # steps over K, rows, and tiles of columns in a block
    height: int = 0
    breadth: int = 0


@dataclass(frozen=True)
class Dots:
    """Tiles of rows by columns whose sums run along K in vectors; ``copy_b`` where B must first be turned."""

    rows: int
    columns: int
    copy_b: bool


Plan = tuple[Strip, ...] | Dots


@lru_cache(maxsize=1024)
def plan(product: Product, target: Target) -> Plan:
    """The way to compute a product, with its strides as ``Product.normal`` gives them."""
    lanes = target.lanes(Type(product.scalar).bits)
    if not product.M or not product.N:
        return ()
    return _dots(product, lanes) or _strips(product, target, lanes)


def _dots(product: Product, lanes: int) -> Dots | None:
    """Sums along K: where a vector of columns would be mostly empty, or where turning B does not pay."""
    (b_k, b_n), rows = product.b_strides, product.M
    if product.a_strides[1] != 1 or product.K < lanes or not rows:
        return None
    if 2 * product.N < lanes and (b_k == 1 or rows >= 2 * FEW_ROWS):
        return Dots(min(rows, max(1, 8 // product.N)), product.N, b_k != 1)
    if b_k == 1 and b_n != 1 and rows < FEW_ROWS:
        height = 1 if rows == 1 else 3 if rows % 3 == 0 or rows > 4 else 2
        return Dots(height, min(product.N, 8 if height == 1 else 4), False)
    return None


def _strips(product: Product, target: Target, lanes: int) -> tuple[Strip, ...]:
    """One strip of tiles as wide as registers allow, and one for the columns that are left."""
    vectors, ragged = -(-product.N // lanes), product.N % lanes
    if not vectors or not product.M:
        return ()
    whole = vectors - 1 if ragged else vectors
    best: tuple[float, tuple[Strip, ...]] | None = None
    for wide in range(1, min(vectors, 8) + 1):
        tiles = whole // wide
        left = vectors - tiles * wide
        strips, cycles = [], 0.0
        for first, count, width in ((0, tiles, wide), (tiles * wide, 1, left)):
            if count and width:
                rows, splits, cost = _tile_rows(product, target, width)
                cycles += cost * count
                active = ragged if ragged and first + count * width == vectors else lanes
                strips.append(Strip(first * lanes, count, width, active, rows, splits))
        cycles *= 1.1 ** (len(strips) - 1)  # code for two kinds of tiles takes longer to make
        if all(s.rows for s in strips) and (best is None or cycles < best[0]):
            best = cycles, tuple(strips)
    assert best is not None
    return tuple(_blocked(product, strip, lanes) for strip in best[1])


def _tile_rows(product: Product, target: Target, vectors: int) -> tuple[int, int, float]:
    """Rows of the fastest tile of so many vectors, its interleaved sums, and its cycles for all rows of a product."""
    best = (0, 0, math.inf)
    for rows in range(1, min(product.M, 14) + 1):
        sums = rows * vectors
        if sums + (vectors if rows > 1 else 1) + 1 + (not target.fma) > target.registers:
            break
        splits = 1
        while sums * splits < 8 and splits < 4 and product.K >= 4 * splits:
            splits *= 2
        loads = rows + vectors
        step = max(sums / 2, loads / 2, (sums + loads) / 4, 4.4 / splits)
        step *= 1 + 0.05 * loads / sums + 0.03 * (splits > 1)
        cost = -(-product.M // rows) * (step * product.K + 10 + 1.5 * sums)
        if cost <= best[2]:
            best = rows, splits, cost
    return best


def _blocked(product: Product, strip: Strip, lanes: int) -> Strip:
    """The strip with what is packed and how large blocks are."""
    M, K, size = product.M, product.K, product.bytes
    (a_m, a_k), (b_k, b_n) = product.a_strides, product.b_strides
    sums, width = strip.rows * strip.vectors, lanes * strip.vectors
    blocks = -(-K // DEPTH) if K > DEEP and M >= 3 * FEW_ROWS else 1
    depth = -(-K // blocks)
    depth = depth if blocks == 1 else (depth + 3) // 4 * 4
    pack_b = K > 0 and (b_n != 1 or blocks > 1 or (M >= FEW_ROWS and crowded(K, b_k * size)))
    pack_a = K > 0 and a_m == 1 and strip.tiles >= 4 and crowded(depth, a_k * size)
    unroll = max(strip.splits, 1 if strip.vectors == 1 else (4 if M * product.N * K > BIG else 2))
    if blocks > 1:
        unroll = min(unroll, math.gcd(K, 4))  # every block of K is a whole number of turns
        strip = replace(strip, splits=min(strip.splits, unroll))
    height, breadth = M, strip.tiles
    if blocks > 1 or pack_a or M * depth * size > 4 * A_BLOCK:
        most = max(4 * strip.rows, A_BLOCK // (depth * size))
        even = -(-M // -(-M // most))
        height = -(-even // strip.rows) * strip.rows
    if pack_b:
        most = max(1, B_BLOCK // (depth * size * width))
        breadth = -(-strip.tiles // -(-strip.tiles // most))
    return replace(
        strip, unroll=unroll, pack_a=pack_a, pack_b=pack_b, depth=depth, height=height, breadth=breadth
    )


def crowded(count: int, stride: int) -> bool:
    """Whether lines at this distance (bytes) drive each other out of the first-level cache or its page table."""
    if stride == 0:
        return False
    places = max(1, FIRST_SETS * LINE // max(math.gcd(stride, FIRST_SETS * LINE), LINE))
    return count > places * FIRST_WAYS // 2 or (abs(stride) >= PAGE and count > 48)

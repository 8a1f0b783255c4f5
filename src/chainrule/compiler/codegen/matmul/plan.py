"""How a product is computed on a target: decided from shapes and strides alone, so that bits do not change."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from chainrule.compiler.codegen.builder import Type
from chainrule.compiler.codegen.matmul.product import Product
from chainrule.compiler.host import Target

# Caches, as most processors have them at least. Sizes in bytes.
SETS, WAYS, LINE, PAGE = 64, 8, 64, 4096  # of the first level
L1 = 20 << 10  # what of the first level B may fill
A_BLOCK = 256 << 10  # rows of A that stay in the second level while columns pass
B_BLOCK = 1 << 20  # columns of B that are packed at a time
FEW = 8  # rows; for fewer, packing B costs more than it brings
DEEP = 1024  # up to here, sums over K stay in registers from beginning to end
DEPTH = 256  # beyond: terms that are added up in registers before they go to a sum in memory
BIG = 1 << 24  # multiplications that are worth a longer loop, which takes longer to compile


@dataclass(frozen=True)
class Strip:
    """Columns side by side that are computed by one kind of register tile."""

    first: int  # column
    tiles: int  # side by side
    vectors: int  # of a tile
    active: int  # lanes of the last vector that are columns of the result
    rows: int  # of a tile
    splits: int  # interleaved sums over K that hide the latency of an addition where a tile has few vectors
    unroll: int = 1  # steps over K in one turn of the loop
    pack_a: bool = False
    pack_b: bool = False
    depth: int = 0  # steps over K in a block
    height: int = 0  # rows in a block
    breadth: int = 0  # tiles of columns in a block
    across: bool = False  # whether all tiles of some rows come before those of the next rows


@dataclass(frozen=True)
class Dots:
    """Tiles of rows by columns whose sums run along K in vectors; ``copy_b`` where B must first be transposed."""

    rows: int
    columns: int
    copy_b: bool


Plan = tuple[Strip, ...] | Dots


@lru_cache(maxsize=1024)
def plan(product: Product, target: Target) -> Plan:
    """The way to compute a product whose strides are as ``Product.normal`` gives them."""
    lanes = target.lanes(Type(product.scalar).bits)
    if not product.M or not product.N:
        return ()
    return _dots(product, lanes) or _strips(product, target, lanes)


def about_cycles(product: Product, target: Target) -> float:
    """What its sums take, packing included, by the same reckoning as the plan."""
    product = product.normal()
    way, total = plan(product, target), 0.0
    if isinstance(way, Dots):
        return product.M * product.N * product.K / target.lanes(Type(product.scalar).bits)
    for strip in way:
        columns = strip.tiles * strip.vectors * target.lanes(Type(product.scalar).bits)
        total += strip.tiles * _fastest_rows(product, target, strip.vectors)[2]
        if strip.pack_b:
            total += product.K * columns * (0.25 if product.b_strides[1] == 1 else 0.5)
    return total


def _dots(product: Product, lanes: int) -> Dots | None:
    """Sums along K: where a vector of columns would be mostly empty, or where turning B does not pay."""
    (b_k, b_n), rows, depth = product.b_strides, product.M, product.K
    if product.a_strides[1] != 1 or depth < lanes:
        return None
    if lanes > 2 * product.N and (b_k == 1 or rows >= 2 * FEW):
        return Dots(min(rows, max(1, 8 // product.N)), product.N, b_k != 1)
    if b_k == 1 and b_n != 1 and rows < FEW:
        height = 1 if rows == 1 else 3 if rows % 3 == 0 or rows > 4 else 2
        return Dots(height, min(product.N, 8 if height == 1 else 4), False)
    return None


def _strips(product: Product, target: Target, lanes: int) -> tuple[Strip, ...]:
    """One strip of tiles that are all alike, and one for the columns that are left; the fastest widths win."""
    vectors, ragged = -(-product.N // lanes), product.N % lanes
    whole = vectors - 1 if ragged else vectors
    best: tuple[float, list[Strip]] | None = None
    for wide in range(1, min(vectors, FEW) + 1):
        tiles = whole // wide
        strips, cycles = [], 0.0
        for first, count, width in ((0, tiles, wide), (tiles * wide, 1, vectors - tiles * wide)):
            if count and width:
                rows, splits, cost = _fastest_rows(product, target, width)
                active = ragged if ragged and first + count * width == vectors else lanes
                strips.append(Strip(first * lanes, count, width, active, rows, splits))
                cycles += cost * count
        if len(strips) > 1 and product.M * product.N * product.K < BIG:
            cycles *= 1.1  # code for two kinds of tiles takes longer to compile
        if best is None or cycles < best[0]:
            best = cycles, strips
    assert best is not None
    return tuple(_sized(product, _packed(product, strip), lanes) for strip in best[1])


def _fastest_rows(product: Product, target: Target, vectors: int) -> tuple[int, int, float]:
    """Rows of the fastest tile of so many vectors, its interleaved sums, and its cycles for all rows together."""
    best = (0, 0, math.inf)
    for rows in range(1, min(product.M, 14) + 1):
        sums, loads = rows * vectors, rows + vectors
        others = (vectors if rows > 1 else 1) + 1 + (not target.fma)
        if sums + others > target.registers:
            break
        splits = 1
        while product.M < FEW and sums * splits < 8 and splits < 4 and splits * 4 <= product.K:
            splits *= 2
        # two multiply-adds, two loads, four instructions a cycle; an addition waits four cycles for the one before
        step = max(sums / 2, loads / 2, (sums + loads) / 4, 4.4 / splits)
        if product.K * vectors * target.vector_bytes > L1:  # B comes from the second level
            step = max(step, 2.3 * vectors)
        if product.M * product.K * product.bytes > A_BLOCK:  # A comes from the third: four bytes a cycle
            step = max(step, rows * product.bytes / 4)
        step *= 1 + 0.05 * loads / sums + 0.03 * (splits > 1)
        cost = -(-product.M // rows) * (step * product.K + 10 + 1.5 * sums)
        if cost <= best[2]:
            best = rows, splits, cost
    return best


def _packed(product: Product, strip: Strip) -> Strip:
    """With how much of K is summed up at a time, and which operands are packed for it."""
    M, N, K, size = product.M, product.N, product.K, product.bytes
    (a_m, a_k), (b_k, b_n) = product.a_strides, product.b_strides
    blocks = -(-K // DEPTH) if DEEP < K and 3 * FEW <= M else 1
    depth = K if blocks == 1 else -(-K // (4 * blocks)) * 4
    unroll = 1 if strip.vectors == 1 else 4 if M * N * K > BIG else 2
    unroll, splits = max(strip.splits, unroll), strip.splits
    if blocks > 1:  # every block of K must be a whole number of turns
        unroll = min(unroll, math.gcd(K, 4))
        splits = min(splits, unroll)
        pack_a, pack_b = strip.tiles >= 8, True
    else:
        enough = FEW if K * N * size > B_BLOCK else 2 * FEW
        pack_a = a_m == 1 and strip.tiles >= 4 and crowded(K, a_k * size)
        far = (enough <= M and crowded(K, b_k * size)) or (16 * FEW <= M and crowded(2 * K, b_k * size))
        pack_b = K > 0 and (b_n != 1 or far)
    return replace(strip, depth=depth, unroll=unroll, splits=splits, pack_a=pack_a, pack_b=pack_b)


def _sized(product: Product, strip: Strip, lanes: int) -> Strip:
    """With blocks of rows and columns that suit the caches."""
    M, step = product.M, strip.depth * product.bytes
    height, breadth = M, strip.tiles
    if strip.depth < product.K or strip.pack_a or M * step > 4 * A_BLOCK:
        even = _evenly(M, max(4 * strip.rows, A_BLOCK // step))
        height = -(-even // strip.rows) * strip.rows
    if strip.pack_b:
        breadth = _evenly(strip.tiles, max(1, B_BLOCK // (step * lanes * strip.vectors)))
    across = not strip.pack_a and (product.N * step <= L1 or product.K <= 16)
    return replace(strip, height=height, breadth=breadth, across=across)


def _evenly(whole: int, most: int) -> int:
    """The size of parts, none larger than ``most``, that are as few and as equal as can be."""
    return -(-whole // -(-whole // most))


def crowded(count: int, stride: int) -> bool:
    """Whether lines at this distance (bytes) drive each other out of the first-level cache or its page table."""
    if stride == 0:
        return False
    places = SETS * LINE // max(math.gcd(stride, SETS * LINE), LINE)
    return count > places * WAYS // 2 or (abs(stride) >= PAGE and count > 48)

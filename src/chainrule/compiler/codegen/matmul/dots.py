"""Products whose sums run along K in vectors: for one to a few columns, and for a few rows where B lies transposed.

A tile of rows by columns has one vector of sums for each element; a tree of shuffles and additions then puts the
totals of neighbours side by side. The order of additions depends on K alone.
"""

from __future__ import annotations

from functools import partial

from chainrule.compiler.codegen.blocks import BLOCK, add_wide, narrow, sum_in_blocks, wide_zeros
from chainrule.compiler.codegen.builder import I64, Function, Type, Value, const, first_lanes
from chainrule.compiler.codegen.matmul.pieces import (
    add,
    at,
    iterate,
    lanes_for,
    multiply_add,
    narrowed,
    smaller,
)
from chainrule.compiler.codegen.matmul.plan import Dots
from chainrule.compiler.codegen.matmul.product import Epilogue, Product
from chainrule.compiler.codegen.matmul.results import Rows, hand_over_rows
from chainrule.compiler.host import Target


def dots_parts(product: Product, plan: Dots) -> tuple[int, int]:
    """Elements of scratch memory for the transposed copy of B, and for the results of a tile."""
    return product.K * product.N * plan.copy_b, plan.rows * (-(-plan.columns // 4) * 4)


def write_dots(
    f: Function,
    target: Target,
    product: Product,
    plan: Dots,
    a: Value,
    b: Value,
    first: Value,
    last: Value,
    epilogue: Epilogue,
    scratch: Value | None,
) -> None:
    """Rows from first to before last, at least one; they fall between tiles of rows."""
    scalar, apart = product.scalar, product.b_strides[1]
    buffer = at(f, scratch, dots_parts(product, plan)[0], 1, scalar) if scratch else None
    if plan.copy_b:
        assert scratch is not None
        _copy(f, product, b, scratch)
        b, apart = scratch, product.K
    exact = product.M % plan.rows == 0
    whole = product.N // plan.columns * plan.columns
    for start, stop, columns in ((0, whole, plan.columns), (whole, product.N, product.N - whole)):
        if stop > start:
            tile = DotTile(f, target, product, plan.rows, columns, apart)
            with iterate(f, const(start, I64), const(stop, I64), columns) as column:
                line = at(f, b, column, apart, scalar)
                with iterate(f, first, last, plan.rows) as row:
                    base = row if exact else smaller(f, row, const(product.M - plan.rows, I64))
                    results = tile.results(at(f, a, base, product.a_strides[0], scalar), line)
                    each = partial(_to_epilogue, f, epilogue, column, columns)
                    hand_over_rows(f, Rows(base, row, last, exact, exact), results, each, buffer)


def _to_epilogue(
    f: Function, epilogue: Epilogue, column: Value, count: int, row: Value, values: list[Value]
) -> None:
    """One row of ``count`` columns."""
    done = 0
    for value in values:
        active = min(value.type.lanes, count - done)
        lanes, mask = lanes_for(active)
        epilogue(f, row, f.plus(column, done), narrowed(f, value, lanes), mask)
        done += active


def _copy(f: Function, product: Product, b: Value, to: Value) -> None:
    """B transposed: the elements of a column side by side."""
    (b_k, b_n), scalar = product.b_strides, product.scalar
    with f.loop(const(0, I64), const(product.K, I64), 1) as loop:
        source, place = at(f, b, loop.index, b_k, scalar), f.offset(to, loop.index, scalar)
        for n in range(product.N):
            f.store(f.load(at(f, source, n, b_n, scalar), Type(scalar)), at(f, place, n, product.K, scalar))


class DotTile:
    """Writes tiles of rows by columns; ``apart`` is the distance between columns of B."""

    def __init__(
        self, f: Function, target: Target, product: Product, rows: int, columns: int, apart: int
    ) -> None:
        self.f, self.target, self.product = f, target, product
        self.rows, self.columns, self.apart = rows, columns, apart
        self.vector = Type(product.scalar, target.lanes(Type(product.scalar).bits))

    def results(self, a: Value, b: Value) -> list[list[Value]]:
        """Row by row, in vectors of up to 16 bytes, of which the last may hold more than there are columns."""
        sums = self._sums(a, b)
        if self.columns == 1:
            parts = self._vectors(sums)
            every = [self.f.lane(part, i) for part in parts for i in range(part.type.lanes)]
            return [[value] for value in every[: self.rows]]
        return [self._vectors(sums[r : r + self.columns]) for r in range(0, len(sums), self.columns)]

    def _sums(self, a: Value, b: Value) -> list[Value]:
        """A vector of partial sums for every element of the tile."""
        f, depth, lanes = self.f, self.product.K, self.vector.lanes
        zeros = [const(0, self.vector)] * (self.rows * self.columns)
        whole = depth // lanes * lanes
        rest = None if depth % lanes == 0 else first_lanes(depth % lanes, lanes)

        def turn(k: Value, sums: list[Value]) -> list[Value]:
            return self._step(a, b, k, sums, None)

        if self.vector.is_float and depth // lanes > BLOCK:
            totals = sum_in_blocks(f, whole, lanes, BLOCK, zeros, turn, wide_zeros(zeros))
            if rest is None:
                return totals
            return add_wide(f, totals, self._step(a, b, const(whole, I64), zeros, rest))
        with f.loop(const(0, I64), const(whole, I64), lanes, zeros) as loop:
            loop.values = turn(loop.index, loop.values)
        return loop.values if rest is None else self._step(a, b, const(whole, I64), loop.values, rest)

    def _step(self, a: Value, b: Value, k: Value, sums: list[Value], mask: Value | None) -> list[Value]:
        f, scalar, result = self.f, self.product.scalar, list(sums)
        a, b = f.offset(a, k, scalar), f.offset(b, k, scalar)
        places = [at(f, a, r, self.product.a_strides[0], scalar) for r in range(self.rows)]
        lines = [f.load(place, self.vector, mask) for place in places]
        for c in range(self.columns):
            column = f.load(at(f, b, c, self.apart, scalar), self.vector, mask)
            for r, line in enumerate(lines):
                i = r * self.columns + c
                result[i] = multiply_add(f, self.target, line, column, result[i])
        return result

    # Totals

    def _vectors(self, sums: list[Value]) -> list[Value]:
        """Totals as vectors of 16 bytes, the last one filled up; two that fill a vector of the target are joined."""
        f, quarter = self.f, 16 // self.product.bytes
        groups = [sums[i : i + quarter] for i in range(0, len(sums), quarter)]
        totals = [self._total(group + group[-1:] * (quarter - len(group))) for group in groups]
        parts = [narrow(f, total, self.product.scalar) for total in totals]
        if len(parts) == 2 and len(sums) == self.vector.lanes:
            return [f.shuffle(parts[0], parts[1], range(len(sums)))]
        return parts

    def _total(self, sums: list[Value]) -> Value:
        """As many vectors as 16 bytes hold numbers -> one vector of their totals."""
        f, quarter = self.f, len(sums)
        while len(sums) > 1:  # neighbours are added, inside every 16 bytes
            sums = [self._paired(x, y, quarter) for x, y in zip(sums[::2], sums[1::2], strict=True)]
        total = sums[0]
        while (half := total.type.lanes // 2) >= quarter:
            total = add(
                f, f.shuffle(total, total, range(half)), f.shuffle(total, total, range(half, 2 * half))
            )
        return total

    def _paired(self, x: Value, y: Value, quarter: int) -> Value:
        """Sums of neighbours: of x, then of y, inside every 16 bytes."""
        lanes = x.type.lanes
        starts = [s + of for s in range(0, lanes, quarter) for of in (0, lanes)]
        even, odd = ([s + i for s in starts for i in range(first, quarter, 2)] for first in (0, 1))
        return add(self.f, self.f.shuffle(x, y, even), self.f.shuffle(x, y, odd))

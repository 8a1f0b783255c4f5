"""Products whose sums run along K in vectors: for one to a few columns, and for a few rows with B turned.

A tile of rows by columns has one vector of sums for each element; a tree of shuffles and additions then puts the totals of
neighbours side by side. The order of additions depends on K alone.
"""

from __future__ import annotations

from chainrule.compiler.host import Target
from chainrule.compiler.ir import I64, Function, Type, Value, const, first_lanes
from chainrule.compiler.matmul.packing import difference, offset, span
from chainrule.compiler.matmul.plan import Dots
from chainrule.compiler.matmul.product import Epilogue, Product, add, lanes_for, multiply_add, smaller


def dots_scratch(product: Product, plan: Dots) -> int:
    """Bytes for the turned copy of B."""
    return product.K * product.N * product.bytes if plan.copy_b else 0


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
    """Rows [first, last), of which there is at least one."""
    apart = product.b_strides[1]
    if plan.copy_b:
        assert scratch is not None
        _copy(f, product, b, scratch)
        b, apart = scratch, product.K
    whole = product.N // plan.columns * plan.columns
    for start, stop, columns in ((0, whole, plan.columns), (whole, product.N, product.N - whole)):
        if stop > start:
            tile = DotTile(f, target, product, plan.rows, columns, apart, epilogue)
            with span(f, const(start, I64), const(stop, I64), columns) as column:
                line = offset(f, b, column, apart, product.scalar)
                with span(f, first, last, plan.rows) as row:
                    tile.write(a, line, row, column, last)


def _copy(f: Function, product: Product, b: Value, to: Value) -> None:
    """B turned: the elements of a column side by side."""
    (b_k, b_n), scalar = product.b_strides, product.scalar
    with f.loop(const(0, I64), const(product.K, I64), 1) as k:
        source = offset(f, b, k.index, b_k, scalar)
        place = f.offset(to, k.index, scalar)
        for n in range(product.N):
            element = f.load(f.offset(source, const(n * b_n, I64), scalar), Type(scalar))
            f.store(element, f.offset(place, const(n * product.K, I64), scalar))


class DotTile:
    """Writes tiles of rows by columns; ``apart`` is the distance between columns of B."""

    def __init__(
        self,
        f: Function,
        target: Target,
        product: Product,
        rows: int,
        columns: int,
        apart: int,
        epilogue: Epilogue,
    ) -> None:
        self.f, self.target, self.product = f, target, product
        self.rows, self.columns, self.apart, self.epilogue = rows, columns, apart, epilogue
        self.lanes = target.lanes(Type(product.scalar).bits)

    def write(self, a: Value, b: Value, row: Value, column: Value, last: Value) -> None:
        """The tile at a row and column; its last rows may have been handed over by the tile before."""
        f = self.f
        base = smaller(f, row, const(self.product.M - self.rows, I64))
        sums = self._sums(offset(f, a, base, self.product.a_strides[0], self.product.scalar), b)
        if self.columns == 1:
            lines = [[v] for v in self._scalars([one for line in sums for one in line])]
        else:
            lines = [self._vectors(line) for line in sums]
        before, behind = difference(f, row, base), difference(f, last, base)
        for r, line in enumerate(lines):
            inside = f.icmp("sgt", behind, const(r, I64))
            with f.branch(f.binary("and", inside, f.icmp("sle", before, const(r, I64)))):
                done = 0
                for value in line:
                    active = min(value.type.lanes, self.columns - done)
                    lanes, mask = lanes_for(active)
                    if lanes < value.type.lanes:
                        value = f.shuffle(value, value, range(lanes)) if lanes > 1 else f.lane(value, 0)
                    self.epilogue(f, f.plus(base, r), f.plus(column, done), value, mask)
                    done += active

    def _sums(self, a: Value, b: Value) -> list[list[Value]]:
        """A vector of partial sums for every element of the tile."""
        f, K = self.f, self.product.K
        count = self.rows * self.columns
        sums = [const(0, Type(self.product.scalar, self.lanes))] * count
        whole = K // self.lanes * self.lanes
        if whole:
            with f.loop(const(0, I64), const(whole, I64), self.lanes, sums) as loop:
                loop.values = self._step(a, b, loop.index, loop.values, None)
            sums = loop.values
        if whole < K:
            sums = self._step(a, b, const(whole, I64), sums, first_lanes(K - whole, self.lanes))
        return [sums[r * self.columns : (r + 1) * self.columns] for r in range(self.rows)]

    def _step(self, a: Value, b: Value, k: Value, sums: list[Value], mask: Value | None) -> list[Value]:
        f, scalar = self.f, self.product.scalar
        type = Type(scalar, self.lanes)
        a, b = f.offset(a, k, scalar), f.offset(b, k, scalar)
        lines = [
            f.load(f.offset(a, const(r * self.product.a_strides[0], I64), scalar), type, mask)
            for r in range(self.rows)
        ]
        result = list(sums)
        for c in range(self.columns):
            column = f.load(f.offset(b, const(c * self.apart, I64), scalar), type, mask)
            for r, line in enumerate(lines):
                at = r * self.columns + c
                result[at] = multiply_add(f, self.target, line, column, result[at])
        return result

    # Totals

    def _vectors(self, sums: list[Value]) -> list[Value]:
        """Totals as vectors of 16 bytes, the last one filled up; then joined two by two while they are full."""
        f, quarter = self.f, 16 * 8 // Type(self.product.scalar).bits
        parts = []
        for i in range(0, len(sums), quarter):
            group = sums[i : i + quarter]
            parts.append(self._total(group + [group[-1]] * (quarter - len(group))))
        if len(parts) == 2 and len(sums) == self.lanes == 2 * quarter:
            return [f.shuffle(*parts, range(self.lanes))]
        return parts

    def _scalars(self, sums: list[Value]) -> list[Value]:
        parts = self._vectors(sums)
        every = [self.f.lane(part, i) for part in parts for i in range(part.type.lanes)]
        return every[: len(sums)]

    def _total(self, sums: list[Value]) -> Value:
        """As many vectors as 16 bytes hold numbers -> one vector of their totals."""
        f = self.f
        quarter, lanes = len(sums), sums[0].type.lanes
        while len(sums) > 1:  # neighbours are added inside each quarter of a register
            sums = [self._paired(x, y, quarter) for x, y in zip(sums[::2], sums[1::2], strict=True)]
        total = sums[0]
        while lanes > quarter:
            lanes //= 2
            low, high = (
                f.shuffle(total, total, range(lanes)),
                f.shuffle(total, total, range(lanes, 2 * lanes)),
            )
            total = add(f, low, high)
        return total

    def _paired(self, x: Value, y: Value, quarter: int) -> Value:
        lanes = x.type.lanes
        picked = [
            [
                start + i + from_y * lanes
                for start in range(0, lanes, quarter)
                for from_y in (0, 1)
                for i in range(odd, quarter, 2)
            ]
            for odd in (0, 1)
        ]
        return add(self.f, *(self.f.shuffle(x, y, p) for p in picked))

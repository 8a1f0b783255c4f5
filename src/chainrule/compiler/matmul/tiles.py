"""Products by register tiles: rows times vectors of columns whose sums over K stay in registers."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.compiler.host import Target
from chainrule.compiler.ir import I64, Function, Type, Value, const
from chainrule.compiler.matmul.packing import difference, offset, pack_a, pack_b, span
from chainrule.compiler.matmul.plan import Strip
from chainrule.compiler.matmul.product import Epilogue, Product, add, lanes_for, multiply_add, smaller

HEAVY = 30  # lines of an epilogue; longer ones are written once for a loop over the rows of a tile


@dataclass(frozen=True)
class Block:
    """A part of the product: rows and tiles of columns [first, last), and where its operands and sums are."""

    rows: tuple[Value, Value]
    tiles: tuple[Value, Value]
    depth: Value
    a: Value
    b: Value


class StripWriter:
    """Writes the code of one strip."""

    def __init__(
        self,
        f: Function,
        target: Target,
        product: Product,
        strip: Strip,
        epilogue: Epilogue,
        scratch: Value | None,
    ) -> None:
        self.f, self.target, self.product, self.strip = f, target, product, strip
        self.epilogue = epilogue
        self.lanes = target.lanes(Type(product.scalar).bits)
        self.width = self.lanes * strip.vectors
        self.partial = strip.depth < product.K
        self.exact = self.full = False
        self.parts: dict[str, Value] = {}
        if scratch is not None:
            place = 0
            for name, size in scratch_parts(product, strip, self.lanes).items():
                self.parts[name] = f.offset(scratch, const(place, I64), product.scalar)
                place += size

    # Blocks

    def write(self, a: Value, b: Value, first: Value, last: Value) -> None:
        """All rows [first, last) of the strip; there is at least one."""
        f, product, strip = self.f, self.product, self.strip
        self.exact = strip.rows == 1 or (product.M % strip.rows == 0 and first.name == "0")
        self.full = self.exact and last.name == str(product.M)
        b = f.offset(b, const(strip.first * product.b_strides[1], I64), product.scalar)
        with span(f, const(0, I64), const(strip.tiles, I64), strip.breadth) as tile:
            tiles = (tile, smaller(f, f.plus(tile, strip.breadth), const(strip.tiles, I64)))
            depth = const(product.K, I64)
            if strip.pack_b and not self.partial:
                pack_b(f, product, strip, self.lanes, b, tiles, depth, self.parts["b"])
            if strip.height >= product.M:
                self._rows(Block((first, last), tiles, depth, a, b))
            else:
                with span(f, first, last, strip.height) as row:
                    rows = (row, smaller(f, f.plus(row, strip.height), last))
                    self._rows(Block(rows, tiles, depth, a, b))

    def _rows(self, block: Block) -> None:
        """One block of rows, all of K."""
        f, product, strip = self.f, self.product, self.strip
        if not self.partial:
            self._steps(block)
            return
        self._clear(block)
        with span(f, const(0, I64), const(product.K, I64), strip.depth) as k:
            depth = smaller(f, const(strip.depth, I64), difference(f, const(product.K, I64), k))
            a = offset(f, block.a, k, product.a_strides[1], product.scalar)
            b = offset(f, block.b, k, product.b_strides[0], product.scalar)
            part = Block(block.rows, block.tiles, depth, a, b)
            pack_b(f, product, strip, self.lanes, b, block.tiles, depth, self.parts["b"])
            self._steps(part)
        self._finish_partial(block)

    def _steps(self, block: Block) -> None:
        """One block of rows and of K: all its tiles."""
        f, product, strip = self.f, self.product, self.strip
        if strip.pack_a:
            pack_a(f, product, strip, block.a, block.rows, block.depth, self.parts["a"])
        with span(f, *block.tiles, 1) as tile:
            inside = difference(f, tile, block.tiles[0])
            if strip.pack_b:
                b = offset(f, self.parts["b"], inside, self.width * strip.depth, product.scalar)
            else:
                b = offset(f, block.b, tile, self.width * product.b_strides[1], product.scalar)
            with span(f, *block.rows, strip.rows) as row:
                base = row if self.exact else smaller(f, row, const(product.M - strip.rows, I64))
                if strip.pack_a:
                    at = difference(f, row, block.rows[0])
                    a = offset(f, self.parts["a"], at, strip.depth, product.scalar)
                else:
                    a = offset(f, block.a, base, product.a_strides[0], product.scalar)
                sums = self._tile(a, b, block.depth)
                self._deliver(block, row, base, tile, sums)

    # One tile

    def _tile(self, a: Value, b: Value, depth: Value) -> list[list[Value]]:
        """The sums of a tile, row by row."""
        f, product, strip = self.f, self.product, self.strip
        none = const(0, Type(product.scalar, self.lanes))
        sets = [[none] * (strip.rows * strip.vectors) for _ in range(strip.splits)]
        careful = self._careful_steps()
        always = careful > strip.unroll
        fixed = int(depth.name) if depth.name.isdigit() else None
        stop = depth
        if fixed is not None:
            whole = (fixed if always else fixed - careful) // strip.unroll * strip.unroll
            stop = const(whole if whole > strip.unroll else 0, I64)
        if stop.name != "0":
            with f.loop(const(0, I64), stop, strip.unroll, [v for one in sets for v in one]) as loop:
                sets = self._split(loop.values)
                self._several(a, b, loop.index, range(strip.unroll), sets, always)
                loop.values = [v for one in sets for v in one]
            sets = self._split(loop.values)
        if fixed is not None:
            for k in range(int(stop.name), fixed):
                self._several(a, b, const(0, I64), range(k, k + 1), sets, k >= fixed - careful)
        while len(sets) > 1:
            pairs = zip(sets[::2], sets[1::2], strict=True)
            sets = [[add(f, x, y) for x, y in zip(*pair, strict=True)] for pair in pairs]
        return [sets[0][r * strip.vectors : (r + 1) * strip.vectors] for r in range(strip.rows)]

    def _split(self, values: list[Value]) -> list[list[Value]]:
        size = len(values) // self.strip.splits
        return [list(values[i : i + size]) for i in range(0, len(values), size)]

    def _careful_steps(self) -> int:
        """The last steps over K, where reading more columns than there are would reach beyond the end of B."""
        strip, product = self.strip, self.product
        excess = lanes_for(strip.active)[0] - strip.active
        stride = product.b_strides[0]
        if strip.pack_b or not excess:
            return 0
        return min(product.K, -(-excess // stride)) if stride > 0 else product.K

    def _several(
        self, a: Value, b: Value, k: Value, steps: range, sets: list[list[Value]], careful: bool
    ) -> None:
        """Steps over K, from ``k`` on, added to the sets of sums in turn."""
        f, product, strip = self.f, self.product, self.strip
        a_m, a_k = (1, strip.rows) if strip.pack_a else product.a_strides
        b_k, apart = (self.lanes, self.lanes * strip.depth) if strip.pack_b else (product.b_strides[0], self.lanes)
        a, b = offset(f, a, k, a_k, product.scalar), offset(f, b, k, b_k, product.scalar)
        for step in steps:
            sums = sets[step % strip.splits]
            columns = [
                self._columns(f.offset(b, const(step * b_k + v * apart, I64), product.scalar), v, careful)
                for v in range(strip.vectors)
            ]
            for r in range(strip.rows):
                place = f.offset(a, const(r * a_m + step * a_k, I64), product.scalar)
                x = f.splat(f.load(place, Type(product.scalar)), self.lanes)
                for v, column in enumerate(columns):
                    at = r * strip.vectors + v
                    sums[at] = multiply_add(f, self.target, x, column, sums[at])

    def _columns(self, b: Value, vector: int, careful: bool) -> Value:
        """A vector of B; lanes beyond the product's columns hold anything."""
        f, strip, scalar = self.f, self.strip, self.product.scalar
        if strip.pack_b or vector < strip.vectors - 1:
            return f.load(b, Type(scalar, self.lanes))
        lanes, mask = lanes_for(strip.active)
        value = f.load(b, Type(scalar, lanes), mask if careful else None)
        if lanes == self.lanes:
            return value
        if lanes == 1:
            return f.op(f"insertelement {Type(scalar, self.lanes)} poison, {value}, i32 0", Type(scalar, self.lanes))
        return f.shuffle(value, value, [*range(lanes), *[-1] * (self.lanes - lanes)])

    # What happens to sums

    def _deliver(self, block: Block, row: Value, base: Value, tile: Value, sums: list[list[Value]]) -> None:
        """Hand over the rows of a tile that lie in [row, last); others were computed for nothing."""
        f, strip = self.f, self.strip
        first = None if self.exact else difference(f, row, base)
        last = const(strip.rows, I64) if self.full else difference(f, block.rows[1], base)
        column = f.plus(f.times(tile, self.width), strip.first)
        if not self.partial and self._heavy():
            self._deliver_slowly(first, last, base, column, sums)
            return
        for r, values in enumerate(sums):
            if self.full or (self.exact and r == 0):
                self._hand_over(block, f.plus(base, r), column, tile, values)
                continue
            inside = f.icmp("sgt", last, const(r, I64))
            if first is not None:
                inside = f.binary("and", inside, f.icmp("sle", first, const(r, I64)))
            with f.branch(inside):
                self._hand_over(block, f.plus(base, r), column, tile, values)

    def _hand_over(self, block: Block, row: Value, column: Value, tile: Value, values: list[Value]) -> None:
        if self.partial:
            place = self._partial_place(block, row, tile)
            for v, value in enumerate(values):
                here = self.f.offset(place, const(v * self.lanes, I64), self.product.scalar)
                self.f.store(add(self.f, self.f.load(here, value.type), value), here)
        else:
            self._to_epilogue(row, column, values)

    def _to_epilogue(self, row: Value, column: Value, values: list[Value]) -> None:
        for v, value in enumerate(values):
            active = self.strip.active if v == self.strip.vectors - 1 else self.lanes
            narrow, mask = self._narrowed(value, active)
            self.epilogue(self.f, row, self.f.plus(column, v * self.lanes), narrow, mask)

    def _narrowed(self, value: Value, active: int) -> tuple[Value, Value | None]:
        """The first lanes of a vector, as an epilogue takes them."""
        lanes, mask = lanes_for(active)
        if lanes == value.type.lanes:
            return value, mask
        return self.f.lane(value, 0) if lanes == 1 else self.f.shuffle(value, value, range(lanes)), mask

    def _heavy(self) -> bool:
        """Whether the epilogue is long: it is written for trial, and what it wrote is taken away."""
        f = self.f
        if "tile" not in self.parts or self.strip.rows == 1:
            return False
        with f.trial() as lines:
            index = f.op("freeze i64 0", I64)
            value = const(0, Type(self.product.scalar, self.lanes))
            self._to_epilogue(index, index, [f.op(f"freeze {value}", value.type)])
        return len(lines) > HEAVY

    def _deliver_slowly(
        self, first: Value | None, last: Value, base: Value, column: Value, sums: list[list[Value]]
    ) -> None:
        """Through memory, row by row in a loop: the epilogue is written once."""
        f, strip, scalar = self.f, self.strip, self.product.scalar
        buffer = self.parts["tile"]
        for r, values in enumerate(sums):
            for v, value in enumerate(values):
                f.store(value, f.offset(buffer, const(r * self.width + v * self.lanes, I64), scalar))
        stop = smaller(f, last, const(strip.rows, I64))
        with f.loop(first or const(0, I64), stop, 1) as loop:
            line = offset(f, buffer, loop.index, self.width, scalar)
            self._to_epilogue(f.binary("add", base, loop.index), column, self._loaded(line))

    def _loaded(self, place: Value) -> list[Value]:
        """The vectors of one row of a tile, from memory."""
        type = Type(self.product.scalar, self.lanes)
        places = [self.f.offset(place, const(v * self.lanes, I64), type.scalar) for v in range(self.strip.vectors)]
        return [self.f.load(p, type) for p in places]

    # Sums over K that are put together in memory

    def _partial_place(self, block: Block, row: Value, tile: Value) -> Value:
        f, strip, scalar = self.f, self.strip, self.product.scalar
        line = offset(
            f, self.parts["sums"], difference(f, row, block.rows[0]), self.width * strip.breadth, scalar
        )
        return offset(f, line, difference(f, tile, block.tiles[0]), self.width, scalar)

    def _clear(self, block: Block) -> None:
        f, strip = self.f, self.strip
        count = f.times(difference(f, block.rows[1], block.rows[0]), self.width * strip.breadth)
        with f.loop(const(0, I64), count, self.lanes) as loop:
            place = f.offset(self.parts["sums"], loop.index, self.product.scalar)
            f.store(const(0, Type(self.product.scalar, self.lanes)), place)

    def _finish_partial(self, block: Block) -> None:
        f, strip = self.f, self.strip
        with span(f, *block.rows, 1) as row, span(f, *block.tiles, 1) as tile:
            place = self._partial_place(block, row, tile)
            self._to_epilogue(row, f.plus(f.times(tile, self.width), strip.first), self._loaded(place))


def scratch_parts(product: Product, strip: Strip, lanes: int) -> dict[str, int]:
    """Elements of each thing a strip keeps in scratch memory; multiples of 16."""
    width = lanes * strip.vectors
    rows = -(-strip.height // strip.rows) * strip.rows
    parts = {"tile": strip.rows * width}
    if strip.pack_b:
        parts["b"] = strip.depth * width * strip.breadth
    if strip.pack_a:
        parts["a"] = strip.depth * rows
    if strip.depth < product.K:
        parts["sums"] = rows * width * strip.breadth
    return {name: -(-size // 16) * 16 for name, size in parts.items()}

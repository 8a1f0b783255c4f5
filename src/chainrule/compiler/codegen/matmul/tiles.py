"""Products by register tiles: rows times vectors of columns whose sums over K stay in registers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chainrule.compiler.codegen.blocks import add_wide, narrow, wide_zeros
from chainrule.compiler.codegen.builder import I64, Function, Type, Value, const
from chainrule.compiler.codegen.matmul.packing import Range, pack_a, pack_b
from chainrule.compiler.codegen.matmul.pieces import (
    add,
    at,
    difference,
    iterate,
    lanes_for,
    multiply_add,
    narrowed,
    smaller,
    widened,
)
from chainrule.compiler.codegen.matmul.plan import DEEP, DEPTH, Strip
from chainrule.compiler.codegen.matmul.product import Epilogue, Product
from chainrule.compiler.codegen.matmul.results import Rows, hand_over_rows
from chainrule.compiler.host import Target


def strip_parts(product: Product, strip: Strip, lanes: int) -> dict[str, int]:
    """Elements of each thing that a strip keeps in scratch memory."""
    width = lanes * strip.vectors
    rows = -(-strip.height // strip.rows) * strip.rows
    parts = {"tile": strip.rows * width}
    if strip.pack_b:
        parts["b"] = strip.depth * width * strip.breadth
    if strip.pack_a:
        parts["a"] = strip.depth * rows
    if strip.depth < product.K:
        parts["sums"] = rows * width * strip.breadth * Type(wide_scalar(product)).bits // 8 // product.bytes
    return {name: -(-size // 16) * 16 for name, size in parts.items()}


def wide_scalar(product: Product) -> str:
    """In what type the sums of blocks of K are added."""
    return "double" if Type(product.scalar).is_float else product.scalar


@dataclass(frozen=True)
class Block:
    """A part of the product: its rows and tiles of columns, its steps over K, and where these begin in A and B."""

    rows: Range
    tiles: Range
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
        self.vector = Type(product.scalar, target.lanes(Type(product.scalar).bits))
        self.width = self.vector.lanes * strip.vectors
        self.partial = strip.depth < product.K
        self.wide = self.vector.of(wide_scalar(product))
        self.exact = self.full = False  # as in ``Rows``
        self.parts: dict[str, Value] = {}
        place = 0
        if scratch is not None:
            for name, size in strip_parts(product, strip, self.vector.lanes).items():
                self.parts[name] = self._at(scratch, place)
                place += size

    def _at(self, pointer: Value, index: Value | int, stride: int = 1) -> Value:
        return at(self.f, pointer, index, stride, self.product.scalar)

    # Blocks

    def write(self, a: Value, b: Value, rows: Range, tiles: Range) -> None:
        """Some rows and tiles of columns, at least one each; first and last row fall between tiles of rows."""
        f, product, strip = self.f, self.product, self.strip
        self.exact = self.full = product.M % strip.rows == 0
        b = self._at(b, strip.first, product.b_strides[1])
        with iterate(f, *tiles, strip.breadth) as tile:
            here = tile, smaller(f, f.plus(tile, strip.breadth), tiles[1])
            block = Block(rows, here, const(product.K, I64), a, b)
            if strip.pack_b and not self.partial:
                self._pack_b(block)
            if strip.height >= product.M:
                self._rows(block)
            else:
                with iterate(f, *rows, strip.height) as row:
                    self._rows(replace(block, rows=(row, smaller(f, f.plus(row, strip.height), rows[1]))))

    def _rows(self, block: Block) -> None:
        """A block of rows, all of K."""
        f, product, strip = self.f, self.product, self.strip
        if not self.partial:
            self._tiles(block)
            return
        self._clear(block)
        with iterate(f, const(0, I64), block.depth, strip.depth) as k:
            depth = smaller(f, const(strip.depth, I64), difference(f, block.depth, k))
            a, b = self._at(block.a, k, product.a_strides[1]), self._at(block.b, k, product.b_strides[0])
            part = replace(block, depth=depth, a=a, b=b)
            self._pack_b(part)
            self._tiles(part)
        self._finish(block)

    def _pack_b(self, block: Block) -> None:
        lanes, to = self.vector.lanes, self.parts["b"]
        pack_b(self.f, self.product, self.strip, lanes, block.b, block.tiles, block.depth, to)

    def _tiles(self, block: Block) -> None:
        """All tiles of a block."""
        f, product, strip = self.f, self.product, self.strip
        if strip.pack_a:
            pack_a(f, product, strip, block.a, block.rows, block.depth, self.parts["a"])
        if strip.across:
            with iterate(f, *block.rows, strip.rows) as row, iterate(f, *block.tiles, 1) as tile:
                self._one_tile(block, row, tile)
        else:
            with iterate(f, *block.tiles, 1) as tile, iterate(f, *block.rows, strip.rows) as row:
                self._one_tile(block, row, tile)

    # One tile

    def _one_tile(self, block: Block, row: Value, tile: Value) -> None:
        f, product, strip = self.f, self.product, self.strip
        if strip.pack_b:
            b = self._at(self.parts["b"], difference(f, tile, block.tiles[0]), self.width * strip.depth)
        else:
            b = self._at(block.b, tile, self.width * product.b_strides[1])
        base = row if self.exact else smaller(f, row, const(product.M - strip.rows, I64))
        if strip.pack_a:
            a = self._at(self.parts["a"], difference(f, row, block.rows[0]), strip.depth)
        else:
            a = self._at(block.a, base, product.a_strides[0])
        rows = Rows(base, row, block.rows[1], self.exact, self.full)
        self._hand_over(block, rows, tile, self._sums(a, b, block.depth))

    def _sums(self, a: Value, b: Value, depth: Value) -> list[list[Value]]:
        """The sums of a tile, row by row."""
        f, product, vectors = self.f, self.product, self.strip.vectors
        turns = (product.K - 1) // DEPTH if self._deep else 0  # blocks of K before the last one
        if not turns:
            sums = self._block_sums(a, b, depth)
        else:
            zeros = [const(0, self.vector)] * (self.strip.rows * vectors)
            with f.loop(const(0, I64), const(turns * DEPTH, I64), DEPTH, wide_zeros(zeros)) as loop:
                here = (
                    self._at(a, loop.index, self._a_strides[1]),
                    self._at(b, loop.index, self._b_strides[0]),
                )
                loop.values = add_wide(f, loop.values, self._block_sums(*here, const(DEPTH, I64)))
            here = (
                self._at(a, turns * DEPTH, self._a_strides[1]),
                self._at(b, turns * DEPTH, self._b_strides[0]),
            )
            left = self._block_sums(*here, const(product.K - turns * DEPTH, I64))
            sums = [narrow(f, x, product.scalar) for x in add_wide(f, loop.values, left)]
        return [sums[r : r + vectors] for r in range(0, len(sums), vectors)]

    @property
    def _deep(self) -> bool:
        """Whether a tile's sums run over so much of K that they are taken in blocks."""
        return self.vector.is_float and not self.partial and self.product.K > DEEP

    def _block_sums(self, a: Value, b: Value, depth: Value) -> list[Value]:
        """The sums of a tile over some steps of K."""
        f, strip = self.f, self.strip
        size, splits = strip.rows * strip.vectors, range(strip.splits)
        sums = [const(0, self.vector)] * (size * strip.splits)
        careful = self._careful_steps()
        looped, fixed = depth, depth.number or 0
        if depth.number is not None:
            turns = (fixed if careful > strip.unroll else fixed - careful) // strip.unroll
            steps = turns * strip.unroll if turns > 1 else 0
            looped, fixed = const(steps, I64), fixed - steps
        if looped.number != 0:
            with f.loop(const(0, I64), looped, strip.unroll, sums) as loop:
                here_a, here_b = (
                    self._at(a, loop.index, self._a_strides[1]),
                    self._at(b, loop.index, self._b_strides[0]),
                )
                sums = loop.values
                for step in range(strip.unroll):
                    sums = self._step(here_a, here_b, step, sums, careful > strip.unroll)
                loop.values = sums
            sums = loop.values
        for left in range(fixed, 0, -1):
            sums = self._step(a, b, int(depth.name) - left, sums, left <= careful)
        parts = [sums[s * size : (s + 1) * size] for s in splits]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [[add(f, x, y) for x, y in zip(*pair, strict=True)] for pair in pairs]
        return parts[0]

    @property
    def _a_strides(self) -> tuple[int, int]:
        """From row to row and from step to step over K, as a tile reads A."""
        return (1, self.strip.rows) if self.strip.pack_a else self.product.a_strides

    @property
    def _b_strides(self) -> tuple[int, int]:
        """From step to step and from vector to vector, as a tile reads B."""
        lanes, strip = self.vector.lanes, self.strip
        return (lanes, lanes * strip.depth) if strip.pack_b else (self.product.b_strides[0], lanes)

    def _careful_steps(self) -> int:
        """The last steps over K, where reading more columns than there are would reach beyond the end of B."""
        product = self.product
        excess = lanes_for(self.strip.active)[0] - self.strip.active
        if self.strip.pack_b or not excess:
            return 0
        stride = product.b_strides[0]
        return min(product.K, -(-excess // stride)) if stride > 0 else product.K

    def _step(self, a: Value, b: Value, step: int, sums: list[Value], careful: bool) -> list[Value]:
        """The sums after one more step over K; steps take turns in adding to the interleaved sums."""
        f, strip, result = self.f, self.strip, list(sums)
        (a_m, a_k), (b_k, b_v) = self._a_strides, self._b_strides
        here = self._at(b, step, b_k)
        columns = [self._columns(self._at(here, v, b_v), v, careful) for v in range(strip.vectors)]
        place = step % strip.splits * strip.rows * strip.vectors
        for r in range(strip.rows):
            x = f.load(self._at(a, r * a_m + step * a_k), Type(self.product.scalar))
            x = f.splat(x, self.vector.lanes)
            for column in columns:
                result[place] = multiply_add(f, self.target, x, column, result[place])
                place += 1
        return result

    def _columns(self, b: Value, vector: int, careful: bool) -> Value:
        """A vector of B; lanes beyond the product's columns hold anything."""
        if self.strip.pack_b or vector < self.strip.vectors - 1:
            return self.f.load(b, self.vector)
        lanes, mask = lanes_for(self.strip.active)
        value = self.f.load(b, self.vector._replace(lanes=lanes), mask if careful else None)
        return widened(self.f, value, self.vector.lanes)

    # What happens to sums

    def _hand_over(self, block: Block, rows: Rows, tile: Value, sums: list[list[Value]]) -> None:
        """Give the rows of a tile to the epilogue, or add them to what is in memory."""

        def each(row: Value, values: list[Value]) -> None:
            if self.partial:
                for place, value in zip(self._partial(block, row, tile), values, strict=True):
                    self.f.store(self._plus(self.f.load(place, self.wide), value), place)
            else:
                self._to_epilogue(row, tile, values)

        hand_over_rows(self.f, rows, sums, each, None if self.partial else self.parts.get("tile"))

    def _plus(self, total: Value, value: Value) -> Value:
        """The sum of a block of K added to what is in memory."""
        if self.vector.is_float:
            return add_wide(self.f, [total], [value])[0]
        return add(self.f, total, value)

    def _to_epilogue(self, row: Value, tile: Value, values: list[Value]) -> None:
        f, strip = self.f, self.strip
        column = f.plus(f.times(tile, self.width), strip.first)
        for v, value in enumerate(values):
            lanes, mask = lanes_for(strip.active if v == strip.vectors - 1 else self.vector.lanes)
            self.epilogue(f, row, f.plus(column, v * self.vector.lanes), narrowed(f, value, lanes), mask)

    def _partial(self, block: Block, row: Value, tile: Value) -> list[Value]:
        """Where the sums of one row of a tile are put together in memory."""
        f, line, scalar = self.f, self.width * self.strip.breadth, self.wide.scalar
        place = at(f, self.parts["sums"], difference(f, row, block.rows[0]), line, scalar)
        place = at(f, place, difference(f, tile, block.tiles[0]), self.width, scalar)
        return [at(f, place, v, self.vector.lanes, scalar) for v in range(self.strip.vectors)]

    def _clear(self, block: Block) -> None:
        f, line = self.f, self.width * self.strip.breadth
        count = f.times(difference(f, block.rows[1], block.rows[0]), line)
        with f.loop(const(0, I64), count, self.vector.lanes) as loop:
            f.store(const(0, self.wide), f.offset(self.parts["sums"], loop.index, self.wide.scalar))

    def _finish(self, block: Block) -> None:
        with iterate(self.f, *block.rows, 1) as row, iterate(self.f, *block.tiles, 1) as tile:
            totals = [self.f.load(place, self.wide) for place in self._partial(block, row, tile)]
            values = [narrow(self.f, total, self.product.scalar) for total in totals]
            self._to_epilogue(row, tile, values)

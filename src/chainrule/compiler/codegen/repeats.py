"""Sums at an index that many updates share, as in the gradient of an embedding: in blocks, as in ``blocks.py``.

Every index counts its updates. Each time it has had ``BLOCK`` of them, its sum moves to a row of doubles, of which
few are needed: at most one for every ``BLOCK`` updates. Where no index is met that often, no bit changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from chainrule.compiler.codegen.blocks import BLOCK
from chainrule.compiler.codegen.builder import I32, I64, PTR, Type, Value, const
from chainrule.compiler.codegen.loops import Axis, Key, Lanes, read, write
from chainrule.compiler.codegen.nests import nest, strip
from chainrule.compiler.codegen.writer import KernelWriter, Pointers, access, along
from chainrule.compiler.views import Strides, contiguous
from chainrule.graph import Node
from chainrule.ops.indexing import scatter_add

MANY = 1024  # updates of one index that are summed without being counted
CLEARED = 16  # numbers that are set to 0 at a time
COUNT_BITS = (
    8  # of an index's state: the updates since its sum moved; above them, its row of doubles from 1 on
)


def is_counted(root: Node | None) -> bool:
    """Whether one index may get so many float32 updates that their sum would round too much."""
    if root is None or root.op is not scatter_add or 0 in root.inputs[0].shape or 0 in root.shape:
        return False
    unique = root.params.get("unique", False)
    return root.dtype == np.float32 and MANY < math.prod(root.inputs[1].shape) < 1 << 30 and not unique


def scratch_bytes(root: Node) -> int:
    """Memory that the counting needs."""
    return _sizes(root)[-1]


def _sizes(root: Node) -> tuple[int, int, int, int]:
    """Where in memory the rows' owners begin, the rows, and the indices' states, after the number of rows in use."""
    axis, picked = root.params["axis"], root.inputs[1].shape
    rows = math.prod(picked) // BLOCK
    width = math.prod(root.shape[axis + 1 :])
    owners = CLEARED * 8
    sums = owners + _filled(rows) * 8
    states = sums + _filled(rows * width) * 8
    return owners, sums, states, states + _filled(root.shape[axis]) * 4


def _filled(count: int) -> int:
    return -(-count // CLEARED) * CLEARED


class Counted:
    """What a kernel does beside adding updates; ``stride`` leads from index to index of the result."""

    def __init__(self, writer: KernelWriter, root: Node, stride: int) -> None:
        self.writer, self.f, self.root = writer, writer.f, root
        self.stride = stride
        self.key = Key(root, "element")  # counts elements of the rows of doubles
        self.width = math.prod(root.shape[root.params["axis"] + 1 :])
        owners, sums, states, self.bytes = _sizes(root)
        self.used = writer.scratch
        self.owners, self.sums, self.states = (
            self.f.op(f"getelementptr i8, {writer.scratch}, {const(byte, I64)}", PTR)
            for byte in (owners, sums, states)
        )

    def strides(self, lead: int) -> Strides:
        """How the rows of doubles are walked through, after so many axes before those of an update."""
        return (0,) * lead + contiguous(self.root.shape[self.root.params["axis"] + 1 :])

    def clear(self) -> None:
        """No index was met."""
        f, zeros = self.f, const(0, Type("i32", CLEARED))
        with f.loop(const(0, I64), const(self.bytes // 4, I64), CLEARED) as loop:
            f.store(zeros, f.offset(self.used, loop.index, "i32"))

    def count(self, index: Value, row: Pointers, behind: list[Axis]) -> None:
        """One more update at an index, whose sum begins at ``row``."""
        f = self.f
        place = f.offset(self.states, index, "i32")
        state = f.binary("add", f.load(place, I32), const(1, I32))
        f.store(state, place)
        met = f.binary("and", state, const((1 << COUNT_BITS) - 1, I32))
        with f.branch(f.icmp("eq", met, const(BLOCK, I32))):
            number = self._row_of(index, state, place)
            self._each(row, number, behind, self._move)

    def _row_of(self, index: Value, state: Value, place: Value) -> Value:
        """The index's row of doubles, from 0 on; a new one where it has none yet."""
        f = self.f
        own = f.convert("zext", f.binary("lshr", state, const(COUNT_BITS, I32)), "i64")
        used = f.load(self.used, I64)
        is_new = f.icmp("eq", own, const(0, I64))
        more = f.plus(used, 1)
        own = f.select(is_new, more, own)
        f.store(f.select(is_new, more, used), self.used)
        f.store(f.convert("trunc", f.binary("shl", own, const(COUNT_BITS, I64)), "i32"), place)
        number = f.plus(own, -1)
        f.store(index, f.offset(self.owners, number, "i64"))
        return number

    def finish(self, start: Pointers, behind: list[Axis]) -> None:
        """Add the rows of doubles to the sums that they belong to."""
        f = self.f
        with f.guarded_loop(const(0, I64), f.load(self.used, I64), 1) as loop:
            index = f.load(f.offset(self.owners, loop.index, "i64"), I64)
            row = self.writer.moved(start, Axis(0, {Key(self.root): self.stride}), index)
            self._each(row, loop.index, behind, self._join)

    def _each(
        self,
        row: Pointers,
        number: Value,
        behind: list[Axis],
        what: Callable[[Value, Value], tuple[Value, Value]],
    ) -> None:
        """Replace the elements of a sum and of its row of doubles by what becomes of them."""
        writer, f, inner = self.writer, self.f, behind[-1] if behind else Axis(1, {})
        into = Key(self.root)
        begin = row | {self.key: f.times(number, self.width)}
        with nest(writer, behind[:-1], begin, []) as (outer, _):

            def point(index: Value, lanes: Lanes, carried: list[Value]) -> list[Value]:
                at = writer.moved(outer, inner, index)
                place = f.offset(self.sums, at[self.key], "double")
                own, stride = access(self.root, at[into]), along(into, inner.strides, lanes)
                wide = f.load(place, Type("double", lanes.count), lanes.mask if lanes.count > 1 else None)
                narrow, wide = what(f.convert("fpext", read(f, own, stride, lanes), "double"), wide)
                write(f, f.convert("fptrunc", narrow, "float"), own, stride, lanes)
                f.store(wide, place, lanes.mask if lanes.count > 1 else None)
                return []

            strip(writer, inner.length, writer.width, [], point)

    def _move(self, narrow: Value, wide: Value) -> tuple[Value, Value]:
        return const(0, wide.type), self.f.binary("fadd", wide, narrow)

    def _join(self, narrow: Value, wide: Value) -> tuple[Value, Value]:
        return self.f.binary("fadd", wide, narrow), wide

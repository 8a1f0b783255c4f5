"""The loop nest of a kernel - which axes merge into one, which is the vector axis, how memory is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from chainrule.compiler.codegen.builder import I64, Function, Type, Value, const, first_lanes
from chainrule.compiler.views import Strides, View
from chainrule.graph import Node
from chainrule.ops.record import Shape

#: How a kernel comes to a node's elements. One node may be read in several ways by one kernel, each with strides of
#: its own: ``h`` in ``h + h @ k`` is an operand of the product, and is read again at each point of the result.
Role = Literal[
    "point",  # by the elementwise body (or written), at a point of the kernel's space
    "term",  # by what is computed inside a reduction, at a point of the reduction's input
    "operand",  # by the root's own loop: a product, a gather, a copy
    "index",  # by the root's own loop, as row numbers
    "element",  # not at all: the number of the element that a random node is at
]


class Key(NamedTuple):
    """What a loop moves on: a pointer to a node's elements in one role, or the number of a random node's element."""

    node: Node
    role: Role = "point"


@dataclass(frozen=True)
class Axis:
    """One loop: its length and, for each access, how many elements a turn moves on."""

    length: int
    strides: dict[Key, int]


def broadcast_strides(view: View, space: Shape) -> Strides:
    """The strides of a view as seen from a space that it broadcasts to."""
    lead = len(space) - len(view.shape)
    return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(view.shape, view.strides, strict=True))


def merged_axes(space: Shape, order: Sequence[int], accesses: Mapping[Key, Strides]) -> list[Axis]:
    """Loops over the axes of ``order``, outermost first; neighbours become one where every access allows it."""
    axes: list[Axis] = []
    for a in order:
        length = space[a]
        if length == 1:
            continue
        strides = {node: s[a] for node, s in accesses.items()}
        if axes and all(axes[-1].strides[n] == strides[n] * length for n in accesses):
            axes[-1] = Axis(axes[-1].length * length, strides)
        else:
            axes.append(Axis(length, strides))
    return axes


@dataclass
class Access:
    """One array as a kernel reads or writes it: where it starts, what it holds."""

    pointer: Value
    scalar: str
    boolean: bool


@dataclass
class Lanes:
    """A point of the iteration: how many lanes are computed at once, and which of them count."""

    count: int
    active: int

    @property
    def mask(self) -> Value | None:
        """The mask of active lanes; None where all are."""
        return None if self.active == self.count else first_lanes(self.active, self.count)


def read(f: Function, access: Access, stride: int, lanes: Lanes, other: int = 1) -> Value:
    """The elements from the access's pointer on, ``stride`` apart, one a lane; a scalar where they are all one.

    Lanes that do not count hold ``other``. Where they held 0, LLVM takes 0 / 0 for 0 and leaves out what then puts the
    neutral element of a sum in their place: NaN, on processors without masked loads.
    """
    memory = Type("i8" if access.boolean else access.scalar)
    if stride == 0 or lanes.count == 1:
        value = f.load(access.pointer, memory)
    elif stride == 1:
        value = f.load(access.pointer, Type(memory.scalar, lanes.count), lanes.mask, other)
    else:
        value = _gathered(f, access.pointer, memory, stride, lanes, other)
    return f.icmp("ne", value, const(0, value.type)) if access.boolean else value


def _gathered(f: Function, pointer: Value, memory: Type, stride: int, lanes: Lanes, other: int) -> Value:
    result = const(other, Type(memory.scalar, lanes.count))
    for lane in range(lanes.active):
        at = f.offset(pointer, const(lane * stride, I64), memory.scalar)
        item = f.load(at, memory)
        result = f.op(f"insertelement {result}, {item}, i32 {lane}", result.type)
    return result


def write(f: Function, value: Value, access: Access, stride: int, lanes: Lanes) -> None:
    """Store one element a lane from the access's pointer on, ``stride`` apart."""
    if lanes.count > 1:
        value = f.splat(value, lanes.count) if value.type.lanes == 1 else value
    if access.boolean:
        value = f.convert("zext", value, "i8")
    if lanes.count == 1 or stride == 1:
        f.store(value, access.pointer, lanes.mask if lanes.count > 1 else None)
        return
    for lane in range(lanes.active):
        f.store(
            f.lane(value, lane), f.offset(access.pointer, const(lane * stride, I64), str(value.type.scalar))
        )

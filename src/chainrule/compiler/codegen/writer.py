"""A kernel while it is written: its function, the memory that it is given, and its part of the work.

``points.py`` has values at a point, ``nests.py`` the loops.

A kernel takes one pointer for each piece of memory it touches, then its scratch memory and where faults are noted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chainrule.compiler.codegen import mathfn
from chainrule.compiler.codegen.builder import I32, I64, PTR, Function, Type, Value, const
from chainrule.compiler.codegen.loops import (
    Access,
    Axis,
    Key,
    Lanes,
    Role,
    broadcast_strides,
)
from chainrule.compiler.costs import cycles
from chainrule.compiler.host import Target
from chainrule.compiler.kernels import Kernel, Layout, OuterLoop, Place
from chainrule.compiler.lowering import REDUCTIONS, VIEWS, scalar_of
from chainrule.compiler.views import Strides, View, contiguous
from chainrule.graph import Node
from chainrule.ops import random
from chainrule.ops.faults import Fault
from chainrule.ops.source import constant

Pointers = dict[Key, Value]
Bounds = tuple[Value, Value] | None  # the first turn of a loop, and the one after the last; None for all
APART = 256  # elements that one thread writes at least, so that few lines of the cache have two writers


def literal(node: Node) -> Value | None:
    """The number that a node is known to be everywhere, as a scalar."""
    while node.op in VIEWS:
        node = node.inputs[0]
    if node.op is not constant or node.params["value"].size != 1:
        return None
    number = node.params["value"].reshape(-1)[0]
    return const(number, Type(scalar_of(node.dtype)))


class KernelWriter:
    """Writes one kernel.

    Pointers and strides are keyed by node and role, for the same node may be read in two ways (``loops.Key``).

    With ``shared`` each call does a part of the kernel: the function's last parameters are the first unit and
    the one after the last, as ``share`` counts them. How a kernel is divided changes no bit.
    """

    def __init__(
        self, kernel: Kernel, layout: Layout, target: Target, name: str, *, shared: bool = False
    ) -> None:
        self.kernel, self.layout, self.target, self.shared = kernel, layout, target, shared
        self._units, self._step = 1, 1
        # elementwise work takes known numbers as literals; other loops want them in memory
        whole = () if kernel.root is None or kernel.root.op in REDUCTIONS else kernel.root.inputs
        self.reads: dict[Node, View] = {
            x: layout.view(x) for x in kernel.reads() if x in whole or literal(x) is None
        }
        self.places: list[tuple[Node | None, int]] = []  # (buffer, byte offset) of each pointer parameter
        roots = [layout.places[view.root] for view in self.reads.values()]
        for place in [*roots, *(layout.places[node] for node in kernel.stored)]:
            if (place.buffer, place.offset) not in self.places:
                self.places.append((place.buffer, place.offset))
        parameters = [(PTR, f"p{i}") for i in range(len(self.places))] + [
            (PTR, "scratch"),
            (PTR, "status"),
        ]
        bounds = [(I64, "first"), (I64, "last")] if shared else []
        self.f = Function(name, [*parameters, *bounds], functions=mathfn.FUNCTIONS)
        self.scratch, self.status = self.f.parameters[len(self.places) :][:2]
        dtypes = [n.dtype for n in kernel.nodes] + [x.dtype for x in self.reads]
        narrow = any(dtype == np.float32 for dtype in dtypes) or all(dtype != np.float64 for dtype in dtypes)
        self.width = target.lanes(32 if narrow else 64)

    # Sharing among threads

    @property
    def outer_loop(self) -> OuterLoop:
        """What this kernel's parameters count, once it is written."""
        return OuterLoop(self._units, self._step, cycles(self.kernel, self.width))

    def bounds(self, length: int, step: int = 1) -> Bounds:
        """The part of a loop of that length that a call does, if this is the loop to be shared."""
        if not self.shared or length <= step:
            return None
        self._units, self._step = length, step
        first, last = self.f.parameters[-2:]
        return first, last

    # Memory

    def pointer(self, place: Place) -> Value:
        """The parameter that points to a place."""
        return self.f.parameters[self.places.index((place.buffer, place.offset))]

    def start(self) -> Pointers:
        """Where each read and each stored node begins, in every role that it has."""
        found: Pointers = {}
        for x, view in self.reads.items():
            base = self.pointer(self.layout.places[view.root])
            if view.offset:
                base = self.f.offset(base, const(view.offset, I64), memory_scalar(x))
            found |= {Key(x, role): base for role in self.roles(x)}
        for node in self.kernel.stored:
            found[Key(node)] = self.pointer(self.layout.places[node])
        for node in self.kernel.nodes:
            if node.op is random.random_bits:
                found[element_of(node)] = const(0, I64)  # not a pointer: the number of the element
        return found

    def roles(self, x: Node) -> list[Role]:
        """The ways in which the kernel reads a node from outside."""
        kernel, found = self.kernel, list[Role]()
        readers = {node for node in kernel.nodes if x in node.inputs}
        if not readers.isdisjoint(kernel.body):
            found.append("point")
        if kernel.root is not None and kernel.root.op in REDUCTIONS:
            if kernel.root in readers or not readers.isdisjoint(kernel.inside):
                found.append("term")
        elif kernel.root in readers:
            found += ["operand", "index"]
        if any(node.op is random.random_bits and node.inputs[0] is x for node in readers):
            found.append("operand")  # both words of a seed, at every point
        return found

    def strides(self, nodes: Sequence[Node], space: tuple[int, ...], role: Role) -> dict[Key, Strides]:
        """Strides of all that these nodes read from outside at a point of the space, and of their random elements."""
        own = set(self.kernel.nodes)
        found: dict[Key, Strides] = {}
        for node in nodes:
            if node.op is random.random_bits:
                found[element_of(node)] = contiguous(node.shape)
                continue  # its seed and counter stand still
            for x in node.inputs:
                if x in self.reads and x not in own:
                    found[Key(x, role)] = broadcast_strides(self.reads[x], space)
        return found

    def body_strides(self) -> dict[Key, Strides]:
        """Strides of all that the body reads and that the kernel stores, as seen from its space."""
        stored = {Key(node): self.layout.places[node].strides for node in self.kernel.stored}
        return self.strides(self.kernel.body, self.kernel.space, "point") | stored

    def moved(self, pointers: Pointers, axis: Axis, index: Value) -> Pointers:
        """Pointers after ``index`` turns of a loop."""
        result = dict(pointers)
        for key, stride in axis.strides.items():
            if stride == 0 or index.number == 0:
                continue
            by = self.f.binary("mul", index, const(stride, I64)) if stride != 1 else index
            if key.role == "element":
                result[key] = self.f.binary("add", pointers[key], by)
            else:
                result[key] = self.f.offset(pointers[key], by, memory_scalar(key.node))
        return result

    def note(self, fault: Fault, condition: Value) -> None:
        """Note the fault where the condition holds; the program raises after the run.

        Nothing is written otherwise, so that no thread takes back what another one has noted.
        """
        with self.f.branch(condition):
            self.f.store(const(fault, I32), self.status)


def element_of(node: Node) -> Key:
    """The key of a random node's element number."""
    return Key(node, "element")


def along(key: Key, strides: Mapping[Key, int], lanes: Lanes) -> int:
    """How far apart a vector's elements lie. Every key of a vector loop has a stride: a missing one is an error."""
    return 0 if lanes.count == 1 else strides[key]


def memory_scalar(node: Node) -> str:
    """The LLVM type of one element in memory."""
    scalar = scalar_of(node.dtype)
    return "i8" if scalar == "i1" else scalar


def access(node: Node, pointer: Value) -> Access:
    """The node's memory from a pointer on."""
    return Access(pointer, memory_scalar(node), node.dtype.kind == "b")

"""What passes hand on, as plain data: kernels and their order, where values lie, how threads may divide the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chainrule.compiler.lowering import VIEWS
from chainrule.compiler.views import Strides, View, through
from chainrule.graph import Node
from chainrule.ops.record import Shape


@dataclass(eq=False)
class Kernel:
    """One loop nest over ``space``. ``root`` is a reduction, product or movement, or None for elementwise work."""

    space: Shape
    root: Node | None = None
    inside: list[Node] = field(default_factory=list)  # computed inside the reduction's loop
    body: list[Node] = field(default_factory=list)  # computed at each point of space
    stored: list[Node] = field(default_factory=list)  # of root and body: what others read

    @property
    def nodes(self) -> list[Node]:
        """Everything computed here, in order."""
        return [*self.inside, *([self.root] if self.root else []), *self.body]

    def reads(self) -> list[Node]:
        """Nodes from outside that are read, once each."""
        own = set(self.nodes)
        return list(dict.fromkeys(x for node in self.nodes for x in node.inputs if x not in own))


@dataclass
class Plan:
    """Kernels in order, and the reasons for the cuts between them."""

    kernels: list[Kernel]
    outputs: list[Node]
    cuts: list[str]


def root_of(node: Node) -> Node:
    """The node whose memory is read when this one is."""
    while node.op in VIEWS:
        node = node.inputs[0]
    return node


@dataclass(frozen=True)
class Place:
    """Where a node's elements lie: in a leaf's or constant's own buffer, or (None) in the arena."""

    buffer: Node | None
    offset: int  # bytes
    strides: Strides  # elements


@dataclass
class Layout:
    """What ``arrange`` leaves: kernels in the order they run, places of all stored nodes, the arena's size."""

    kernels: list[Kernel]
    phases: list[int]  # of each kernel, rising: what a kernel needs was done in an earlier phase
    orders: dict[Kernel, tuple[int, ...]]  # axes of each kernel's space, the one to vectorise last
    places: dict[Node, Place]
    copies: list[tuple[Node, Node]]  # (value, leaf): updates that must wait until all kernels have run
    arena_bytes: int

    def view(self, node: Node) -> View:
        """How a node is read, through all views, from the memory of its root."""
        return view_of(node, self.places)


def view_of(node: Node, places: Mapping[Node, Place]) -> View:
    """The node's elements in the memory of its root."""
    chain = []
    while node.op in VIEWS:
        chain.append(node)
        node = node.inputs[0]
    view = View(node, 0, node.shape, places[node].strides)
    for step in reversed(chain):
        made = through(step, view)
        assert made is not None, step
        view = made
    return view


@dataclass(frozen=True)
class OuterLoop:
    """The outermost loop of a kernel, which threads may split: ``units`` iterations, at multiples of ``step``.

    ``cycles`` is the estimated cost of all iterations.
    """

    units: int
    step: int
    cycles: float

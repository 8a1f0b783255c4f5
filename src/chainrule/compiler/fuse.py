"""Pass 3: nodes -> kernels. A kernel is one loop nest: a root that needs its own loops, and elementwise work.

Elementwise nodes join the kernel of their last operand where the shapes agree, or run inside the reduction that
is their only reader. Everything else ends a kernel; ``Plan.cuts`` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chainrule.compiler.lowering import ELEMENTWISE, REDUCTIONS, VIEWS
from chainrule.graph import Node, topological
from chainrule.ops import contract, random
from chainrule.ops.record import Shape
from chainrule.ops.source import constant, leaf


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


def fuse(outputs: Sequence[Node]) -> Plan:
    """Group the nodes of a graph all of whose views strides can say (see ``views.settle``)."""
    order = topological(outputs)
    users: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for x in dict.fromkeys(node.inputs):
            users[x].append(node)
    kept = set(outputs)
    owner = _owners(order, users, kept)
    plan = Plan([], list(outputs), [])
    home: dict[Node, int] = {}  # index of the kernel that computes a node
    for node in order:
        if node.op is leaf or node.op is constant or node.op in VIEWS or node in owner:
            continue
        if _joins(node):
            _join(plan, home, node)
        else:
            _new_kernel(plan, home, Kernel(node.shape, node, _inside(node, owner)))
    _mark_stored(plan, kept)
    return plan


def _joins(node: Node) -> bool:
    return node.op in ELEMENTWISE or node.op is random.random_bits


def _owners(order: list[Node], users: dict[Node, list[Node]], kept: set[Node]) -> dict[Node, Node]:
    """For elementwise nodes that only one reduction needs: that reduction."""
    owner: dict[Node, Node] = {}
    for node in reversed(order):
        if not _joins(node) or node in kept or not users[node]:
            continue
        readers = {u if u.op in REDUCTIONS else owner.get(u) for u in users[node]}
        reader = readers.pop() if len(readers) == 1 else None
        if reader is not None and reader.inputs[0].shape == node.shape:
            owner[node] = reader
    return owner


def _inside(root: Node, owner: dict[Node, Node]) -> list[Node]:
    if root.op not in REDUCTIONS:
        return []
    return [n for n in topological(root.inputs, stop=lambda n: owner.get(n) is not root) if owner.get(n) is root]


def _new_kernel(plan: Plan, home: dict[Node, int], kernel: Kernel) -> None:
    plan.kernels.append(kernel)
    for computed in kernel.nodes:
        home[computed] = len(plan.kernels) - 1


def _join(plan: Plan, home: dict[Node, int], node: Node) -> None:
    """Put an elementwise node into the kernel of its last operand, or into a new one."""
    last = max((home[root] for x in node.inputs if (root := root_of(x)) in home), default=-1)
    # scalars are gathered into one late kernel; elsewhere only the last operand's kernel is worth joining
    candidates = range(len(plan.kernels) - 1, max(last, 0) - 1, -1) if not node.shape else [last]
    for index in candidates:
        if index >= 0 and plan.kernels[index].space == node.shape and _fits(plan, home, node, index):
            plan.kernels[index].body.append(node)
            home[node] = index
            return
    if last >= 0:
        kernel = plan.kernels[last]
        why = "reads its last operand in another order"
        if kernel.space != node.shape:
            why = f"runs over {node.shape}, its last operand's kernel over {kernel.space}"
        plan.cuts.append(f"{node!r}: {why}")
    _new_kernel(plan, home, Kernel(node.shape, None, [], [node]))


def _fits(plan: Plan, home: dict[Node, int], node: Node, index: int) -> bool:
    """Whether all operands from this kernel are read at the very point that is being computed."""
    root = plan.kernels[index].root
    if root is not None and root.op not in REDUCTIONS and root.op is not contract.matmul:
        return False
    return all(x is root_of(x) for x in node.inputs if home.get(root_of(x)) == index)


def _mark_stored(plan: Plan, kept: set[Node]) -> None:
    needed = {root_of(x) for kernel in plan.kernels for x in kernel.reads()}
    needed |= {root_of(x) for x in kept}
    for kernel in plan.kernels:
        kernel.stored = [n for n in [kernel.root, *kernel.body] if n is not None and n in needed]

"""Pass 4: nodes -> kernels. A kernel is one loop nest: a root that needs its own loops, and elementwise work.

Elementwise nodes join the kernel of their last operand where the shapes agree, or run inside the reduction that
is their only reader. Everything else ends a kernel; ``Plan.cuts`` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.kernels import Kernel, Plan, root_of
from chainrule.compiler.lowering import ELEMENTWISE, REDUCTIONS, VIEWS
from chainrule.graph import Node, topological
from chainrule.ops import contract, random
from chainrule.ops.edges import edge_dot, edge_sum, edge_sum_down
from chainrule.ops.source import constant, leaf


def fuse(outputs: Sequence[Node]) -> Plan:
    """Group the nodes of a graph all of whose views strides can say (see ``settle.py``)."""
    order = topological(outputs)
    users: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for x in dict.fromkeys(node.inputs):
            users[x].append(node)
    kept = set(outputs)
    cheap = _cheap(order, users, kept)
    owner = _owners(order, users, kept, cheap)
    alone = {node for node in order if node.op is contract.matmul and _needs_own_loop_after(node, users)}
    grouping = _Grouping(Plan([], list(outputs), []), cheap, owner, alone, {})
    for node in order:
        grouping.add(node)
    _mark_stored(grouping.plan, kept)
    return grouping.plan


def _cheap(order: list[Node], users: dict[Node, list[Node]], kept: set[Node]) -> set[Node]:
    """Elementwise nodes that are computed wherever they are needed instead of being stored.

    Comparisons, and what only reads leaves or scalars, as long as every reader runs over the same space.
    """
    found: set[Node] = set()
    for node in order:
        if node.op not in ELEMENTWISE or node in kept or not node.shape:
            continue
        pointwise = all(_joins(u) and u.shape == node.shape for u in users[node])
        # a row or column of another kernel may be read again; what runs over the whole space may not
        sources = [x for x in node.inputs if x.shape == node.shape and x not in found]
        from_leaves = all(root_of(x).op in (leaf, constant) for x in sources)
        if pointwise and (from_leaves or node.op.cost == "cheap"):
            found.add(node)
    return found


def _needs_own_loop_after(product: Node, users: dict[Node, list[Node]]) -> bool:
    """Whether the elementwise work that follows a product directly is better done in a loop of its own.

    So it is where it is long, or reads leaves over the whole space (an optimizer's update).
    """
    found, waiting = {product}, list(users[product])
    while waiting:
        node = waiting.pop()
        if node in found or not _joins(node) or node.shape != product.shape:
            continue
        if any(
            x.shape not in ((), node.shape) and root_of(x).op not in (leaf, constant) for x in node.inputs
        ):
            continue  # it waits for a row or column that another kernel computes, perhaps from this product
        around = [x for x in node.inputs if x.shape == node.shape and x not in found]
        if node.op.cost == "long" or any(_from_leaf(x) for x in around):
            return True
        if not any(_joins(x) or x.op is contract.matmul for x in around):
            found.add(node)
            waiting.extend(users[node])
    return False


def _from_leaf(x: Node) -> bool:
    """Whether a value is a leaf's, or computed from leaves and numbers alone in one elementwise step."""
    if x.op in ELEMENTWISE and x.inputs:
        return any(root_of(y).op is leaf and y.shape == x.shape for y in x.inputs)
    return root_of(x).op is leaf


def _owners(
    order: list[Node], users: dict[Node, list[Node]], kept: set[Node], cheap: set[Node]
) -> dict[Node, Node]:
    """For elementwise nodes that only one reduction needs: that reduction."""
    owner: dict[Node, Node] = {}
    for node in reversed(order):
        if not _joins(node) or node in kept or node in cheap or not users[node]:
            continue
        readers = {u if u.op in REDUCTIONS else owner.get(u) for u in users[node]}
        reader = readers.pop() if len(readers) == 1 else None
        if reader is not None and reader.inputs[0].shape == node.shape:
            owner[node] = reader
    return owner


def _joins(node: Node) -> bool:
    return node.op in ELEMENTWISE or node.op is random.random_bits


@dataclass
class _Grouping:
    """Kernels so far, and ``kernel_of``: the index of the kernel that computes a node."""

    plan: Plan
    cheap: set[Node]
    owner: dict[Node, Node]
    alone: set[Node]  # products that nothing joins
    kernel_of: dict[Node, int]

    def add(self, node: Node) -> None:
        """Put the next node of the graph's order into a kernel."""
        if node.op in (leaf, constant) or node.op in VIEWS or node in self.owner or node in self.cheap:
            return
        beside = self._same_edges(node) if node.op is edge_dot else None
        if _joins(node):
            self._join(node)
        elif beside is not None:
            self.plan.kernels[beside].body.append(node)
            self.kernel_of[node] = beside
        else:
            inside = self._inside(node) if node.op in REDUCTIONS else []
            self._add(Kernel(node.shape, node, inside))

    def _same_edges(self, node: Node) -> int | None:
        """The kernel that goes along the same edges anyway, if all that the node reads is there by then."""
        last = max((self.kernel_of.get(root_of(x), -1) for x in node.inputs), default=-1)
        found = (
            i for i in range(last + 1, len(self.plan.kernels)) if _goes_along(node, self.plan.kernels[i])
        )
        return next(found, None)

    def _add(self, kernel: Kernel) -> None:
        self.plan.kernels.append(kernel)
        for computed in kernel.nodes:
            if computed not in self.cheap:
                self.kernel_of[computed] = len(self.plan.kernels) - 1

    def _inside(self, root: Node) -> list[Node]:
        """What only this reduction needs, and the cheap nodes under it."""

        def inside(node: Node) -> bool:
            return self.owner.get(node) is root or node in self.cheap

        return [n for n in topological(root.inputs, stop=lambda n: not inside(n)) if inside(n)]

    def _with_cheap(self, node: Node) -> list[Node]:
        """The node after the cheap nodes that it needs."""
        return [*self._cheap_under(node), node]

    def _cheap_under(self, node: Node) -> list[Node]:
        order = topological(node.inputs, stop=lambda n: n not in self.cheap)
        return [n for n in order if n in self.cheap]

    def _join(self, node: Node) -> None:
        """Put an elementwise node into the kernel of its last operand, or into a new one."""
        needed = self._with_cheap(node)
        roots = {root_of(x) for n in needed for x in n.inputs}
        last = max((self.kernel_of[root] for root in roots if root in self.kernel_of), default=-1)
        for index in range(max(last, 0), len(self.plan.kernels)):
            # scalars gather in the first kernel that can have them, so that what needs them can run early;
            # other nodes join the kernel of their last operand, or one that reads the same values
            near = index == last or not node.shape or self._shares_a_read(index, node)
            if near and self._fits(node, needed, index):
                kernel = self.plan.kernels[index]
                kernel.body.extend(n for n in needed if n not in kernel.body)
                self.kernel_of[node] = index
                return
        if last >= 0:
            kernel = self.plan.kernels[last]
            why = "reads its last operand in another order"
            if kernel.root in self.alone:
                why = "follows a product, and is long or reads a leaf all over: faster in a loop of its own"
            if kernel.space != node.shape:
                why = f"runs over {node.shape}, its last operand's kernel over {kernel.space}"
            self.plan.cuts.append(f"{node!r}: {why}")
        self._add(Kernel(node.shape, None, [], needed))

    def _shares_a_read(self, index: int, node: Node) -> bool:
        wide = {x for x in node.inputs if x.shape == node.shape}
        return not wide.isdisjoint(x for n in self.plan.kernels[index].body for x in n.inputs)

    def _fits(self, node: Node, needed: list[Node], index: int) -> bool:
        """Whether all operands from this kernel are read at the very point that is being computed."""
        kernel = self.plan.kernels[index]
        if kernel.space != node.shape or kernel.root in self.alone:
            return False
        if kernel.root is not None and not (
            kernel.root.op in REDUCTIONS or kernel.root.op in (contract.matmul, edge_sum, edge_sum_down)
        ):
            return False
        operands = [x for n in needed for x in n.inputs if x not in self.cheap]
        return all(x is root_of(x) for x in operands if self.kernel_of.get(root_of(x)) == index)


def _mark_stored(plan: Plan, kept: set[Node]) -> None:
    needed = {root_of(x) for kernel in plan.kernels for x in kernel.reads()}
    needed |= {root_of(x) for x in kept}
    for kernel in plan.kernels:
        kernel.stored = [n for n in [kernel.root, *kernel.body] if n is not None and n in needed]


def _goes_along(node: Node, kernel: Kernel) -> bool:
    """Whether a kernel that sums downwards can compute these dot products on its way along the same edges."""
    root = kernel.root
    if node.op is not edge_dot or root is None or root.op is not edge_sum_down or 0 in root.shape:
        return False
    if any(other.op is edge_dot for other in kernel.body):
        return False
    pairs = zip((node.inputs[0], *node.inputs[2:]), (root.inputs[0], *root.inputs[2:]), strict=True)
    return all(x is y for x, y in pairs)

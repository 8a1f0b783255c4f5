"""Pass 3: every view becomes one that strides can say, by a copy where that is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.compiler.lowering import VIEWS
from chainrule.compiler.views import Strides, View, contiguous, through
from chainrule.graph import Node, topological
from chainrule.ops import contract, movement
from chainrule.ops.edges import EDGES


def settle(outputs: Sequence[Node], strides: Mapping[Node, Strides]) -> list[Node]:
    """The same graph with a copy wherever strides cannot say a view; ``strides`` are those of unusual leaves."""
    new: dict[Node, Node] = {}
    views: dict[Node, View] = {}
    copies: dict[Node, Node] = {}
    for node in topological(outputs):
        inputs = tuple(new[x] for x in node.inputs)
        made = node
        if node.op is contract.matmul:
            inputs = tuple(_copied(x) if _repeats(views.get(x)) else x for x in inputs)
        if node.op in EDGES:
            for x in inputs:
                if x not in copies and _apart(views[x]):
                    copies[x] = _copied(x)
            inputs = tuple(copies.get(x, x) for x in inputs)
        if any(x is not y for x, y in zip(inputs, node.inputs, strict=True)):
            made = Node(node.op, inputs, node.params, line=node.line)
        if node.op in VIEWS:
            view = through(made, views[inputs[0]])
            if view is None:
                copy = _copied(inputs[0])
                made = Node(node.op, (copy,), node.params, line=node.line)
                view = through(made, View(copy, 0, copy.shape, contiguous(copy.shape)))
                assert view is not None
            views[made] = view
        else:
            views[made] = View(made, 0, made.shape, strides.get(made) or contiguous(made.shape))
        new[node] = made
    return [new[node] for node in outputs]


def _copied(x: Node) -> Node:
    return Node(movement.identity, (x,), {}, line=x.line)


def _apart(view: View) -> bool:
    """Whether the elements of a row do not follow each other, as kernels over edges want them to."""
    return view.shape[-1] > 1 and view.strides[-1] != 1


def _repeats(view: View | None) -> bool:
    """Whether a matrix repeats elements, which the product kernels do not read."""
    return view is not None and any(
        s == 0 and n > 1 for n, s in zip(view.shape[-2:], view.strides[-2:], strict=True)
    )

"""Pass 2: primitives whose record lowers them by a formula in other primitives are written out as that formula."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.graph import Node, topological
from chainrule.ops.record import Formula


def expand(outputs: Sequence[Node]) -> list[Node]:
    """New outputs with the same values, without logsumexp and argmax."""
    new: dict[Node, Node] = {}
    for node in topological(outputs):
        inputs = tuple(new[x] for x in node.inputs)
        if isinstance(node.op.lowering, Formula):
            new[node] = node.op.lowering.expand(node, *inputs)
        elif all(x is y for x, y in zip(inputs, node.inputs, strict=True)):
            new[node] = node
        else:
            new[node] = Node(node.op, inputs, node.params, line=node.line)
    return [new[node] for node in outputs]

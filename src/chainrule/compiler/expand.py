"""Pass 2: primitives whose record lowers them by a formula in other primitives are written out as that formula.

So are products of numbers narrower than 32 bits: they are products of wider ones, made narrow again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from chainrule.graph import Node, topological
from chainrule.ops import contract, dtypes, movement
from chainrule.ops.record import Formula


def expand(outputs: Sequence[Node]) -> list[Node]:
    """New outputs with the same values, without logsumexp and argmax; products of 4 or 8 bytes only."""
    new: dict[Node, Node] = {}
    for node in topological(outputs):
        inputs = tuple(new[x] for x in node.inputs)
        if isinstance(node.op.lowering, Formula):
            new[node] = cast(Node, node.op.lowering.expand(node, *inputs))
        elif node.op is contract.matmul and node.dtype.itemsize < dtypes.int32.itemsize:
            new[node] = _through_wider(node, *inputs)
        elif all(x is y for x, y in zip(inputs, node.inputs, strict=True)):
            new[node] = node
        else:
            new[node] = Node(node.op, inputs, node.params, line=node.line)
    return [new[node] for node in outputs]


def _through_wider(product: Node, a: Node, b: Node) -> Node:
    """A product of small integers or truth values as one of larger integers.

    Cutting off the upper bits commutes with sums and products, so integers wrap around as their own dtype does.
    An element of truth values is their count of hits, compared with 0; 32 bits hold it unless K is beyond them.
    """
    wide = dtypes.int32 if a.shape[-1] <= np.iinfo(np.int32).max else dtypes.int64
    a, b = (Node(movement.cast, (x,), {"dtype": wide}, line=product.line) for x in (a, b))
    found = Node(contract.matmul, (a, b), product.params, line=product.line)
    return Node(movement.cast, (found,), {"dtype": product.dtype}, line=product.line)

"""About how long work takes: enough to divide it among threads, and to decide what shares a loop."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule.compiler.kernels import Kernel
from chainrule.graph import Node, topological
from chainrule.ops import contract, edges

LONG_CYCLES = 12  # of a vector of exponentials and the like


def about_cycles(nodes: Sequence[Node]) -> float:
    """About how long a graph takes once, before it is compiled."""
    total = 0.0
    for node in topological(nodes):
        size = math.prod(node.shape)
        if node.op in edges.EDGES:
            size = edges.products(node) * 3
        total += size * node.inputs[0].shape[-1] / 2 if node.op is contract.matmul else size
    return total / 8


def cycles(kernel: Kernel, lanes: int) -> float:
    """About how long a kernel takes: enough to divide work among threads."""
    pointwise = (
        sum(LONG_CYCLES if node.op.cost == "long" else 1 for node in kernel.body) + len(kernel.stored) + 1
    )
    total = float(math.prod(kernel.space) * pointwise)
    if kernel.root is not None and kernel.root.op is contract.matmul:
        total += math.prod(kernel.root.shape) * kernel.root.inputs[0].shape[-1] / 2
    elif kernel.root is not None and kernel.root.op in edges.EDGES:
        total += 2.5 * edges.products(kernel.root)
    elif kernel.root is not None:
        terms = math.prod(kernel.root.inputs[0].shape)
        total += terms * (2 + sum(LONG_CYCLES if node.op.cost == "long" else 1 for node in kernel.inside))
    return total / lanes

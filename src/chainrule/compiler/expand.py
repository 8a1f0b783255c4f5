"""Pass 2: primitives that are a short formula in others are written out as that formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chainrule.graph import Node, topological
from chainrule.ops import elementwise as e
from chainrule.ops import movement, reduce
from chainrule.ops.record import Primitive
from chainrule.ops.source import constant, leaf


def expand(outputs: Sequence[Node]) -> list[Node]:
    """New outputs with the same values, without logsumexp and argmax."""
    new: dict[Node, Node] = {}
    for node in topological(outputs):
        inputs = tuple(new[x] for x in node.inputs)
        formula = _FORMULAS.get(node.op)
        if formula is not None:
            new[node] = formula(node, *inputs)
        elif node.op in (leaf, constant) or all(x is y for x, y in zip(inputs, node.inputs, strict=True)):
            new[node] = node
        else:
            new[node] = Node(node.op, inputs, node.params, line=node.line)
    return [new[node] for node in outputs]


def _logsumexp(node: Node, x: Node) -> Node:
    axis = node.params["axis"]
    top = reduce.max(x, axis=axis, keepdims=True)
    top = e.where(e.equal(top - top, 0), top, 0)  # an infinite maximum is not subtracted
    total = reduce.sum(e.exp(x - top), axis=axis, keepdims=True)
    return _dropped(e.log(total) + top, node)


def _argmax(node: Node, x: Node) -> Node:
    axis = node.params["axis"]
    top = reduce.max(x, axis=(axis,), keepdims=True)
    place = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(x.shape))])
    at_top = e.equal(x, top) | e.not_equal(x, x)  # the first NaN counts as largest
    return reduce.min(e.where(at_top, place, x.shape[axis]), axis=(axis,), keepdims=False)


def _dropped(x: Node, node: Node) -> Node:
    return x if x.shape == node.shape else movement.reshape(x, shape=node.shape)


_FORMULAS: dict[Primitive, Callable[..., Node]] = {reduce.logsumexp: _logsumexp, reduce.argmax: _argmax}

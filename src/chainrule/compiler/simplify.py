"""Pass 1: the same graph with less in it - duplicates merged, constants folded, what changes nothing dropped."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from chainrule.compiler.lowering import ELEMENTWISE
from chainrule.graph import Node, topological
from chainrule.interpret import evaluate
from chainrule.ops import contract, elementwise, movement
from chainrule.ops.record import Array
from chainrule.ops.source import constant, leaf

FOLDED = 1 << 12  # constants up to this many elements are computed when compiling
_SAME = {movement.identity, movement.stop_gradient}
_RESHAPES = {movement.reshape, movement.expand, movement.squeeze}


def simplify(outputs: Sequence[Node]) -> list[Node]:
    """New outputs with the same values. Leaves stay the nodes that they are."""
    new: dict[Node, Node] = {}
    known: dict[object, Node] = {}
    order = topological(outputs)
    readers = Counter(x for node in order for x in node.inputs)
    for node in order:
        if node.op is leaf:
            new[node] = node
            continue
        made = _simpler(node, tuple(new[x] for x in node.inputs), readers)
        key = _key(made)
        new[node] = known.setdefault(key, made) if key is not None else made
    return [new[node] for node in outputs]


def _key(node: Node) -> object:
    """Equal for nodes that compute the same; None for leaves."""
    if node.op is leaf:
        return None
    if node.op is constant:
        value: Array = node.params["value"]
        return (constant, value.dtype, value.shape, value.tobytes())
    return (node.op, tuple(map(id, node.inputs)), tuple(sorted(node.params.items(), key=lambda kv: kv[0])))


def _simpler(node: Node, inputs: tuple[Node, ...], readers: Mapping[Node, int]) -> Node:
    op = node.op
    if op in _SAME:
        return inputs[0]
    if op in _RESHAPES:
        return _reshaped(inputs[0], node.shape, node)
    if op in (movement.broadcast, movement.transpose, movement.cast) and _is_noop(node, inputs[0]):
        return inputs[0]
    if op is movement.transpose:
        product = _product_transposed(node, inputs[0], alone=readers[node.inputs[0]] == 1)
        if product is not None:
            return product
    if op in ELEMENTWISE:
        inputs = _without_broadcasts(node, inputs)
        same = _neutral(node, inputs)
        if same is not None:
            return same
    if op is elementwise.add:
        joined = _joined(node, inputs)
        if joined is not None:
            return joined
    made = Node(op, inputs, node.params, line=node.line)
    if op is not constant and inputs and all(x.op is constant for x in inputs) and _size(node) <= FOLDED:
        return as_constant(evaluate([made])[0])
    return made


def as_constant(value: Array) -> Node:
    """A constant node; one number repeated becomes a scalar broadcast."""
    scalar = np.array(value.flat[0] if value.size else 0, value.dtype)
    if value.ndim and value.size > 1 and value.tobytes() == scalar.tobytes() * value.size:  # 0 is not -0
        return Node(movement.broadcast, (Node(constant, (), {"value": scalar}),), {"shape": value.shape})
    return Node(constant, (), {"value": value})


def _size(node: Node) -> int:
    return int(np.prod(node.shape, dtype=np.int64))


def _reshaped(x: Node, shape: tuple[int, ...], node: Node) -> Node:
    while x.op is movement.reshape:
        x = x.inputs[0]
    if x.shape == shape:
        return x
    if x.op is constant:
        return as_constant(x.params["value"].reshape(shape))
    return Node(movement.reshape, (x,), {"shape": shape}, line=node.line)


def _is_noop(node: Node, x: Node) -> bool:
    if node.op is movement.transpose:
        return bool(node.params["axes"] == tuple(range(len(node.shape))))
    return node.shape == x.shape and node.dtype == x.dtype


def _product_transposed(node: Node, x: Node, *, alone: bool) -> Node | None:
    """A transpose of a transpose, or of a matrix product: (A B)' = B' A'."""
    axes = node.params["axes"]
    if x.op is movement.transpose:
        inner = x.params["axes"]
        joined = tuple(inner[a] for a in axes)
        if joined == tuple(range(len(joined))):
            return x.inputs[0]
        return Node(movement.transpose, x.inputs, {"axes": joined}, line=node.line)
    if x.op is contract.matmul and axes == (1, 0) and alone:  # nobody needs the product as it was
        a, b = (_transposed(y) for y in x.inputs)
        return Node(contract.matmul, (b, a), {}, line=x.line)
    return None


def _transposed(x: Node) -> Node:
    if x.op is movement.transpose:
        return x.inputs[0]
    return Node(movement.transpose, (x,), {"axes": (1, 0)}, line=x.line)


def _without_broadcasts(node: Node, inputs: tuple[Node, ...]) -> tuple[Node, ...]:
    """Operands that broadcast anyway need no node that does it, as long as another gives the shape."""
    plain = list(inputs)
    for i, x in enumerate(inputs):
        candidate = x
        while candidate.op is movement.broadcast:
            candidate = candidate.inputs[0]
        if candidate is x:
            continue
        others = [y.shape for j, y in enumerate(plain) if j != i]
        if np.broadcast_shapes(candidate.shape, *others) == node.shape:
            plain[i] = candidate
    return tuple(plain)


def _neutral(node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """The operand that the node merely repeats: x * 1, x / 1, x - 0, --x. Not x + 0, which turns -0 into 0."""
    if node.op is elementwise.negative and inputs[0].op is elementwise.negative:
        return inputs[0].inputs[0]
    if len(inputs) != 2:
        return None
    a, b = inputs
    if node.op in (elementwise.multiply, elementwise.divide) and _is_number(b, 1) and a.shape == node.shape:
        return a
    if node.op is elementwise.multiply and _is_number(a, 1) and b.shape == node.shape:
        return b
    if node.op is elementwise.subtract and _is_number(b, 0) and a.shape == node.shape:
        return a
    return None


class _Piece(NamedTuple):
    """Rows that are not known to be zero."""

    start: int
    rows: Node


def _joined(node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """A sum of arrays that are zero wherever the others are not, as gradients of slices are: they are joined."""
    found = [_pieces(x) for x in inputs]
    if 0 in node.shape or any(x.shape != node.shape for x in inputs) or None in found:
        return None
    pieces = sorted((x for part in found if part is not None for x in part), key=lambda piece: piece.start)
    parts: list[Node] = []
    end = 0
    for start, rows in [*pieces, _Piece(node.shape[0], inputs[0])]:
        if start < end:
            return None
        if start > end:
            zero = Node(constant, (), {"value": np.zeros((), node.dtype)})
            parts.append(Node(movement.broadcast, (zero,), {"shape": (start - end, *node.shape[1:])}))
        if start < node.shape[0]:
            parts.append(rows)
            end = start + rows.shape[0]
    return parts[0] if len(parts) == 1 else Node(movement.concat, tuple(parts), {"axis": 0}, line=node.line)


def _pieces(node: Node) -> list[_Piece] | None:
    """The rows of a padded or joined array that need not be zero; None for any other."""
    if node.op is movement.pad:
        p = node.params
        rest = (*p["low"][1:], *p["high"][1:], *p["interior"])
        if not node.shape or any(rest) or p["value"] != 0:
            return None
        return [_Piece(p["low"][0], node.inputs[0])]
    if node.op is movement.concat and node.params["axis"] == 0:
        starts = np.cumsum([0, *(x.shape[0] for x in node.inputs)]).tolist()
        found = zip(starts, node.inputs, strict=False)
        return [_Piece(start, x) for start, x in found if not _is_number(x, 0)]
    return None


def _is_number(node: Node, number: float) -> bool:
    while node.op is movement.broadcast:
        node = node.inputs[0]
    if node.op is not constant:
        return False
    value: Array = node.params["value"]
    return value.size == 1 and value.flat[0] == number and math.copysign(1, value.flat[0]) > 0  # 0 is not -0

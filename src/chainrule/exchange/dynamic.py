"""A traced graph whose lengths depend on the number of rows.

Graphs have fixed shapes. So the same function is traced for a few numbers of rows, and whatever differs between these
graphs (lengths, slices, the count that a mean divides by) is expressed as a linear function of the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.compiler.expand import expand
from chainrule.errors import ExchangeError, describe_line
from chainrule.graph import Node, new_leaf, topological
from chainrule.ops.movement import cast, identity, stop_gradient
from chainrule.ops.operand import Dtype
from chainrule.ops.record import Array, Shape
from chainrule.ops.source import constant, leaf
from chainrule.tensor import Tensor, no_grad
from chainrule.trace import tracing

ROWS = (7, 12, 31)  # two determine a linear function, the third tests it; layers seldom have these lengths


@dataclass(frozen=True)
class Length:
    """``per_row`` times the number of rows, plus ``fixed``."""

    per_row: int
    fixed: int

    def __add__(self, other: int | Length) -> Length:
        more = as_length(other)
        return Length(self.per_row + more.per_row, self.fixed + more.fixed)

    def __mul__(self, factor: int) -> Length:
        return Length(self.per_row * factor, self.fixed * factor)

    def __sub__(self, other: int | Length) -> Length:
        return self + as_length(other) * -1


def as_length(value: int | Length) -> Length:
    """Return an integer as a Length that does not depend on the rows; a Length as it is."""
    return value if isinstance(value, Length) else Length(0, int(value))


@dataclass(frozen=True)
class Affine:
    """An array that is ``per_row`` times the number of rows, plus ``fixed``."""

    per_row: Array
    fixed: Array


@dataclass(frozen=True)
class Filled:
    """An array of equal elements whose shape depends on the number of rows."""

    value: Array
    shape: tuple[Length, ...]


@dataclass(frozen=True, eq=False)
class Part:
    """The same node in all traced graphs; ``params`` and ``shape`` contain a Length wherever they differ."""

    name: str
    inputs: tuple[Part, ...]
    params: dict[str, Any]
    shape: tuple[int | Length, ...]
    dtype: Dtype
    node: Node  # in the first graph


@dataclass(frozen=True, eq=False)
class Dynamic:
    """The graph: its parts in topological order, the input (None if unused), and the output."""

    parts: tuple[Part, ...]
    input: Part | None
    output: Part


def trace_rows(function: Callable[[Tensor], object], shape: Shape, dtype: Dtype) -> Dynamic:
    """Trace ``function`` from one tensor [rows, *shape] to one tensor, for any number of rows.

    Raises ExchangeError, with the user's line, if the computation depends on the number of rows in another way.
    """
    traces = [_trace(function, (rows, *shape), dtype) for rows in ROWS]
    orders = [topological([output]) for _, output in traces]
    structures = [_structure(order) for order in orders]
    for same in zip(*structures, strict=False):
        if len(set(same)) > 1:
            place = structures[0].index(same[0])
            raise _refusal("other operations for another number of rows", orders[0][place])
    if len({len(order) for order in orders}) > 1:
        raise _refusal("more operations for another number of rows", orders[0][-1])
    parts: dict[Node, Part] = {}
    for nodes in zip(*orders, strict=True):
        try:
            parts[nodes[0]] = _merge(nodes, parts)
        except ExchangeError as error:  # a constant has no line, but its reader has
            users = (node.line for node in orders[0] if nodes[0] in node.inputs)
            error.where = error.where or describe_line(next(users, None))
            raise
    first_input, first_output = traces[0]
    return Dynamic(tuple(parts.values()), parts.get(first_input), parts[first_output])


def _trace(function: Callable[[Tensor], object], shape: Shape, dtype: Dtype) -> tuple[Node, Node]:
    given = new_leaf(shape, dtype, "x")
    with no_grad(), tracing() as trace:
        result = function(Tensor(None, given))
    if not isinstance(result, Tensor):
        raise ExchangeError(
            "only a function that returns one tensor can be exported",
            expected="a tensor",
            got=type(result).__name__,
        )
    if trace.updates:
        raise ExchangeError(
            "the forward pass changes the model's state",
            expected="a forward pass without assignments",
            got=f"an assignment to a tensor of shape {list(trace.updates[0][0].shape)}",
            hint="switch the model to inference: model.eval()",
        )
    return given, _without_markers(expand([result.node])[0])


def _without_markers(output: Node) -> Node:
    """Skip nodes that matter for derivatives only, and casts to the same dtype."""
    new: dict[Node, Node] = {}
    for node in topological([output]):
        inputs = tuple(new[x] for x in node.inputs)
        if node.op in (identity, stop_gradient) or (node.op is cast and node.dtype == inputs[0].dtype):
            new[node] = inputs[0]
        elif all(x is y for x, y in zip(inputs, node.inputs, strict=True)):
            new[node] = node
        else:
            new[node] = Node(node.op, inputs, node.params, line=node.line)
    return new[output]


def _merge(nodes: Sequence[Node], parts: dict[Node, Part]) -> Part:
    first = nodes[0]
    given = first.op is leaf or first.op is constant
    return Part(
        first.op.name,
        tuple(parts[x] for x in first.inputs),
        {"value": _merge_values(nodes)} if given else _merge_params(nodes),
        tuple(_merge_ints(lengths, first) for lengths in zip(*(node.shape for node in nodes), strict=True)),
        first.dtype,
        first,
    )


def _structure(order: Sequence[Node]) -> list[tuple[object, ...]]:
    """Each node's operation, dtype, rank and operands, which are equal for graphs that differ in lengths only."""
    place = {node: i for i, node in enumerate(order)}
    return [(n.op.name, n.dtype, len(n.shape), *(place[x] for x in n.inputs)) for n in order]


def _merge_values(nodes: Sequence[Node]) -> Array | Affine | Filled | None:
    """The value of a constant or a leaf; None for the input, which has none."""
    first = nodes[0]
    arrays = [node.params["value"] if node.op is constant else node.value for node in nodes]
    known = [array for array in arrays if array is not None]
    if not known:
        return None
    if len({array.shape for array in known}) > 1:
        flat = np.concatenate([array.ravel() for array in known])
        if not (flat == flat[:1]).all():
            raise _refusal("a constant whose elements depend on the number of rows", first)
        shape = tuple(
            as_length(_merge_ints(lengths, first)) for lengths in zip(*(a.shape for a in known), strict=True)
        )
        return Filled(flat[:1].reshape(()), shape)
    if all(np.array_equal(array, known[0], equal_nan=array.dtype.kind == "f") for array in known):
        return known[0]
    wide = [array.astype(np.float64) for array in known]
    per_row = (wide[1] - wide[0]) / (ROWS[1] - ROWS[0])
    fixed = wide[0] - per_row * ROWS[0]
    if not np.allclose(per_row * ROWS[2] + fixed, wide[2], rtol=1e-6, atol=0):
        raise _refusal("a constant that is not a linear function of the number of rows", first)
    return Affine(per_row, fixed)


def _merge_params(nodes: Sequence[Node]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name, value in nodes[0].params.items():
        values = [node.params[name] for node in nodes]
        if isinstance(value, tuple):
            merged[name] = tuple(_merge_ints(lengths, nodes[0]) for lengths in zip(*values, strict=True))
        elif isinstance(value, int) and not isinstance(value, bool):
            merged[name] = _merge_ints(values, nodes[0])
        elif any(other != value for other in values):
            raise _refusal(f"{name} depends on the number of rows", nodes[0])
        else:
            merged[name] = value
    return merged


def _merge_ints(values: Sequence[int], node: Node) -> int | Length:
    if len(set(values)) == 1:
        return values[0]
    per_row, rest = divmod(values[1] - values[0], ROWS[1] - ROWS[0])
    length = Length(per_row, values[0] - per_row * ROWS[0])
    if rest or per_row * ROWS[2] + length.fixed != values[2]:
        raise _refusal("a length that is not a linear function of the number of rows", node)
    return length


def _refusal(got: str, node: Node) -> ExchangeError:
    return ExchangeError(
        "the computation depends on the number of rows in a way that ONNX export does not support",
        expected="the same operations for any number of rows",
        got=got,
        where=describe_line(node.line),
        hint="write it with tensor operations along the first axis",
    )

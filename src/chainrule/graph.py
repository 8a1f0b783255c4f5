"""The computation graph: the only representation of everything that this library computes.

A node is one application of a primitive. Running, differentiating, drawing and exporting are readers of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

import numpy as np

from chainrule.errors import ChainruleError, DtypeError, SourceLine, describe_line, place, user_line
from chainrule.ops import dtypes
from chainrule.ops.movement import cast as to_dtype
from chainrule.ops.operand import Dtype, Params
from chainrule.ops.operators import Operators
from chainrule.ops.record import Array, Primitive, Shape, is_float
from chainrule.ops.source import constant, leaf

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from chainrule.tensor import Tensor


class Node(Operators):
    """One application of a primitive to other nodes; ``value`` is set where it is already known."""

    __slots__ = ("__weakref__", "dtype", "inputs", "line", "op", "owner", "params", "shape", "value")

    def __init__(
        self,
        op: Primitive,
        inputs: tuple[Node, ...],
        params: Params,
        *,
        value: Array | None = None,
        line: SourceLine | None = None,
        owner: Callable[[], Tensor | None] | None = None,
    ) -> None:
        self.op, self.inputs, self.params, self.value, self.line = op, inputs, params, value, line
        self.owner = owner  # weak reference to whoever wants the derivative with respect to this node
        self.shape: Shape
        self.dtype: Dtype
        self.shape, self.dtype = op.form(*inputs, **params)

    def apply(self, primitive: Primitive, operands: Sequence[object], params: Params) -> Node:
        """A new node; called by ``primitive(...)`` when an operand is a node."""
        return emit(primitive, operands, params)

    def __repr__(self) -> str:
        return f"<{self.op.name} {describe_form(self)}>"


_LINE: ContextVar[SourceLine | None] = ContextVar("chainrule_line", default=None)


@contextmanager
def at_line(line: SourceLine | None) -> Iterator[Callable[[SourceLine | None], object]]:
    """Nodes made inside belong to this line of the user's code, or to one that is set later."""
    token = _LINE.set(line)
    try:
        yield _LINE.set
    finally:
        _LINE.reset(token)


def emit(primitive: Primitive, operands: Sequence[object], params: Params) -> Node:
    """Apply a primitive to nodes and plain values, brought to a common dtype where its record says so."""
    try:
        inputs = _prepare(primitive, operands)
        if primitive.instead is not None and (found := primitive.instead(*inputs)) is not None:
            return cast(Node, found)
        return Node(primitive, inputs, params, line=_LINE.get() or user_line())
    except ChainruleError as error:
        error.where = error.where or describe_line(_LINE.get() or user_line())
        raise


def _prepare(primitive: Primitive, operands: Sequence[object]) -> tuple[Node, ...]:
    """Operands as nodes; mixed dtypes and Python scalars made one dtype by explicit casts."""
    first, last = primitive.promoted
    if last == 0:
        return tuple([as_node(x) for x in operands])
    common = _common_dtype(operands[first:last])
    if primitive.floating and not is_float(common):
        common = dtypes.DEFAULT_FLOAT
    return tuple([as_node(x, common if first <= i < last else None) for i, x in enumerate(operands)])


def _common_dtype(mixed: Sequence[object]) -> Dtype:
    """What operands are promoted to: arrays decide, Python's numbers only where they are of a higher kind."""
    found: list[Dtype] = []
    numbers: list[object] = []
    for x in mixed:
        dtype = getattr(x, "dtype", None)  # NumPy's scalars have one of their own and keep it
        if dtype is None:
            numbers.append(x if type(x) in (bool, int, float) else _number_like(x))
        elif dtype not in found:
            found.append(dtype)
    common = None if not found else found[0] if len(found) == 1 else dtypes.promote(found)
    for x in numbers:
        common = dtypes.scalar_dtype(x, common)
    return dtypes.DEFAULT_FLOAT if common is None else common


def _number_like(x: object) -> bool | int | float:
    """A number of the kind that a nested list holds."""
    holds_tensors = isinstance(x, list | tuple) and any(hasattr(item, "records_primitives") for item in x)
    kind = "O" if holds_tensors else np.asarray(x).dtype.kind
    if kind not in "biuf":
        raise DtypeError(
            f"{type(x).__name__} is not something to compute with",
            expected="tensors, arrays, numbers or lists of numbers",
            got=repr(x)[:80],
            hint="join a list of tensors first: cr.stack(xs)" if holds_tensors else "",
        )
    return {"b": False, "f": 0.0}.get(kind, 0)


def as_node(x: object, dtype: Dtype | None = None) -> Node:
    """A node as it is (cast if need be), anything else as a constant."""
    if isinstance(x, Node):
        return x if dtype is None or dtype == x.dtype else Node(to_dtype, (x,), {"dtype": dtype}, line=x.line)
    try:
        array = _as_array(x, dtype)
    except OverflowError:
        raise DtypeError(f"{x} does not fit the other operand's dtype", got=dtype) from None
    except (TypeError, ValueError):
        raise DtypeError(
            f"{type(x).__name__} is not something to compute with",
            expected="tensors, arrays, numbers or lists of numbers",
            got=repr(x)[:80],
        ) from None
    dtypes.check_dtype(array.dtype)
    return Node(constant, (), {"value": array}, value=array)


@np.errstate(over="ignore")
def _as_array(x: object, dtype: Dtype | None) -> Array:
    return np.asarray(x, dtype=dtype)  # a float that is too large is infinite


def new_leaf(
    shape: Shape,
    dtype: DTypeLike,
    name: str = "",
    *,
    value: Array | None = None,
    owner: Callable[[], Tensor | None] | None = None,
) -> Node:
    """A node whose value is given when the graph runs."""
    params = {"shape": tuple(shape), "dtype": dtypes.check_dtype(dtype), "name": name}
    return Node(leaf, (), params, value=value, owner=owner)


def topological(outputs: Iterable[Node], stop: Callable[[Node], bool] | None = None) -> list[Node]:
    """All nodes that the outputs depend on, inputs before users; none behind nodes where ``stop`` holds."""
    order: dict[Node, None] = {}
    seen: set[Node] = set()
    stack = list(outputs)[::-1]
    while stack:
        node = stack[-1]
        if node in seen:  # all that it depends on was above it on the stack
            order[stack.pop()] = None
        else:
            seen.add(node)
            if stop is None or not stop(node):
                stack.extend([x for x in node.inputs[::-1] if x not in seen])
    return list(order)


def check(outputs: Iterable[Node]) -> None:
    """Verify that every node's shape and dtype follow from its inputs, and that no node depends on itself."""
    done: set[Node] = set()
    for node in topological(outputs):
        if any(x not in done for x in node.inputs):
            raise ChainruleError("the graph has a cycle", got=repr(node), where=describe_line(node.line))
        form = node.op.form(*node.inputs, **node.params)
        if form != (node.shape, node.dtype):
            raise ChainruleError(
                f"{node.op.name}: the node disagrees with its rule",
                expected=f"{form.dtype}{list(form.shape)}",
                got=describe_form(node),
                where=describe_line(node.line),
            )
        done.add(node)


def describe_form(node: Node) -> str:
    """Shape and dtype in short: float32[2, 3]."""
    return f"{node.dtype}[{', '.join(map(str, node.shape))}]"


def _describe_param(value: object) -> str:
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=6, threshold=8).replace("\n", "")
    return str(value)


def listing(outputs: Sequence[Node], *, lines: bool = False) -> str:
    """The graph as text, one node a line, for reading.

    >>> import chainrule as cr
    >>> x = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> print(listing([(x * x).sum().node]))
    %0 float32[2] = leaf()
    %1 float32[2] = multiply(%0, %0)
    %2 float32[] = sum(%1) axis=(0,) keepdims=False
    return %2
    """
    names: dict[Node, str] = {}
    rows = []
    for i, node in enumerate(topological(outputs)):
        names[node] = f"%{i}"
        inputs = ", ".join(names[x] for x in node.inputs)
        shown = {} if node.op is leaf else node.params
        label = f" {node.params['name']}" if node.op is leaf and node.params["name"] else ""
        params = "".join(f" {k}={_describe_param(v)}" for k, v in shown.items())
        where = f"   # {place(node.line)}" if lines and node.line else ""
        rows.append(f"{names[node]} {describe_form(node)} = {node.op.name}({inputs}){label}{params}{where}")
    return "\n".join([*rows, "return " + ", ".join(names[node] for node in outputs)])

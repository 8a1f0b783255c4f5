"""Where histories end: at results that have no derivative, such as an index, and at what compiled code returned.

A tensor that was computed from what requires a gradient, and yet has no history, carries an ``Ending``, which says
why. So a gradient that would be nothing but silent zeros becomes an error that names the operation and its line.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import NamedTuple
from weakref import ref

from chainrule.errors import GradientError, SourceLine, caller_line, describe_line, user_line
from chainrule.graph import Node, describe_form, topological
from chainrule.ops.movement import stop_gradient
from chainrule.ops.record import ZERO, Primitive, Undefined, is_float


class Ended:
    """Results at which a history ended, each with what it was computed from: nodes, or such groups of them."""

    __slots__ = ("__weakref__", "parts")

    def __init__(self, *parts: Node | Ended) -> None:
        self.parts = parts


#: keeps what a transform may have to name until its sweep is done; None where no transform runs
SCOPE: ContextVar[list[object] | None] = ContextVar("chainrule_endings", default=None)


class Ending(NamedTuple):
    """Why a tensor has no history: the operation at which it ended first, None for compiled code, and its line.

    ``where`` tells all results at which a history ended while a transform ran its function. It is weak, and the
    transform's scope holds what it refers to, so that a tensor that outlives the call keeps no graph alive.
    """

    op: Primitive | None
    line: SourceLine | None = None
    where: ref[Ended] | None = None

    def group(self) -> Ended | None:
        """The results at which a history ended, as long as a transform may ask for them."""
        return None if self.where is None else self.where()


COMPILED = Ending(None)


def kept(*parts: Node | Ended) -> ref[Ended] | None:
    """A group that is kept until the sweep of the transform that runs; None where none does."""
    scope = SCOPE.get()
    if scope is None:
        return None
    group = Ended(*parts)
    scope.append(group)
    return ref(group)


def nodes_of(groups: Iterable[Ended]) -> list[Node]:
    """The nodes in groups, in the order in which they were computed from left to right, each once."""
    found: dict[Node, None] = {}
    seen: set[Ended] = set()
    stack: list[Node | Ended] = [*reversed([*groups])]
    while stack:
        part = stack.pop()
        if isinstance(part, Node):
            found[part] = None
        elif part not in seen:
            seen.add(part)
            stack.extend(reversed(part.parts))
    return [*found]


def has_no_derivative(node: Node) -> bool:
    """Whether no gradient passes through a node: its record has no derivative, or its value is no float."""
    return isinstance(node.op.derivative, Undefined) or not is_float(node.dtype)


def ends_history(node: Node) -> bool:
    """Whether no gradient passes through a node, because it has no derivative or because that is meant."""
    return node.op is stop_gradient or has_no_derivative(node)


def joined(a: Ending, b: Ending) -> Ending:
    """The ending of what is computed from tensors with these: compiled code first, for it is refused sooner."""
    if a is b or a.op is None:
        return a
    if b.op is None:
        return b
    left, right = a.group(), b.group()
    if right is None or right is left:
        return a
    return a._replace(where=b.where if left is None else kept(left, right))


def cut_off() -> GradientError:
    """The error for a gradient that would have to pass through compiled code."""
    return GradientError(
        "a compiled function keeps no history, so its parameters would get no gradient from what it returned",
        expected="the whole step compiled, with loss.backward() inside, or the function itself",
        where=caller_line(),
        hint="y.detach() where only the value is wanted, or call the compiled function under cr.no_grad()",
    )


def no_derivative(op: Primitive, line: SourceLine | None, got: str | None = None) -> GradientError:
    """The error for a gradient that ends at an operation."""
    hint = op.derivative.hint if isinstance(op.derivative, Undefined) else ""
    return GradientError(
        f"the result depends on the variables only through {op.name}, which has no derivative",
        expected="a path of differentiable operations from the variables to the result",
        got=got,
        where=describe_line(line or user_line()),
        hint=hint or "leave the operation out, or use x.detach() where a gradient of 0 is meant",
    )


def no_way(ending: Ending) -> GradientError:
    """The error for ``backward`` from a tensor whose history ended."""
    return cut_off() if ending.op is None else no_derivative(ending.op, ending.line)


def need_derivative(outputs: Iterable[tuple[Node, Ending | None]], variables: Iterable[Node]) -> None:
    """GradientError where outputs, to which no gradient came back, depend on variables by such endings alone.

    Without any dependence, or where a way leads through derivatives that are 0, as that of ``sign``, the gradient is
    0 indeed. A condition, an index and a detached value count as no way.
    """
    found, wanted = list(outputs), set(variables)
    ways = topological([node for node, _ in found], stop=ends_history)
    if not wanted.isdisjoint(ways):
        return
    groups = [group for _, ending in found if ending and (group := ending.group()) is not None]
    ends = nodes_of(groups)
    reaching = _dependents(topological(ends, stop=lambda n: n.op is stop_gradient or n in wanted), wanted)
    for node in ends:
        if node in reaching:
            raise no_derivative(node.op, node.line, f"{describe_form(node)} from {node.op.name}")


def without_gradient(output: Node, variables: Iterable[Node]) -> dict[Node, Node | None]:
    """The variables that no gradient of an output reaches, each with the operation that is in the way.

    That is one without a derivative, or one whose derivative is 0 everywhere; None where the output does not depend
    on the variable, or only by what was detached.
    """

    def blocks(node: Node) -> bool:
        return ends_history(node) or (node.op.derivative is ZERO and bool(node.inputs))

    trained = {node for node in topological([output], stop=blocks) if not blocks(node)}
    missed: dict[Node, Node | None] = dict.fromkeys(node for node in variables if node not in trained)
    if missed:
        order = topological([output], stop=lambda n: n.op is stop_gradient)
        for variable in missed:
            reaching = _dependents(order, {variable})
            missed[variable] = next((node for node in order if node in reaching and blocks(node)), None)
    return missed


def _dependents(order: Iterable[Node], variables: set[Node]) -> set[Node]:
    """The variables, and those nodes of a topological order that depend on them otherwise than by a detached value."""
    found = set(variables)
    for node in order:
        if node.op is not stop_gradient and not found.isdisjoint(node.inputs):
            found.add(node)
    return found

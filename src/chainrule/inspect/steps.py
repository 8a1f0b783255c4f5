"""Tells a graph in steps, as a person would write it: a step for each named quantity, with its formula.

What has no name is written inside the formula of its reader, unless it is long, used twice, or the argument of a
function such as tanh; it then becomes a step named v1, v2 ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.backward import undo_broadcast
from chainrule.errors import SourceLine
from chainrule.foreign_text import clipped
from chainrule.graph import Node, as_node, new_leaf, topological
from chainrule.inspect.names import latex_name, symbol_for
from chainrule.inspect.recording import Recording, is_leaf
from chainrule.interpret import evaluate
from chainrule.ops import contract, elementwise, movement
from chainrule.ops.notation import Expression, Symbol, of_atom, transposed, upright, without, write
from chainrule.ops.record import Array, Elementwise, Reduction, Shape, is_float
from chainrule.ops.reduce import reduced_shape
from chainrule.ops.source import constant, leaf

LONGEST = 6  # applications that one formula may hold

#: operations that are not written in formulas
UNWRITTEN = {movement.broadcast, movement.expand, movement.squeeze, movement.cast, movement.identity}
#: operations that do not make a formula longer
MOVES = {*UNWRITTEN, movement.reshape, movement.transpose}
#: operations that stay inside a formula wherever they are used
ARITHMETIC = {
    elementwise.add,
    elementwise.subtract,
    elementwise.multiply,
    elementwise.divide,
    elementwise.negative,
}


@dataclass
class Edge:
    """How one quantity depends on another: the message that the upper one sends down, as formula and value.

    ``partial`` is the local derivative if the message is the upper gradient times it. It is None otherwise, as for a
    matrix product, whose message is another matrix product.
    """

    upper: Node
    lower: Node
    message: Expression
    partial: Expression | None
    message_value: Array
    partial_value: Array | None
    send: Callable[[Array], Array]  # the message for another gradient of the upper quantity


@dataclass
class Step:
    """A quantity: its name, the formula that computes it (None if it is given), and its value."""

    node: Node
    symbol: Symbol
    formula: Expression | None
    value: Array
    gradient: Array | None
    inputs: list[Node]
    line: SourceLine | None


@dataclass
class Steps:
    """All steps in order, and the edges that carry gradients, by their lower end."""

    recording: Recording
    steps: dict[Node, Step]
    edges: dict[Node, list[Edge]]

    def __reduce__(self) -> Any:
        """Pickle names, values and gradients, but not the graph."""
        names = self.recording.names
        told = [(names.get(s.node), s.symbol, s.value, s.gradient) for s in self.steps.values()]
        return _unpickled, (told,)

    def find(self, name: str) -> Step | None:
        """Return the step with this variable name, or with this symbol as written."""
        for step in self.steps.values():
            if name in (self.recording.names.get(step.node), step.symbol.text):
                return step
        return None


def _unpickled(told: list[tuple[str | None, Symbol, Array, Array | None]]) -> Steps:
    recording, steps = Recording([], [], {}, None, {}, {}, set()), {}
    for name, symbol, value, gradient in told:
        node = new_leaf(value.shape, value.dtype, value=value)
        steps[node] = Step(node, symbol, None, value, gradient, [], None)
        if name is not None:
            recording.names[node] = name
    return Steps(recording, steps, {})


def adjoint_symbol(target: Symbol, x: Symbol) -> Symbol:
    """The symbol of the derivative of the target with respect to x."""
    return Symbol(
        f"∂{target.text}/∂{x.text}", rf"\frac{{\partial {target.latex}}}{{\partial {x.latex}}}", x.shape
    )


def steps_of(recording: Recording, *, every_node: bool = False, partials: bool = True) -> Steps:
    """Split a recorded graph into steps; with ``every_node``, every node is a step."""
    kept = dict.fromkeys(recording.order) if every_node else _kept(recording)
    symbols = _symbols(recording, kept)
    steps = {}
    for node in kept:
        inputs, formula = _formula(node, kept, symbols)
        steps[node] = Step(
            node,
            symbols[node],
            formula,
            recording.shown.get(node, recording.values[node]),
            recording.gradients.get(node),
            inputs,
            node.line,
        )
    told = Steps(recording, steps, {})
    if partials and recording.target is not None:
        target = symbols[recording.target]
        for node in reversed(list(kept)):
            if node in recording.gradients and not is_leaf(node):
                for edge in _edges(node, kept, symbols, recording, target):
                    told.edges.setdefault(edge.lower, []).append(edge)
    for edges in told.edges.values():
        edges.reverse()  # they were found from the last step to the first
    return told


def _kept(recording: Recording) -> dict[Node, None]:
    """The nodes that become steps, in order."""
    readers = _readers(recording.order)
    forced = {*recording.outputs, *recording.updates, *recording.names}
    weight: dict[Node, int] = {}
    kept: set[Node] = set()
    products: set[Node] = set()  # nodes whose formula contains a matrix product

    def keep(node: Node) -> None:
        if node.op not in UNWRITTEN and not _is_number(node):
            kept.add(node)
            weight[node] = 0

    for node in recording.order:
        inside = dict.fromkeys(node.inputs)
        own = 0 if node.op in MOVES else 1
        weight[node] = 0 if is_leaf(node) else own + sum(weight[x] for x in inside)
        for x in map(source_of, inside) if own else ():
            if weight[x] and _is_worth_a_name(x, node, weight[x], products):
                keep(x)
        if own:
            weight[node] = own + sum(weight[source_of(x)] for x in inside)
        if _is_product(node) or any(x in products and x not in kept for x in inside):
            products.add(node)
        while weight[node] > LONGEST and any(weight[source_of(x)] for x in inside):
            keep(max((source_of(x) for x in inside), key=lambda x: weight[x]))
            weight[node] = own + sum(weight[source_of(x)] for x in inside)
        given = is_leaf(node) and node.op is not constant and node.owner is not None
        if node in forced or given:
            kept.add(node)
            weight[node] = 0
        elif not is_leaf(node) and len(readers.get(node, ())) > 1:
            keep(node)
    return {node: None for node in recording.order if node in kept}


def _is_worth_a_name(x: Node, reader: Node, weight: int, products: set[Node]) -> bool:
    """Whether an operand becomes a step: z = W x + b before its reader, h = tanh(z) before a product.

    The argument of a function such as tanh does, unless it is short.
    """
    if reader.op is contract.matmul:
        return x.op not in ARITHMETIC and isinstance(x.op.lowering, Elementwise)
    if weight < 2 or reader.op is elementwise.add:
        return False
    single_function = reader.op not in ARITHMETIC and isinstance(reader.op.lowering, Elementwise)
    return x in products or (single_function and len(reader.inputs) == 1)


def _is_product(node: Node) -> bool:
    return node.op is contract.matmul and math.prod(node.shape) > 1


def source_of(node: Node) -> Node:
    """The node itself, or the operand whose elements it repeats, converts or moves."""
    while node.op in MOVES:
        node = node.inputs[0]
    return node


def _is_number(node: Node) -> bool:
    return node.op is constant and math.prod(node.shape) == 1


def _readers(order: Sequence[Node]) -> dict[Node, set[Node]]:
    """The readers of each node, looking through operations that are not written."""
    readers: dict[Node, set[Node]] = {}
    for node in order:
        if node.op in UNWRITTEN:
            continue
        for x in node.inputs:
            readers.setdefault(x, set()).add(node)
            read = x
            while read.op in UNWRITTEN:
                read = read.inputs[0]
                readers.setdefault(read, set()).add(node)
    return readers


def _symbols(recording: Recording, kept: Mapping[Node, None]) -> dict[Node, Symbol]:
    """A symbol for each step: the user's name, or an unused one of v1, v2 ..."""
    taken = set(recording.names.values())
    free = (name for i in range(1, 10**9) if (name := f"v{i}") not in taken)
    given = (name for i in range(1, 10**9) if (name := f"p{i}") not in taken)
    symbols: dict[Node, Symbol] = {}
    named: dict[str, str] = {}  # how it is written -> the user's name
    for node in kept:
        name = recording.names.get(node) or next(given if is_leaf(node) else free)
        shape = recording.shown[node].shape if node in recording.shown else node.shape
        symbols[node] = _told_apart(name, shape, named)
    return symbols


def _told_apart(name: str, shape: Shape, named: dict[str, str]) -> Symbol:
    """A unique symbol for a name, since formulas treat equal symbols as one quantity."""
    plain = clipped(name)
    symbol = symbol_for(name, shape)
    while named.setdefault(symbol.text, name) != name:
        symbol = Symbol(plain, latex_name(plain), shape)
        plain += "′"
    return symbol


def _formula(
    node: Node, kept: Mapping[Node, None], symbols: Mapping[Node, Symbol]
) -> tuple[list[Node], Expression | None]:
    """The steps that a step is computed from, and its formula; ([], None) if it is given."""
    if is_leaf(node):
        return [], None
    inside = topological([node], stop=lambda n: n in kept and n is not node)
    inputs = [n for n in inside if n in kept and n is not node]
    known = {n: _known(n, symbols[n]) for n in inputs}
    formula = _expressions([node], known)[0]
    return inputs, formula if formula.atom is not None else upright(formula)


def _known(node: Node, symbol: Symbol) -> Expression:
    """A step inside a formula: its symbol, transposed if the user's vector enters as a row."""
    lies_down = len(symbol.shape) == 1 and len(node.shape) == 2 and node.shape[0] == 1 != node.shape[1]
    return transposed(of_atom(symbol), node.shape) if lies_down else of_atom(symbol)


def _expressions(nodes: Sequence[Node], known: Mapping[Node, Expression]) -> list[Expression]:
    """Write nodes as formulas in the known ones."""
    found = dict(known)
    for node in topological(nodes, stop=lambda n: n in known):
        if node in found:
            continue
        if node.op is leaf and node.value is not None:
            found[node] = constant.write(as_node(node.value), [])
        else:
            found[node] = node.op.write(node, [found[x] for x in node.inputs])
    return [found[node] for node in nodes]


# Backward


def _edges(
    upper: Node,
    kept: Mapping[Node, None],
    symbols: Mapping[Node, Symbol],
    recording: Recording,
    target: Symbol,
) -> Iterator[Edge]:
    """The messages of one step to each step that it is computed from."""
    inside = topological([upper], stop=lambda n: n in kept and n is not upper)
    cotangent = new_leaf(upper.shape, upper.dtype, "cotangent")
    computed = messages(upper, cotangent, inside, kept, recording.tracked)
    as_written = messages(upper, cotangent, inside, kept, recording.tracked, written=True)
    adjoint = adjoint_symbol(target, symbols[upper])
    known = {n: _known(n, symbols[n]) for n in inside if n in kept}
    known[cotangent] = of_atom(adjoint)
    lowers = list(computed)
    given = {n: recording.values[n] for n in inside}
    values = evaluate([computed[x] for x in lowers], {cotangent: recording.gradients[upper], **given})
    ones = np.ones(upper.shape, upper.dtype)
    locals_ = evaluate([computed[x] for x in lowers], {cotangent: ones, **given})
    written = [upright(x) for x in _expressions([as_written[x] for x in lowers], known)]
    for lower, message, value, local in zip(lowers, written, values, locals_, strict=True):
        partial = without(message, adjoint)

        def send(gradient: Array, node: Node = computed[lower]) -> Array:
            return evaluate([node], {cotangent: gradient, **given})[0]

        yield Edge(upper, lower, message, partial, value, local if partial is not None else None, send)


def messages(
    upper: Node,
    cotangent: Node,
    inside: Sequence[Node],
    kept: Iterable[Node],
    tracked: set[Node],
    *,
    written: bool = False,
) -> dict[Node, Node]:
    """Run the reverse sweep from one step to the steps that it is computed from, and no further.

    With ``written``, use the partial derivatives as a person would write them, where a record has such a form.
    """
    sums = {upper: cotangent}
    for node in reversed(inside):
        message = sums.get(node)
        derivative = node.op.derivative
        if message is None or (node in kept and node is not upper) or not callable(derivative):
            continue
        if written and node.op.partials is not None:
            parts: Sequence[Any] = _parts_as_written(node, message)
        else:
            parts = derivative(message, node, *node.inputs, **node.params)
        for x, part in zip(node.inputs, parts, strict=True):
            if part is not None and x in tracked and is_float(x.dtype):
                sent = undo_broadcast(part, x)
                sums[x] = sums[x] + sent if x in sums else sent
    return {n: sums[n] for n in inside if n in kept and n is not upper and n in sums}


def _parts_as_written(node: Node, message: Node) -> list[Node]:
    """A node's messages, from the written partials of its record; those of a reduction keep the reduced axes."""
    y = node
    if isinstance(node.op.lowering, Reduction):
        kept = reduced_shape(node.inputs[0].shape, node.params["axis"], True)
        y, message = (movement.reshape(x, shape=kept) for x in (node, message))
    assert node.op.partials is not None
    return [message * part for part in node.op.partials(y, *node.inputs)]


def describe(step: Step) -> str:
    """The step as text: name and formula, or the name alone if it is given."""
    return step.symbol.text if step.formula is None else f"{step.symbol.text} = {write(step.formula)}"

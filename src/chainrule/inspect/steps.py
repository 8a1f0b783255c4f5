"""A graph as a person would tell it: a step for every quantity that has a name, formulas in between.

What has no name is written inside the formula of the step that needs it, unless it is long, needed twice, or
the argument of a function such as tanh: then it gets a name of its own, v1, v2 ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.backward import undo_broadcast
from chainrule.errors import SourceLine
from chainrule.graph import Node, as_node, new_leaf, topological
from chainrule.inspect.names import symbol_for
from chainrule.inspect.recording import Recording, is_leaf
from chainrule.interpret import evaluate
from chainrule.ops import contract, elementwise, movement
from chainrule.ops.notation import Expression, Symbol, of_atom, turned, upright, without, write
from chainrule.ops.record import Array, Lanes, Reduction, is_float
from chainrule.ops.reduce import reduced_shape
from chainrule.ops.source import constant, leaf

LONGEST = 6  # applications that one formula may hold

#: a person does not write them
UNWRITTEN = {movement.broadcast, movement.expand, movement.squeeze, movement.cast, movement.identity}
#: they cost a formula nothing
MOVES = {*UNWRITTEN, movement.reshape, movement.transpose}
#: what stays inside a formula however it is used
ARITHMETIC = {
    elementwise.add,
    elementwise.subtract,
    elementwise.multiply,
    elementwise.divide,
    elementwise.negative,
}


@dataclass
class Edge:
    """How a quantity enters another: ``message`` is what the upper one sends down, as formula and value.

    ``partial`` is the local derivative where the message is the upper gradient times it; None where it is
    not (the gradient of a matrix product is another one).
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
    """A quantity: its name, the formula it is computed by (None for what is given), and its value."""

    node: Node
    symbol: Symbol
    formula: Expression | None
    value: Array
    gradient: Array | None
    inputs: list[Node]
    line: SourceLine | None


@dataclass
class Steps:
    """All steps in order, and the edges on the way to what wants a gradient, by their lower end."""

    recording: Recording
    steps: dict[Node, Step]
    edges: dict[Node, list[Edge]]

    def __reduce__(self) -> Any:
        """What a pickle holds: names, values and gradients, not the graph that they are of."""
        names = self.recording.names
        told = [(names.get(s.node), s.symbol, s.value, s.gradient) for s in self.steps.values()]
        return _unpickled, (told,)

    def find(self, name: str) -> Step | None:
        """The step that is called so by the user, or as it is written."""
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
    """How the derivative of the target with respect to x is written."""
    return Symbol(
        f"∂{target.text}/∂{x.text}", rf"\frac{{\partial {target.latex}}}{{\partial {x.latex}}}", x.shape
    )


def steps_of(recording: Recording, *, every_node: bool = False, partials: bool = True) -> Steps:
    """Tell a recorded graph step by step; with ``every_node`` nothing is written inside another formula."""
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
                    told.edges.setdefault(edge.lower, []).insert(0, edge)
    return told


def _kept(recording: Recording) -> dict[Node, None]:
    """The nodes that are steps of their own, in order."""
    readers = _readers(recording.order)
    forced = {*recording.outputs, *recording.updates, *recording.names}
    weight: dict[Node, int] = {}
    kept: set[Node] = set()
    products: set[Node] = set()  # whose formula holds a matrix product

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
    """Whether an operand is a step of its own: z = W x + b before what uses it, h = tanh(z) before a product.

    Whatever a function such as tanh is applied to is one, unless it is short.
    """
    if reader.op is contract.matmul:
        return x.op not in ARITHMETIC and isinstance(x.op.lowering, Lanes)
    if weight < 2 or reader.op is elementwise.add:
        return False
    single_function = reader.op not in ARITHMETIC and isinstance(reader.op.lowering, Lanes)
    return x in products or (single_function and len(reader.inputs) == 1)


def _is_product(node: Node) -> bool:
    return node.op is contract.matmul and math.prod(node.shape) > 1


def source_of(node: Node) -> Node:
    """The node itself, or what it repeats, converts or moves."""
    while node.op in MOVES:
        node = node.inputs[0]
    return node


def _is_number(node: Node) -> bool:
    return node.op is constant and math.prod(node.shape) == 1


def _readers(order: Sequence[Node]) -> dict[Node, set[Node]]:
    """Who reads a node; those that a person does not write are looked through."""
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
    """The user's names; v1, v2 ... for what has none, skipping names that are taken."""
    taken = set(recording.names.values())
    free = (name for i in range(1, 10**9) if (name := f"v{i}") not in taken)
    given = (name for i in range(1, 10**9) if (name := f"p{i}") not in taken)
    return {
        node: symbol_for(
            recording.names.get(node) or next(given if is_leaf(node) else free),
            recording.shown[node].shape if node in recording.shown else node.shape,
        )
        for node in kept
    }


def _formula(
    node: Node, kept: Mapping[Node, None], symbols: Mapping[Node, Symbol]
) -> tuple[list[Node], Expression | None]:
    """The other steps that a step is computed from, and how; nothing for what is given."""
    if is_leaf(node):
        return [], None
    inside = topological([node], stop=lambda n: n in kept and n is not node)
    inputs = [n for n in inside if n in kept and n is not node]
    known = {n: _known(n, symbols[n]) for n in inputs}
    formula = _expressions([node], known)[0]
    return inputs, formula if formula.atom is not None else upright(formula)


def _known(node: Node, symbol: Symbol) -> Expression:
    """A step inside a formula: its symbol, turned where the user's vector enters lying down."""
    lies_down = len(symbol.shape) == 1 and len(node.shape) == 2 and node.shape[0] == 1 != node.shape[1]
    return turned(of_atom(symbol), node.shape) if lies_down else of_atom(symbol)


def _expressions(nodes: Sequence[Node], known: Mapping[Node, Expression]) -> list[Expression]:
    """Nodes as formulas in what is known."""
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
    """What one step sends to each step that it is computed from."""
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
    """The reverse sweep from one step to the steps it is computed from, and no further.

    ``written``: by the partials that a person would write, where a record has them.
    """
    sums = {upper: cotangent}
    for node in reversed(inside):
        message = sums.get(node)
        if message is None or (node in kept and node is not upper) or node.op.derivative is None:
            continue
        if written and node.op.partials is not None:
            parts: Sequence[Any] = _parts_as_written(node, message)
        else:
            parts = node.op.derivative(message, node, *node.inputs, **node.params)
        for x, part in zip(node.inputs, parts, strict=True):
            if part is not None and x in tracked and is_float(x.dtype):
                sent = undo_broadcast(part, x)
                sums[x] = sums[x] + sent if x in sums else sent
    return {n: sums[n] for n in inside if n in kept and n is not upper and n in sums}


def _parts_as_written(node: Node, message: Node) -> list[Node]:
    """What a node sends, by the partials of its record: a reduction's have the reduced axes kept."""
    y = node
    if isinstance(node.op.lowering, Reduction):
        kept = reduced_shape(node.inputs[0].shape, node.params["axis"], True)
        y, message = (movement.reshape(x, shape=kept) for x in (node, message))
    assert node.op.partials is not None
    return [message * part for part in node.op.partials(y, *node.inputs)]


def describe(step: Step) -> str:
    """The step's formula as text, its name alone for what is given."""
    return step.symbol.text if step.formula is None else f"{step.symbol.text} = {write(step.formula)}"

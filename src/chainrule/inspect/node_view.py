"""Draws a graph node by node: a card per quantity, and the partial derivative on each edge.

Lectures: E20, E24.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from chainrule.data.describe import list_some
from chainrule.errors import SettingError, caller_line, place_in_short
from chainrule.foreign_text import clipped
from chainrule.graph import Node
from chainrule.inspect import values
from chainrule.inspect.cards import Arrow, Board, Card
from chainrule.inspect.recording import is_leaf
from chainrule.inspect.scene import shortened
from chainrule.inspect.steps import Edge, Step, Steps, adjoint_symbol, describe
from chainrule.ops.notation import write
from chainrule.ops.record import Array

FEW_EDGES = 20  # up to which every edge is labelled
LONGEST_FORMULA = 44

Path = str | Sequence[str] | None


def board_of_nodes(told: Steps, path: Path = None) -> Board:
    """Make a card for each step, and an arrow for each use of a step."""
    highlighted = None if path is None else edges_on(told, path)
    marked = {node for pair in highlighted or () for node in pair}
    number = {node: i for i, node in enumerate(told.steps)}
    edges = {(e.lower, e.upper): e for below in told.edges.values() for e in below}
    pairs = [(x, node) for node, step in told.steps.items() for x in step.inputs]
    labelled = len(edges) <= FEW_EDGES
    board = Board(title_of(told))
    board.cards = [card_of(told, step, node in marked) for node, step in told.steps.items()]
    for x, node in pairs:
        edge = edges.get((x, node))
        role = "edge" if highlighted is None else "highlight" if (x, node) in highlighted else "faint"
        label = _label(told, edge) if edge is not None and labelled else ()
        title = "" if edge is None else ": ".join(_label(told, edge, longest=200))
        board.arrows.append(Arrow(number[x], number[node], label, role, title))
    return board


def title_of(told: Steps) -> str:
    """The title of a drawing: what the graph computes."""
    outputs = [told.steps[node].symbol.text for node in told.recording.outputs if node in told.steps]
    return f"Computation graph of {list_some(outputs)}" if outputs else "Computation graph"


def card_of(told: Steps, step: Step, highlighted: bool = False) -> Card:
    """A card with name and formula, value, and gradient."""
    formula = describe(step)
    lines = [(shortened(formula, LONGEST_FORMULA), "name")]
    lines.append((value_text(step.value), "value"))
    full = [formula, f"value {values.array(step.value, few=64)}"]
    if step.gradient is not None and told.recording.target is not None:
        name = adjoint_symbol(told.steps[told.recording.target].symbol, step.symbol).text
        lines.append((f"{name} = {value_text(step.gradient)}", "gradient"))
        full.append(f"gradient {values.array(step.gradient, few=64)}")
    if step.line is not None:
        full.append(clipped(place_in_short(step.line)))
    return Card(tuple(lines), "highlight" if highlighted else role_of(told, step), "\n".join(full))


def role_of(told: Steps, step: Step) -> str:
    """The role of a step's card, which determines its colour."""
    if step.node in told.recording.outputs or step.node in told.recording.updates:
        return "target"
    if not is_leaf(step.node):
        return "step"
    return "parameter" if step.node in told.recording.tracked else "data"


def value_text(value: Array) -> str:
    """A value as shown in a card: four digits; shape and range of a large array."""
    if value.size <= values.FEW and value.ndim <= 1:
        return values.array(value, 4)
    return f"{values.shape_text(value.shape)} {values.span(value, 3)}".replace("from ", "").replace(
        " to ", " … "
    )


def _label(told: Steps, edge: Edge, longest: int = 30) -> tuple[str, ...]:
    """The partial derivative on an edge, as formula and value; the message where there is no such factor."""
    upper, lower = told.steps[edge.upper].symbol, told.steps[edge.lower].symbol
    if edge.partial is None:
        return (shortened(write(edge.message), longest),)
    formula = write(edge.partial)
    line = f"{adjoint_symbol(upper, lower).text} = {formula}"
    value = "" if edge.partial_value is None else values.array(edge.partial_value, 4)
    if edge.partial.number is not None or not value or len(value) > longest:
        return (shortened(line, longest),)
    return (shortened(line, longest), f"= {value}")


def edges_on(told: Steps, path: str | Iterable[str]) -> set[tuple[Node, Node]]:
    """The edges on the paths from a quantity to the target, or on the paths through all quantities named."""
    names = [path] if isinstance(path, str) else list(path)
    nodes = []
    for name in names:
        step = told.find(name)
        if step is None:
            raise SettingError(
                f"nothing in this drawing is called {clipped(name)}",
                expected=list_some([s.symbol.text for s in told.steps.values()], limit=20),
                got=clipped(name),
                where=caller_line(),
            )
        nodes.append(step.node)
    above: dict[Node, list[Node]] = {}
    for node, step in told.steps.items():
        for x in step.inputs:
            above.setdefault(x, []).append(node)
    if len(nodes) > 1:
        return {pair for a, b in pairwise(nodes) for pair in _between(told, above, a, b)}
    ends = told.recording.outputs
    return {pair for end in ends for pair in _between(told, above, nodes[0], end)}


def _between(told: Steps, above: dict[Node, list[Node]], start: Node, end: Node) -> set[tuple[Node, Node]]:
    """The edges that lie on a path from one node to another."""
    reached = {start}
    for node, step in told.steps.items():
        if any(x in reached for x in step.inputs):
            reached.add(node)
    leading = {end}
    for node in reversed(told.steps):
        if any(y in leading for y in above.get(node, ())):
            leading.add(node)
    both = reached & leading
    return {(x, node) for node in both for x in told.steps[node].inputs if x in both}

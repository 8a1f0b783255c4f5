"""Draws a graph component by component: a row per element, an arrow per partial derivative (lecture E)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.graph import Node
from chainrule.inspect import values
from chainrule.inspect.cards import PAD_X, with_caption
from chainrule.inspect.components import Jacobians
from chainrule.inspect.layout import layered
from chainrule.inspect.node_view import Path, edges_on, role_of, title_of
from chainrule.inspect.scene import (
    Box,
    Curve,
    Item,
    Point,
    Scene,
    Text,
    label_curves,
    shortened,
    smooth,
    text_width,
)
from chainrule.inspect.steps import Edge, Step, Steps, describe
from chainrule.ops.notation import write

MOST_ROWS = 8
ROW = 19.0
HEAD = 26.0
FEW_ARROWS = 24  # up to which every arrow is labelled with its partial derivative


@dataclass
class _Table:
    """A step with its elements as rows; ``rows`` holds the elements shown, with None last if there are more."""

    step: Step
    rows: list[int | None]
    columns: tuple[float, float, float]
    width: float

    @property
    def size(self) -> tuple[float, float]:
        return self.width, HEAD + ROW * len(self.rows) + 6

    def row_y(self, row: int, centre: Point) -> float:
        return centre[1] - self.size[1] / 2 + HEAD + ROW * (row + 0.5)


@dataclass(frozen=True)
class _Link:
    """An arrow between two rows; ``partial`` is None where a row stands for many elements."""

    edge: Edge
    start: int
    end: int
    partial: float | None


def scene_of_components(told: Steps, path: Path = None) -> Scene:
    """Paint each quantity as a table of its elements, with the partial derivatives between them as arrows."""
    highlighted = None if path is None else edges_on(told, path)
    tables = {node: _table(step) for node, step in told.steps.items()}
    number = {node: i for i, node in enumerate(tables)}
    edges = [edge for below in told.edges.values() for edge in below]
    pairs = [(number[e.lower], number[e.upper]) for e in edges]
    differentiated = set(pairs)
    used = [(number[x], number[n]) for n, step in told.steps.items() for x in step.inputs]
    plain = [pair for pair in used if pair not in differentiated]
    links = {i: _links(Jacobians(told), e, tables[e.lower], tables[e.upper]) for i, e in enumerate(edges)}
    widest = max((len(found) for found in links.values()), default=1)
    placed = layered(
        [table.size for table in tables.values()],
        [*pairs, *plain],
        layer_gap=90 if widest < 12 else 130,
        spread=False,
    )
    centres = dict(zip(tables, placed.centres, strict=True))
    scene = Scene(f"{title_of(told)}, component by component", "")
    curves: list[Curve] = []
    labels: list[str] = []
    for i, edge in enumerate(edges):
        faded = highlighted is not None and (edge.lower, edge.upper) not in highlighted
        painted = _painted_links(told, tables, centres, placed.routes[i], links[i], faded)
        curves += painted
        labels += [_partial_text(link) for link in links[i]]
    for route in placed.routes[len(pairs) :]:  # integers, and inputs without a derivative
        start, pieces = smooth(route, down=False)
        scene.items.append(Curve(start, pieces, "faint", 1.4))
    scene.items += curves
    if len(curves) <= FEW_ARROWS:
        known = [(c, text) for c, text in zip(curves, labels, strict=True) if text]
        scene.items += label_curves([c for c, _ in known], [text for _, text in known])
    for node, table in tables.items():
        scene.items += _painted_table(told, table, centres[node], highlighted, node)
    rows = [describe(table.step) for table in tables.values()]
    scene.description = ". ".join(rows)
    legend = {"positive": "positive partial derivative", "negative": "negative"}
    return with_caption(scene.fit(), "thicker: larger; rows are: element, value, gradient", legend)


def _table(step: Step) -> _Table:
    size = step.value.size
    shown: list[int | None] = list(range(size)) if size <= MOST_ROWS else [*range(MOST_ROWS - 1), None]
    names = [_index(step, i) for i in shown]
    numbers = [_number(step.value, i) for i in shown]
    gradients = [] if step.gradient is None else [_number(step.gradient, i) for i in shown]
    widths = [
        max((text_width(text, 12, role) for text in column), default=0.0)
        for column, role in ((names, "muted"), (numbers, "value"), (gradients, "gradient"))
    ]
    inner = sum(widths) + 12 * (sum(w > 0 for w in widths) - 1)
    width = max(inner, text_width(_head(step), 13, "name")) + 2 * PAD_X
    return _Table(step, shown, (widths[0], widths[1], widths[2]), width)


def _head(step: Step) -> str:
    return shortened(describe(step), 34)


def _index(step: Step, i: int | None) -> str:
    if i is None:
        return "⋮"
    if step.value.size == 1:
        return ""
    return f"[{', '.join(str(int(k)) for k in np.unravel_index(i, step.value.shape))}]"


def _number(array: np.ndarray, i: int | None) -> str:
    return f"{array.size - MOST_ROWS + 1} more" if i is None else values.number(array.reshape(-1)[i], 4)


def _links(jacobians: Jacobians, edge: Edge, lower: _Table, upper: _Table) -> list[_Link]:
    """Arrows between the rows shown, one for each partial derivative that is not zero."""
    found = []
    rest_below, rest_above = None in lower.rows, None in upper.rows
    for k, i in enumerate(upper.rows):
        if i is None:
            continue
        partials = jacobians.row(edge, i)
        for m, j in enumerate(lower.rows):
            if j is not None and partials[j] != 0:
                found.append(_Link(edge, m, k, float(partials[j])))
        if rest_below and partials[MOST_ROWS - 1 :].any():
            found.append(_Link(edge, len(lower.rows) - 1, k, None))
    if rest_above:
        found.append(_Link(edge, len(lower.rows) - 1, len(upper.rows) - 1, None))
    return found


def _painted_links(
    told: Steps,
    tables: dict[Node, _Table],
    centres: dict[Node, Point],
    route: list[Point],
    links: list[_Link],
    faded: bool,
) -> list[Curve]:
    if not links:
        return []
    edge = links[0].edge
    lower, upper = tables[edge.lower], tables[edge.upper]
    largest = max((abs(link.partial) for link in links if link.partial is not None), default=1.0)
    names = told.steps[edge.lower].symbol.text, told.steps[edge.upper].symbol.text
    items = []
    for link in links:
        start = (route[0][0], lower.row_y(link.start, centres[edge.lower]))
        end = (route[-1][0], upper.row_y(link.end, centres[edge.upper]))
        first, pieces = smooth([start, *route[1:-1], end], down=False)
        if link.partial is None:
            items.append(Curve(first, pieces, "faint", 1.2, arrow=False))
            continue
        size = abs(link.partial) / largest
        role = "positive" if link.partial > 0 else "negative"
        above = f"∂{names[1]}{_index(upper.step, upper.rows[link.end])}"
        below = f"∂{names[0]}{_index(lower.step, lower.rows[link.start])}"
        title = f"{above}/{below} = {values.number(link.partial)}"
        items.append(
            Curve(first, pieces, role, 0.9 + 2.2 * size, 0.15 if faded else 0.45 + 0.5 * size, title=title)
        )
    return items


def _partial_text(link: _Link) -> str:
    return "" if link.partial is None else values.number(link.partial, 3)


def _painted_table(
    told: Steps, table: _Table, centre: Point, highlighted: set[tuple[Node, Node]] | None, node: Node
) -> list[Item]:
    width, height = table.size
    x, y = centre[0] - width / 2, centre[1] - height / 2
    marked = highlighted is not None and any(node in pair for pair in highlighted)
    role = "highlight" if marked else role_of(told, table.step)
    formula = table.step.formula
    title = table.step.symbol.text if formula is None else f"{table.step.symbol.text} = {write(formula)}"
    items: list[Item] = [
        Box(x, y, width, height, role, title),
        Text(x + PAD_X, y + 18, _head(table.step), "name"),
    ]
    gradient = table.step.gradient
    for k, i in enumerate(table.rows):
        base = y + HEAD + ROW * k + 14
        value_end = x + PAD_X + table.columns[0] + (12 if table.columns[0] else 0) + table.columns[1]
        items.append(Text(x + PAD_X, base, _index(table.step, i), "muted", 12))
        items.append(Text(value_end, base, _number(table.step.value, i), "value", 12, "end"))
        if gradient is not None and i is not None:
            end = x + width - PAD_X
            items.append(Text(end, base, _number(gradient, i), "gradient", 12, "end"))
    return items

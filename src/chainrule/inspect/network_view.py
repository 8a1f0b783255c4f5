"""Draws a network as neurons and weights: a column per layer; colour and width of an edge show its weight."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.errors import SettingError
from chainrule.foreign_text import clipped
from chainrule.inspect import values
from chainrule.inspect.layout import layered
from chainrule.inspect.scene import (
    Curve,
    Disc,
    Item,
    Point,
    Scene,
    Text,
    label_curves,
    moved_by,
    shortened,
    smooth,
    text_width,
)
from chainrule.ops.record import Array

MOST_NEURONS = 10  # of one layer
MOST_EDGES_LABELLED = 14
RADIUS = 21.0
COLUMN_GAP = 120.0


@dataclass
class Neuron:
    """One neuron, or a placeholder for ``hidden`` neurons that are not drawn."""

    name: str
    column: int
    u: float | None = None
    v: float | None = None
    gradient: float | None = None
    bias: float | None = None
    hidden: int = 0
    output: bool = False


@dataclass
class Net:
    """A network to be drawn: neurons in columns, edges with weights and, if known, gradients."""

    title: str
    neurons: list[Neuron] = field(default_factory=list)
    edges: list[tuple[int, int, float, float | None]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)  # one for each column
    caption: str = ""
    fixed: bool = True  # neurons keep their order in the column


def scene_of_network(net: Net) -> Scene:
    """Paint neurons as discs shaded by their values, and edges by their weights."""
    sizes = [_size(neuron) for neuron in net.neurons]
    ranks = [neuron.column for neuron in net.neurons]
    pairs = [(a, b) for a, b, _, _ in net.edges]
    placed = layered(
        sizes,
        pairs,
        ranks=ranks if net.fixed else None,
        gap=12,
        layer_gap=COLUMN_GAP,
        spread=False,
    )
    centres = placed.centres
    scene = Scene(net.title, _in_words(net))
    largest = max((abs(w) for _, _, w, _ in net.edges), default=1.0) or 1.0
    order = sorted(range(len(net.edges)), key=lambda i: abs(net.edges[i][2]))
    curves = [_painted_edge(net, i, centres, placed.routes[i], largest) for i in order]
    scene.items += curves
    if len(net.edges) <= MOST_EDGES_LABELLED:
        scene.items += label_curves(curves, [values.number(net.edges[i][2], 3) for i in order])
    for neuron, centre in zip(net.neurons, centres, strict=True):
        scene.items += _painted_neuron(neuron, centre)
    scene.items += _headings(net, centres)
    return _with_legend(scene.fit(), net, largest)


def _rows(neuron: Neuron) -> list[tuple[str, str]]:
    """The lines below a disc: u and the gradient."""
    rows = []
    if neuron.u is not None:
        rows.append((f"u {values.number(neuron.u, 3)}", "muted"))
    if neuron.gradient is not None:
        rows.append((f"∂ {values.number(neuron.gradient, 3)}", "gradient"))
    return rows


def _size(neuron: Neuron) -> tuple[float, float]:
    if neuron.hidden:
        return 2 * RADIUS, 40.0
    rows = _rows(neuron)
    width = max([2 * RADIUS, *(text_width(text, 11, role) for text, role in rows)])
    name = 15.0 if neuron.name else 0.0
    return width, 2 * RADIUS + 14.0 * len(rows) + name + 2


def _painted_edge(net: Net, i: int, centres: Sequence[Point], route: list[Point], largest: float) -> Curve:
    a, b, weight, gradient = net.edges[i]
    (x0, y0), (x1, y1) = centres[a], centres[b]
    size = abs(weight) / largest
    role = "positive" if weight > 0 else "negative" if weight < 0 else "zero"
    title = f"{net.neurons[a].name} → {net.neurons[b].name}: weight {values.number(weight)}"
    if gradient is not None:
        title += f", gradient {values.number(gradient)}"
    points = [(x0 + RADIUS, y0), *route[1:-1], (x1 - RADIUS, y1)]
    start, pieces = smooth(points, down=False)
    return Curve(start, pieces, role, 0.6 + 4.0 * size, 0.3 + 0.65 * size, arrow=False, title=title)


def _painted_neuron(neuron: Neuron, centre: Point) -> list[Item]:
    x, y = centre
    if neuron.hidden:
        return [
            Text(x, y - 2, "⋮", "muted", 15, "middle"),
            Text(x, y + 14, f"{neuron.hidden} more", "muted", 11, "middle"),
        ]
    facts = [neuron.name or "neuron"]
    for what, number in (
        ("u", neuron.u),
        ("v", neuron.v),
        ("bias", neuron.bias),
        ("gradient", neuron.gradient),
    ):
        if number is not None:
            facts.append(f"{what} = {values.number(number)}")
    role = "target" if neuron.output else "neuron"
    shade = None if neuron.v is None else float(np.clip(neuron.v, -1, 1)) * 0.6
    items: list[Item] = [Disc(x, y, RADIUS, role, "\n".join(facts), shade)]
    if neuron.name:
        items.append(Text(x, y - RADIUS - 4, shortened(neuron.name, 9), "name", 11.5, "middle"))
    if neuron.v is not None:
        items.append(Text(x, y + 4, values.number(neuron.v, 2), "value", 10, "middle"))
    for k, (text, role) in enumerate(_rows(neuron)):
        items.append(Text(x, y + RADIUS + 13 + 14 * k, text, role, 11, "middle"))
    return items


def _headings(net: Net, centres: Sequence[Point]) -> list[Item]:
    if not net.headings:
        return []
    top = min(y for _, y in centres) - RADIUS - 34
    columns = {neuron.column: centre[0] for neuron, centre in zip(net.neurons, centres, strict=True)}
    items: list[Item] = []
    for column, heading in enumerate(net.headings):
        *kinds, count = heading.split("\n")
        items.append(Text(columns[column], top, count, "muted", 11, "middle"))
        for k, line in enumerate(reversed(kinds)):
            items.append(Text(columns[column], top - 14 * (k + 1), line, "heading", 12, "middle"))
    return items


def _with_legend(scene: Scene, net: Net, largest: float) -> Scene:
    """Add what colour and width mean below the drawing."""
    y = scene.height + 2
    x = 18.0
    items = list(scene.items)
    for role, text in (
        ("positive", f"positive, up to {values.number(largest, 3)} in size"),
        ("negative", "negative weight"),
    ):
        start, pieces = smooth([(x, y - 4), (x + 26, y - 4)], down=False)
        items += [Curve(start, pieces, role, 3.2, 0.9, arrow=False), Text(x + 32, y, text, "muted", 11.5)]
        x += 32 + text_width(text, 11.5) + 18
    caption = net.caption
    if caption:
        items.append(Text(18, y + 17, caption, "muted", 11.5))
    width = max(scene.width, x, 18 + text_width(caption, 11.5) + 16)
    offset = (width - scene.width) / 2
    items[: len(scene.items)] = [moved_by(item, offset, 0.0) for item in scene.items]
    return Scene(scene.title, scene.description, width, scene.height + (36 if caption else 19), items)


def _in_words(net: Net) -> str:
    columns: dict[int, int] = {}
    for neuron in net.neurons:
        columns[neuron.column] = columns.get(neuron.column, 0) + (neuron.hidden or 1)
    sizes = ", ".join(str(columns[c]) for c in sorted(columns))
    return f"{net.title}: layers of {sizes} neurons. {net.caption}"


# From layers


@dataclass
class Layer:
    """A layer of neurons: known values as arrays [neurons], ``weight`` [neurons, neurons below]."""

    heading: str
    count: int
    names: Sequence[str] = ()
    weight: Array | None = None
    weight_gradient: Array | None = None
    bias: Array | None = None
    u: Array | None = None
    v: Array | None = None
    gradient: Array | None = None


def net_of_layers(title: str, layers: Sequence[Layer], caption: str = "") -> Net:
    """A fully connected network; the middle of a wide layer is omitted."""
    net = Net(title, caption=caption, headings=[layer.heading for layer in layers])
    places: list[list[int | None]] = []  # for each layer the neurons shown, None for the gap
    starts = []
    for column, layer in enumerate(layers):
        shown = shown_of(layer.count)
        starts.append(len(net.neurons))
        places.append(shown)
        for i in shown:
            net.neurons.append(_neuron(layer, i, column, column == len(layers) - 1))
    for column in range(1, len(layers)):
        weight, gradient = layers[column].weight, layers[column].weight_gradient
        if weight is None:
            raise SettingError("a layer without weights has no edges to draw")
        for b, i in enumerate(places[column]):
            for a, j in enumerate(places[column - 1]):
                if i is not None and j is not None:
                    slope = None if gradient is None else float(gradient[i, j])
                    edge = (starts[column - 1] + a, starts[column] + b, float(weight[i, j]), slope)
                    net.edges.append(edge)
    return net


def shown_of(count: int) -> list[int | None]:
    """The neurons of a layer that are drawn: of a wide one the first and last few, with None for the gap.

    >>> shown_of(3), shown_of(64)
    ([0, 1, 2], [0, 1, 2, 3, None, 60, 61, 62, 63])
    """
    if count <= MOST_NEURONS:
        return list(range(count))
    half = (MOST_NEURONS - 2) // 2
    return [*range(half), None, *range(count - half, count)]


def _neuron(layer: Layer, i: int | None, column: int, output: bool) -> Neuron:
    if i is None:
        return Neuron("", column, hidden=layer.count - (MOST_NEURONS - 2))

    def at(array: Array | None) -> float | None:
        return None if array is None else float(array[i])

    name = layer.names[i] if layer.names else ""
    return Neuron(name, column, at(layer.u), at(layer.v), at(layer.gradient), at(layer.bias), 0, output)


def net_of_graph(
    title: str,
    neurons: Sequence[Hashable],
    edges: Sequence[tuple[Hashable, Hashable]],
    weights: Array,
    facts: Mapping[str, Mapping[Hashable, float]],
    outputs: Sequence[Hashable],
    caption: str = "",
) -> Net:
    """Any directed graph; ``facts`` holds u, v, gradient and bias by neuron, as far as known."""
    number = {neuron: i for i, neuron in enumerate(neurons)}
    last = set(outputs)
    made = [
        Neuron(
            clipped(n),
            0,
            u=facts.get("u", {}).get(n),
            v=facts.get("v", {}).get(n),
            gradient=facts.get("gradient", {}).get(n),
            bias=facts.get("bias", {}).get(n),
            output=n in last,
        )
        for n in neurons
    ]
    links: list[tuple[int, int, float, float | None]] = [
        (number[a], number[b], float(w), None) for (a, b), w in zip(edges, weights.tolist(), strict=True)
    ]
    return Net(title, made, links, [], caption, fixed=False)

"""Condenses long graphs: nodes that belong together share a card, and a long middle is elided.

Each group is a consecutive run of one topological order, so the drawing has no cycle.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.errors import SourceLine, place_in_short
from chainrule.foreign_text import WIDTH, clipped
from chainrule.graph import Node, topological
from chainrule.inspect import values
from chainrule.inspect.cards import Arrow, Board, Card
from chainrule.inspect.names import symbol_for
from chainrule.inspect.node_view import value_text
from chainrule.inspect.recording import Recording, is_leaf
from chainrule.inspect.scene import shortened
from chainrule.inspect.steps import Steps, describe

LONGEST_TITLE = 46
MOST_SHOWN = 15  # groups, where there are too many to show all

#: the name of the group that a node belongs to: a module, or a line of the user's code
Label = Callable[[Node], str]


@dataclass
class Group:
    """Nodes that are drawn as one card."""

    label: str
    nodes: list[Node] = field(default_factory=list)
    parts: int = 1  # the number of groups that it stands for


def board_of_groups(recording: Recording, label: Label, title: str, limit: int) -> Board:
    """Make a card for each group, about ``limit`` at most."""
    groups = [g for g in _grouped(recording, label) if g.nodes]
    groups = _elided(groups, limit)
    home = {node: i for i, group in enumerate(groups) for node in group.nodes}
    arrows: dict[tuple[int, int], int] = {}
    for group in groups:
        for node in group.nodes:
            for x in node.inputs:
                if home.get(x, home[node]) != home[node]:
                    pair = (home[x], home[node])
                    arrows[pair] = arrows.get(pair, 0) + 1
    board = Board(title)
    board.cards = [_card(recording, group, home) for group in groups]
    board.arrows = [
        Arrow(u, v, title=f"{count} values" if count > 1 else "") for (u, v), count in arrows.items()
    ]
    hidden = sum(len(g.nodes) for g in groups)
    board.caption = f"{hidden} nodes"
    return board


def _grouped(recording: Recording, label: Label) -> list[Group]:
    """Split a topological order that keeps labels together into runs of one label; leaves join their reader."""
    order = _clustered(recording.order, label)
    groups: list[Group] = []
    for node in order:
        if is_leaf(node):
            continue
        name = label(node)
        if not groups or groups[-1].label != name:
            groups.append(Group(name))
        groups[-1].nodes.append(node)
    home = {node: i for i, group in enumerate(groups) for node in group.nodes}
    used: dict[Node, set[int]] = {}
    for node, number in home.items():
        for x in node.inputs:
            if is_leaf(x):
                used.setdefault(x, set()).add(number)
    shared = []
    for leaf, at in used.items():
        if len(at) == 1 or leaf.op.name == "constant":
            groups[min(at)].nodes.insert(0, leaf)
        else:
            called = recording.names.get(leaf)
            kind = "parameter" if leaf in recording.tracked else "data"
            shared.append(Group(kind if called is None else symbol_for(called).text, [leaf]))
    return [*_together(shared), *groups]


def _together(leaves: list[Group]) -> list[Group]:
    """Leaves that several groups read: a group for each, or one for all if there are many."""
    if len(leaves) <= 8:
        return leaves
    return [Group(f"{len(leaves)} parameters and inputs", [group.nodes[0] for group in leaves])]


def _clustered(order: Sequence[Node], label: Label) -> list[Node]:
    """A topological order that stays with one label as long as possible, built from its end."""
    waiting = dict.fromkeys(order, 0)
    for node in order:
        for x in dict.fromkeys(node.inputs):
            waiting[x] += 1
    ready: dict[str, list[Node]] = {}
    for node in order:
        if not waiting[node]:
            ready.setdefault(label(node), []).append(node)
    done: list[Node] = []
    current = ""
    while ready:
        if current not in ready:
            current = next(reversed(ready))
        node = ready[current].pop()
        if not ready[current]:
            del ready[current]
        done.append(node)
        for x in dict.fromkeys(node.inputs):
            waiting[x] -= 1
            if not waiting[x]:
                ready.setdefault(current if is_leaf(x) else label(x), []).append(x)
    return done[::-1]


def _elided(groups: list[Group], limit: int) -> list[Group]:
    """The first and last groups, and one group for all in between."""
    if len(groups) <= limit:
        return groups
    head, tail = MOST_SHOWN // 2, MOST_SHOWN - MOST_SHOWN // 2 - 1
    middle = groups[head : len(groups) - tail]
    more = Group(f"⋯ {len(middle)} more", [node for group in middle for node in group.nodes], len(middle))
    return [*groups[:head], more, *groups[len(groups) - tail :]]


def _card(recording: Recording, group: Group, home: Mapping[Node, int]) -> Card:
    """A card with the group's label, its contents, and the last value that others read."""
    computed = [node for node in group.nodes if not is_leaf(node)]
    if not computed:
        return _leaf_card(recording, group)
    own = home[group.nodes[0]]
    leaving = {x for node, at in home.items() if at != own for x in node.inputs if home.get(x) == own}
    last = next((n for n in reversed(computed) if n in leaving or n in recording.outputs), computed[-1])
    lines = [(shortened(clipped(group.label, WIDTH), LONGEST_TITLE), "name")]
    inside = _contents(group, computed)
    lines.append((shortened(inside, LONGEST_TITLE + 8), "muted"))
    written = [node for node in computed if node in recording.updates]
    if written:
        lines.append((f"assigns {_names(recording, written)}", "value"))
    if not written or last in recording.outputs:
        lines.append((value_text(recording.values[last]), "value"))
    gradient = recording.gradients.get(last)
    if gradient is not None:
        lines.append((f"gradient {value_text(gradient)}", "gradient"))
    ends = any(node in recording.outputs or node in recording.updates for node in computed)
    role = "more" if group.parts > 1 else "target" if ends else "group"
    listed = "\n".join(f"{n.op.name} {values.shape_text(n.shape)}" for n in computed[:30])
    return Card(
        tuple(lines), role, f"{clipped(group.label, WIDTH)}\n{listed}{'…' if len(computed) > 30 else ''}"
    )


def _names(recording: Recording, written: Sequence[Node]) -> str:
    """What gets new values: parameters by name, the rest by number."""
    leaves = [recording.updates[node] for node in written]
    named = [symbol_for(recording.names[leaf]).text for leaf in leaves if leaf in recording.names]
    others = len(leaves) - len(named)
    parts = [*named[:4], *(["…"] if len(named) > 4 else []), *([f"{others} states"] if others else [])]
    return ", ".join(parts)


def _contents(group: Group, computed: Sequence[Node]) -> str:
    if len(computed) == 1 and group.parts == 1:
        return computed[0].op.name
    counts: dict[str, int] = {}
    for node in computed:
        counts[node.op.name] = counts.get(node.op.name, 0) + 1
    often = sorted(counts, key=lambda name: -counts[name])
    names = ", ".join(f"{counts[n]} {n}" if counts[n] > 1 else n for n in often[:4])
    return f"{len(computed)} nodes: {names}{' …' if len(often) > 4 else ''}"


def _leaf_card(recording: Recording, group: Group) -> Card:
    tracked = any(node in recording.tracked for node in group.nodes)
    lines = [(clipped(group.label), "name")]
    if len(group.nodes) == 1:
        lines.append((value_text(recording.values[group.nodes[0]]), "value"))
        gradient = recording.gradients.get(group.nodes[0])
        if gradient is not None:
            lines.append((f"gradient {value_text(gradient)}", "gradient"))
    else:
        total = sum(node.value.size for node in group.nodes if node.value is not None)
        lines.append((f"{total} numbers", "muted"))
    return Card(tuple(lines), "parameter" if tracked else "data")


def label_by_line(recording: Recording) -> Label:
    """Label nodes by the line of the user's code that made them; in a training step, gradients are labelled apart."""
    forward = set(topological(recording.outputs)) if recording.updates else set(recording.order)
    lines = {node.line for node in forward}

    def label(node: Node) -> str:
        if node.line is None:
            return "elsewhere"
        behind = node not in forward and node.line in lines
        return f"gradients of {text_of(node.line)}" if behind else text_of(node.line)

    return label


def label_by_step(told: Steps) -> Label:
    """Label nodes by the step whose formula contains them, for graphs made by very few lines of code."""
    labels: dict[Node, str] = {}
    for node, step in told.steps.items():
        text = describe(step)
        for inner in topological([node], stop=_another_step(told, node)):
            if inner is node or inner not in told.steps:
                labels.setdefault(inner, text)
    return lambda node: labels.get(node, node.op.name)


def text_of(line: SourceLine) -> str:
    """A line of code as ``12: loss = ...``, or its file and number if the text cannot be read."""
    text = linecache.getline(*line).strip()
    return clipped(f"{line[1]}: {text}" if text else place_in_short(line), WIDTH)


def _another_step(told: Steps, node: Node) -> Callable[[Node], bool]:
    return lambda other: other in told.steps and other is not node

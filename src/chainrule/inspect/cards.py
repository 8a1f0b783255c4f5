"""Cards (boxes with lines of text) and the arrows between them, of which most drawings consist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.inspect.layout import layered
from chainrule.inspect.scene import Box, Curve, Item, Point, Scene, Text, smooth, text_width

LINE = 17.0  # pixels from one line to the next
PAD_X, PAD_Y = 10.0, 8.0
WIDEST = 1500.0  # pixels up to which a drawing runs from left to right


@dataclass(frozen=True)
class Card:
    """A box with lines of (text, role); ``role`` determines its colour, ``title`` is the tooltip with all details."""

    lines: tuple[tuple[str, str], ...]
    role: str = "step"
    title: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        width = max(text_width(text, 13, role) for text, role in self.lines)
        return width + 2 * PAD_X, LINE * len(self.lines) + 2 * PAD_Y - 3


@dataclass(frozen=True)
class Arrow:
    """An edge between two cards, given by their indices; ``label`` holds the lines of text at its middle."""

    start: int
    end: int
    label: tuple[str, ...] = ()
    role: str = "edge"
    title: str = ""


@dataclass
class Board:
    """Cards and arrows before they are laid out."""

    title: str
    cards: list[Card] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    caption: str = ""


def paint(board: Board, direction: str) -> Scene:
    """Lay out a board and paint it; "auto" runs from left to right unless that is too wide."""
    if direction == "auto":
        across = _painted(board, down=False)
        if across.width <= WIDEST:
            return across
        along = _painted(board, down=True)
        return along if along.width < across.width else across
    return _painted(board, down=direction == "down")


def _painted(board: Board, *, down: bool) -> Scene:
    edges = [(arrow.start, arrow.end) for arrow in board.arrows]
    labels = {i: _label_size(arrow.label) for i, arrow in enumerate(board.arrows) if arrow.label}
    gap = 38 if labels else 56  # labels have layers of their own, with a gap on both sides
    placed = layered([card.size for card in board.cards], edges, down=down, labels=labels, layer_gap=gap)
    scene = Scene(board.title, describe(board))
    for arrow, route in zip(board.arrows, placed.routes, strict=True):
        start, pieces = smooth(route, down=down)
        width = 2.4 if arrow.role == "highlight" else 1.4
        scene.items.append(Curve(start, pieces, arrow.role, width, title=arrow.title))
    for i, centre in placed.labels.items():
        scene.items += _painted_label(board.arrows[i], centre, labels[i])
    for card, centre in zip(board.cards, placed.centres, strict=True):
        scene.items += painted_card(card, centre)
    return with_caption(scene.fit(), board.caption)


def describe(board: Board) -> str:
    """The text of the drawing, for screen readers."""
    rows = ["; ".join(text for text, _ in card.lines) for card in board.cards]
    return ". ".join(rows)


def painted_card(card: Card, centre: Point) -> list[Item]:
    """A card's box and its lines."""
    width, height = card.size
    x, y = centre[0] - width / 2, centre[1] - height / 2
    items: list[Item] = [Box(x, y, width, height, card.role, card.title)]
    for i, (text, role) in enumerate(card.lines):
        items.append(Text(x + PAD_X, y + PAD_Y + LINE * i + 11, text, role))
    return items


def _label_size(label: Sequence[str]) -> tuple[float, float]:
    return max(text_width(text, 12) for text in label) + 8, 15.0 * len(label) + 4


def _painted_label(arrow: Arrow, centre: Point, size: tuple[float, float]) -> list[Item]:
    x, y = centre[0] - size[0] / 2, centre[1] - size[1] / 2
    items: list[Item] = [Box(x, y, size[0], size[1], "label", arrow.title, radius=3)]
    for i, text in enumerate(arrow.label):
        items.append(Text(centre[0], y + 13 + 15.0 * i, text, "label", 12, "middle"))
    return items


def with_caption(scene: Scene, caption: str, legend: Mapping[str, str] | None = None) -> Scene:
    """Add a caption below the drawing, and a legend of its colours."""
    if not caption and not legend:
        return scene
    x, y = 16.0, scene.height + 4
    for role, text in (legend or {}).items():
        scene.items += [Box(x, y - 10, 14, 11, role, radius=3), Text(x + 20, y, text, "muted", 11.5)]
        x += 20 + text_width(text, 11.5) + 16
    scene.items.append(Text(x, y, caption, "muted", 11.5))
    width = max(scene.width, x + text_width(caption, 11.5) + 16)
    return Scene(scene.title, scene.description, width, scene.height + 18, scene.items)

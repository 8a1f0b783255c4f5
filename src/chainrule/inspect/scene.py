"""A drawing before it is written: boxes, lines and texts in pixels, with roles instead of colours."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float]

NARROW, WIDE = set("iIjl.,:;'|!()[]{}·/ftrJ "), set("mwMW→⋯∂…%@")


@dataclass(frozen=True)
class Text:
    """One line of text; ``y`` is its baseline. ``role`` determines colour and font."""

    x: float
    y: float
    content: str
    role: str = "plain"
    size: float = 13
    anchor: str = "start"


@dataclass(frozen=True)
class Box:
    """A rectangle with rounded corners; ``title`` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    role: str = "step"
    title: str = ""
    radius: float = 6


@dataclass(frozen=True)
class Disc:
    """A circle; ``shade`` from -1 to 1 fills it with the colour of its sign, in that strength."""

    x: float
    y: float
    radius: float
    role: str = "neuron"
    title: str = ""
    shade: float | None = None


@dataclass(frozen=True)
class Curve:
    """A chain of cubic Bézier curves: the start, then two control points and an end for each piece."""

    start: Point
    pieces: tuple[tuple[Point, Point, Point], ...]
    role: str = "edge"
    width: float = 1.4
    strength: float = 1.0
    arrow: bool = True
    title: str = ""

    def shaft_and_tip(self) -> tuple[tuple[tuple[Point, Point, Point], ...], list[Point]]:
        """The line up to the arrowhead, and the corners of the arrowhead (none if there is no arrow)."""
        if not self.arrow:
            return self.pieces, []
        a, (bx, by), (ex, ey) = self.pieces[-1]
        length = ((ex - bx) ** 2 + (ey - by) ** 2) ** 0.5 or 1.0
        ux, uy = (ex - bx) / length, (ey - by) / length
        size = 4.5 + 1.2 * self.width
        back = (ex - ux * size, ey - uy * size)
        half = 0.5 * size
        tip = [
            (ex, ey),
            (back[0] - uy * half, back[1] + ux * half),
            (back[0] + uy * half, back[1] - ux * half),
        ]
        return (*self.pieces[:-1], (a, (bx, by), back)), tip


Item = Text | Box | Disc | Curve


@dataclass
class Scene:
    """Everything in a drawing, in the order in which it is painted."""

    title: str
    description: str
    width: float = 0
    height: float = 0
    items: list[Item] = field(default_factory=list)

    def fit(self, margin: float = 16) -> Scene:
        """Return the drawing shifted and sized to its contents, with a margin around them."""
        bounds = [bounds_of(item) for item in self.items]
        if not bounds:
            return self
        left, top = min(b[0] for b in bounds) - margin, min(b[1] for b in bounds) - margin
        right, bottom = max(b[2] for b in bounds) + margin, max(b[3] for b in bounds) + margin
        moved = [moved_by(item, -left, -top) for item in self.items]
        return Scene(self.title, self.description, right - left, bottom - top, moved)


def text_width(content: str, size: float = 13, role: str = "plain") -> float:
    """An upper bound of a text's width in pixels, for the widest of the usual typefaces.

    >>> text_width("10", role="value") == 2 * text_width("1", role="value")
    True
    """
    shown = [c for c in content if not unicodedata.combining(c)]
    if role in MONOSPACED:
        return 0.61 * size * len(shown)
    bold = 1.08 if role in BOLD else 1.0
    return bold * size * sum(0.38 if c in NARROW else 0.95 if c in WIDE else 0.66 for c in shown)


#: roles in a monospaced font, and roles in bold
MONOSPACED = {"value", "gradient"}
BOLD = {"name", "heading"}


def bounds_of(item: Item) -> tuple[float, float, float, float]:
    """The bounding box of an item: left, top, right, bottom."""
    match item:
        case Text():
            width = text_width(item.content, item.size, item.role)
            left = item.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[item.anchor] * width
            return left, item.y - item.size, left + width, item.y + 0.3 * item.size
        case Box():
            return item.x, item.y, item.x + item.width, item.y + item.height
        case Disc():
            r = item.radius
            return item.x - r, item.y - r, item.x + r, item.y + r
        case Curve():
            points = [item.start, *(p for piece in item.pieces for p in piece)]
            xs, ys = [p[0] for p in points], [p[1] for p in points]
            return min(xs), min(ys), max(xs), max(ys)


def moved_by(item: Item, dx: float, dy: float) -> Item:
    """Return the item shifted by (dx, dy)."""
    match item:
        case Text():
            return Text(item.x + dx, item.y + dy, item.content, item.role, item.size, item.anchor)
        case Box():
            return Box(item.x + dx, item.y + dy, item.width, item.height, item.role, item.title, item.radius)
        case Disc():
            return Disc(item.x + dx, item.y + dy, item.radius, item.role, item.title, item.shade)
        case Curve():
            pieces = tuple(
                ((a[0] + dx, a[1] + dy), (b[0] + dx, b[1] + dy), (c[0] + dx, c[1] + dy))
                for a, b, c in item.pieces
            )
            start = (item.start[0] + dx, item.start[1] + dy)
            return Curve(start, pieces, item.role, item.width, item.strength, item.arrow, item.title)


def smooth(points: list[Point], *, down: bool) -> tuple[Point, tuple[tuple[Point, Point, Point], ...]]:
    """A curve through the points that passes each of them in the direction of the flow."""
    pieces = []
    for (x0, y0), (x1, y1) in pairwise(points):
        if down:
            middle = (y0 + y1) / 2
            pieces.append(((x0, middle), (x1, middle), (x1, y1)))
        else:
            middle = (x0 + x1) / 2
            pieces.append(((middle, y0), (middle, y1), (x1, y1)))
    return points[0], tuple(pieces)


def label_curves(curves: list[Curve], labels: list[str], size: float = 11.5) -> list[Text]:
    """Place a short text on each curve so that it covers as little of the other texts as possible."""
    placed: list[Text] = []
    taken: list[tuple[float, float, float, float]] = []
    for curve, label in zip(curves, labels, strict=True):
        best, overlap = None, float("inf")
        for t in (0.4, 0.3, 0.5, 0.22, 0.6, 0.7, 0.15, 0.8):
            x, y = point_on(curve, t)
            text = Text(x, y + 4, label, "halo", size, "middle")
            covered = sum(_common(bounds_of(text), other) for other in taken)
            if covered < overlap:
                best, overlap = text, covered
            if not covered:
                break
        assert best is not None, "the first position covers less than infinity"
        placed.append(best)
        taken.append(bounds_of(best))
    return placed


def point_on(curve: Curve, t: float) -> Point:
    """The point at parameter t, 0 to 1, of a curve's first piece, where it diverges from its neighbours."""
    a, b, c = curve.pieces[0]
    weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    points = (curve.start, a, b, c)
    x = sum(w * p[0] for w, p in zip(weights, points, strict=True))
    return x, sum(w * p[1] for w, p in zip(weights, points, strict=True))


def _common(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """The area of the intersection of two rectangles."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def shortened(text: str, longest: int) -> str:
    """The text, cut to ``longest`` characters with an ellipsis if it is longer.

    >>> shortened("abcdefgh", 5)
    'abcd…'
    """
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"

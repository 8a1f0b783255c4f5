"""Writes a scene as PNG or PDF with matplotlib: the same drawing as the SVG, in the light colours."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from chainrule.errors import SettingError
from chainrule.foreign_text import printable
from chainrule.inspect.palette import LIGHT
from chainrule.inspect.scene import BOLD, MONOSPACED, Box, Curve, Disc, Scene, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS = 200  # dots per inch of a PNG
PIXELS = 96  # of the scene, per inch


def figure_bytes(scene: Scene, kind: str) -> bytes:
    """Return the drawing as the bytes of a .png or .pdf file. Raises SettingError if matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingError(
            f"writing a .{kind} file needs matplotlib",
            hint="pip install 'chainrule[plot]', or save as .svg",
        ) from None
    figure = Figure(figsize=(scene.width / PIXELS, scene.height / PIXELS), dpi=DOTS)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, scene.width)
    axes.set_ylim(scene.height, 0)
    axes.axis("off")
    figure.set_facecolor(LIGHT.page)
    for order, item in enumerate(scene.items):
        match item:
            case Text():
                _text(axes, item, order)
            case Box():
                _box(axes, item, order)
            case Disc():
                _disc(axes, item, order)
            case Curve():
                _curve(axes, item, order)
    file = io.BytesIO()
    metadata = {"Title": scene.title, **({"CreationDate": None} if kind == "pdf" else {"Software": None})}
    figure.savefig(file, format=kind, dpi=DOTS, metadata=metadata)
    return file.getvalue()


def _text(axes: Axes, text: Text, order: int) -> None:
    anchor = {"start": "left", "middle": "center", "end": "right"}[text.anchor]
    drawn = axes.text(
        text.x,
        text.y,
        printable(text.content),
        fontsize=text.size * 72 / PIXELS,
        family=["DejaVu Sans Mono", "DejaVu Sans"] if text.role in MONOSPACED else "DejaVu Sans",
        weight="bold" if text.role in BOLD else "normal",
        color=LIGHT.text[text.role],
        ha=anchor,
        va="baseline",
        zorder=order,
        parse_math=False,  # a name may contain dollar signs
    )
    if text.role == "halo":
        from matplotlib.patheffects import withStroke

        drawn.set_path_effects([withStroke(linewidth=3, foreground=LIGHT.page)])


def _box(axes: Axes, box: Box, order: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    fill, stroke = LIGHT.shape[box.role]
    r = min(box.radius, box.width / 2, box.height / 2)
    axes.add_patch(
        FancyBboxPatch(
            (box.x + r, box.y + r),
            box.width - 2 * r,
            box.height - 2 * r,
            boxstyle=f"round,pad={r}",
            facecolor=fill,
            edgecolor=stroke,
            linewidth=0.75,
            zorder=order,
        )
    )


def _disc(axes: Axes, disc: Disc, order: int) -> None:
    from matplotlib.patches import Circle

    fill, stroke = LIGHT.shape[disc.role]
    axes.add_patch(
        Circle((disc.x, disc.y), disc.radius, facecolor=fill, edgecolor=stroke, linewidth=0.75, zorder=order)
    )
    if disc.shade:
        colour = LIGHT.line["positive" if disc.shade > 0 else "negative"]
        strength = 0.75 * min(abs(disc.shade), 1)
        axes.add_patch(
            Circle((disc.x, disc.y), disc.radius, facecolor=colour, alpha=strength, linewidth=0, zorder=order)
        )


def _curve(axes: Axes, curve: Curve, order: int) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    colour = LIGHT.line[curve.role]
    body, tip = curve.shaft_and_tip()
    points = [curve.start, *(point for piece in body for point in piece)]
    codes = [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)]
    width = curve.width * 72 / PIXELS
    axes.add_patch(
        PathPatch(
            Path(points, codes),
            facecolor="none",
            edgecolor=colour,
            linewidth=width,
            alpha=curve.strength,
            zorder=order,
        )
    )
    if tip:
        axes.add_patch(Polygon(tip, facecolor=colour, alpha=curve.strength, linewidth=0, zorder=order))

"""Writes a scene as SVG: one file, without scripts, for light and dark pages."""

from __future__ import annotations

from chainrule.inspect.palette import DARK, LIGHT, Palette
from chainrule.inspect.scene import BOLD, MONOSPACED, Box, Curve, Disc, Item, Scene, Text
from chainrule.markup import Markup, element

SANS = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def write_svg(scene: Scene) -> str:
    """Return the drawing as the text of an SVG file."""
    width, height = scene.width, scene.height
    background = element("rect", width=f"{width:.0f}", height=f"{height:.0f}", rx=8, class_="cr-page")
    return element(
        "svg",
        element("title", scene.title),
        element("desc", scene.description),
        element("style", Markup(style_sheet())),
        background,
        *(_item(item) for item in scene.items),
        xmlns="http://www.w3.org/2000/svg",
        class_="chainrule-drawing",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
    )


def style_sheet() -> str:
    """The style sheet: fonts, and colours that follow the reader's light or dark setting."""
    root = ".chainrule-drawing"
    fonts = [
        f"{root} text {{ font-family: {SANS}; }}",
        *(f"{root} .cr-{role} {{ font-family: {MONO}; }}" for role in sorted(MONOSPACED)),
        *(f"{root} .cr-{role} {{ font-weight: 600; }}" for role in sorted(BOLD)),
    ]
    dark = " ".join(_colours(DARK))
    return " ".join([*fonts, *_colours(LIGHT), f"@media (prefers-color-scheme: dark) {{ {dark} }}"])


def _colours(palette: Palette) -> list[str]:
    root = ".chainrule-drawing"
    return [
        f"{root} .cr-page {{ fill: {palette.page}; }}",
        f"{root} .cr-halo {{ paint-order: stroke; stroke: {palette.page}; stroke-width: 4px; }}",
        *(f"{root} text.cr-{role} {{ fill: {colour}; }}" for role, colour in palette.text.items()),
        *(
            f"{root} .cr-shape-{role} {{ fill: {fill}; stroke: {stroke}; }}"
            for role, (fill, stroke) in palette.shape.items()
        ),
        *(
            f"{root} .cr-line-{role} {{ stroke: {colour}; fill: none; }} {root} .cr-tip-{role} {{ fill: {colour}; }}"
            for role, colour in palette.line.items()
        ),
    ]


def _item(item: Item) -> Markup:
    match item:
        case Text():
            anchor = None if item.anchor == "start" else item.anchor
            return element(
                "text",
                item.content,
                x=f"{item.x:.1f}",
                y=f"{item.y:.1f}",
                font_size=f"{item.size:g}",
                text_anchor=anchor,
                class_=f"cr-{item.role}",
            )
        case Box():
            return element(
                "rect",
                *_tip(item.title),
                x=f"{item.x:.1f}",
                y=f"{item.y:.1f}",
                width=f"{item.width:.1f}",
                height=f"{item.height:.1f}",
                rx=f"{item.radius:g}",
                class_=f"cr-shape-{item.role}",
            )
        case Disc():
            return _disc(item)
        case Curve():
            return _curve(item)


def _disc(disc: Disc) -> Markup:
    place = {"cx": f"{disc.x:.1f}", "cy": f"{disc.y:.1f}", "r": f"{disc.radius:.1f}"}
    parts = [*_tip(disc.title), element("circle", **place, class_=f"cr-shape-{disc.role}")]
    if disc.shade:
        sign = "positive" if disc.shade > 0 else "negative"
        shade = f"{0.75 * min(abs(disc.shade), 1):.2f}"
        parts.append(element("circle", **place, class_=f"cr-tip-{sign}", opacity=shade))
    return element("g", *parts)


def _curve(curve: Curve) -> Markup:
    body, tip = curve.shaft_and_tip()
    path = f"M{curve.start[0]:.1f} {curve.start[1]:.1f}" + "".join(
        f"C{a[0]:.1f} {a[1]:.1f} {b[0]:.1f} {b[1]:.1f} {c[0]:.1f} {c[1]:.1f}" for a, b, c in body
    )
    opacity = None if curve.strength >= 1 else f"{curve.strength:.2f}"
    line = element(
        "path",
        *_tip(curve.title),
        d=path,
        stroke_width=f"{curve.width:.2f}",
        opacity=opacity,
        class_=f"cr-line-{curve.role}",
    )
    if not tip:
        return line
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in tip)
    return element(
        "g", line, element("polygon", points=points, opacity=opacity, class_=f"cr-tip-{curve.role}")
    )


def _tip(title: str) -> list[Markup]:
    return [element("title", title)] if title else []

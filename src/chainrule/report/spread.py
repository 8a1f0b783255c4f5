"""How far the networks of an ensemble differ, and what that tells."""

from __future__ import annotations

import numpy as np

from chainrule.markup import Markup, element
from chainrule.number_text import rough
from chainrule.report.contents import Spread
from chainrule.report.pieces import WIDTH, section
from chainrule.svg import Scale, axes, label_room, picture, scale_over

PARTS = "agree most", "2nd", "3rd", "4th", "differ most"


def spread_section(spread: Spread | None, task: str, scored: str) -> Markup:
    """A bar for each fifth of the rows, from those on which networks agree to those on which they differ most."""
    if spread is None:
        return Markup()
    is_classes = task == "classification"
    text = f"{spread.networks} networks that did not train on a row were asked about each of {scored}. "
    text += (
        _classes(spread)
        if is_classes
        else (f"Their predictions have a standard deviation of {rough(spread.mean)} on average.")
    )
    if spread.tells:
        what = "wrong more often" if is_classes else "further off"
        text += f" Where they differ, the ensemble is {what}: take such rows with care."
    else:
        text += " Where they differ, the ensemble is no worse by much, or by chance: the spread is no warning here."
    unit = "share of wrong rows" if is_classes else "mean distance from the truth"
    caption = element(
        "figcaption",
        f"The rows in fifths by how far the networks differ; the height is the {unit} of each fifth.",
    )
    return section(
        "How far the networks differ", element("p", text), element("figure", chart(spread, unit), caption)
    )


def _classes(spread: Spread) -> str:
    """On how many rows networks agree, and how often they are wrong there and elsewhere."""
    said = f"They predict the same class for {spread.alike:.1%} of the rows"
    if spread.wrong_alike is not None:
        said += f", and are wrong on {spread.wrong_alike:.1%} of these"
    if spread.wrong_apart is not None:
        said += f"; where they do not, the ensemble is wrong on {spread.wrong_apart:.1%}"
    return f"{said}."


def chart(spread: Spread, unit: str) -> Markup:
    """Five bars from 0."""
    top, bottom = 36.0, 230.0
    y = scale_over(np.append(spread.error, 0.0), bottom, top)
    y = Scale(0.0, y.high, bottom, top)
    left = label_room(y)
    step = (WIDTH - 16 - left) / len(spread.error)
    parts: list[Markup] = []
    for i, (error, deviation) in enumerate(zip(spread.error, spread.deviation, strict=True)):
        height = float(y(error))
        parts += [
            element(
                "rect",
                element("title", f"deviation {rough(float(deviation))}: {unit} {rough(float(error))}"),
                x=f"{left + step * i + 6:.1f}",
                y=f"{height:.1f}",
                width=f"{step - 12:.1f}",
                height=f"{max(bottom - height, 0.5):.1f}",
            ),
            element(
                "text",
                PARTS[i],
                x=f"{left + step * (i + 0.5):.1f}",
                y=bottom + 8,
                dy="1em",
                text_anchor="middle",
            ),
        ]
    x = Scale(0.1, 0.9, left, WIDTH - 16, whole=True)  # without a tick: the fifths have names
    grid = axes(x, y, "Fifth of the rows", unit.capitalize())
    return picture(
        WIDTH,
        bottom + 55,
        "Errors by how far networks differ",
        f"{unit} by fifth of the rows",
        grid,
        element("g", *parts, class_="bars"),
    )

"""How the prediction follows a column, on average over rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chainrule.foreign_text import clipped
from chainrule.markup import Markup, element
from chainrule.number_text import rough
from chainrule.report.contents import Dependence
from chainrule.report.pieces import WIDTH, legend, section
from chainrule.svg import Scale, axes, curve, label_room, picture, scale_over

Floats = NDArray[np.float64]
ROW, CHARACTER, LONGEST = 22.0, 10.0, 20  # pixels of a row and of a character; characters of a name


def dependence_section(dependences: Sequence[Dependence], task: str) -> Markup:
    """A chart for each of the columns that matter most; all with the same range of predictions."""
    if not dependences:
        return Markup()
    lines = dependences[0].lines
    what = "Mean prediction"
    if task == "classification":
        what = f"Mean probability of {clipped(lines[0])}" if len(lines) == 1 else "Mean probability"
    every = np.concatenate([one.means.ravel() for one in dependences])
    figures = [element("figure", chart(one, every, what)) for one in dependences]
    names = [(clipped(name), f"curve kept hue{i}") for i, name in enumerate(lines)]
    meanings = legend(names) if len(lines) > 1 else Markup()
    caption = element(
        "p",
        f"{what} if all rows had this value in this column and stayed as they are in the others (partial dependence). "
        "Where columns go together, such rows may not exist.",
        class_="note",
    )
    return section("How the prediction follows the columns that matter", meanings, *figures, caption)


def chart(one: Dependence, every: Floats, what: str) -> Markup:
    """A line over numbers, or a row of dots for each category; ``every`` are the predictions of all charts."""
    return _over_numbers(one, every, what) if one.values is not None else _by_category(one, every, what)


def _over_numbers(one: Dependence, every: Floats, what: str) -> Markup:
    top, bottom = 36.0, 200.0
    y = scale_over(every, bottom, top)
    x = scale_over(one.values if one.values is not None else [], label_room(y), WIDTH - 16)
    across = x(one.values if one.values is not None else [])
    lines = []
    for i, name in enumerate(one.lines):
        up = y(one.means[:, i])
        dots = [
            element("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=2.5) for a, b in zip(across, up, strict=True)
        ]
        tip = element("title", clipped(name) if name else what)
        lines.append(curve(across, up, tip, *dots, class_=f"curve kept hue{i}"))
    return picture(
        WIDTH,
        bottom + 55,
        f"{what} by {clipped(one.column)}",
        _said(one),
        axes(x, y, clipped(one.column), what),
        *lines,
    )


def _by_category(one: Dependence, every: Floats, what: str) -> Markup:
    names = [clipped(label, LONGEST) for label in one.labels]
    bottom = 36.0 + ROW * len(names)
    left = 16 + CHARACTER * max(map(len, names))
    x = scale_over(every, left, WIDTH - 16)
    y = Scale(0.1, 0.9, bottom, 36.0, whole=True)  # without a tick: the categories have names
    parts: list[Markup] = []
    for row, name in enumerate(names):
        middle = 36.0 + ROW * (row + 0.5)
        parts.append(
            element("text", name, x=f"{left - 8:.1f}", y=f"{middle:.1f}", dy="0.35em", text_anchor="end")
        )
        for i in range(len(one.lines)):
            at = float(x(one.means[row, i]))
            tip = element("title", f"{name}: {rough(float(one.means[row, i]))}")
            dot = element("circle", tip, cx=f"{at:.1f}", cy=f"{middle:.1f}", r=5)
            parts.append(element("g", dot, class_=f"curve kept hue{i}"))
    return picture(
        WIDTH,
        bottom + 55,
        f"{what} by {clipped(one.column)}",
        _said(one),
        axes(x, y, what, clipped(one.column)),
        *parts,
    )


def _said(one: Dependence) -> str:
    return f"From {rough(float(one.means.min()))} to {rough(float(one.means.max()))}."

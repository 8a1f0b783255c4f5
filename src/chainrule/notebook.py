"""What a notebook shows: tables, charts, a progress bar. Plain HTML, without scripts."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule.charts import BLUE, GREEN, PINK, RED
from chainrule.markup import Markup, element, table
from chainrule.svg import axes, curve, label_room, picture, scale_over, thin

WIDTH, HEIGHT = 460, 260  # pixels of a chart
COLOURS = (BLUE, RED, GREEN, PINK)  # of the lines
LEFT, RIGHT = "text-align:left;white-space:pre", "text-align:right"
STYLE = (
    ".chainrule-chart{max-width:460px}.chainrule-chart text{font:11px sans-serif;fill:currentColor}"
    ".chainrule-chart .grid{stroke:currentColor;opacity:.15}"
)


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def html_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", texts: int = 1
) -> Markup:
    """A table whose first ``texts`` columns hold text and whose other columns hold numbers."""
    head = [element("th", title) for title in titles] if any(titles) else []
    body = [
        [element("td", cell, style=LEFT if i < texts else RIGHT) for i, cell in enumerate(row)]
        for row in rows
    ]
    return table(head, body, element("caption", caption, style=LEFT) if caption else None)


def line_chart(
    x: ArrayLike,
    lines: Mapping[str, ArrayLike],
    x_title: str,
    y_title: str,
    *,
    logarithmic: tuple[bool, bool] = (False, False),
    marks: Sequence[float] = (),
) -> Markup:
    """Draw lines over a common x [points], each [points], by name, and a vertical line at each x of ``marks``.

    >>> line_chart([1, 2, 3], {"loss": [3.0, 2.0, 1.5]}, "epoch", "loss")[:28]
    '<svg class="chainrule-chart"'
    """
    along = np.asarray(x, np.float64)
    every = [np.asarray(values, np.float64) for values in lines.values()]
    y = scale_over(np.concatenate(every), HEIGHT - 46, 12, logarithmic=logarithmic[1])
    if len(y.ticks()) < 2:  # a logarithmic axis over less than a decade
        y = scale_over(np.concatenate(every), HEIGHT - 46, 12)
    across = scale_over(along, label_room(y), WIDTH - 8, logarithmic=logarithmic[0])
    drawn = []
    for colour, (name, values) in zip(COLOURS, zip(lines, every, strict=True), strict=False):
        kept = thin(values, 400)
        drawn.append(
            curve(across(along[kept]), y(values[kept]), element("title", name), stroke=colour, fill="none")
        )
    for number, (colour, name) in enumerate(zip(COLOURS, lines, strict=False)):
        if len(lines) > 1:
            place = {"x": WIDTH - 12, "y": 24 + 14 * number, "text_anchor": "end", "style": f"fill:{colour}"}
            drawn.append(element("text", name, **place))
    for mark in marks:
        at = f"{float(across(mark)):.1f}"
        drawn.append(
            element(
                "line", x1=at, x2=at, y1=12, y2=HEIGHT - 46, stroke="currentColor", stroke_dasharray="3 3"
            )
        )
    content = [element("style", Markup(STYLE)), axes(across, y, x_title, y_title), *drawn]
    whole = picture(WIDTH, HEIGHT, f"{y_title} over {x_title}", ", ".join(lines), *content)
    return Markup(whole.replace("<svg", '<svg class="chainrule-chart"', 1))


class NotebookBar:
    """A progress bar in the notebook's output, redrawn in place."""

    wide = True

    def __init__(self, total: int) -> None:
        from IPython.display import display

        self._total = total
        self._text = self._draw(0, "", "")
        self._handle: Any = display(self, display_id=True)  # type: ignore[no-untyped-call]

    def _draw(self, done: int, description: str, status: str) -> str:
        bar = element("progress", "", value=done, max=self._total)
        return element("div", bar, f" {description} {done}/{self._total}  {status}")

    def show(self, done: int, description: str, status: str) -> None:
        """Redraw it."""
        self._text = self._draw(done, description, status)
        self._handle.update(self)

    def _repr_html_(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "<progress of training>"

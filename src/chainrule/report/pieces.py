"""The small pieces that a page is made of: numbers in words, tables, sections."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule.svg import Markup, element

# What is listed at most; where more was given, the page says so.
TABLE_ROWS = 150
OPEN_ROWS = 25  # a longer table is shown on a click
TEXT_LENGTH = 160
WIDTH = 560.0  # of a chart, in its own pixels


def clip(text: object) -> str:
    """The text, shortened where it is so long that it would swell the file."""
    written = str(text)
    return written if len(written) <= TEXT_LENGTH else written[: TEXT_LENGTH - 1] + "…"


def number(value: float) -> str:
    """Four digits, or all that stand before the point; a word for what is no number.

    >>> number(12.3456), number(0.00001), number(float("nan"))
    ('12.35', '1.000e-05', 'not a number')
    """
    if not np.isfinite(value):
        return "not a number" if np.isnan(value) else "infinite"
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-4:
        return f"{value:.3e}"
    digits = 0 if float(value).is_integer() else max(0, 3 - math.floor(math.log10(abs(value))))
    written = f"{round(value, digits):,.{digits}f}".replace(",", "\u202f")
    return written.rstrip("0").rstrip(".") if digits else written


def rows(count: int) -> str:
    """A number of rows, in words."""
    return f"{number(count)} row" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """A time span as one would say it."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes / 60:.1f} h"


def section(heading: str, *content: str) -> Markup:
    """A part of the page under a heading."""
    return element("section", element("h2", heading), *content)


def table(titles: Sequence[str], body: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> Markup:
    """A table whose first column names the rows; the numeric columns stand right."""
    style = ["number" if i in numeric else None for i in range(len(titles))]
    head = [element("th", text, scope="col", class_=kind) for text, kind in zip(titles, style, strict=True)]
    lines = []
    for cells in body[:TABLE_ROWS]:
        first = element("th", clip(cells[0]), scope="row")
        rest = [
            element("td", clip(text), class_=kind) for text, kind in zip(cells[1:], style[1:], strict=True)
        ]
        lines.append(element("tr", first, *rest))
    left_out = max(0, len(body) - TABLE_ROWS)
    shown = f"the first {TABLE_ROWS} of {number(len(body))}" if left_out else f"all {len(body)}"
    more = note(f"{number(left_out)} more are not listed.") if left_out else Markup()
    inner = element("table", element("thead", element("tr", *head)), element("tbody", *lines))
    framed = Markup(scroller(inner, f"Table: {titles[0]}") + more)
    if len(body) <= OPEN_ROWS:
        return framed
    return element("details", element("summary", f"Show {shown}"), framed)


def scroller(content: str, label: str) -> Markup:
    """A frame that scrolls sideways by itself where its content is wider than the screen."""
    return element("div", content, class_="scroll", role="region", tabindex=0, aria_label=label)


def note(text: str) -> Markup:
    """A remark in small letters."""
    return element("p", text, class_="note")

"""The building blocks of the report's page: clipped texts, tables, sections."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import markup
from chainrule.foreign_text import clipped
from chainrule.markup import Markup, element, escape
from chainrule.number_text import THIN_SPACE, readable

# What is listed at most; where more was given, the page says so.
TABLE_ROWS = 150
OPEN_ROWS = 25  # a longer table is shown on a click
TEXT_LENGTH = 160
WIDTH = 560.0  # of a chart, in its own pixels


def clip(text: object) -> str:
    """The text, shortened where it is so long that it would swell the file; the spaces in our numbers stay."""
    return clipped(text, TEXT_LENGTH).replace(ascii(THIN_SPACE)[1:-1], THIN_SPACE)


def name(text: str) -> Markup:
    """A name as it stands in a line; of a long one, more is told where the pointer rests on it."""
    shown, more = clipped(text), clip(text)
    return escape(shown) if shown == more else element("span", shown, title=more)


def rows(count: int) -> str:
    """A number of rows, in words."""
    return f"{readable(count)} row" + ("" if count == 1 else "s")


def section(heading: str, *content: str) -> Markup:
    """A part of the page under a heading."""
    return element("section", element("h2", heading), *content)


def table(titles: Sequence[str], body: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> Markup:
    """A table whose first column names the rows; the numeric columns stand right."""
    style = ["number" if i in numeric else None for i in range(len(titles))]
    head = [
        element("th", name(text), scope="col", class_=kind) for text, kind in zip(titles, style, strict=True)
    ]
    lines = []
    for cells in body[:TABLE_ROWS]:
        first = element("th", name(cells[0]), scope="row")
        rest = [
            element("td", clip(text), class_=kind) for text, kind in zip(cells[1:], style[1:], strict=True)
        ]
        lines.append([first, *rest])
    left_out = max(0, len(body) - TABLE_ROWS)
    shown = f"the first {TABLE_ROWS} of {readable(len(body))}" if left_out else f"all {len(body)}"
    more = note(f"{readable(left_out)} more are not listed.") if left_out else Markup()
    framed = Markup(scroller(markup.table(head, lines), f"Table: {clipped(titles[0])}") + more)
    if len(body) <= OPEN_ROWS:
        return framed
    return element("details", element("summary", f"Show {shown}"), framed)


def scroller(content: str, label: str) -> Markup:
    """A frame that scrolls sideways by itself where its content is wider than the screen."""
    return element("div", content, class_="scroll", role="region", tabindex=0, aria_label=label)


def note(text: str) -> Markup:
    """A remark in a small font."""
    return element("p", text, class_="note")


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """What the lines of a chart mean: for each a text and the classes of its style."""
    parts = []
    for text, style in entries:
        line = element("line", x1=1, x2=33, y1=6, y2=6, class_=style)
        swatch = element("svg", line, viewBox="0 0 34 12", class_="swatch", aria_hidden="true")
        parts.append(element("li", swatch, text))
    return element("ul", *parts, class_="legend")

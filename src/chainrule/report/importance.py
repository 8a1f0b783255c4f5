"""Which columns matter, by shuffling them and by the output's slope."""

import numpy as np

from chainrule.report.contents import Importances
from chainrule.report.pieces import WIDTH, clip, note, number, section, table
from chainrule.svg import Markup, element, picture

BARS = 20  # columns that are drawn; the table lists more
ROW = 22.0  # pixels
LETTER = 10.0  # pixels, the widest on average
LONGEST = 20  # letters of a name


def importance_section(importances: Importances | None) -> Markup:
    """A bar for each of the columns that matter most, and a table of all."""
    if importances is None or not importances.columns:
        return Markup()
    columns = importances.columns
    body = [(c.name, number(c.loss), number(c.spread), number(c.slope)) for c in columns]
    text = f"Bars: {importances.shuffled} Whiskers: one deviation over repeated shuffles."
    if len(columns) > BARS:
        text += f" The {BARS} columns with the largest loss of {number(len(columns))} are drawn."
    if importances.left_out:
        text += f" {number(importances.left_out)} columns whose slope is smaller were not shuffled."
    figure = element("figure", importance_chart(importances), element("figcaption", text))
    listed = table(("Column", "Lost when shuffled", "Deviation", "Slope"), body, numeric=(1, 2, 3))
    return section(
        "Which columns matter",
        figure,
        element("details", element("summary", "Show the figures"), listed, note(importances.slope)),
    )


def importance_chart(importances: Importances) -> Markup:
    """Horizontal bars from 0, names to the left."""
    drawn = importances.columns[:BARS]
    losses = np.array([c.loss for c in drawn])
    high = float(max(losses.max(), 0.0))
    low = float(min(losses.min(), 0.0))
    # room for the larger letters of a narrow screen
    left = 16 + LETTER * max(len(short(c.name)) for c in drawn)
    right = WIDTH - 16 - LETTER * max(len(number(c.loss)) for c in drawn)
    unit = (right - left) / ((high - low) or 1.0)
    zero = left - low * unit
    parts = []
    for i, column in enumerate(drawn):
        middle = 14 + ROW * i
        end = zero + column.loss * unit
        parts += [
            element(
                "text", short(column.name), x=left - 8, y=f"{middle:.1f}", dy="0.35em", text_anchor="end"
            ),
            element(
                "rect",
                element("title", f"{clip(column.name)}: {number(column.loss)}"),
                x=f"{min(zero, end):.1f}",
                y=f"{middle - 7:.1f}",
                width=f"{max(abs(end - zero), 0.5):.1f}",
                height=14,
            ),
            element(
                "line",
                x1=f"{max(end - column.spread * unit, left):.1f}",
                x2=f"{min(end + column.spread * unit, right + 4):.1f}",
                y1=f"{middle:.1f}",
                y2=f"{middle:.1f}",
                class_="axis",
            ),
            element("text", number(column.loss), x=f"{right + 12:.1f}", y=f"{middle:.1f}", dy="0.35em"),
        ]
    parts.append(
        element("line", x1=f"{zero:.1f}", x2=f"{zero:.1f}", y1=2, y2=ROW * len(drawn) + 4, class_="axis")
    )
    return picture(
        WIDTH,
        ROW * len(drawn) + 8,
        "Importance of the columns",
        f"The column that matters most is {clip(drawn[0].name)}.",
        element("g", *parts, class_="bars"),
    )


def short(name: str) -> str:
    """A column's name as long as there is room for it."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"

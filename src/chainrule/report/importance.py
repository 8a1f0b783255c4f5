"""Which columns matter, by shuffling them and by the output's slope."""

import numpy as np

from chainrule.foreign_text import clipped
from chainrule.markup import Markup, element
from chainrule.number_text import readable, rough
from chainrule.report.contents import Importance, Importances
from chainrule.report.pieces import WIDTH, note, section, table
from chainrule.svg import picture

BARS = 20  # columns that are drawn; the table lists more
ROW = 22.0  # pixels
LETTER = 10.0  # pixels, the widest on average
LONGEST = 20  # characters of a name


def importance_section(importances: Importances | None) -> Markup:
    """A bar for each of the columns that matter most, and a table of all."""
    if importances is None or not importances.columns:
        return Markup()
    columns = importances.columns
    body = [
        (
            c.name,
            rough(c.loss),
            rough(c.spread),
            "unsure" if c.is_noise else "yes",
            rough(c.slope),
        )
        for c in columns
    ]
    text = f"Bars: {importances.shuffled} Whiskers: one standard error over rows and repeated shuffles."
    if any(c.is_noise for c in columns):
        text += " Faint bars may be chance; columns with the same information share the importance."
    if len(columns) > BARS:
        text += f" The {BARS} columns with the largest loss of {readable(len(columns))} are drawn."
    if importances.left_out:
        text += f" {readable(importances.left_out)} columns whose slope is smaller were not shuffled."
    figure = element("figure", importance_chart(importances), element("figcaption", text))
    listed = table(
        ("Column", "Lost when shuffled", "Standard error", "Matters", "Slope"), body, numeric=(1, 2, 4)
    )
    return section(
        "Which columns matter",
        figure,
        element("details", element("summary", "Show the figures"), listed, note(importances.slope)),
    )


def importance_chart(importances: Importances) -> Markup:
    """Horizontal bars from 0, names to the left."""
    drawn = importances.columns[:BARS]
    losses, spreads = np.array([[c.loss, c.spread] for c in drawn]).T
    high, low = float(max((losses + spreads).max(), 0.0)), float(min((losses - spreads).min(), 0.0))
    # room for the larger font of a narrow screen
    left = 16 + LETTER * max(len(short(c.name)) for c in drawn)
    right = WIDTH - 16 - LETTER * max(len(rough(c.loss)) for c in drawn)
    unit = (right - left) / ((high - low) or 1.0)
    zero = left - low * unit
    parts: list[Markup] = []
    for i, column in enumerate(drawn):
        parts += bar(column, 14 + ROW * i, zero, unit, left, right)
    parts.append(
        element("line", x1=f"{zero:.1f}", x2=f"{zero:.1f}", y1=2, y2=ROW * len(drawn) + 4, class_="axis")
    )
    return picture(
        WIDTH,
        ROW * len(drawn) + 8,
        "Importance of the columns",
        f"The column that matters most is {clipped(drawn[0].name)}.",
        element("g", *parts, class_="bars"),
    )


def bar(
    column: Importance, middle: float, zero: float, unit: float, left: float, right: float
) -> list[Markup]:
    """A column's name, its bar from ``zero`` with a whisker, and its figure, around the height ``middle``."""
    end = zero + column.loss * unit
    return [
        element("text", short(column.name), x=left - 8, y=f"{middle:.1f}", dy="0.35em", text_anchor="end"),
        element(
            "rect",
            element("title", f"{clipped(column.name)}: {rough(column.loss)}"),
            x=f"{min(zero, end):.1f}",
            y=f"{middle - 7:.1f}",
            width=f"{max(abs(end - zero), 0.5):.1f}",
            height=14,
            class_="noise" if column.is_noise else None,
        ),
        element(
            "line",
            x1=f"{end - column.spread * unit:.1f}",
            x2=f"{end + column.spread * unit:.1f}",
            y1=f"{middle:.1f}",
            y2=f"{middle:.1f}",
            class_="axis",
        ),
        element("text", rough(column.loss), x=f"{right + 12:.1f}", y=f"{middle:.1f}", dy="0.35em"),
    ]


def short(name: str) -> str:
    """A column's name as long as there is room for it."""
    return clipped(name, LONGEST)

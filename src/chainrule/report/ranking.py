"""How well classes are told apart, whatever threshold is chosen: ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.foreign_text import clipped
from chainrule.markup import Markup, element
from chainrule.number_text import readable
from chainrule.report.contents import ClassCurve
from chainrule.report.pieces import legend, section
from chainrule.svg import Scale, axes, curve, label_room, picture

SIDE = 300.0  # pixels of a chart's plot area
NAME = 24  # characters of a class


def ranking_section(curves: Sequence[ClassCurve], scored: str) -> Markup:
    """The two charts side by side, with a legend where there are several classes."""
    if not curves:
        return Markup()
    if len(curves) == 1:
        one = curves[0]
        text = (
            f"Rows of class {clipped(one.name)} against the others, at every threshold on their probability, on "
            f"{scored}. "
            f"Area under the ROC curve {readable(round(one.area, 4))} (0.5 is chance), average precision "
            f"{readable(round(one.average_precision, 4))} (chance: {readable(round(one.share, 4))}, their share)."
        )
    else:
        text = f"Each class against the others, at every threshold on its probability, on {scored}."
    roc = element(
        "figure",
        chart(curves, "roc"),
        element("figcaption", "ROC: right alarms against false ones. The diagonal is chance."),
        class_="square",
    )
    precision = element(
        "figure",
        chart(curves, "precision"),
        element(
            "figcaption", "Precision by recall: of the rows above a threshold, how many are of the class."
        ),
        class_="square",
    )
    names = [
        (f"{clipped(one.name, NAME)} ({_figure(one, 'roc')})", f"curve kept hue{i}")
        for i, one in enumerate(curves)
    ]
    meanings = legend(names) if len(curves) > 1 else Markup()
    pair = element("div", roc, precision, class_="pair")
    return section("How well it tells classes apart", element("p", text), meanings, pair)


def chart(curves: Sequence[ClassCurve], kind: str) -> Markup:
    """One of the two: "roc" or "precision"."""
    top = 36.0
    y = Scale(0.0, 1.0, top + SIDE, top)
    left = label_room(y)
    x = Scale(0.0, 1.0, left, left + SIDE)
    lines = []
    for i, one in enumerate(curves):
        points = one.roc if kind == "roc" else one.precision
        tip = element("title", f"{clipped(one.name)}: {_figure(one, kind)}")
        lines.append(curve(x(points[:, 0]), y(points[:, 1]), tip, class_=f"curve kept hue{i}"))
    chance: list[Markup] = []
    if kind == "roc" or len(curves) == 1:
        ends = np.array([0.0, 1.0]) if kind == "roc" else np.full(2, curves[0].share)
        first, last = (f"{float(v):.1f}" for v in y(ends))
        chance = [element("line", x1=x.start, y1=first, x2=x.end, y2=last, class_="diagonal")]
    titles = ("Share of the others", "Share of the class") if kind == "roc" else ("Recall", "Precision")
    said = "; ".join(f"{clipped(one.name)}: {_figure(one, kind)}" for one in curves)
    name = "ROC curve" if kind == "roc" else "Precision by recall"
    return picture(left + SIDE + 16, top + SIDE + 55, name, said, axes(x, y, *titles), *chance, *lines)


def _figure(one: ClassCurve, kind: str) -> str:
    if kind == "roc":
        return f"area {readable(round(one.area, 4))}"
    return f"average precision {readable(round(one.average_precision, 4))}"

"""Whether the network is as sure as it should be."""

import numpy as np

from chainrule.markup import Markup, element
from chainrule.number_text import readable
from chainrule.report.contents import Calibration
from chainrule.report.pieces import section
from chainrule.svg import Scale, axes, label_room, picture


def calibration_section(calibration: Calibration | None, scored: str) -> Markup:
    """A bar for each bin of probabilities: as high as the share of right rows in it."""
    if calibration is None:
        return Markup()
    c = calibration
    used = c.counts > 0
    total = int(c.counts.sum())
    confidence, accuracy = (
        float((c.counts[used] * v[used]).sum() / total) for v in (c.confidence, c.accuracy)
    )
    kind = "too sure" if confidence > accuracy else "not sure enough"
    text = (
        f"The network gives the class that it predicts a probability of {confidence:.1%} on average, and it is "
        f"right on {accuracy:.1%} of {scored}. Bin by bin the two differ by {readable(round(100 * c.error, 1))} "
        f"points on average (expected calibration error, {len(c.counts)} bins)"
    )
    chance = 2 * float(np.sqrt(accuracy * (1 - accuracy) / total))  # in 19 of 20 samples of so many rows
    if abs(confidence - accuracy) > max(chance, 0.01):
        text += f": it is {kind}."
    else:
        text += ": as sure as it should be, as far as "
        text += f"{readable(total)} rows can tell."
    caption = element(
        "figcaption",
        "A bar on the line means: as often right as the network says. Small bins vary by chance; the number of "
        "rows stands above each.",
    )
    figure = element("figure", calibration_chart(c), caption, class_="square")
    return section("Is it as sure as it should be?", element("p", text), figure)


def calibration_chart(c: Calibration) -> Markup:
    """Accuracy by confidence, and the diagonal."""
    top, bottom = 36.0, 330.0
    low = float(c.edges[0])
    y = Scale(0.0, 1.05, bottom, top)
    left = label_room(y)
    x = Scale(low, 1.0, left, left + 420)
    parts = []
    for i in np.flatnonzero(c.counts):
        start, end = (float(v) for v in x(c.edges[i : i + 2]))
        height = float(y(c.accuracy[i]))
        parts += [
            element(
                "rect",
                element(
                    "title", f"{c.counts[i]} rows: sure {c.confidence[i]:.3f}, right {c.accuracy[i]:.3f}"
                ),
                x=f"{start + 1:.1f}",
                y=f"{height:.1f}",
                width=f"{end - start - 2:.1f}",
                height=f"{max(bottom - height, 0.5):.1f}",
            ),
            element(
                "text",
                str(int(c.counts[i])),
                x=f"{(start + end) / 2:.1f}",
                y=f"{height - 5:.1f}",
                text_anchor="middle",
            ),
        ]
    first, last = (float(v) for v in y([low, 1.0]))
    return picture(
        left + 436,
        385,
        "Share of right rows by the network's probability",
        f"Expected calibration error {readable(round(c.error, 4))}.",
        axes(x, y, "Probability of the predicted class", "Share that is right"),
        element("g", *parts, class_="bars"),
        element("line", x1=x.start, y1=f"{first:.1f}", x2=x.end, y2=f"{last:.1f}", class_="diagonal"),
    )

"""Actual and predicted numbers: how far apart they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chainrule.markup import Markup, element
from chainrule.number_text import readable
from chainrule.report.contents import Predictions
from chainrule.report.pieces import WIDTH, rows, section
from chainrule.svg import Scale, axes, label_room, picture, scale_over

Floats = NDArray[np.float64]

SCATTER_POINTS = 2_000


def scatter_section(predictions: Predictions) -> Markup:
    """Predicted against actual values, and how far apart they are."""
    actual, predicted = (np.asarray(v, dtype=np.float64) for v in (predictions.actual, predictions.predicted))
    finite = np.isfinite(actual) & np.isfinite(predicted)
    text = ""
    if not finite.all():
        text = f"{rows(int((~finite).sum()))} without a finite prediction left out. "
    actual, predicted = actual[finite], predicted[finite]
    if not len(actual):
        return section("Actual and predicted value", element("p", text or "No rows were held out."))
    half, most = np.quantile(np.abs(actual / 2 - predicted / 2), [0.5, 0.9]) * 2
    distance = f"Half of the predictions are off by less than {readable(half)}, "
    distance += f"nine in ten by less than {readable(most)}."
    if len(actual) > SCATTER_POINTS:
        text += f"{readable(SCATTER_POINTS)} of {rows(len(actual))} are drawn, chosen at random. "
        chosen = np.random.default_rng(0).choice(len(actual), SCATTER_POINTS, replace=False)
        actual, predicted = actual[chosen], predicted[chosen]
    caption = element("figcaption", text + "On the line, predicted and actual value are equal.")
    figure = element("figure", scatter_chart(actual, predicted), caption, class_="square")
    residuals = element("figure", residual_chart(actual, predicted), residual_caption(actual, predicted))
    return section(
        "Actual and predicted value", element("p", distance), figure, element("h3", "Residuals"), residuals
    )


def residual_caption(actual: Floats, predicted: Floats) -> Markup:
    """What the residuals say about bias and spread."""
    residual = residuals_of(actual, predicted)
    largest = float(np.abs(residual).max()) or 1.0  # squares of numbers near the largest would overflow
    order = np.argsort(predicted)
    low, high = (largest * float(np.std(residual[part] / largest)) for part in np.array_split(order, 2))
    mean = largest * float(np.mean(residual / largest))
    text = f"Actual minus predicted value: {readable(mean)} on average"
    if len(actual) >= 20 and min(low, high) > 0:
        text += f"; its standard deviation is {readable(low)} for the lower half of the predictions"
        text += f" and {readable(high)} for the upper half"
    return element(
        "figcaption", text + ". A pattern around the line is something that the network has not learned."
    )


def residuals_of(actual: Floats, predicted: Floats) -> Floats:
    """Actual minus predicted value, at most half the largest number there is."""
    most = np.finfo(np.float64).max / 4
    return 2 * np.clip(actual / 2 - predicted / 2, -most, most)


def residual_chart(actual: Floats, predicted: Floats) -> Markup:
    """Actual minus predicted against predicted value, and a histogram beside it."""
    top, bottom, right, beside = 36.0, 260.0, WIDTH - 110, 90.0
    residual = residuals_of(actual, predicted)
    y = scale_over(np.append(residual, 0.0), bottom, top)
    x = scale_over(predicted, label_room(y), right)
    dots = [
        element("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3)
        for a, b in zip(x(predicted), y(residual), strict=True)
    ]
    counts, edges = np.histogram(residual, 24)
    heights = y(edges)
    bars = [
        element(
            "rect",
            x=f"{right + 12:.1f}",
            y=f"{heights[i + 1]:.1f}",
            width=f"{beside * count / counts.max():.1f}",
            height=f"{max(heights[i] - heights[i + 1] - 1, 0.5):.1f}",
        )
        for i, count in enumerate(counts.tolist())
        if count
    ]
    zero = f"{float(y(0.0)):.1f}"
    return picture(
        WIDTH,
        315,
        "Residuals",
        f"Actual minus predicted value of {len(actual)} rows, and how often each occurs.",
        axes(x, y, "Predicted", "Actual minus predicted"),
        element("g", *dots, class_="dots", fill_opacity=0.8 if len(dots) < 200 else 0.4),
        element("g", *bars, class_="bars"),
        element("line", x1=x.start, y1=zero, x2=x.end, y2=zero, class_="diagonal"),
    )


def scatter_chart(actual: Floats, predicted: Floats) -> Markup:
    """Both axes with the same scale, and the diagonal."""
    top, bottom = 36.0, 470.0
    y = scale_over(np.concatenate([actual, predicted]), bottom, top)
    left = label_room(y)
    x = Scale(y.low, y.high, left, left + bottom - top)
    across, up = x(actual), y(predicted)
    dots = [element("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3) for a, b in zip(across, up, strict=True)]
    opacity = 0.8 if len(dots) < 200 else 0.4
    diagonal = element("line", x1=x.start, y1=y.start, x2=x.end, y2=y.end, class_="diagonal")
    return picture(
        left + bottom - top + 16,
        525,
        "Predicted against actual value",
        f"One dot for each of {len(actual)} rows.",
        axes(x, y, "Actual", "Predicted"),
        element("g", *dots, class_="dots", fill_opacity=opacity),
        diagonal,
    )

"""Charts as SVG text: scales from numbers to pixels, ticks at round numbers, axes, curves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.markup import Markup, element
from chainrule.number_text import SHORT_LABEL, tick_label

Floats = NDArray[np.float64]

LARGEST = 1e250  # beyond it, differences and margins would overflow


@dataclass(frozen=True)
class Scale:
    """A map from the numbers low ... high to the pixels start ... end, linear or logarithmic.

    >>> Scale(1.0, 100.0, start=0, end=50, logarithmic=True)([1.0, 10.0, 100.0])
    array([ 0., 25., 50.])
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False
    whole: bool = False  # ticks at whole numbers only

    def __call__(self, values: ArrayLike) -> Floats:
        """Pixels of the values, of the same shape; NaN stays NaN."""
        numbers = np.clip(np.asarray(values, dtype=np.float64), -LARGEST, LARGEST)
        low, high = self.low, self.high
        if self.logarithmic:
            numbers = np.log10(np.maximum(numbers, 1 / LARGEST))
            low, high = math.log10(low), math.log10(high)
        return self.start + (numbers - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About ``count`` round numbers between low and high."""
        if self.logarithmic:
            return logarithmic_ticks(self.low, self.high, count)
        return linear_ticks(self.low, self.high, count, smallest_step=1.0 if self.whole else 0.0)


def scale_over(values: ArrayLike, start: float, end: float, *, logarithmic: bool = False) -> Scale:
    """The scale on which all values (at least one not NaN) lie between start and end, with a little room."""
    numbers = np.clip(np.asarray(values, dtype=np.float64), -LARGEST, LARGEST)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    if logarithmic:
        low, high = max(low, 1 / LARGEST), max(high, 1 / LARGEST)
        room = max(0.04 * (math.log10(high) - math.log10(low)), 0.05)
        return Scale(low * 10**-room, high * 10**room, start, end, logarithmic=True)
    room = 0.04 * (high - low)
    if room < 1e-10 * max(abs(low), abs(high)) or room == 0:
        room = 0.1 * abs(high) or 1.0
    return Scale(low - room, high + room, start, end)


def linear_ticks(low: float, high: float, count: int = 5, smallest_step: float = 0.0) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between low and high, about ``count`` of them.

    >>> linear_ticks(0.0, 9.3)
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    rough = max((high - low) / count, smallest_step)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= 0.8 * rough), 10 * power)
    first, last = math.ceil(low / step), math.floor(high / step)
    # A step below the resolution of the numbers would give the same tick again and again.
    return (
        [float(f"{step * k:.12g}") for k in range(first, last + 1)]
        if last - first <= 2 * count
        else [low, high]
    )


def logarithmic_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` powers of ten between low and high; where there are too few, also 2 and 5 times these.

    >>> logarithmic_ticks(0.02, 3.0)
    [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    >>> logarithmic_ticks(1e-6, 1e6)
    [1e-06, 0.001, 1.0, 1000.0, 1000000.0]
    """
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    if last - first >= 2:
        stride = math.ceil((last - first) / count)
        return [float(f"1e{k}") for k in range(math.ceil(first / stride) * stride, last + 1, stride)]
    candidates = [float(f"{factor}e{k}") for k in range(first - 1, last + 1) for factor in (1, 2, 5)]
    return [value for value in candidates if low <= value <= high]


def label_room(scale: Scale) -> float:
    """Pixels that the tick labels need on the left, also in the larger font of a narrow screen."""
    return 16 + 10 * max(len(tick_label(value)) for value in scale.ticks())


def axes(x: Scale, y: Scale, x_title: str, y_title: str) -> Markup:
    """Grid lines, tick labels and titles for a plot area that spans both scales."""
    parts = []
    for value, pixel in zip(y.ticks(), y(y.ticks()), strict=True):
        parts += [
            element("line", x1=x.start, x2=x.end, y1=f"{pixel:.1f}", y2=f"{pixel:.1f}", class_="grid"),
            element(
                "text", tick_label(value), x=x.start - 8, y=f"{pixel:.1f}", dy="0.35em", text_anchor="end"
            ),
        ]
    crowded = any(len(tick_label(value)) > SHORT_LABEL for value in x.ticks())
    along = x.ticks(2) if crowded else x.ticks()
    for value, pixel in zip(along, x(along), strict=True):
        parts += [
            element("line", x1=f"{pixel:.1f}", x2=f"{pixel:.1f}", y1=y.start, y2=y.start + 5, class_="axis"),
            element(
                "text", tick_label(value), x=f"{pixel:.1f}", y=y.start + 8, dy="1em", text_anchor="middle"
            ),
        ]
    middle = (x.start + x.end) / 2
    parts += [
        element("line", x1=x.start, x2=x.end, y1=y.start, y2=y.start, class_="axis"),
        element("text", x_title, x=middle, y=y.start + 30, dy="1em", text_anchor="middle", class_="title"),
        element("text", y_title, x=0, y=y.end - 14, class_="title"),
    ]
    return element("g", *parts)


def curve(x: Floats, y: Floats, *content: str, **attributes: object) -> Markup:
    """A line through the points (pixels), broken where y is NaN; a point without neighbours is a dot."""
    runs = np.split(np.arange(len(y)), np.flatnonzero(np.diff(np.isfinite(y))) + 1)
    runs = [run for run in runs if len(run) and np.isfinite(y[run[0]])]
    lines = ["M" + "L".join(f"{x[i]:.1f} {y[i]:.1f}" for i in run) for run in runs if len(run) > 1]
    dots = [
        element("circle", cx=f"{x[run[0]]:.1f}", cy=f"{y[run[0]]:.1f}", r=2.5)
        for run in runs
        if len(run) == 1
    ]
    path = [element("path", d="".join(lines), fill="none")] if lines else []
    return element("g", *content, *path, *dots, **attributes)


def thin(values: Floats, limit: int) -> NDArray[np.intp]:
    """Indices of at most ``limit`` values that look the same as a curve: each stretch keeps its extremes."""
    indices = np.arange(len(values))
    if len(values) <= limit:
        return indices
    finite = indices[np.isfinite(values)]
    stretches = np.array_split(finite, max(1, limit // 2 - 1))
    kept = [run[pick(values[run])] for run in stretches if len(run) for pick in (np.argmin, np.argmax)]
    return np.unique([*kept, *finite[:1], *finite[-1:]]).astype(np.intp)


def picture(width: float, height: float, title: str, description: str, *content: str) -> Markup:
    """An SVG element that scales with its surroundings and tells screen readers what it shows."""
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *content,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
    )

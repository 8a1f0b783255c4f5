"""Decision regions of a network with two inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.charts import COLOURS, canvas
from chainrule.errors import ShapeError
from chainrule.nn.module import Module
from chainrule.ops.record import Array

Floats = NDArray[np.float64]
GRID = 160  # points along each axis
MARKERS = "os^Dv*P"  # classes differ in shape as well as in colour


def plot_decision_regions(
    model: Module, data: tuple[Any, Any], *, threshold: float = 0.5, ax: Any = None
) -> Any:
    """The class that a network with two inputs predicts everywhere, and the rows on top of it.

    ``data = (X, y)``, X [rows, 2], y the labels [rows] or [rows, 1]. With several outputs the largest one is the
    class; a single output says class 1 from ``threshold`` on (0.5 for a probability, 0 for a logit). Returns the
    axes (matplotlib's); draws on ``ax`` if given. Raises ShapeError unless there are two inputs.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> ax = cr.plot_decision_regions(nn.MLP([2, 3, 2], seed=0), ([[0, 0], [0, 1], [1, 0], [1, 1]], [1, 0, 0, 1]))
    >>> ax.get_xlabel()
    'x1'
    """
    x, y = np.asarray(data[0], np.float64), np.asarray(data[1]).reshape(-1)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(
            "decision regions are drawn for two inputs", expected="X [rows, 2]", got=list(x.shape)
        )
    with canvas(ax, (4.0, 3.6)) as axes:
        regions(axes, x, y, lambda points: predicted_class(model.predict(points), threshold))
        axes.set(xlabel="x1", ylabel="x2", title="Decision regions")
        return axes


def predicted_class(outputs: Array, threshold: float) -> NDArray[np.int64]:
    """The largest output, or whether a single one reaches the threshold."""
    flat = outputs.reshape(len(outputs), -1)
    return flat.argmax(1) if flat.shape[1] > 1 else (flat[:, 0] >= threshold).astype(np.int64)


def regions(axes: Any, points: Floats, labels: Array, classify: Callable[[Floats], Array]) -> None:
    """The plane in the colours of the classes, and the points in their labels' colours and shapes."""
    low, high = points.min(0), points.max(0)
    room = 0.15 * np.maximum(high - low, 1e-9)
    across, up = (np.linspace(a, b, GRID) for a, b in zip(low - room, high + room, strict=True))
    plane = np.stack([part.ravel() for part in np.meshgrid(across, up)], 1)
    found = classify(plane).reshape(GRID, GRID)
    classes = max(int(found.max()), int(labels.max())) + 1
    colours = [COLOURS[i % len(COLOURS)] for i in range(classes)]
    axes.contourf(across, up, found, levels=np.arange(classes + 1) - 0.5, colors=colours, alpha=0.22)
    axes.contour(across, up, found, levels=np.arange(classes - 1) + 0.5, colors="#404040", linewidths=0.8)
    scatter(axes, points, labels)


def scatter(axes: Any, points: Floats, labels: Array) -> None:
    """The points, each class with its own colour and shape."""
    for label in np.unique(labels).astype(int):
        mine = points[labels == label]
        axes.scatter(
            mine[:, 0],
            mine[:, 1],
            s=22,
            color=COLOURS[label % len(COLOURS)],
            marker=MARKERS[label % len(MARKERS)],
            edgecolors="black",
            linewidths=0.5,
            label=f"class {label}",
            zorder=3,
        )
    axes.legend(loc="best", fontsize="small")

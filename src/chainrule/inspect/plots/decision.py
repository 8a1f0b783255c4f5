"""Decision regions of a network with two inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.charts import COLOURS, canvas
from chainrule.errors import ShapeError
from chainrule.missing import as_array
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.tensor import TensorLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
GRID = 160  # points along each axis
MARKERS = "os^Dv*P"  # classes differ in shape as well as in colour


def plot_decision_regions(
    model: Module, data: tuple[TensorLike, TensorLike], *, threshold: float = 0.5, ax: Axes | None = None
) -> Axes:
    """Plot the class that a network with two inputs predicts at every point, and the rows on top.

    ``data = (X, y)`` with X [rows, 2] and labels y [rows] or [rows, 1]. With several outputs the largest one is the
    class; a single output of at least ``threshold`` means class 1 (0.5 for a probability, 0 for a logit). Returns
    matplotlib's axes; draws on ``ax`` if given. Raises ShapeError unless there are two inputs, SettingError if
    matplotlib is not installed.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> ax = cr.plot_decision_regions(nn.MLP([2, 3, 2], seed=0), ([[0, 0], [0, 1], [1, 0], [1, 1]], [1, 0, 0, 1]))
    >>> ax.get_xlabel()
    'x1'
    """
    x, y = as_array(data[0], np.float64, "X"), as_array(data[1], name="y").reshape(-1)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError("decision regions need two inputs", expected="X [rows, 2]", got=list(x.shape))
    with canvas(ax, (4.0, 3.6)) as axes:
        regions(axes, x, y, lambda points: predicted_class(model.predict(points), threshold))
        axes.set(xlabel="x1", ylabel="x2", title="Decision regions")
        return axes


def predicted_class(outputs: Array, threshold: float) -> NDArray[np.int64]:
    """The index of the largest output, or 1 where a single output reaches the threshold."""
    flat = outputs.reshape(len(outputs), -1)
    return flat.argmax(1) if flat.shape[1] > 1 else (flat[:, 0] >= threshold).astype(np.int64)


def regions(axes: Axes, points: Floats, labels: Array, classify: Callable[[Floats], Array]) -> None:
    """Colour the plane by class, and plot the points in the colours and shapes of their labels."""
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


def scatter(axes: Axes, points: Floats, labels: Array) -> None:
    """Plot the points, with a colour and a shape for each class."""
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

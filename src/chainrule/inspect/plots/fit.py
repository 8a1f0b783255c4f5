"""Plots how a network approximates a function of one input, and the hidden units that it combines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.charts import BLUE, GREY, RED, canvas
from chainrule.errors import ShapeError
from chainrule.inspect.plots.hidden import hidden_layer
from chainrule.missing import as_array
from chainrule.nn.module import Module
from chainrule.tensor import TensorLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 400
MOST_UNITS = 30


def plot_fit(
    model: Module,
    data: tuple[TensorLike, TensorLike],
    *,
    layer: str | None = None,
    output: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Plot the rows as points, the hidden units' outputs dashed and the network's output in red.

    ``data = (X, y)`` with X [rows, 1] and y [rows] or [rows, outputs]; ``output`` is the column that is plotted.
    ``layer`` names the activation whose units are plotted, by default the last hidden one; at most 30 units are.
    Returns matplotlib's axes; draws on ``ax`` if given. Raises ShapeError unless there is one input, SettingError
    for an unknown layer or if matplotlib is not installed.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> len(cr.plot_fit(nn.MLP([1, 3, 1], "tanh", seed=0), (x, x**2)).lines)
    5

    Lectures: E12.
    """
    x = as_array(data[0], np.float64, "X")
    y = as_array(data[1], np.float64, "y").reshape(len(x), -1)
    if x.ndim != 2 or x.shape[1] != 1:
        raise ShapeError("plot_fit needs one input", expected="X [rows, 1]", got=list(x.shape))
    along = np.linspace(x.min(), x.max(), POINTS)[:, None]
    says = model.predict(along).reshape(POINTS, -1)[:, output]
    with canvas(ax) as axes:
        axes.plot(x[:, 0], y[:, output], "o", color=BLUE, markersize=4, markerfacecolor="none", label="rows")
        if layer is not None or _has_hidden(model, along):
            _, units = hidden_layer(model, along, layer)
            for i, unit in enumerate(units.T[:MOST_UNITS]):
                label = "hidden units" if i == 0 else None
                axes.plot(along[:, 0], unit, "--", color=GREY, linewidth=1.0, label=label)
        axes.plot(along[:, 0], says, "-", color=RED, linewidth=2.2, label="output")
        axes.set(xlabel="x", ylabel="y")
        axes.legend(loc="best", fontsize="small")
        return axes


def _has_hidden(model: Module, x: np.ndarray) -> bool:
    from chainrule.inspect.plots.hidden import hidden_layers

    return bool(hidden_layers(model, x)[0])

"""Approximations of a function of one input, with the hidden units that they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.charts import BLUE, GREY, RED, canvas
from chainrule.errors import ShapeError
from chainrule.inspect.plots.hidden import hidden_layer
from chainrule.nn.module import Module

POINTS = 400
MOST_UNITS = 30


def plot_fit(
    model: Module, data: tuple[Any, Any], *, layer: str | None = None, output: int = 0, ax: Any = None
) -> Any:
    """The rows as points, the outputs of the hidden units dashed, the network's output in red (row E12).

    ``data = (X, y)``, X [rows, 1], y [rows] or [rows, outputs], of which ``output`` is drawn. ``layer`` names the
    activation whose units are drawn, the last hidden one by default; a network without one has none. At most 30
    units are drawn. Returns the axes. Raises ShapeError unless there is one input.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> len(cr.plot_fit(nn.MLP([1, 3, 1], "tanh", seed=0), (x, x**2)).lines)
    5
    """
    x = np.asarray(data[0], np.float64)
    y = np.asarray(data[1], np.float64).reshape(len(x), -1)
    if x.ndim != 2 or x.shape[1] != 1:
        raise ShapeError("a fit is drawn for one input", expected="X [rows, 1]", got=list(x.shape))
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

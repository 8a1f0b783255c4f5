"""How hidden units recode the rows, so that the layer above can tell them apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.charts import canvas
from chainrule.errors import SettingError
from chainrule.inspect.plots.decision import predicted_class, regions, scatter
from chainrule.inspect.plots.hidden import hidden_layer
from chainrule.nn.layers import Sequential
from chainrule.nn.module import Module


def plot_recoding(
    model: Module,
    data: tuple[Any, Any],
    *,
    layer: str | None = None,
    units: tuple[int, int] = (0, 1),
    threshold: float = 0.5,
    ax: Any = None,
) -> Any:
    """The rows as two hidden units see them (row E8): what was not linearly separable may be now.

    ``data = (X, y)`` with labels y; ``layer`` is the name of an activation (the last hidden one), ``units`` are the
    two that make the axes. Where the layer has only these two, and the network is a ``Sequential``, the regions are
    drawn in which the layers above say each class. Returns the axes. Raises SettingError where there is no such
    layer or unit.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> xnor = [[0, 0], [0, 1], [1, 0], [1, 1]], [1, 0, 0, 1]
    >>> cr.plot_recoding(nn.MLP([2, 2, 2], "logistic", seed=0), xnor).get_xlabel()
    'h1'
    """
    y = np.asarray(data[1]).reshape(-1)
    name, values = hidden_layer(model, data[0], layer)
    if not all(0 <= unit < values.shape[1] for unit in units):
        raise SettingError("there is no such unit", expected=f"0 to {values.shape[1] - 1}", got=units)
    points = values[:, list(units)]
    with canvas(ax, (4.0, 3.6)) as axes:
        above = _above(model, name) if values.shape[1] == 2 and units == (0, 1) else None
        if above is None:
            scatter(axes, points, y)
        else:
            regions(axes, points, y, lambda plane: predicted_class(above.predict(plane), threshold))
        axes.set(xlabel=f"h{units[0] + 1}", ylabel=f"h{units[1] + 1}", title=f"Recoded by {name}")
        return axes


def _above(model: Module, name: str) -> Sequential | None:
    """The layers above the named one, where the network is a plain sequence."""
    place = name.partition(":")[0]
    if not isinstance(model, Sequential) or not place.isdigit():
        return None
    above: Sequential = model[int(place) + 1 :]
    return above

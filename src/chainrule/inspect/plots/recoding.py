"""Plots how hidden units recode the rows, so that the next layer can separate them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.charts import canvas
from chainrule.errors import SettingError
from chainrule.foreign_text import clipped
from chainrule.inspect.plots.decision import predicted_class, regions, scatter
from chainrule.inspect.plots.hidden import hidden_layer
from chainrule.missing import as_array
from chainrule.nn.layers import Sequential
from chainrule.nn.module import Module
from chainrule.tensor import TensorLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_recoding(
    model: Module,
    data: tuple[TensorLike, TensorLike],
    *,
    layer: str | None = None,
    units: tuple[int, int] = (0, 1),
    threshold: float = 0.5,
    ax: Axes | None = None,
) -> Axes:
    """Plot the rows by the outputs of two hidden units, in which they may be linearly separable.

    ``data = (X, y)`` with labels y. ``layer`` names the activation, by default the last hidden one; ``units`` are the
    two units of the axes. If the layer has no others and the network is a ``Sequential``, the plane is coloured by
    the class that the layers above predict. Returns matplotlib's axes; draws on ``ax`` if given. Raises SettingError
    for an unknown layer or unit, or if matplotlib is not installed.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> xnor = [[0, 0], [0, 1], [1, 0], [1, 1]], [1, 0, 0, 1]
    >>> cr.plot_recoding(nn.MLP([2, 2, 2], "logistic", seed=0), xnor).get_xlabel()
    'h1'

    Lectures: E8.
    """
    y = as_array(data[1], name="y").reshape(-1)
    name, values = hidden_layer(model, as_array(data[0], name="X"), layer)
    if not all(0 <= unit < values.shape[1] for unit in units):
        raise SettingError("the layer has no such unit", expected=f"0 to {values.shape[1] - 1}", got=units)
    points = values[:, list(units)]
    with canvas(ax, (4.0, 3.6)) as axes:
        above = _above(model, name) if values.shape[1] == 2 and units == (0, 1) else None
        if above is None:
            scatter(axes, points, y)
        else:
            regions(axes, points, y, lambda plane: predicted_class(above.predict(plane), threshold))
        axes.set(xlabel=f"h{units[0] + 1}", ylabel=f"h{units[1] + 1}")
        axes.set_title(f"Recoded by {clipped(name)}", parse_math=False)
        return axes


def _above(model: Module, name: str) -> Sequential | None:
    """The layers after the named one, if the network is a Sequential."""
    place = name.partition(":")[0]
    if not isinstance(model, Sequential) or not place.isdigit():
        return None
    above: Sequential = model[int(place) + 1 :]
    return above

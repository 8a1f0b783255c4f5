"""Plots the loss around a network's parameters, along two directions."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.charts import RED, canvas
from chainrule.errors import SettingError, ShapeError
from chainrule.inspect.diagnosis.outcome import loss_value
from chainrule.missing import as_array
from chainrule.nn.module import Module, flatten_parameters, unflatten_parameters
from chainrule.optim.settings import check_count
from chainrule.tensor import TensorLike
from chainrule.training.batches import as_rows
from chainrule.training.step import Loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
LEVELS = 18


def plot_loss_surface(
    model: Module,
    data: tuple[TensorLike, TensorLike],
    loss: Loss,
    *,
    directions: Sequence[TensorLike] | None = None,
    span: float = 1.0,
    points: int = 25,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Plot contours of the loss at theta + a d1 + b d2 for a and b from -span to span; a cross marks the network.

    ``directions`` are two vectors in the order of ``nn.flatten_parameters``. By default they are random, determined
    by ``seed``, with each parameter's part as long as the parameter itself, so that the plot does not depend on the
    scale of layers (Li et al., 2018). The loss is evaluated over all rows at ``points`` squared positions. Contours
    are logarithmic if the losses span more than 1.5 decades. The model is not changed. Returns matplotlib's axes;
    draws on ``ax`` if given. Raises ShapeError for directions of another length, SettingError unless there are two,
    or if matplotlib is not installed.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> cr.plot_loss_surface(nn.Linear(1, 1, seed=0), (x, x), nn.squared_error, points=5).get_xlabel()
    'along d1'
    """
    rows, theta = as_rows(data, model), flatten_parameters(model).astype(np.float64)
    first, second = _directions(model, directions, theta, seed)
    steps = np.linspace(-span, span, check_count("points", points))
    other, table = deepcopy(model), np.empty((len(steps), len(steps)))
    for i, b in enumerate(steps):
        for j, a in enumerate(steps):
            unflatten_parameters(other, theta + a * first + b * second)
            with np.errstate(all="ignore"):
                table[i, j] = loss_value(loss, other.predict(rows.x), rows.y)
    with canvas(ax, (4.4, 3.6)) as axes:
        shown = np.where(np.isfinite(table), table, np.nan)
        low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
        wide = low > 0 and np.log10(high / low) > 1.5
        levels = np.geomspace(low, high, LEVELS) if wide else np.linspace(low, high, LEVELS)
        if high > low:
            filled = axes.contourf(
                steps, steps, shown, levels=levels, cmap="cividis", norm="log" if wide else None
            )
            axes.contour(steps, steps, shown, levels=levels, colors="white", linewidths=0.4)
            axes.figure.colorbar(filled, ax=axes, label="loss", format="%.2g")
        axes.plot(0, 0, "+", color=RED, markersize=11, markeredgewidth=2.2)
        axes.set(xlabel="along d1", ylabel="along d2", title="Loss around the network")
        return axes


def _directions(
    model: Module, given: Sequence[TensorLike] | None, theta: Floats, seed: int
) -> tuple[Floats, Floats]:
    if given is None:
        rng = np.random.default_rng(seed)
        return _random(model, rng), _random(model, rng)
    if len(given) != 2:
        raise SettingError("plot_loss_surface needs two directions", expected="2 vectors", got=len(given))
    vectors = [as_array(v, np.float64, "directions") for v in given]
    for v in vectors:
        if v.shape != theta.shape:
            raise ShapeError(
                "a direction has the wrong length for this network", expected=theta.shape, got=v.shape
            )
    return vectors[0], vectors[1]


def _random(model: Module, rng: np.random.Generator) -> Floats:
    """A random direction in which each parameter's part has the parameter's norm."""
    parts = []
    for p in model.parameters():
        v = rng.normal(size=p.size)
        parts.append(v / max(float(np.linalg.norm(v)), 1e-12) * float(np.linalg.norm(p.numpy())))
    return np.concatenate(parts or [np.zeros(0)])

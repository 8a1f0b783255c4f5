"""The delta rule: a single logistic neuron, one row at a time (Widrow and Hoff, 1960, with a logistic output)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.classic.samples import Floats, check_order, matrix_and_targets, visits, with_constant
from chainrule.errors import ShapeError
from chainrule.missing import as_array
from chainrule.optim.schedules import Rate, tabulate
from chainrule.optim.settings import check_count, check_number


@dataclass(frozen=True)
class DeltaRule:
    """A run of the delta rule, step by step.

    ``weights`` [features] and ``bias`` are the final ones. For each step, ``rows`` [steps] has the row that was
    visited, ``outputs`` [steps] y_hat before the step, ``deltas`` [steps] delta, and ``losses`` [steps] the row's
    1/2 (y_hat - y)^2. ``path`` [steps + 1, 1 + features] has bias and weights before the first step and after each.

    >>> from chainrule import classic
    >>> run = classic.delta_rule([[0.5, -0.8]], [1.0], steps=3, seed=0)
    >>> run.losses.shape, run.path.shape
    ((3,), (4, 3))
    >>> bool(run.losses[-1] < run.losses[0])
    True
    """

    weights: Floats
    bias: float
    rows: NDArray[np.int64]
    outputs: Floats
    deltas: Floats
    losses: Floats
    path: Floats


def delta_rule(
    X: ArrayLike,
    y: ArrayLike,
    *,
    lr: Rate = 0.5,
    steps: int = 1000,
    order: str = "random",
    weights: ArrayLike | None = None,
    bias: float = 0.0,
    seed: int = 0,
) -> DeltaRule:
    """Train one logistic neuron by SGD on the sum of 1/2 (y_hat - y)^2.

    Step t visits one row, drawn uniformly from all rows (``order="random"``, with ``seed``) or the next one
    ("cyclic"), and adds -lr(t) delta x to the weights, where delta = (y_hat - y) y_hat (1 - y_hat) is the same for
    every weight; the bias is the weight of x_0 = 1. ``X`` is [rows, features], ``y`` [rows] in [0, 1]. The learning
    rate ``lr`` is a number or a schedule such as ``optim.InverseTime``; ``weights`` [features] and ``bias`` are the
    first ones. Computes in float64. Raises ShapeError for shapes that do not fit, SettingError for settings out of
    range.

    >>> from chainrule import classic
    >>> run = classic.delta_rule([[0.5, -0.8]], [1.0], lr=0.5, steps=1, weights=[-0.4, 0.6], bias=0.1)
    >>> round(float(run.deltas[0]), 12), run.weights.round(12).tolist()
    (-0.14750960178, [-0.363122599555, 0.540996159288])

    Lectures: B10 to B12.
    """
    inputs, targets = matrix_and_targets("delta_rule", X, y)
    count = check_count("steps", steps)
    check_order("delta_rule", order)
    w = _first_weights(weights, bias, inputs.shape[1])
    x = with_constant(inputs)
    rates = tabulate(lr, count).rates
    taken = np.array(list(islice(visits(len(x), order, check_count("seed", seed, least=0)), count)))
    path, outputs, deltas = _steps(x[taken], targets[taken], rates, w)
    losses = 0.5 * (outputs - targets[taken]) ** 2
    return DeltaRule(path[-1, 1:].copy(), float(path[-1, 0]), taken, outputs, deltas, losses, path)


def _steps(x: Floats, targets: Floats, rates: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """One step for each row of x: the weights before each and after all, the outputs and the deltas."""
    from scipy.special import expit

    count = len(x)
    path, outputs, deltas = np.empty((count + 1, len(w))), np.empty(count), np.empty(count)
    for t in range(count):
        path[t] = w
        u = w @ x[t]
        outputs[t] = expit(u)
        deltas[t] = (outputs[t] - targets[t]) * outputs[t] * expit(-u)  # 1 - y_hat without cancellation
        w = w - rates[t] * deltas[t] * x[t]
    path[count] = w
    return path, outputs, deltas


def _first_weights(weights: ArrayLike | None, bias: float, features: int) -> Floats:
    """The bias, then the weights [1 + features]."""
    w = np.zeros(features + 1)
    w[0] = check_number("bias", bias)
    if weights is not None:
        given = as_array(weights, np.float64, "weights")
        if given.shape != (features,):
            raise ShapeError("delta_rule: weights", expected=[features], got=list(given.shape))
        w[1:] = given
    return w

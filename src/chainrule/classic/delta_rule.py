"""The delta rule: a single logistic neuron, one row at a time (Widrow and Hoff, 1960, with a logistic output)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from chainrule.classic.samples import Floats, check_order, matrix_and_targets, visits, with_constant
from chainrule.errors import ShapeError
from chainrule.optim.schedules import Rate, tabulate
from chainrule.optim.settings import check_count, check_number


@dataclass(frozen=True)
class DeltaRule:
    """What the delta rule did, step by step.

    ``weights`` [features] and ``bias`` at the end; ``rows`` [steps], which row each step took; ``outputs``
    [steps], y_hat before the step; ``deltas`` [steps]; ``losses`` [steps], 1/2 (y_hat - y)^2 of that row;
    ``path`` [steps + 1, 1 + features], bias and weights before the first step and after each.

    >>> from chainrule import classic
    >>> run = classic.delta_rule([[0.5, -0.8]], [1.0], steps=3, seed=0)
    >>> run.losses.shape, run.path.shape
    ((3,), (4, 3))
    >>> bool(run.losses[-1] < run.losses[0])
    True
    """

    weights: Floats
    bias: float
    rows: np.ndarray[Any, np.dtype[np.int64]]
    outputs: Floats
    deltas: Floats
    losses: Floats
    path: Floats


def delta_rule(
    X: Any,
    y: Any,
    *,
    lr: Rate = 0.5,
    steps: int = 1000,
    order: str = "random",
    weights: Any = None,
    bias: float = 0.0,
    seed: int = 0,
) -> DeltaRule:
    """SGD on the sum of 1/2 (y_hat - y)^2 for one logistic neuron (row B10 to B12).

    Step t takes a row i, uniformly at random from all rows (``order="random"``, drawn from ``seed``) or in
    turn ("cyclic"), and moves w by -lr(t) delta x with delta = (y_hat - y) y_hat (1 - y_hat), which is the
    same for every weight; the bias is the weight of x_0 = 1. ``X`` [rows, features], ``y`` [rows] in [0, 1];
    ``lr`` a number or a schedule such as ``optim.InverseTime``; ``weights`` [features] and ``bias`` to start
    from, 0 by default. float64. Raises ShapeError for shapes that do not fit, SettingError for settings.

    >>> from chainrule import classic
    >>> run = classic.delta_rule([[0.5, -0.8]], [1.0], lr=0.5, steps=1, weights=[-0.4, 0.6], bias=0.1)
    >>> round(float(run.deltas[0]), 12), run.weights.round(12).tolist()
    (-0.14750960178, [-0.363122599555, 0.540996159288])
    """
    from scipy.special import expit

    inputs, targets = matrix_and_targets("delta_rule", X, y)
    count = check_count("steps", steps)
    check_order("delta_rule", order)
    w = np.zeros(inputs.shape[1] + 1)
    w[0] = check_number("bias", bias)
    if weights is not None:
        given = np.asarray(weights, np.float64)
        if given.shape != (inputs.shape[1],):
            raise ShapeError(
                "delta_rule: weights to start from", expected=[inputs.shape[1]], got=list(given.shape)
            )
        w[1:] = given
    x = with_constant(inputs)
    rates = tabulate(lr, count).rates
    taken = np.array(list(islice(visits(len(x), order, check_count("seed", seed, least=0)), count)))
    path, outputs, deltas = np.empty((count + 1, len(w))), np.empty(count), np.empty(count)
    for t, i in enumerate(taken):
        path[t] = w
        u = w @ x[i]
        outputs[t] = expit(u)
        deltas[t] = (outputs[t] - targets[i]) * outputs[t] * expit(-u)  # 1 - y_hat without cancellation
        w = w - rates[t] * deltas[t] * x[i]
    path[count] = w
    losses = 0.5 * (outputs - targets[taken]) ** 2
    return DeltaRule(w[1:].copy(), float(w[0]), taken, outputs, deltas, losses, path)

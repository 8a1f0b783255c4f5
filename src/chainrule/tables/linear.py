"""A linear model of the same rows, beside which a network shows whether it is worth its trouble.

Both models are those of scikit-learn (``Ridge(1)``, ``LogisticRegression()``), which are not called: importing them
takes longer than a small table takes to train.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.optim import LBFGS
from chainrule.system.blas import one_blas_thread

Floats = NDArray[np.float64]
CELLS, OUTPUTS = 2_000_000, 20_000_000  # of features and of outputs, at most, that it is trained on
PENALTY = 1.0  # times half the sum of the squared weights, beside a sum over rows
STEEPEST = 1e-5  # slope of the mean loss: nearly converged is near enough for a comparison
ITERATIONS, STEPS, HALVINGS = 100, 30, 30  # of L-BFGS, of Newton's method, and of one of its steps
PRODUCTS = 200_000_000  # of a step of Newton's method, up to which it takes less time than importing L-BFGS
NEVER = -30.0  # logit of a class that does not occur: small beside all others, and in the range of float32
RIDGE = 1e-9  # of the curvature where there is none: adding to all classes' outputs changes nothing


def linear_predictions(
    features: NDArray[np.float32],
    target: NDArray[Any],
    scored: NDArray[np.float32],
    classes: int,
    weights: Floats | None = None,
) -> Floats | None:
    """What a linear model predicts for ``scored`` [rows, features] after training on ``features`` and ``target``.

    Logistic regression for ``classes`` (probabilities [rows, classes] come out), least squares with a small penalty
    for a standardised target [rows, 1] (numbers [rows]). Of very many rows every n-th is used. With ``weights``, whose
    mean is 1, a row counts as so many. None where the rows
    that train have one class only.
    """
    model = fit_linear(features, target, classes, weights=weights)
    if model is None:
        return None
    found = model.outputs(scored)
    return np.exp(found) if classes else found[:, 0]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Outputs x weights + bias: logits of classes, or standardised numbers. [features, outputs] and [outputs]."""

    weights: Floats
    bias: Floats
    classes: bool

    def outputs(self, x: NDArray[np.float32]) -> Floats:
        """For ``x`` [rows, features] logarithms of the classes' probabilities, or numbers: [rows, outputs]."""
        found = np.asarray((x @ self.weights.astype(x.dtype)).astype(np.float64) + self.bias)
        if self.classes:
            found -= found.max(1, keepdims=True)
            found -= np.log(np.exp(found).sum(1, keepdims=True))
        return found


def fit_linear(
    features: NDArray[np.float32],
    target: NDArray[Any],
    classes: int,
    rows: NDArray[np.int64] | None = None,
    weights: Floats | None = None,
) -> LinearModel | None:
    """The linear model of some ``rows``, or of all: logistic regression for ``classes``, else ridge regression.

    Of very many rows every n-th is used. With ``weights`` [rows of ``features``], whose mean is 1, a row counts as so
    many. None where the rows have one class only.
    """
    count = len(features) if rows is None else len(rows)
    step = max(1, -(-count * features.shape[1] // CELLS), -(-count * classes // OUTPUTS))
    chosen = slice(None, None, step) if rows is None else rows[::step]
    x, y = features[chosen], target[chosen]
    each = np.ones(len(x), np.float32) if weights is None else weights[chosen].astype(np.float32)
    with one_blas_thread():
        return _classes(x, y, each, classes) if classes else _numbers(x, y[:, 0], each)


def _numbers(x: NDArray[np.float32], y: NDArray[Any], each: NDArray[np.float32]) -> LinearModel:
    """Ridge regression, by the equations of the weights or, where rows are fewer, those of the rows."""
    shares = each.astype(np.float64) / each.sum(dtype=np.float64)
    x_mean, y_mean = shares @ x, float(shares @ y)
    root = np.sqrt(each.astype(np.float64))
    centred, right = (x - x_mean) * root[:, None], (y - y_mean) * root
    if len(x) < x.shape[1]:
        of_rows = np.linalg.solve(centred @ centred.T + PENALTY * np.eye(len(x)), right)
        weights = centred.T @ of_rows
    else:
        weights = np.linalg.solve(centred.T @ centred + PENALTY * np.eye(x.shape[1]), centred.T @ right)
    return LinearModel(weights[:, None], np.array([y_mean - x_mean @ weights]), False)


def _classes(
    x: NDArray[np.float32], y: NDArray[Any], each: NDArray[np.float32], classes: int
) -> LinearModel | None:
    present, labels = np.unique(y, return_inverse=True)
    if len(present) < 2:
        return None
    model = _Logistic(x, labels, each, 1 if len(present) == 2 else len(present))
    start = np.zeros((x.shape[1] + 1) * model.outputs)
    if len(x) * start.size**2 <= PRODUCTS:
        theta = _newton(model, start)
    else:
        theta = LBFGS(max_iterations=ITERATIONS, tolerance=STEEPEST).minimise(model.loss, start).theta
    fitted = theta.reshape(-1, model.outputs)
    mine = present[-model.outputs :]  # of two classes the first one has no weights
    weights, bias = np.zeros((x.shape[1], classes)), np.full(classes, NEVER)
    bias[present] = 0
    weights[:, mine], bias[mine] = fitted[:-1], fitted[-1]
    return LinearModel(weights, bias, True)


@dataclass(frozen=True, eq=False)
class _Logistic:
    """Rows [rows, columns], their labels, and how much each counts, 1 on average.

    Of two classes only the second has an output.

    Parameters ``theta`` are the weights [columns, outputs], and last what is added to each output.
    """

    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    each: NDArray[np.float32]
    outputs: int

    def log_probabilities(self, theta: Floats, x: NDArray[np.float32]) -> Floats:
        """Of each class, [rows, classes]."""
        weights = theta.reshape(-1, self.outputs)
        found = (x @ weights[:-1].astype(x.dtype)).astype(np.float64) + weights[-1]
        if self.outputs == 1:
            found = np.hstack([np.zeros_like(found), found])
        found -= found.max(1, keepdims=True)
        found -= np.log(np.exp(found).sum(1, keepdims=True))
        return found

    def loss(self, theta: Floats) -> tuple[float, Floats]:
        """The mean of -log of the right class's probability, with the penalty, and its derivative."""
        rows, place = len(self.x), np.arange(len(self.x))
        weights = theta.reshape(-1, self.outputs)[:-1]
        log_p = self.log_probabilities(theta, self.x)
        off = np.exp(log_p)
        off[place, self.labels] -= 1
        off = off[:, -self.outputs :] * (self.each / rows)[:, None]
        slopes = np.vstack([self.x.T @ off.astype(self.x.dtype) + PENALTY / rows * weights, off.sum(0)])
        mean = -float((self.each * log_p[place, self.labels]).mean())
        return mean + 0.5 * PENALTY / rows * float(np.square(weights).sum()), slopes.ravel()

    def curvature(self, theta: Floats) -> Floats:
        """The second derivative of the loss, [parameters, parameters]."""
        p = np.exp(self.log_probabilities(theta, self.x))[:, -self.outputs :]
        x = np.hstack([self.x.astype(np.float64), np.ones((len(p), 1))])
        whole = np.empty((x.shape[1], self.outputs, x.shape[1], self.outputs))
        for i in range(self.outputs):
            for j in range(self.outputs):
                share = self.each * p[:, i] * ((i == j) - p[:, j]) / len(p)
                whole[:, i, :, j] = (x * share[:, None]).T @ x
        flat = whole.reshape(2 * (x.shape[1] * self.outputs,))
        penalised = np.full(len(flat), PENALTY / len(p))
        penalised[-self.outputs :] = RIDGE
        return flat + np.diag(penalised)


def _newton(model: _Logistic, theta: Floats) -> Floats:
    """The minimum by Newton's method, whose steps are halved until the loss falls."""
    loss, slopes = model.loss(theta)
    for _ in range(STEPS):
        if np.abs(slopes).max() <= STEEPEST:
            break
        step = np.linalg.solve(model.curvature(theta), slopes)
        for _ in range(HALVINGS):
            lower, there = model.loss(theta - step)
            if lower < loss:
                break
            step /= 2
        else:
            break  # lower by less than rounding
        theta, loss, slopes = theta - step, lower, there
    return theta

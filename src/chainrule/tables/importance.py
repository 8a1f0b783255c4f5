"""Which columns a trained network uses: by shuffling them, and by the derivative of its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule import functions as f
from chainrule.data import Target
from chainrule.report import Importance, Importances
from chainrule.system.blas import one_blas_thread
from chainrule.tables.metrics import row_losses
from chainrule.tables.model import TableModel
from chainrule.tensor import Tensor
from chainrule.transforms import grad

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

Floats = NDArray[np.float64]
ROWS, FEWEST = 1000, 250  # that are shuffled and predicted again: at most, and least where time is short
SLOPED = 128  # of them, on which slopes are measured
PREDICTIONS = 100_000  # of a network, over all columns and repeats: some tenths of a second for a small one
CELLS = 40_000_000  # of these predictions' features, or of their outputs, at most
TOGETHER = 10_000  # rows that are predicted in one call, so that few calls are made of many networks
REPEATS = 5
NOISE = 1.65  # standard errors: chance alone lets the loss grow by more in one of 20 cases
SHUFFLED = {
    "classification": "how much the log loss grows when the column's values are dealt out to the rows at random.",
    "regression": "how much the RMSE grows when the column's values are dealt out to the rows at random.",
}
SLOPES = {
    "classification": "Slope: root mean square over the rows of the derivative of the predicted class's "
    "log-probability by the column, per standard deviation (of categories: over all of them).",
    "regression": "Slope: root mean square over the rows of the prediction's derivative by the column, in the "
    "target's units per standard deviation (of categories: over all of them).",
}


@one_blas_thread()
def importances(trained: Trained, seed: int = 0) -> Importances:
    """The columns of the table by the loss gained when they are shuffled, on rows that the score is of.

    Of many columns fewer rows are shuffled, and of very many only those columns with the largest slopes.
    """
    model, (features, actual) = trained.model, trained.prepared.scored
    parts = features_of_columns(model)
    shuffled = np.random.default_rng(seed).permutation(len(actual))
    sloped = np.sort(shuffled[:SLOPED])
    slopes = _slopes(model, features[sloped], trained.scored.outputs[sloped])
    steep = {name: float(np.sqrt(np.square(slopes[:, part]).sum(1).mean())) for name, part in parts.items()}
    budget = PREDICTIONS // trained.networks_of_a_row  # predictions of a row by all that answer for it
    chosen = np.sort(shuffled[: min(ROWS, max(budget // len(parts), FEWEST))])
    actual, outputs = actual[chosen], trained.scored.outputs[chosen]
    cells = max(features.shape[1], outputs.shape[1])
    most = min(max(budget, len(chosen) * len(parts)), PREDICTIONS, CELLS // cells) // len(chosen)
    order = sorted(parts, key=lambda name: -steep[name])[: max(most, 1)]
    repeats = min(max(most // max(len(order), 1), 1), REPEATS)
    before = losses_of_rows(model, outputs, actual)
    gained = _gained(trained, chosen, [parts[name] for name in order], repeats, seed) - before
    unit = model.preprocessor.target.standard_deviation if model.task == "regression" else 1.0
    found = [
        _importance(name, gain, before, steep[name], unit, model.preprocessor.target)
        for name, gain in zip(order, gained, strict=True)
    ]
    return Importances(
        sorted(found, key=lambda c: (-c.loss, -c.slope)),
        SHUFFLED[model.task],
        SLOPES[model.task],
        left_out=len(parts) - len(order),
    )


def features_of_columns(model: TableModel) -> dict[str, slice]:
    """Which of the network's inputs belong to each column that is used."""
    parts, start = {}, 0
    for column in model.preprocessor.columns:
        width = len(column.feature_names)
        if width:
            parts[column.name] = slice(start, start + width)
        start += width
    return parts


def losses_of_rows(model: TableModel, outputs: NDArray[np.float32], encoded: NDArray[Any]) -> Floats:
    """The log loss of each row [rows], or the squared error of its standardised target."""
    if model.task == "classification":
        return row_losses(model.probabilities(outputs), encoded)
    return np.square(outputs[:, 0].astype(np.float64) - encoded[:, 0])


def _gained(
    trained: Trained,
    chosen: NDArray[np.int64],
    parts: Sequence[slice],
    repeats: int,
    seed: int,
) -> Floats:
    """The losses of the chosen rows with each part shuffled, [parts, repeats, rows]."""
    every, target = trained.prepared.scored
    features, actual = every[chosen], target[chosen]
    rng = np.random.default_rng(seed)
    jobs = [(i, j) for i in range(len(parts)) for j in range(repeats)]
    together = min(max(len(every) // len(chosen), 1), max(TOGETHER // len(chosen), 1))
    losses = np.empty((len(parts), repeats, len(chosen)))
    for start in range(0, len(jobs), together):
        some = jobs[start : start + together]
        shuffled = np.repeat(features[None], len(some), 0)
        for copy, (i, _) in zip(shuffled, some, strict=True):
            copy[:, parts[i]] = features[rng.permutation(len(features)), parts[i]]
        outputs = trained.outputs(shuffled.reshape(-1, features.shape[1]), np.tile(chosen, len(some)))
        found = losses_of_rows(trained.model, outputs, np.concatenate([actual] * len(some)))
        for (i, j), one in zip(some, found.reshape(len(some), -1), strict=True):
            losses[i, j] = one
    return losses


def _importance(
    name: str, gained: Floats, before: Floats, slope: float, unit: float, target: Target
) -> Importance:
    """The mean of gained losses [repeats, rows], and its standard error over rows and repeats."""
    repeats, rows = gained.shape
    mean = float(gained.mean())
    over_rows = float(gained.mean(0).std(ddof=1)) / np.sqrt(rows) if rows > 1 else float("inf")
    over_repeats = float(gained.mean(1).std(ddof=1)) / np.sqrt(repeats) if repeats > 1 else 0.0
    error = float(np.hypot(over_rows, over_repeats))
    is_noise = not mean > NOISE * error
    if target.task == "regression":  # of squared errors, told as what becomes of their root
        base = float(before.mean())
        grown = float(np.sqrt(max(base + mean, 0.0)))
        error = error / (2 * max(grown, 1e-12))
        mean = grown - float(np.sqrt(base))
    return Importance(name, unit * mean, unit * error if np.isfinite(error) else 0.0, unit * slope, is_noise)


def _slopes(model: TableModel, features: NDArray[np.float32], outputs: NDArray[np.float32]) -> Floats:
    """The derivative of what the network says by each of its inputs, [rows, features].

    Of classes that of the log-probability of the one with the largest output [rows, classes].
    """
    network, target = model.network, model.preprocessor.target
    if target.task == "regression":
        return grad(lambda x: f.sum(network(x)))(features).numpy().astype(np.float64)
    label = outputs.argmax(1)
    chosen = np.zeros((len(label), len(target.classes)), features.dtype)
    chosen[np.arange(len(label)), label] = 1
    slopes = grad(lambda x: f.sum(f.log_softmax(network(x), -1) * Tensor.leaf(chosen)))(features).numpy()
    return slopes.astype(np.float64)

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
from chainrule.tables.model import TableModel, network_outputs
from chainrule.tensor import Tensor
from chainrule.transforms import grad

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

Floats = NDArray[np.float64]
ROWS = 1000  # that are shuffled and predicted again
PREDICTIONS = 100_000  # at most, over all columns and repeats: some tenths of a second for a small network
CELLS = 40_000_000  # of these predictions' features, or of their outputs, at most
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

    Of very many columns only those with the largest slopes are shuffled.
    """
    model, (features, actual) = trained.model, trained.prepared.scored
    chosen = np.sort(np.random.default_rng(seed).permutation(len(actual))[:ROWS])
    rows, actual, outputs = features[chosen], actual[chosen], trained.scored.outputs[chosen]
    parts = features_of_columns(model)
    slopes = _slopes(model, rows)
    steep = {name: float(np.sqrt(np.square(slopes[:, part]).sum(1).mean())) for name, part in parts.items()}
    most = min(PREDICTIONS, CELLS // max(rows.shape[1], outputs.shape[1])) // len(
        rows
    )  # times that all rows are predicted
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
    features, actual = (array[chosen] for array in trained.prepared.scored)
    rng = np.random.default_rng(seed)
    shuffled = features.copy()
    losses = np.empty((len(parts), repeats, len(features)))
    for i, part in enumerate(parts):
        for j in range(repeats):
            shuffled[:, part] = features[rng.permutation(len(features)), part]
            losses[i, j] = losses_of_rows(trained.model, trained.outputs(shuffled, chosen), actual)
        shuffled[:, part] = features[:, part]
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


def _slopes(model: TableModel, features: NDArray[np.float32]) -> Floats:
    """The derivative of what the network says by each of its inputs, [rows, features]."""
    network, target = model.network, model.preprocessor.target
    if target.task == "regression":
        return grad(lambda x: f.sum(network(x)))(features).numpy().astype(np.float64)
    label = network_outputs(network, features).argmax(1)
    chosen = np.zeros((len(label), len(target.classes)), features.dtype)
    chosen[np.arange(len(label)), label] = 1
    slopes = grad(lambda x: f.sum(f.log_softmax(network(x), -1) * Tensor.leaf(chosen)))(features).numpy()
    return slopes.astype(np.float64)

"""Which columns a trained network uses: by shuffling them, and by the derivative of its output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chainrule import functions as f
from chainrule.report import Importance, Importances
from chainrule.tables.model import network_outputs
from chainrule.tables.scores import score_outputs
from chainrule.tables.training import Trained
from chainrule.tensor import Tensor
from chainrule.transforms import grad

ROWS = 300  # that are shuffled and predicted again
PREDICTIONS = 40_000  # at most, over all columns and repeats: some hundredths of a second for a small network
REPEATS = 5
SHUFFLED = {
    "accuracy": "the accuracy lost when the column's values are dealt out to the rows at random.",
    "RMSE": "how much the RMSE grows when the column's values are dealt out to the rows at random.",
}
SLOPES = {
    "accuracy": "Slope: root mean square over the rows of the derivative of the predicted class's log-probability "
    "by the column, per standard deviation (of categories: over all of them).",
    "RMSE": "Slope: root mean square over the rows of the prediction's derivative by the column, in the target's "
    "units per standard deviation (of categories: over all of them).",
}


def importances(trained: Trained, seed: int = 0) -> Importances:
    """The columns of the table by the score lost when they are shuffled, on rows that the score is of.

    Of very many columns only those with the largest slopes are shuffled.
    """
    model, prepared = trained.model, trained.prepared
    chosen = np.random.default_rng(seed).permutation(prepared.split.scored)[:ROWS]
    features, actual = prepared.encoded(chosen)
    parts = _features_of_columns(trained)
    slopes = _slopes(trained, features)
    steep = {name: float(np.sqrt(np.square(slopes[:, part]).sum(1).mean())) for name, part in parts.items()}
    order = sorted(parts, key=lambda name: -steep[name])[: max(PREDICTIONS // len(features), 1)]
    repeats = min(max(PREDICTIONS // (len(features) * max(len(order), 1)), 1), REPEATS)
    losses = _shuffled(trained, features, actual, [parts[name] for name in order], repeats, seed)
    unit = model.preprocessor.target.standard_deviation if model.task == "regression" else 1.0
    losses /= unit  # the target's own units may be too large to be squared
    found = [
        Importance(name, unit * float(loss.mean()), unit * float(loss.std()), unit * steep[name])
        for name, loss in zip(order, losses, strict=True)
    ]
    metric = model.facts.metric
    return Importances(
        sorted(found, key=lambda c: (-c.loss, -c.slope)),
        SHUFFLED[metric],
        SLOPES[metric],
        left_out=len(parts) - len(order),
    )


def _features_of_columns(trained: Trained) -> dict[str, slice]:
    """Which of the network's inputs belong to each column that is used."""
    parts, start = {}, 0
    for column in trained.model.preprocessor.columns:
        width = len(column.feature_names)
        if width:
            parts[column.name] = slice(start, start + width)
        start += width
    return parts


def _slopes(trained: Trained, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """The derivative of what the network says by each of its inputs, [rows, features]."""
    network, target = trained.model.network, trained.model.preprocessor.target
    if target.task == "regression":
        return grad(lambda x: f.sum(network(x)))(features).numpy().astype(np.float64)
    label = network_outputs(network, features).argmax(1)
    chosen = np.eye(len(target.classes), dtype=features.dtype)[label]
    slopes = grad(lambda x: f.sum(f.log_softmax(network(x), -1) * Tensor.leaf(chosen)))(features).numpy()
    return slopes.astype(np.float64)


def _shuffled(
    trained: Trained,
    features: NDArray[np.float32],
    actual: NDArray[np.float64],
    parts: list[slice],
    repeats: int,
    seed: int,
) -> NDArray[np.float64]:
    """The score lost by shuffling each part, [parts, repeats]; all tables are predicted in one go."""
    rng = np.random.default_rng(seed)
    tables = np.repeat(features[None], len(parts) * repeats, axis=0)
    for i, table in enumerate(tables):
        part = parts[i // repeats]
        table[:, part] = features[rng.permutation(len(features)), part]
    outputs = network_outputs(trained.model.network, tables.reshape(-1, features.shape[1]))
    whole = _score(trained, network_outputs(trained.model.network, features), actual)
    scores = [_score(trained, each, actual) for each in np.split(outputs, len(tables))]
    lost = whole - np.array(scores) if trained.model.facts.metric == "accuracy" else np.array(scores) - whole
    return lost.reshape(len(parts), repeats)


def _score(trained: Trained, outputs: NDArray[np.float32], actual: NDArray[np.float64]) -> float:
    return score_outputs(trained.model.preprocessor.target, 0, outputs, actual).value

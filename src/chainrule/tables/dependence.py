"""What is predicted on average where a column has a value: the partial dependence of the columns that matter most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from chainrule.data.features.numbers import column_numbers
from chainrule.report import Dependence
from chainrule.system.blas import one_blas_thread
from chainrule.tables.importance import features_of_columns

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

Floats = NDArray[np.float64]
COLUMNS = 3
ROWS = 150  # whose other columns stay as they are
VALUES, CATEGORIES = 15, 8  # of a column, at most
LOOKED_AT = 100_000  # rows from which the values are taken, at most
ENDS = 0.02, 0.98  # quantiles of the rows' values, from the first to the last that is drawn
LINES = 6  # classes at most, each of which has a line


@one_blas_thread()
def dependences_of(trained: Trained, seed: int = 0) -> tuple[Dependence, ...]:
    """The partial dependence (Friedman, 2001) of up to three columns that matter beyond chance.

    The column's cells of up to 150 scored rows are replaced by those of another row, and what networks that did not
    see the row predict then is averaged; so for each of some values. Columns of dates and of words are left out.
    """
    kinds = {column.name: column.kind for column in trained.model.preprocessor.columns}
    wanted = [
        column.name
        for column in trained.importances.columns
        if column.loss > 0
        and not column.is_noise
        and kinds[column.name] in {"numeric", "boolean", "categorical"}
    ]
    parts = features_of_columns(trained.model)
    lines = _lines(trained)
    found = []
    for name in wanted[:COLUMNS]:
        values, labels, givers = _values(trained, name, kinds[name])
        if len(givers) > 1:
            means = _means(trained, parts[name], givers, seed)
            found.append(Dependence(name, values, labels, means[:, lines], _names(trained, lines)))
    return tuple(found)


def _lines(trained: Trained) -> list[int]:
    """Which outputs are drawn: the number, the second of two classes, all of a few, or the most frequent of many."""
    classes = len(trained.model.classes)
    if classes < 2:
        return [0]
    if classes == 2:
        return [1]
    counts = np.bincount(trained.prepared.training.target, minlength=classes)
    return sorted(np.argsort(-counts, kind="stable")[:LINES].tolist())


def _names(trained: Trained, lines: list[int]) -> list[str]:
    return [trained.model.classes[i] for i in lines] if trained.model.classes else [""]


def _values(trained: Trained, name: str, kind: str) -> tuple[Floats | None, list[str], NDArray[np.int64]]:
    """The values of a column (None for categories), their names, and for each a scored row that has it."""
    scored = trained.prepared.split.scored
    step = max(-(-len(scored) // LOOKED_AT), 1)
    column = trained.prepared.frame[name][scored[::step]]
    if kind == "numeric":
        numbers = column_numbers(column, kind)
        order = np.argsort(numbers, kind="stable")[: int(np.isfinite(numbers).sum())]
        if not len(order):
            return None, [], order
        places = (np.linspace(*ENDS, VALUES) * (len(order) - 1)).round().astype(np.int64)
        values, first = np.unique(numbers[order[places]], return_index=True)
        return values, [], order[places][first] * step
    texts = column.cast(pl.String).fill_null("missing").to_numpy()
    names, first, counts = np.unique(texts.astype(object), return_index=True, return_counts=True)
    shown = np.sort(np.argsort(-counts, kind="stable")[:CATEGORIES])
    return None, names[shown].tolist(), first[shown] * step


def _means(trained: Trained, part: slice, givers: NDArray[np.int64], seed: int) -> Floats:
    """What is predicted on average, [values, classes] or [values, 1], with the column's features of each giver."""
    features = trained.prepared.scored.features
    chosen = np.sort(np.random.default_rng(seed).permutation(len(features))[:ROWS])
    changed = np.repeat(features[None, chosen], len(givers), 0)
    changed[:, :, part] = features[givers, part][:, None]
    outputs = trained.outputs(changed.reshape(-1, features.shape[1]), np.tile(chosen, len(givers)))
    model = trained.model
    said = (
        model.probabilities(outputs)
        if model.classes
        else model.preprocessor.decode(outputs).to_numpy()[:, None]
    )
    return said.reshape(len(givers), len(chosen), -1).mean(1)

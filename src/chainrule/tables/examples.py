"""Single rows and single probabilities of a trained network: the worst rows, and how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.number_text import readable as number
from chainrule.report import Calibration, WorstRows
from chainrule.tables.sureness import calibration_of

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

WORST = 10
CELLS = 4  # columns whose cells are shown


def calibration(trained: Trained) -> Calibration | None:
    """Confidence and accuracy of the rows that the score is of; None for a regression."""
    if trained.model.task == "regression":
        return None
    return calibration_of(trained.scored.predicted, trained.scored.actual)


def worst_rows(trained: Trained) -> WorstRows:
    """The ten rows with the highest loss among those that the score is of, with cells of the first columns."""
    rows = trained.prepared.split.scored
    columns = [column.name for column in trained.importances.columns]
    shown = columns[:CELLS]
    if trained.model.task == "regression":
        titles, worst = _furthest(trained)
        kind = "Rows whose prediction is furthest off"
    else:
        titles, worst = _least_likely(trained)
        kind = "Rows whose class the network holds least likely"
    frame = trained.prepared.frame
    body = [
        [str(int(rows[i]) + 1), *cells, *(_cell(frame[name][int(rows[i])]) for name in shown)]
        for i, cells in worst
    ]
    which = "the columns that matter most" if len(shown) < len(columns) else "all columns"
    explanation = (
        f"{kind}, {len(body)} of {number(len(rows))}, with {which}. Rows count from 1, without a header."
    )
    numeric = [i + 1 for i, title in enumerate(titles) if title in {"Probability", "Off by"}]
    return WorstRows(["Row", *titles, *shown], body, numeric, explanation)


Worst = list[tuple[int, list[str]]]
"""The places of the worst rows among those that the score is of, each with what is written about it."""


def _least_likely(trained: Trained) -> tuple[list[str], Worst]:
    probabilities, actual = trained.scored.predicted, trained.scored.actual
    likely = probabilities[np.arange(len(actual)), actual]
    classes = trained.model.classes
    worst = np.argsort(likely, kind="stable")[:WORST].tolist()
    cells = [(i, [classes[actual[i]], classes[trained.scored.labels[i]], f"{likely[i]:.4f}"]) for i in worst]
    return ["Actual", "Predicted", "Probability"], cells


def _furthest(trained: Trained) -> tuple[list[str], Worst]:
    actual, predicted = trained.scored.actual, trained.scored.predicted
    off = actual - predicted
    worst = np.argsort(-np.abs(off), kind="stable")[:WORST].tolist()
    cells = [(i, [number(actual[i]), number(predicted[i]), number(off[i])]) for i in worst]
    return ["Actual", "Predicted", "Off by"], cells


def _cell(value: object) -> str:
    return "missing" if value is None else number(value) if isinstance(value, int | float) else str(value)

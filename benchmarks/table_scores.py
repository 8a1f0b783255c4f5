"""The tables of ``tables.py`` and how a prediction of their held-out rows is scored and compared.

A folder of tables holds NAME.csv, with the column ``y`` to predict, and ``splits.json``: for each name its task and,
for each split, the row numbers from 0 that are held out. Without a folder the tables are chainrule's bundled ones,
three splits of which hold out a fifth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BUNDLED = ("iris", "wine", "breast-cancer", "diabetes", "digits")
SPLITS, HELD_OUT = 3, 0.2
LEAST = 1e-7  # the least probability that a log loss is taken of
BINS = 15  # of the expected calibration error


@dataclass(frozen=True)
class Table:
    """Features, target (classes as text), task, and the rows that each split holds out."""

    name: str
    features: pd.DataFrame
    y: np.ndarray
    task: str
    held_out: list[np.ndarray]

    def split(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers that train, and those that are held out."""
        held_out = self.held_out[number]
        return np.setdiff1d(np.arange(len(self.y)), held_out), held_out


def read_folder(folder: Path, names: Sequence[str] = ()) -> list[Table]:
    """The tables of a folder, all or some; an empty cell is missing, and no other text is."""
    known = json.loads((folder / "splits.json").read_text())
    if strange := sorted(set(names) - set(known)):
        raise SystemExit(f"no such table: {', '.join(strange)}; there are {', '.join(known)}")
    tables = []
    for name in names or known:
        frame = pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])
        task, splits = known[name]["task"], [np.asarray(rows) for rows in known[name]["test"]]
        tables.append(_table(name, frame, "y", task, splits))
    return tables


def bundled(names: Sequence[str] = ()) -> list[Table]:
    """chainrule's bundled tables."""
    from chainrule.data import load_bundled, split_rows

    if strange := sorted(set(names) - set(BUNDLED)):
        raise SystemExit(f"no such table: {', '.join(strange)}; there are {', '.join(BUNDLED)}")
    tables = []
    for name in names or BUNDLED:
        problem = load_bundled(name)
        frame = pd.DataFrame({column.name: column.to_numpy() for column in problem.frame})
        labels = None
        if problem.task == "classification":
            labels = np.unique(frame[problem.target].astype(str), return_inverse=True)[1]
        splits = [split_rows(len(frame), HELD_OUT, labels, seed)[1] for seed in range(SPLITS)]
        tables.append(_table(name, frame, problem.target, problem.task, splits))
    return tables


def _table(name: str, frame: pd.DataFrame, target: str, task: str, splits: list[np.ndarray]) -> Table:
    y = frame[target].astype(str) if task == "classification" else frame[target].astype(float)
    return Table(name, frame.drop(columns=target), y.to_numpy(), task, splits)


@dataclass(frozen=True)
class Scored:
    """What a prediction is worth: its figures, and the loss of each row, which two contestants are compared by."""

    figures: dict[str, float]
    of_rows: np.ndarray


def score_numbers(predicted: np.ndarray, y: np.ndarray) -> Scored:
    """The root mean square error over the standard deviation of the held-out target; squared errors likewise."""
    squares = ((predicted - y) / y.std(ddof=1)) ** 2
    return Scored({"error": float(np.sqrt(squares.mean()))}, squares)


def score_classes(probabilities: np.ndarray, classes: np.ndarray, y: np.ndarray) -> Scored:
    """Error, log loss, expected calibration error, area under the ROC curve where there are two classes.

    ``classes`` are those of the training rows, in the order of the columns of ``probabilities``.
    """
    right = y[:, None] == classes
    wrong = (classes[probabilities.argmax(1)] != y).astype(float)
    own = np.clip((probabilities * right).sum(1), LEAST, 1)
    figures = {
        "error": float(wrong.mean()),
        "log_loss": float(-np.log(own).mean()),
        "calibration_error": calibration_error(probabilities.max(1), 1 - wrong),
    }
    if len(classes) == 2 and 0 < right[:, 1].sum() < len(y):
        figures["auc"] = area_under_curve(probabilities[:, 1], right[:, 1])
    return Scored(figures, wrong)


def calibration_error(sure: np.ndarray, right: np.ndarray) -> float:
    """Mean over the rows of |share that is right - mean probability| of the row's bin of probabilities."""
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, right - sure, BINS)).sum() / len(sure))


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive row has the higher score than a negative one; a tie counts half."""
    from scipy.stats import rankdata

    count = int(positive.sum())
    above = rankdata(scores)[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(scores) - count)))


def mean_figures(results: Sequence[Mapping[str, Any]], figure: str) -> pd.DataFrame:
    """Mean over the splits of a figure, tables by contestants; missing where any split has none."""
    rows = [{**r, figure: r.get(figure, np.nan)} for r in results]
    groups = pd.DataFrame(rows).groupby(["table", "contestant"], sort=False)[figure]
    table = groups.apply(lambda values: values.mean(skipna=False)).unstack(sort=False)
    return table.dropna(how="all")


def mean_ranks(figures: pd.DataFrame) -> pd.Series:
    """Mean rank of each contestant, 1 for the least figure; over the tables that all of them finished."""
    return figures.dropna().rank(axis=1).mean()


def wins(figures: pd.DataFrame) -> pd.Series:
    """On how many tables each has the least figure; equals share one."""
    best = figures.eq(figures.min(axis=1), axis=0)
    return best.div(best.sum(axis=1), axis=0).sum()


def behind_the_best(figures: pd.DataFrame) -> pd.Series:
    """Of each contestant the largest figure over the least of the others on the same table, less 1."""
    return pd.Series(
        {name: (figures[name] / figures.drop(columns=name).min(axis=1)).max() - 1 for name in figures}
    )


def no_worse(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> bool:
    """Whether the mean loss of the rows is at most one standard error above the other's, row by row."""
    difference = np.concatenate(ours) - np.concatenate(theirs)
    return bool(difference.mean() <= difference.std(ddof=1) / np.sqrt(len(difference)))

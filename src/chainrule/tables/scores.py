"""How good predictions are, and how good always predicting the same would be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Target
from chainrule.foreign_text import clipped, short_repr
from chainrule.number_text import readable


@dataclass(frozen=True, repr=False)
class Score:
    """A metric over some rows, and what the baseline reaches on the same rows.

    ``metric`` is "accuracy" (the share of rows whose class is right; more is better) or "RMSE" (the root of
    the mean squared error, in the target's units; less is better). The baseline always predicts the training
    rows' most frequent class, or their mean. ``scored_on`` says which rows: "held-out", "training" or "".

    >>> from chainrule import tables
    >>> score = tables.Score("RMSE", 2.0, 5.0, 20, "held-out")
    >>> score.describe()
    'RMSE 2 on 20 held-out rows (always predicting the mean: 5)'
    """

    metric: str
    value: float
    baseline: float
    rows: int
    scored_on: str = ""

    __repr__ = short_repr

    def describe(self) -> str:
        """One line: the figures and what they mean.

        >>> Score("accuracy", 0.9, 0.5, 20, "held-out").describe()
        'accuracy 0.9 on 20 held-out rows (always predicting the most frequent class: 0.5)'
        """
        constant = "the most frequent class" if self.metric == "accuracy" else "the mean"
        kind = f"{clipped(self.scored_on)} row".strip() + ("" if self.rows == 1 else "s")
        return (
            f"{clipped(self.metric)} {readable(self.value)} on {self.rows} {kind} "
            f"(always predicting {constant}: {readable(self.baseline)})"
        )


def score_outputs(
    target: Target,
    most_frequent: int,
    outputs: NDArray[np.float32],
    actual: NDArray[Any],
    scored_on: str = "",
) -> Score:
    """The score of a network's outputs [rows, outputs] against the encoded target, [rows] or [rows, 1]."""
    running = RunningScore(target, most_frequent)
    running.add(outputs, actual)
    return running.score(scored_on)


@dataclass
class RunningScore:
    """The score of rows that come in parts."""

    target: Target
    most_frequent: int
    rows: int = 0
    total: float = 0.0  # rows that are right, or the sum of squared errors
    baseline: float = 0.0

    def add(self, outputs: NDArray[np.float32], actual: NDArray[Any]) -> None:
        """Count outputs [rows, outputs] against the encoded target, [rows] or [rows, 1]."""
        self.rows += len(actual)
        if self.target.task == "classification":
            self.total += float(np.sum(outputs.argmax(1) == actual))
            self.baseline += float(np.sum(actual == self.most_frequent))
        else:
            actual = actual.astype(np.float64)
            self.total += float(np.sum(np.square(outputs - actual)))
            self.baseline += float(np.sum(np.square(actual)))

    def score(self, scored_on: str = "") -> Score:
        """The score of all of them."""
        reached, baseline = self.total / self.rows, self.baseline / self.rows
        if self.target.task == "classification":
            return Score("accuracy", reached, baseline, self.rows, scored_on)
        unit = self.target.standard_deviation
        return Score("RMSE", unit * reached**0.5, unit * baseline**0.5, self.rows, scored_on)

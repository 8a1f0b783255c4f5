"""How good predictions are, and how good always predicting the same would be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Target


@dataclass(frozen=True)
class Score:
    """A metric over some rows, and what the baseline reaches on the same rows.

    ``metric`` is "accuracy" (the share of rows whose class is right; more is better) or "RMSE" (the root of
    the mean squared error, in the target's units; less is better). The baseline always predicts the training
    rows' most frequent class, or their mean. ``scored_on`` says which rows: "held-out", "training" or "".
    """

    metric: str
    value: float
    baseline: float
    rows: int
    scored_on: str = ""

    def describe(self) -> str:
        """One line: the figures and what they mean.

        >>> Score("accuracy", 0.9, 0.5, 20, "held-out").describe()
        'accuracy 0.9 on 20 held-out rows (always predicting the most frequent class: 0.5)'
        """
        constant = "the most frequent class" if self.metric == "accuracy" else "the mean"
        kind = f"{self.scored_on} row".strip() + ("" if self.rows == 1 else "s")
        return (
            f"{self.metric} {self.value:.4g} on {self.rows} {kind} "
            f"(always predicting {constant}: {self.baseline:.4g})"
        )


def score_outputs(
    target: Target,
    most_frequent: int,
    outputs: NDArray[np.float32],
    actual: NDArray[Any],
    scored_on: str = "",
) -> Score:
    """The score of a network's outputs [rows, outputs] against the encoded target, [rows] or [rows, 1]."""
    if target.task == "classification":
        right = float(np.mean(outputs.argmax(1) == actual))
        return Score("accuracy", right, float(np.mean(actual == most_frequent)), len(actual), scored_on)
    unit, actual = target.standard_deviation, actual.astype(np.float64)
    error, baseline = _root_mean_square(outputs - actual), _root_mean_square(actual)
    return Score("RMSE", unit * error, unit * baseline, len(actual), scored_on)


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))

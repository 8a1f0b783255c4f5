"""How good predictions are, and how good always predicting the same would be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Target
from chainrule.foreign_text import clipped, short_repr
from chainrule.number_text import readable
from chainrule.tables.metrics import class_metrics
from chainrule.tables.score_interval import root_mean_interval, share_interval

CONSTANTS = {"RMSE": "the mean", "log loss": "the classes' shares", "AUC": "the classes' shares"}


@dataclass(frozen=True, repr=False)
class Score:
    """A metric over some rows, and what the baseline reaches on the same rows.

    ``metric`` is "accuracy" (the share of rows whose class is right; more is better) or "RMSE" (the root of
    the mean squared error, in the target's units; less is better); or for an aim "balanced accuracy", "macro F1",
    "log loss" or "AUC". The baseline always predicts the training rows' most frequent class, or their mean; for log
    loss and AUC the shares of the classes. ``scored_on`` says which rows: "held-out", "out-of-fold", "training" or "".
    ``low`` and ``high`` are the ends of the 95% interval of what it would be on very many rows of this kind; None for
    rows that trained, of which it says nothing. The interval is for the model as it is: another training, or rows that
    depend on each other, may move the score further.

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
    low: float | None = None
    high: float | None = None

    __repr__ = short_repr

    def describe(self) -> str:
        """One line: the figures and what they mean.

        >>> Score("accuracy", 0.9, 0.5, 20, "held-out").describe()
        'accuracy 0.9 on 20 held-out rows (always predicting the most frequent class: 0.5)'
        >>> Score("RMSE", 2.0, 5.0, 200, "held-out", 1.8131, 2.2159).describe()
        'RMSE 2 (95% interval: 1.81 to 2.22) on 200 held-out rows (always predicting the mean: 5)'
        """
        constant = CONSTANTS.get(self.metric, "the most frequent class")
        kind = f"{clipped(self.scored_on)} row".strip() + ("" if self.rows == 1 else "s")
        return (
            f"{clipped(self.metric)} {readable(self.value)}{self.spread} on {self.rows} {kind} "
            f"(always predicting {constant}: {readable(self.baseline)})"
        )

    @property
    def spread(self) -> str:
        """Its interval in brackets, after a blank; nothing where there is none."""
        return spread_text(self.low, self.high)


def spread_text(low: float | None, high: float | None) -> str:
    """An interval as it stands behind a score, to as many digits as it is wide; nothing where there is none.

    >>> spread_text(0.79876, 0.86123), spread_text(None, None)
    (' (95% interval: 0.799 to 0.861)', '')
    """
    if low is None or high is None:
        return ""
    digits = 1 - math.floor(math.log10((high - low) / 2)) if high > low else 4
    ends = (readable(round(end, digits)) if high > low else readable(end) for end in (low, high))
    return f" (95% interval: {' to '.join(ends)})"


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
    metric: str = ""  # one that is no mean over rows needs all of them
    rows: int = 0
    total: float = 0.0  # rows that are right, or the sum of squared errors
    of_squares: float = 0.0  # the sum of their squares
    baseline: float = 0.0
    held: list[tuple[NDArray[np.float64], NDArray[Any], NDArray[np.int64]]] = field(default_factory=list)

    def add(
        self,
        outputs: NDArray[np.float32],
        actual: NDArray[Any],
        said: NDArray[np.int64] | None = None,
        probabilities: Callable[[NDArray[np.float32]], NDArray[np.float64]] | None = None,
    ) -> None:
        """Count outputs [rows, outputs] against the encoded target, [rows] or [rows, 1].

        ``said`` are the labels that are predicted, if not the likeliest ones; ``probabilities`` of outputs are needed
        for a metric that is no mean over rows.
        """
        self.rows += len(actual)
        said = outputs.argmax(1) if said is None else said
        if self.metric not in {"", "accuracy", "RMSE"} and probabilities is not None:
            self.held.append((probabilities(outputs), actual, said))
        if self.target.task == "classification":
            self.total += float(np.sum(said == actual))
            self.baseline += float(np.sum(actual == self.most_frequent))
        else:
            actual = actual.astype(np.float64)
            squares = np.square(outputs - actual)
            self.total += float(np.sum(squares))
            self.of_squares += float(np.sum(np.square(squares)))
            self.baseline += float(np.sum(np.square(actual)))

    def score(self, scored_on: str = "") -> Score:
        """The score of all of them."""
        if self.held:
            return self._by_metric(scored_on)
        judged = scored_on != "training"
        reached, baseline = self.total / self.rows, self.baseline / self.rows
        if self.target.task == "classification":
            ends = share_interval(self.total, self.rows) if judged else (None, None)
            return Score("accuracy", reached, baseline, self.rows, scored_on, *ends)
        unit = self.target.standard_deviation
        found = root_mean_interval(self.total, self.of_squares, self.rows) if judged else None
        ends = (None, None) if found is None else (unit * found[0], unit * found[1])
        return Score("RMSE", unit * reached**0.5, unit * baseline**0.5, self.rows, scored_on, *ends)

    def _by_metric(self, scored_on: str) -> Score:
        """The score by a metric of all rows; its constant has the shares of the classes in these rows."""
        p, actual, said = (np.concatenate(parts) for parts in zip(*self.held, strict=True))
        shares = np.bincount(actual, minlength=p.shape[1]) / len(actual)
        always = np.full(len(actual), self.most_frequent)
        value = class_metrics(p, actual, None, said)[self.metric]
        baseline = class_metrics(np.broadcast_to(shares, p.shape), actual, None, always)[self.metric]
        if value is None or baseline is None:
            return Score("accuracy", self.total / self.rows, self.baseline / self.rows, self.rows, scored_on)
        return Score(self.metric, value, baseline, self.rows, scored_on)

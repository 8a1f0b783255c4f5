"""The one figure that a model is judged by: on the rows that are scored, by what was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Target
from chainrule.errors import user_line
from chainrule.tables.aim_intervals import aim_interval
from chainrule.tables.aims import metric_of
from chainrule.tables.metrics import measure
from chainrule.tables.model import TableModel
from chainrule.tables.row_weights import weights_of
from chainrule.tables.score_interval import root_mean_interval, share_interval
from chainrule.tables.scored import Scored
from chainrule.tables.scores import Score
from chainrule.training.training_warning import warn

if TYPE_CHECKING:
    from chainrule.tables.prepared import Prepared

Floats = NDArray[np.float64]
INTERVALS = {"accuracy", "RMSE"}  # means over rows, whose spread is known without resampling


def rescored(prepared: Prepared, model: TableModel, scored: Scored, score: Score) -> tuple[TableModel, Score]:
    """The model and its ``score``; both by the aim, and by how much rows count, where these are said."""
    target = model.preprocessor.target
    metric = metric_of(prepared.settings, target)
    if scored.weights is None and scored.said is None and metric == score.metric:
        return model, score
    constant = constant_of(prepared, len(scored.actual))
    found = score_by(metric, target, scored, constant, prepared.split.scored_on)
    if found is None:  # no AUC of a single class
        found = score_by("accuracy", target, scored, constant, prepared.split.scored_on)
        warn(
            f"the scored rows have a single class, of which there is no {metric}: accuracy instead",
            user_line(),
        )
    score = found or score
    facts = replace(
        model.facts,
        metric=score.metric,
        score=score.value,
        baseline=score.baseline,
        score_low=score.low,
        score_high=score.high,
    )
    return replace(model, facts=facts), score


def score_by(metric: str, target: Target, scored: Scored, constant: Floats, scored_on: str) -> Score | None:
    """The score by a measure, None where it is not defined; ``constant`` is as ``scored.predicted``, of a constant."""
    weights, actual = scored.weights, scored.actual
    value = measure(target, scored.predicted, actual, weights, scored.said)[metric]
    baseline = measure(target, constant, actual, weights)[metric]
    if value is None or baseline is None:
        return None
    ends = (None, None) if scored_on == "training" else _interval(metric, target, scored, value)
    return Score(metric, value, baseline, len(actual), scored_on, *ends)


def _interval(metric: str, target: Target, scored: Scored, value: float) -> tuple[float | None, float | None]:
    """That of so many rows alike as tell as much: (sum of weights)^2 / sum of their squares (Kish, 1965)."""
    weights = np.ones(len(scored.actual)) if scored.weights is None else scored.weights
    if metric not in INTERVALS:
        ends = aim_interval(metric, scored.predicted, scored.actual, scored.labels, weights)
        return (None, None) if ends is None else (min(ends[0], value), max(ends[1], value))
    alike = float(np.square(weights.sum()) / np.square(weights).sum())
    if target.task == "classification":
        return share_interval(value * alike, alike)
    unit = target.standard_deviation
    squares = np.square((scored.predicted - scored.actual) / unit)
    shares = weights / weights.sum()
    found = root_mean_interval(alike * float(shares @ squares), alike * float(shares @ squares**2), alike)
    return (None, None) if found is None else (unit * found[0], unit * found[1])


def constant_of(prepared: Prepared, rows: int) -> Floats:
    """The training rows' shares of the classes for so many rows, [rows, classes], or their mean, [rows]."""
    target, encoded = prepared.preprocessor.target, prepared.training.target
    weights = weights_of(prepared, prepared.split.training)
    if target.task == "regression":
        if weights is None:
            return np.full(rows, target.mean)
        shares = weights / weights.sum()
        return np.full(rows, target.mean + target.standard_deviation * float(shares @ encoded[:, 0]))
    counts = np.bincount(encoded, weights, len(target.classes))
    return np.broadcast_to(counts / counts.sum(), (rows, len(counts)))

"""What a report shows, as plain values; nothing here knows of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError, ShapeError

Floats = NDArray[np.float64]


class Column(NamedTuple):
    """A column of the data: what it holds, and in how many rows it is missing."""

    name: str
    kind: str
    content: str  # a range, or the categories
    missing: int


class Layer(NamedTuple):
    """A layer of the network: its name, its output's shape, the number of its parameters."""

    name: str
    shape: str
    parameters: int


@dataclass(frozen=True)
class Curves:
    """Losses [restarts, epochs], NaN for epochs not run; ``kept`` and ``best_epoch`` count from 0.

    ``kept_epochs`` are those of the kept restart's networks, where several train side by side and each keeps its own
    best epoch: ``best_epoch`` is the latest of them, and the curves are means over the networks.
    """

    training: Floats
    validation: Floats | None
    kept: int
    best_epoch: int
    together: bool = False  # all networks answer, each with the parameters of its own best epoch
    kept_epochs: Sequence[int] = ()

    def __post_init__(self) -> None:
        shape = np.shape(self.training)
        other = shape if self.validation is None else np.shape(self.validation)
        if len(shape) != 2 or other != shape:
            raise ShapeError(
                "The curves of training and validation loss differ in shape.",
                expected="[restarts, epochs] for both",
                got=f"{list(shape)} and {list(other)}",
            )
        epochs = (self.best_epoch, *self.kept_epochs)
        if not (0 <= self.kept < shape[0] and all(0 <= epoch < shape[1] for epoch in epochs)):
            raise DataError(
                "The kept restart or its best epoch is not among the curves.",
                expected=f"a restart below {shape[0]} and an epoch below {shape[1]}",
                got=f"restart {self.kept}, epoch {self.best_epoch}",
            )


@dataclass(frozen=True)
class Confusion:
    """Held-out rows by class: counts [actual, predicted], precision [classes], recall [classes]."""

    classes: Sequence[str]
    counts: NDArray[np.int64]
    precision: Floats
    recall: Floats

    def __post_init__(self) -> None:
        n = len(self.classes)
        shapes = [np.shape(self.counts), np.shape(self.precision), np.shape(self.recall)]
        if shapes != [(n, n), (n,), (n,)]:
            raise ShapeError(
                "Counts, precision and recall do not belong to the same classes.",
                expected=f"shapes {[n, n]}, {[n]}, {[n]} for {n} classes",
                got=f"shapes {', '.join(str(list(shape)) for shape in shapes)}",
            )


@dataclass(frozen=True)
class Predictions:
    """Held-out rows of a regression: actual and predicted target [rows], in the target's own units."""

    actual: Floats
    predicted: Floats

    def __post_init__(self) -> None:
        if np.ndim(self.actual) != 1 or np.shape(self.actual) != np.shape(self.predicted):
            raise ShapeError(
                "There is not one prediction for each actual value.",
                expected="two arrays of shape [rows]",
                got=f"shapes {list(np.shape(self.actual))} and {list(np.shape(self.predicted))}",
            )


@dataclass(frozen=True)
class Calibration:
    """How sure the network is and how often it is right, by bins of how sure it is.

    ``confidence`` and ``accuracy`` [bins] are means over the ``counts`` [bins] rows of a bin, NaN where there
    are none; ``edges`` [bins + 1]. ``error`` is the mean of |confidence - accuracy| over all rows.
    """

    edges: Floats
    confidence: Floats
    accuracy: Floats
    counts: NDArray[np.int64]
    error: float

    def __post_init__(self) -> None:
        bins = len(self.counts)
        shapes = [np.shape(part) for part in (self.confidence, self.accuracy, self.edges)]
        if shapes != [(bins,), (bins,), (bins + 1,)]:
            raise ShapeError(
                "Confidence, accuracy and edges do not belong to the same bins.",
                expected=f"shapes {[bins]}, {[bins]}, {[bins + 1]} for {bins} bins",
                got=f"shapes {', '.join(str(list(shape)) for shape in shapes)}",
            )


@dataclass(frozen=True)
class ClassCurve:
    """How well a class is told from the others, by the threshold on its probability.

    ``roc`` [points, 2] are shares of the other rows and of the class's rows above a threshold, ``precision``
    [points, 2] recall and precision; ``share`` is that of the class in all rows.
    """

    name: str
    roc: Floats
    precision: Floats
    area: float
    average_precision: float
    share: float

    def __post_init__(self) -> None:
        for points in (self.roc, self.precision):
            if np.ndim(points) != 2 or np.shape(points)[1] != 2 or not len(points):
                raise ShapeError("A curve has no points.", expected="[points, 2]", got=f"{np.shape(points)}")


@dataclass(frozen=True)
class Spread:
    """How far the networks of an ensemble differ: rows in parts from those they agree on to those they do not.

    ``deviation`` and ``error`` [parts] are means: of the deviation of the networks' predictions (numbers, or
    probabilities) and of the distance from the truth, or the share of wrong rows. For classes ``alike`` is the share
    of rows on which all networks predict the same class, ``wrong_alike`` and ``wrong_apart`` the shares of wrong rows
    there and elsewhere.
    """

    deviation: Floats
    error: Floats
    mean: float
    networks: int
    tells: bool  # whether rows on which they differ are worse, by more than chance
    alike: float | None = None
    wrong_alike: float | None = None
    wrong_apart: float | None = None


class CoverageRow(NamedTuple):
    """Intervals or label sets for a probability: how often they held the truth, and their mean width or size."""

    probability: float
    covered: float
    size: float


@dataclass(frozen=True)
class Dependence:
    """What is predicted on average where a column has a value: ``means`` [values, lines], a line for each class.

    ``values`` [values] are numbers, or None where the column has categories, which ``labels`` name.
    """

    column: str
    values: Floats | None
    labels: Sequence[str]
    means: Floats
    lines: Sequence[str]


class MetricRow(NamedTuple):
    """A measure of the predictions, beside those of a constant and of a linear model, in words."""

    name: str
    value: str
    baseline: str
    linear: str
    meaning: str


class Importance(NamedTuple):
    """How much a column matters: the loss gained when it is shuffled, and how the output follows it.

    ``loss`` is the mean over rows and shuffles, ``spread`` its standard error; ``is_noise`` says that it may be
    chance. ``slope`` is the root mean square of the output's derivative.
    """

    name: str
    loss: float
    spread: float
    slope: float
    is_noise: bool = False


@dataclass(frozen=True)
class Importances:
    """The columns by importance, and in words what was measured: ``shuffled`` and ``slope`` explain the figures."""

    columns: Sequence[Importance]
    shuffled: str
    slope: str
    left_out: int = 0  # columns that were not measured


@dataclass(frozen=True)
class WorstRows:
    """The rows with the highest loss: their number in the table, from 1, and their cells under ``titles``."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    explanation: str = ""


class FindingRow(NamedTuple):
    """One thing that was found, in words; ``severity`` is "note", "warning" or "severe"."""

    kind: str
    severity: str
    title: str
    evidence: str
    remedy: str
    reasons: Sequence[str]


@dataclass(frozen=True)
class Findings:
    """What a diagnosis found, and the figures that it measured."""

    found: Sequence[FindingRow]
    figures: Mapping[str, str]
    layers: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Report:
    """What the report of a training run shows.

    ``score``, ``baseline`` and ``outcome`` are of the held-out rows; where there are none, of those out of fold, or of
    the training rows. What is None or empty at the end is left out of the page. ``drawing`` is an SVG element, as text.
    """

    title: str
    task: str  # "classification" or "regression"
    metric: str
    score: float
    baseline: float  # of the majority class or the mean of the training rows
    training_rows: int
    held_out_rows: int
    curves: Curves
    outcome: Confusion | Predictions
    columns: Sequence[Column]
    layers: Sequence[Layer]
    settings: Mapping[str, object]
    notices: Sequence[str]
    predict_command: str
    python_snippet: str
    version: str
    seconds: float
    findings: Findings | None = None
    importances: Importances | None = None
    calibration: Calibration | None = None
    worst: WorstRows | None = None
    drawing: str = ""
    loss: str = ""  # what the curves are of, in words
    metrics: Sequence[MetricRow] = ()
    networks: int = 1  # that answer together
    score_spread: str = ""  # the interval of the score, in words
    curves_of_classes: Sequence[ClassCurve] = ()
    spread: Spread | None = None
    coverage: Sequence[CoverageRow] = ()
    dependences: Sequence[Dependence] = ()
    out_of_fold_rows: int = 0  # that the score is of: each was judged by networks that it did not train

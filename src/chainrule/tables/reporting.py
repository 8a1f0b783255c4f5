"""What the report of a training run on a table shows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule._version import __version__
from chainrule.data import Column
from chainrule.data.describe import list_some
from chainrule.data.features.different import different_cells
from chainrule.data.features.numbers import column_numbers
from chainrule.foreign_text import clipped
from chainrule.inspect.drawing import draw
from chainrule.nn.module import Module
from chainrule.number_text import readable
from chainrule.report import Column as ColumnRow
from chainrule.report import Confusion, CoverageRow, Curves, Layer, MetricRow, Predictions, Report
from chainrule.report.metrics import ABSENT
from chainrule.tables.decision import describe_decision
from chainrule.tables.dependence import dependences_of
from chainrule.tables.examples import calibration
from chainrule.tables.findings import findings_for_report
from chainrule.tables.metrics import Metric, measure_text
from chainrule.tables.ranking import class_curves
from chainrule.tables.spread import spread_of
from chainrule.tables.trained import Trained

if TYPE_CHECKING:
    import polars as pl

MEANINGS = {
    "accuracy": "share of right rows",
    "balanced accuracy": "share of right rows, averaged over the classes",
    "log loss": "how far the probabilities are off; less is better",
    "AUC": "how well they order the rows: 0.5 is chance, 1 is perfect",
    "macro F1": "precision and recall in one, averaged over the classes",
    "precision": "share of the rows predicted to be of the class that are; averaged over the classes if there are more "
    "than two",
    "recall": "share of the rows of the class that are predicted to be; averaged over the classes if there are more "
    "than two",
    "Brier score": "mean squared distance of the probabilities from the truth; less is better",
    "calibration error": "how far shares of right rows are from the probabilities, over ten bins; less is better",
    "RMSE": "root of the mean squared error, in the target's units; less is better",
    "MAE": "mean distance, in the target's units; less is better",
    "median error": "half of the rows are nearer than this; less is better",
    "pinball loss": "how good the 10% and the 90% quantile are that lie around the prediction; less is better",
    "R2": "share of the target's variance that is explained; 1 is perfect",
}
CLASSES = 500  # of which a confusion matrix is counted
LISTED = 20  # classes or categories of a column
DRAWING_SIZE = 500_000  # characters; some 150 layers


def make_report(trained: Trained, model_path: str) -> Report:
    """The report of a run that finished an epoch at least; ``model_path`` is where its model is saved."""
    model, prepared, history = trained.model, trained.prepared, trained.history
    facts, target = model.facts, model.preprocessor.target
    return Report(
        title=f"{clipped(facts.data)}: predicting {clipped(target.name)}"
        if facts.data
        else f"Predicting {clipped(target.name)}",
        task=model.task,
        metric=facts.metric,
        score=facts.score,
        score_spread=trained.score.spread,
        baseline=facts.baseline,
        training_rows=facts.training_rows,
        held_out_rows=facts.held_out_rows,
        curves=Curves(
            history.loss,
            history.validation_loss if history.validation_loss.size else None,
            history.best,
            facts.best_epoch - 1,
            together=trained.out_of_fold is not None,
            kept_epochs=history.replicas[history.best].kept_epochs,
        ),
        outcome=_outcome(trained),
        columns=[
            _target_column(trained),
            *(_column(column, prepared.frame[column.name]) for column in model.preprocessor.columns),
        ],
        layers=[Layer(x.kind, x.shape, x.parameters) for x in trained.single.network.summary().layers],
        settings=_settings(trained),
        notices=prepared.notices,
        predict_command=f"chainrule predict {shlex.quote(model_path)} NEW_ROWS.csv",
        python_snippet=_snippet(model_path),
        version=__version__,
        seconds=history.seconds,
        metrics=[_metric(metric) for metric in trained.metrics],
        findings=findings_for_report(trained),
        importances=trained.importances,
        calibration=calibration(trained),
        curves_of_classes=class_curves(trained),
        spread=spread_of(trained),
        coverage=[CoverageRow(*one) for one in trained.coverage],
        dependences=dependences_of(trained),
        drawing=_drawing(trained.single.network),
        loss=_loss(trained),
        worst=trained.worst,
        networks=model.architecture.networks,
        out_of_fold_rows=len(trained.scored.actual) if trained.judge is not None else 0,
    )


def _drawing(network: Module) -> str:
    """The network as an SVG element, without a namespace, which HTML has no need of; none of very many layers."""
    svg = draw(network).svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
    return svg if len(svg) <= DRAWING_SIZE else ""


def _outcome(trained: Trained) -> Confusion | Predictions:
    model, scored = trained.model, trained.scored
    if model.task == "regression":
        return Predictions(scored.actual, scored.predicted)
    classes, actual, predicted = _most_frequent(model.classes, scored.actual, scored.labels)
    n = len(classes)
    counts = np.bincount(actual * n + predicted, minlength=n * n).reshape(n, n)
    right = np.diag(counts).astype(np.float64)
    with np.errstate(invalid="ignore"):  # a class without rows has no recall: NaN
        return Confusion(classes, counts, right / counts.sum(0), right / counts.sum(1))


def _most_frequent(
    classes: tuple[str, ...], actual: NDArray[np.int64], predicted: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """The classes and labels, where of very many classes those with few rows are told as one.

    A row of one of these that is predicted to be another of them stays wrong: it has a label of its own.
    """
    if len(classes) <= CLASSES:
        return classes, actual, predicted
    kept = np.sort(np.argsort(-np.bincount(actual, minlength=len(classes)), kind="stable")[:CLASSES])
    place = np.full(len(classes), CLASSES)
    place[kept] = np.arange(CLASSES)
    others = f"{readable(len(classes) - CLASSES)} other classes"
    names = (*(classes[i] for i in kept.tolist()), others, f"a wrong one of the {others}")
    mistaken = (place[actual] == CLASSES) & (place[predicted] == CLASSES) & (actual != predicted)
    return names, place[actual], np.where(mistaken, CLASSES + 1, place[predicted])


def _metric(metric: Metric) -> MetricRow:
    value, baseline, linear = (
        measure_text(metric.name, figure, ABSENT) for figure in (metric.value, metric.baseline, metric.linear)
    )
    return MetricRow(metric.title, value, baseline, linear, MEANINGS[metric.name])


def _loss(trained: Trained) -> str:
    """What the curves are of, and why the log loss above is another number."""
    if trained.model.task == "regression":
        return "The loss is the squared error of the standardised target."
    settings = trained.prepared.settings
    share = settings.label_smoothing
    if settings.class_weight is not None:
        return (
            "The loss is the log loss in which all classes count alike; the measures above count every row."
        )
    if not share:
        return "The loss is the log loss."
    return (
        f"The loss that training minimises is the cross-entropy with labels smoothed by {share:g}, which stays above 0 "
        "even where all is right; the probabilities and the log loss of this report have no smoothing in them."
    )


def _target_column(trained: Trained) -> ColumnRow:
    target, frame = trained.model.preprocessor.target, trained.prepared.frame
    usable = sum(len(rows) for rows in trained.prepared.split.parts)
    content = list_some(target.classes, limit=LISTED)
    if target.task == "regression":
        content = _range(column_numbers(frame[target.name], "numeric"))
    return ColumnRow(target.name, "target", content, frame.height - usable)


def _range(values: NDArray[np.float64]) -> str:
    known = values[~np.isnan(values)]
    return f"{known.min():.6g} to {known.max():.6g}"


def _column(column: Column, series: pl.Series) -> ColumnRow:
    if column.kind == "ignored":
        return ColumnRow(column.name, column.kind, "", series.null_count())
    if column.kind in {"categorical", "words"}:
        texts = list_some((*column.categories, *column.others), limit=LISTED)
        return ColumnRow(column.name, column.kind, texts, different_cells(series).empty)
    values = column_numbers(series, column.kind)
    content = "false, true" if column.kind == "boolean" else _range(values)
    if column.kind == "time":
        content = f"{series.min()!s} to {series.max()!s}"
    return ColumnRow(column.name, column.kind, content, int(np.isnan(values).sum()))


def _settings(trained: Trained) -> dict[str, object]:
    facts = trained.model.facts
    loss = "squared error of the standardised target"
    if trained.model.task == "classification":
        loss = "cross-entropy" + (" with smoothed labels" if facts.settings["label_smoothing"] else "")
    chosen: dict[str, object] = {"task": trained.model.task, "loss": loss}
    if trained.out_of_fold is None:
        chosen["validation rows"] = facts.validation_rows
    epochs = trained.prepared.settings.epochs_for(facts.training_rows)
    listed = {**facts.settings, "epochs": epochs}
    listed["patience"] = trained.prepared.settings.patience_for(epochs)
    if facts.decision:
        chosen["predicted class"] = describe_decision(facts.decision, trained.model.classes)
    whose = "" if trained.out_of_fold is None else " of the best fold"
    kept = trained.history.replicas[trained.history.best].kept_epochs  # of networks that train side by side
    several = ", ".join(str(epoch + 1) for epoch in kept)
    outcome = {
        f"epochs run{whose}": facts.epochs,
        f"best epoch{'s' if several else ''}{whose}": several or facts.best_epoch,
        f"stopped{whose}": facts.stopped,
    }
    return {name.replace("_", " "): value for name, value in {**listed, **chosen, **outcome}.items()}


def _snippet(model_path: str) -> str:
    return "\n".join(
        [
            "import chainrule as cr",
            "",
            f"model = cr.load_model({model_path!r})",
            'predictions = model.predict("NEW_ROWS.csv")',
            "print(predictions.to_frame())",
        ]
    )

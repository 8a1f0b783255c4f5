"""What the report of a training run on a table shows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule._version import __version__
from chainrule.data import Column
from chainrule.data.columns import as_text, column_numbers
from chainrule.inspect.drawing import draw
from chainrule.nn import MLP
from chainrule.report import Column as ColumnRow
from chainrule.report import Confusion, Curves, Layer, Predictions, Report
from chainrule.tables.examples import calibration, worst_rows
from chainrule.tables.findings import findings
from chainrule.tables.importance import importances
from chainrule.tables.model import network_outputs
from chainrule.tables.training import Trained

if TYPE_CHECKING:
    import polars as pl

DRAWING_SIZE = 500_000  # letters; some 150 layers


def make_report(trained: Trained, model_path: str) -> Report:
    """The report of a run that finished an epoch at least; ``model_path`` is where its model is saved."""
    model, prepared, history = trained.model, trained.prepared, trained.history
    facts, target = model.facts, model.preprocessor.target
    importance = importances(trained)
    return Report(
        title=f"{facts.data}: predicting {target.name}" if facts.data else f"Predicting {target.name}",
        task=model.task,
        metric=facts.metric,
        score=facts.score,
        baseline=facts.baseline,
        training_rows=facts.training_rows,
        held_out_rows=facts.held_out_rows,
        curves=Curves(
            history.loss,
            history.validation_loss if facts.validation_rows else None,
            history.best,
            facts.best_epoch - 1,
        ),
        outcome=_outcome(trained),
        columns=[
            _target_column(trained),
            *(_column(column, prepared.frame[column.name]) for column in model.preprocessor.columns),
        ],
        layers=[Layer(x.kind, x.shape, x.parameters) for x in model.network.summary().layers],
        settings=_settings(trained),
        notices=prepared.notices,
        predict_command=f"chainrule predict {shlex.quote(model_path)} NEW_ROWS.csv",
        python_snippet=_snippet(model_path),
        version=__version__,
        seconds=history.seconds,
        findings=findings(trained),
        importances=importance,
        calibration=calibration(trained),
        drawing=_drawing(model.network),
        worst=worst_rows(trained, [column.name for column in importance.columns]),
    )


def _drawing(network: MLP) -> str:
    """The network as an SVG element, without a namespace, which HTML has no need of; none of very many layers."""
    svg = draw(network).svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
    return svg if len(svg) <= DRAWING_SIZE else ""


def _outcome(trained: Trained) -> Confusion | Predictions:
    model, prepared = trained.model, trained.prepared
    features, actual = prepared.encoded(prepared.split.scored)
    outputs = network_outputs(model.network, features)
    if model.task == "regression":
        return Predictions(*(model.preprocessor.decode(v).to_numpy() for v in (actual, outputs)))
    n = len(model.classes)
    counts = np.bincount(actual * n + outputs.argmax(1), minlength=n * n).reshape(n, n)
    right = np.diag(counts).astype(np.float64)
    with np.errstate(invalid="ignore"):  # a class without rows has no recall: NaN
        return Confusion(model.classes, counts, right / counts.sum(0), right / counts.sum(1))


def _target_column(trained: Trained) -> ColumnRow:
    target, frame = trained.model.preprocessor.target, trained.prepared.frame
    usable = sum(len(rows) for rows in trained.prepared.split.parts)
    content = ", ".join(target.classes)
    if target.task == "regression":
        content = _range(column_numbers(frame[target.name], "numeric"))
    return ColumnRow(target.name, "target", content, frame.height - usable)


def _range(values: NDArray[np.float64]) -> str:
    known = values[~np.isnan(values)]
    return f"{known.min():.6g} to {known.max():.6g}"


def _column(column: Column, series: pl.Series) -> ColumnRow:
    if column.kind == "ignored":
        return ColumnRow(column.name, column.kind, "", series.null_count())
    if column.kind == "categorical":
        return ColumnRow(column.name, column.kind, ", ".join(column.categories), as_text(series).null_count())
    values = column_numbers(series, column.kind)
    content = "false, true" if column.kind == "boolean" else _range(values)
    if column.kind == "time":
        content = f"{series.min()!s} to {series.max()!s}"
    return ColumnRow(column.name, column.kind, content, int(np.isnan(values).sum()))


def _settings(trained: Trained) -> dict[str, object]:
    facts = trained.model.facts
    loss = "squared error of the standardised target"
    if trained.model.task == "classification":
        loss = "cross-entropy with smoothed labels"
    chosen = {"task": trained.model.task, "loss": loss, "validation rows": facts.validation_rows}
    epochs = trained.prepared.settings.epochs_for(facts.training_rows)
    listed = {**facts.settings, "epochs": epochs}
    listed["patience"] = trained.prepared.settings.patience_for(epochs)
    outcome = {"epochs run": facts.epochs, "best epoch": facts.best_epoch, "stopped": facts.stopped}
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

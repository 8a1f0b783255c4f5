"""What ``chainrule train`` shows of a trained model: how good it is, where it is wrong, what was found.

Everything is plain lines that fit the terminal, and the same facts as plain values for ``--json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from chainrule.cli.layout import bar, paragraph, table, width_of_terminal
from chainrule.data.describe import list_some
from chainrule.foreign_text import clipped
from chainrule.number_text import rough

if TYPE_CHECKING:
    from chainrule.cli.terminal import Terminal
    from chainrule.tables import Trained
    from chainrule.tables.finding import AskedBy
    from chainrule.tables.metrics import Metric

CLASSES = 6  # at most, for which a confusion matrix is shown
COUNTED = 500  # classes at most, by which rows are counted for machines
COLUMNS = 5  # that matter most
NOTHING = 0.001  # of the largest importance
LEFT_OUT = "(left out for so many classes: AUC, and a linear model)"
NAME = 24  # characters of a column or a class in a table
FINDINGS = 6
NOTHING_TOLD: Mapping[str, Any] = MappingProxyType(
    {"metrics": {}, "confusion": [], "coverage": [], "columns": [], "findings": []}
)


def show_outcome(trained: Trained, terminal: Terminal) -> None:
    """Show how good the model is, and what to know before it is used; the score alone if the terminal is quiet."""
    if terminal.quiet:
        terminal.say(trained.score.describe())
        return
    terminal.blank()
    terminal.say(paragraph(trained.score.describe()), "bold")
    for text in verdict(trained):
        terminal.say(paragraph(text), "red")
    for title, lines in (
        ("", [*metric_lines(trained.metrics, trained.model.task), *what_was_said(trained)]),
        (confusion_title(trained), confusion_lines(trained)),
        (column_title(trained), column_lines(trained)),
    ):
        if lines:
            terminal.blank()
            terminal.block(title, lines)
    show_findings(trained, terminal)


def verdict(trained: Trained) -> list[str]:
    """What must be said plainly: that a constant does as well, by the score and by the probabilities."""
    from chainrule.tables.metrics import BETTER

    score, is_classes = trained.score, trained.model.task == "classification"
    better = (
        score.value > score.baseline if BETTER[score.metric] == "higher" else score.value < score.baseline
    )
    for metric in trained.metrics:  # where classes are rare, their probabilities tell what the accuracy hides
        if metric.name == "log loss" and metric.value is not None and metric.baseline is not None:
            better = better or metric.value < metric.baseline
    if better:
        return []
    constant = "the most frequent class" if is_classes else "the mean"
    where = "this row" if score.rows == 1 else f"these {score.rows} rows"
    return [f"On {where} the model is no better than always predicting {constant}."]


def metric_lines(metrics: Sequence[Metric], task: str) -> list[str]:
    """The measures of the network beside those of a linear model and of a constant."""
    from chainrule.report.metrics import CONSTANT
    from chainrule.tables.metrics import measure_text

    linear = any(metric.linear is not None for metric in metrics)
    titles = ["", "network", *(["linear model"] if linear else []), "constant"]
    rows = [
        [
            metric.title,
            *(
                measure_text(metric.name, value, "-")
                for value in (metric.value, *([metric.linear] if linear else []), metric.baseline)
            ),
        ]
        for metric in metrics
    ]
    better = [metric.name for metric in metrics if metric.better == "higher"]
    return [
        *table([titles, *rows]),
        *paragraph(f"(higher is better: {', '.join(better)})").split("\n"),
        *paragraph(f"(constant: {CONSTANT[task]})").split("\n"),
        *([LEFT_OUT] if not linear and any(metric.value is None for metric in metrics) else []),
    ]


def what_was_said(trained: Trained) -> list[str]:
    """What the measures rest on besides the networks: weights of rows, and how the predicted class is chosen."""
    lines = []
    if trained.scored.weights is not None:
        weight = clipped(trained.model.facts.settings["sample_weight"], NAME)
        lines += paragraph(f"(rows count by {weight}, here and in the score; below each counts once)").split(
            "\n"
        )
    if trained.scored.said is not None:
        lines += paragraph("(the linear model and the constant say their likeliest class)").split("\n")
    return lines


def confusion_title(trained: Trained) -> str:
    """What stands above the confusion matrix."""
    return f"rows by actual class and by predicted class ({trained.model.facts.scored_on} rows)"


def confusion(trained: Trained) -> list[list[int]]:
    """Rows of the scored part by actual class, then by predicted class; nothing for a regression, or very many."""
    import numpy as np

    classes, scored = len(trained.model.classes), trained.scored
    if not 0 < classes <= COUNTED:
        return []
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (scored.actual, scored.labels), 1)
    found: list[list[int]] = counts.tolist()
    return found


def confusion_lines(trained: Trained) -> list[str]:
    """The confusion matrix of few classes."""
    classes = [clipped(name, NAME) for name in trained.model.classes]
    if not 0 < len(classes) <= CLASSES:
        return []
    titles = ["actual", *(f"{name}?" if len(classes) == 1 else name for name in classes)]
    rows = [[name, *map(str, row)] for name, row in zip(classes, confusion(trained), strict=True)]
    lines = table([titles, *rows])
    if max(map(len, lines)) > width_of_terminal():  # long names: by number instead
        numbers = [f"({i})" for i in range(1, len(classes) + 1)]
        named = [
            [f"{name} {number}", *row[1:]] for name, number, row in zip(classes, numbers, rows, strict=True)
        ]
        lines = table([["actual", *numbers], *named])
    return lines


def column_title(trained: Trained) -> str:
    """What stands above the columns that matter most."""
    lost = "log loss" if trained.model.task == "classification" else "RMSE"
    return f"columns that matter most ({lost} gained when a column is shuffled)"


def column_lines(trained: Trained) -> list[str]:
    """The columns that matter most, with a bar each; those that may be chance, or add next to nothing, are left out."""
    found = [column for column in trained.importances.columns if column.loss > 0 and not column.is_noise]
    if not found:
        return ["none, beyond chance"]
    largest = max(column.loss for column in found)
    shown = [column for column in found if column.loss > NOTHING * largest][:COLUMNS]
    rows = [
        [clipped(column.name, NAME), rough(column.loss), f" {bar(column.loss / largest)}"] for column in shown
    ]
    size = max(len(row[1]) for row in rows)
    return table([[name, figure.rjust(size), marks] for name, figure, marks in rows], texts=3)


def show_findings(trained: Trained, terminal: Terminal) -> None:
    """What was found, the worst first, each with what to try."""
    from chainrule.tables import findings_of

    found = findings_of(trained, asked_by(terminal.has_report))
    terminal.blank()
    if not found:
        terminal.remark("nothing wrong was found")
    for finding in found[:FINDINGS]:
        terminal.finding(finding.severity, finding.title, finding.remedy)
    if len(found) > FINDINGS:
        kinds = list_some([finding.kind for finding in found[FINDINGS:]])
        terminal.remark(f"and {len(found) - FINDINGS} findings more {terminal.elsewhere}: {kinds}")


def asked_by(has_report: bool) -> AskedBy:
    """Whom the remedies are said to."""
    return "command" if has_report else "command without report"


def outcome_as_json(trained: Trained, has_report: bool) -> dict[str, Any]:
    """Measures, confusion, columns and findings as plain values."""
    from chainrule.tables import findings_of

    return {
        "metrics": {
            metric.name: {
                "value": metric.value,
                "linear": metric.linear,
                "baseline": metric.baseline,
                "better": metric.better,
                **({"of": metric.of} if metric.of else {}),
            }
            for metric in trained.metrics
        },
        "confusion": confusion(trained),
        "coverage": [one._asdict() for one in trained.coverage],
        "columns": [
            {"name": column.name, "importance": column.loss, "spread": column.spread}
            for column in trained.importances.columns
        ],
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "text": finding.title,
                "evidence": finding.evidence,
                "remedy": finding.remedy,
            }
            for finding in findings_of(trained, asked_by(has_report))
        ],
    }

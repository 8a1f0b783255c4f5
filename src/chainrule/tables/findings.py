"""What was found, in the language of whoever asks, and as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from chainrule.inspect.diagnosis.finding import Figure, show
from chainrule.report import FindingRow, Findings
from chainrule.tables.finding import AskedBy, Finding

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained


def findings_of(trained: Trained, asked_by: AskedBy = "python") -> tuple[Finding, ...]:
    """What to know before trusting a model's score, the worst first; none where all is well.

    ``asked_by`` is "command" for remedies as options of the command line, "command without report" for those of one
    that writes none, "python" for Python.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> trained = tables.train_table(wine.frame, wine.target, tables.TrainingSettings(epochs=30))
    >>> [finding.severity for finding in findings_of(trained, "command") if finding.severity == "severe"]
    []
    """
    return tuple(draft.said_to(asked_by) for draft in trained.examination.found)


def findings_for_report(trained: Trained, asked_by: AskedBy = "command") -> Findings:
    """The same with all figures of the diagnosis behind them."""
    diagnosis = trained.examination.diagnosis
    return Findings(
        [_row(finding) for finding in findings_of(trained, asked_by)],
        {name: show(value) for name, value in diagnosis.figures.items()},
        [_shown(layer) for layer in diagnosis.layers],
    )


def _row(finding: Finding) -> FindingRow:
    return FindingRow(
        finding.kind,
        finding.severity,
        finding.title,
        finding.evidence,
        finding.remedy,
        finding.reasons,
    )


def _shown(layer: Mapping[str, Figure]) -> dict[str, str]:
    return {name: show(value) for name, value in layer.items()}

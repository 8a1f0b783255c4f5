"""The diagnosis of a network that was trained on a table, in the words of its report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chainrule.inspect.diagnosis import Diagnosis, Finding, diagnose
from chainrule.inspect.diagnosis.finding import Figure, show
from chainrule.report import FindingRow, Findings
from chainrule.tables.training import Trained, loss_of, penalty_of

ROWS = 256  # on which layers and curvature are measured, so that the report takes little time


def findings(trained: Trained) -> Findings:
    """What ``cr.diagnose`` says of the network, its run and the encoded rows."""
    prepared, split = trained.prepared, trained.prepared.split
    unseen = np.concatenate([split.validation, split.held_out])
    diagnosis = diagnose(
        trained.model.network,
        prepared.encoded(split.training),
        loss_of(prepared),
        trained.history,
        validation=prepared.encoded(unseen) if unseen.size else None,
        penalty=penalty_of(prepared),
        rows=ROWS,
    )
    return _in_words(diagnosis)


def _in_words(diagnosis: Diagnosis) -> Findings:
    return Findings(
        [_row(finding) for finding in diagnosis.findings],
        {name: show(value) for name, value in diagnosis.figures.items()},
        [_shown(layer) for layer in diagnosis.layers],
    )


def _row(finding: Finding) -> FindingRow:
    return FindingRow(
        finding.kind,
        finding.severity,
        finding.what,
        finding.where,
        finding.describe_evidence(),
        finding.remedy,
        finding.reasons,
    )


def _shown(layer: Mapping[str, Figure]) -> dict[str, str]:
    return {name: show(value) for name, value in layer.items()}

"""The report of a training run: one HTML file, pictures inside, without network access or JavaScript."""

from chainrule.report.contents import (
    Calibration,
    Column,
    Confusion,
    Curves,
    FindingRow,
    Findings,
    Importance,
    Importances,
    Layer,
    MetricRow,
    Predictions,
    Report,
    WorstRows,
)
from chainrule.report.page import render

__all__ = [
    "Calibration",
    "Column",
    "Confusion",
    "Curves",
    "FindingRow",
    "Findings",
    "Importance",
    "Importances",
    "Layer",
    "MetricRow",
    "Predictions",
    "Report",
    "WorstRows",
    "render",
]

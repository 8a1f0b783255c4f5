"""The report of a training run: one HTML file, pictures inside, without network access or JavaScript."""

from chainrule.report.contents import (
    Calibration,
    ClassCurve,
    Column,
    Confusion,
    CoverageRow,
    Curves,
    Dependence,
    FindingRow,
    Findings,
    Importance,
    Importances,
    Layer,
    MetricRow,
    Predictions,
    Report,
    Spread,
    WorstRows,
)
from chainrule.report.page import render

__all__ = [
    "Calibration",
    "ClassCurve",
    "Column",
    "Confusion",
    "CoverageRow",
    "Curves",
    "Dependence",
    "FindingRow",
    "Findings",
    "Importance",
    "Importances",
    "Layer",
    "MetricRow",
    "Predictions",
    "Report",
    "Spread",
    "WorstRows",
    "render",
]

"""The kinds of findings, one file each, causes before effects."""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.findings import (
    constant_columns,
    contradicting_rows,
    critical_point,
    dead_units,
    depth,
    diverged,
    identical_units,
    imbalanced_classes,
    labels_without_signal,
    no_gradient,
    noisy_labels,
    noisy_steps,
    overfitting,
    saturated_units,
    step_too_large,
    step_too_small,
    underfitting,
    unscaled,
)

FINDERS = (
    unscaled.find,
    constant_columns.find,
    contradicting_rows.find,
    labels_without_signal.find,
    noisy_labels.find,
    no_gradient.find,
    identical_units.find,
    depth.find_exploding,
    step_too_large.find,
    dead_units.find,
    saturated_units.find,
    depth.find_vanishing,
    step_too_small.find,
    diverged.find,
    noisy_steps.find,
    critical_point.find,
    imbalanced_classes.find,
    overfitting.find,
    underfitting.find,
)

#: what needs no finding of its own where one of these explains it
EXPLAINED_BY = {
    "overfitting": {"labels without signal", "contradicting rows", "noisy labels"},
    "underfitting": None,  # by anything worse than a note
    "diverged": {"step too large"},
    "flat region": {"no gradient", "dead units", "saturated units"},
    "saddle point": {"no gradient", "dead units", "identical units"},
    "saturated units": {"step too large"},
    "vanishing gradients": {"dead units", "saturated units"},
    "dead units": {"step too large"},
    "step too small": {
        "no gradient",
        "identical units",
        "vanishing gradients",
        "exploding gradients",
        "dead units",
        "saturated units",
    },
    "step too large": {"unscaled columns", "exploding gradients"},
}


def find_all(evidence: Evidence) -> tuple[Finding, ...]:
    """All findings that none before them explains."""
    found: list[Finding] = []
    for finder in FINDERS:
        found += [finding for finding in finder(evidence) if not _explained(finding, found)]
    return tuple(found)


def _explained(finding: Finding, before: Iterable[Finding]) -> bool:
    if finding.kind not in EXPLAINED_BY:
        return False
    causes = EXPLAINED_BY[finding.kind]
    return any(f.severity != "note" if causes is None else f.kind in causes for f in before)

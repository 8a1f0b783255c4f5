"""What the diagnosis of a network means for a table: said where the network falls short, with what helps there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from chainrule.foreign_text import quoted
from chainrule.inspect.diagnosis import Diagnosis, Finding
from chainrule.inspect.diagnosis.findings.unscaled import sizes
from chainrule.inspect.diagnosis.lectures import reason
from chainrule.tables.finding import Draft, Remedy, Severity, change_of
from chainrule.tables.recipe import usual_rate
from chainrule.tables.settings import TrainingSettings
from chainrule.tables.signal import BEHIND, Losses, falls_short, linear_or_ensemble

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

# Said of a table in other words (signal, missed classes), or seen to by its preprocessing.
LEFT_OUT = {"labels without signal", "imbalanced classes", "constant columns", "unscaled target"}
ABOUT_ROWS = {"contradicting rows", "noisy labels"}  # true of the table, whatever the network does
NOISY = "Many rows differ in their class from most rows like them: wrong labels, or columns that are missing."
WORST_ROWS = Remedy(
    "look at 'The worst rows' in the report: is their target right?",
    "look at the rows of trained.worst: is their target right?",
    "train with a report and look at 'The worst rows' in it: is their target right?",
)
OF_LAYERS = {"dead units", "saturated units"}  # cost nothing where the columns tell nothing
HARM = 1.5  # times a constant's loss, from which on the network itself is at fault
MANY = 0.2  # of the rows, from which on contradictions are more than good to know


def find_in_network(trained: Trained, diagnosis: Diagnosis, losses: Losses) -> Iterator[Draft]:
    """The diagnosis's findings about the rows, and about the network where it does not do what the rows allow."""
    short = falls_short(trained, diagnosis, losses)
    nothing_to_learn = _tells_nothing(diagnosis, losses)
    said: set[str] = set()
    for finding in diagnosis.findings:
        if finding.kind in {*LEFT_OUT, *said} or not (short or finding.kind in ABOUT_ROWS):
            continue
        if finding.kind in OF_LAYERS and nothing_to_learn:
            continue
        said.add(finding.kind)
        title, evidence = finding.what, finding.describe_evidence()
        if finding.kind == "unscaled columns":
            title = f"{title} The largest is {quoted(_largest(trained))}."
        if finding.kind == "noisy labels":
            title, evidence = NOISY, ""  # the share is in ``where``
        where = finding.where.partition(", such as")[0] if finding.kind in ABOUT_ROWS else ""
        yield Draft(
            finding.kind,
            _severity(finding, losses),
            title,
            ", ".join(part for part in (where, evidence) if part),
            _remedy(finding.kind, trained.prepared.settings, losses),
            () if finding.kind in ABOUT_ROWS else tuple(map(reason, finding.rows)),
        )


def _tells_nothing(diagnosis: Diagnosis, losses: Losses) -> bool:
    """Whether nobody predicts better than a constant: no network, no linear model, no neighbours."""
    neighbours = float(diagnosis.figures.get("skill of nearest neighbours", float("nan")))
    signal = losses.better_than_constant or losses.linear_has_signal or neighbours > BEHIND
    return not signal and float(losses.network.mean()) < HARM * float(losses.constant.mean())


def _severity(finding: Finding, losses: Losses) -> Severity:
    """Severe is only what leaves a model that is worth nothing."""
    if finding.kind == "noisy labels":
        return "note"
    if finding.kind == "contradicting rows":
        return "warning" if float(finding.evidence["share"]) > MANY else "note"
    if losses.better_than_constant and finding.severity == "severe":
        return "warning"
    return finding.severity


def _largest(trained: Trained) -> str:
    """The name of the feature with the largest numbers."""
    return trained.model.preprocessor.feature_names[
        int(sizes(trained.prepared.training.features.astype(np.float64)).argmax())
    ]


def _remedy(kind: str, settings: TrainingSettings, losses: Losses) -> Remedy:
    """What changes it, as options and as settings."""
    usual = usual_rate(settings)
    smaller = change_of(settings, lr=_short(usual if settings.lr > usual else settings.lr / 10))
    if settings.lr > usual and kind not in (*ABOUT_ROWS, "unscaled columns"):
        return smaller
    if kind == "underfitting" and losses.linear is not None and losses.linear.mean() < losses.network.mean():
        return linear_or_ensemble(settings)
    wide, batch = 2 * max(settings.hidden, default=32), 4 * settings.batch_size
    normalised = change_of(settings, batch_norm=True)
    relu = change_of(settings, activation="relu")
    return {
        "step too small": change_of(settings, lr=_short(min(usual, settings.lr * 10))),
        "overfitting": linear_or_ensemble(settings),
        "underfitting": change_of(settings, hidden=(wide, wide)),
        "noisy steps": change_of(settings, batch_size=batch),
        "vanishing gradients": normalised,
        "exploding gradients": normalised,
        "no gradient": relu,
        "saturated units": relu,
        "unscaled columns": Remedy(
            *["clip or empty the cells of that column that are far from all others"] * 2
        ),
        "contradicting rows": Remedy(*["a column that tells such rows apart, if there is one"] * 2),
        "noisy labels": WORST_ROWS,
    }.get(kind, smaller)


def _short(rate: float) -> float:
    """A learning rate in six digits, as it is typed."""
    return float(f"{rate:g}")

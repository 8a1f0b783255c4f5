"""What was found about a table, a run or a network, for whoever decides what to do with the model."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from chainrule.foreign_text import short_repr
from chainrule.tables.settings import TrainingSettings

Severity = Literal["note", "warning", "severe"]
AskedBy = Literal["command", "command without report", "python"]
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "note")


class Remedy(NamedTuple):
    """What may help, in the language of whoever asks: options of the command line, or Python."""

    command: str
    python: str
    without_report: str = ""  # the command's, where it differs for one that writes no report

    def said_to(self, asked_by: AskedBy) -> str:
        """The remedy in one language."""
        if asked_by == "python":
            return self.python
        return self.without_report if asked_by != "command" and self.without_report else self.command


ITS_ENSEMBLE = Remedy(
    "leave out --distil: the ensemble itself is saved", "Recipe() without distil: the ensemble itself"
)
OF_NETWORKS = {"hidden", "activation", "dropout", "batch_norm", "lr", "batch_size", "epochs"}


def change_of(settings: TrainingSettings, /, **changes: object) -> Remedy:
    """Train again as before, but for some settings: an ensemble stays one.

    >>> change_of(TrainingSettings(), lr=0.01, batch_norm=True)[:2]
    ('--lr 0.01 --batch-norm', 'TrainingSettings(lr=0.01, batch_norm=True)')
    >>> change_of(TrainingSettings(ensemble=True), hidden=(128, 128))[:2]
    ('--hidden 128,128', "Recipe({'hidden': (128, 128)})")
    """
    options = " ".join(_option(name, value) for name, value in changes.items())
    if settings.distil and not settings.ensemble:
        return (
            ITS_ENSEMBLE
            if OF_NETWORKS & {*changes}
            else Remedy(options, f"Recipe({changes | {'distil': True}!r})")
        )
    if settings.ensemble:
        return Remedy(options, f"Recipe({changes!r})")
    return Remedy(
        options, f"TrainingSettings({', '.join(f'{name}={value!r}' for name, value in changes.items())})"
    )


def _option(name: str, value: object) -> str:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, tuple):
        return f"{flag} {','.join(map(str, value)) or 'none'}"
    return flag if value is True else f"{flag} {value}"


def without_columns(names: Sequence[str]) -> Remedy:
    """Leave some columns out.

    >>> without_columns(["alive"]).command, without_columns(["alive"]).python
    ('--ignore alive', "train_table(table, target, columns=Columns(ignore=['alive']))")
    """
    options = " ".join(f"--ignore {shlex.quote(name)}" for name in names)
    return Remedy(options, f"train_table(table, target, columns=Columns(ignore={list(names)!r}))")


@dataclass(frozen=True, repr=False)
class Finding:
    """One thing that whoever uses the model should know before trusting its score.

    ``kind`` is its name, such as "leak"; ``severity`` is "severe" (do not trust the score), "warning" (something may
    be gained, or the score may be flattering) or "note" (good to know). ``title`` says what it means in a sentence,
    ``evidence`` the figures that it rests on, ``remedy`` what to try, ``reasons`` why it is so, in sentences.

    >>> finding = Finding("leak", "severe", "'alive' alone decides the target.", "accuracy 1", "--ignore alive")
    >>> finding.severity, finding.describe()
    ('severe', "'alive' alone decides the target. accuracy 1. Try: --ignore alive")
    """

    kind: str
    severity: Severity
    title: str
    evidence: str
    remedy: str
    reasons: tuple[str, ...] = ()

    __repr__ = short_repr

    def describe(self) -> str:
        """One line: what it means, the figures, the remedy."""
        parts = [self.title, f"{self.evidence}." if self.evidence else ""]
        return " ".join([part for part in parts if part] + ([f"Try: {self.remedy}"] if self.remedy else []))

    def as_json(self) -> dict[str, str | list[str]]:
        """Its fields as plain values."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "title": self.title,
            "evidence": self.evidence,
            "remedy": self.remedy,
            "reasons": list(self.reasons),
        }


class Draft(NamedTuple):
    """A finding whose remedy is known in both languages."""

    kind: str
    severity: Severity
    title: str
    evidence: str
    remedy: Remedy
    reasons: tuple[str, ...] = ()

    def said_to(self, asked_by: AskedBy) -> Finding:
        """The finding with its remedy in one language."""
        remedy = self.remedy.said_to(asked_by)
        return Finding(self.kind, self.severity, self.title, self.evidence, remedy, self.reasons)

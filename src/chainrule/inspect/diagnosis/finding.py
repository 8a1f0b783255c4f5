"""What a diagnosis says: findings with their evidence, as text and as HTML."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chainrule.foreign_text import clipped
from chainrule.inspect.diagnosis.lectures import reason
from chainrule.markup import Markup, element, table
from chainrule.number_text import significant

Severity = Literal["note", "warning", "severe"]
Figure = float | int | str
WIDTH, LONGEST = 88, 640  # characters of a line, and of a finding's text


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what, where, with which evidence, and what helps.

    ``kind`` is its name, such as "dead units"; ``severity`` is "note", "warning" or "severe". ``evidence``
    holds the figures that led to it by name. ``rows`` are those of the lectures that give the reason, such
    as ("A13",); ``reasons`` says what they say.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = nn.MLP([2, 8, 1], "tanh", seed=0)
    >>> model[0].weight.data[:] *= 1000
    >>> diagnosis = cr.diagnose(model, (x, x[:, :1] * x[:, 1:]), nn.squared_error)
    >>> diagnosis.findings[0].kind, diagnosis.findings[0].severity
    ('saturated units', 'severe')
    """

    kind: str
    what: str
    where: str
    evidence: Mapping[str, Figure]
    severity: Severity
    remedy: str
    rows: tuple[str, ...]

    @property
    def reasons(self) -> list[str]:
        """Each lecture row with what it says."""
        return [f"{row}: {reason(row)}" for row in self.rows]

    @property
    def link(self) -> str:
        """The part of the documentation that explains this kind of finding."""
        return f"docs/diagnosis.md#{self.kind.replace(' ', '-')}"

    def describe_evidence(self) -> str:
        """The figures in one line."""
        return ", ".join(f"{name} {show(value)}" for name, value in self.evidence.items())

    def __str__(self) -> str:
        title = f"{self.severity}: {self.kind}" + (f" ({clipped(self.where)})" if self.where else "")
        parts = [
            ("", clipped(self.what, LONGEST)),
            ("evidence: ", self.describe_evidence()),
            ("try: ", self.remedy),
            *(("why: ", text) for text in self.reasons),
        ]
        lines = [
            textwrap.fill(text, WIDTH, initial_indent=f"  {label}", subsequent_indent="    ")
            for label, text in parts
        ]
        return "\n".join([title, *lines])


@dataclass(frozen=True)
class Diagnosis:
    """All findings about a network, causes before effects, and the figures that were measured.

    ``healthy`` is true where nothing worse than a note was found. ``figures`` holds what was measured of the
    whole network by name, ``layers`` the same for each layer, whether or not anything is wrong with it;
    ``not_measured`` says what could not be looked at, and why. ``print`` shows the findings, ``details()``
    also the figures; in a notebook it is a table.

    >>> import numpy as np
    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> model = nn.MLP([2, 8, 1], "tanh", seed=0)
    >>> model[0].weight.data[:] *= 1000
    >>> diagnosis = cr.diagnose(model, (x, x[:, :1] * x[:, 1:]), nn.squared_error)
    >>> diagnosis.healthy, diagnosis.kinds
    (False, ['saturated units'])
    """

    findings: tuple[Finding, ...]
    figures: Mapping[str, Figure]
    layers: tuple[Mapping[str, Figure], ...] = ()
    not_measured: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing worse than a note was found."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def kinds(self) -> list[str]:
        """The kinds of the findings, in their order."""
        return [finding.kind for finding in self.findings]

    def __str__(self) -> str:
        text = "\n\n".join(map(str, self.findings)) or "Nothing wrong was found."
        return "\n".join([text, *(f"not measured: {what}" for what in self.not_measured)])

    def details(self) -> str:
        """The findings and all figures, as text."""
        lines = [str(self), "", "measured:"]
        lines += [f"  {name}: {show(value)}" for name, value in self.figures.items()]
        if self.layers:
            lines += ["layer by layer:", *_columns(_table(self.layers))]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if not self.findings:
            return element("p", "Nothing wrong was found.")
        return element("div", *(_as_html(finding) for finding in self.findings))


def show(value: Figure) -> str:
    """A figure with three digits, as it is read in a sentence.

    >>> show(0.123456), show(1e-7), show(12), show("Adam")
    ('0.123', '1e-7', '12', 'Adam')
    """
    return significant(value, 3) if isinstance(value, float) else clipped(value)


def _table(rows: Sequence[Mapping[str, Figure]]) -> list[list[str]]:
    titles = list(dict.fromkeys(name for row in rows for name in row))
    return [titles, *([show(row[name]) if name in row else "" for name in titles] for row in rows)]


def _columns(table: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _as_html(finding: Finding) -> Markup:
    where = f" ({clipped(finding.where)})" if finding.where else ""
    rows = [
        ("evidence", finding.describe_evidence()),
        ("try", finding.remedy),
        *(("why", text) for text in finding.reasons),
    ]
    left = "text-align: left"
    cells = [[element("th", name, style=left), element("td", text, style=left)] for name, text in rows]
    title = element(
        "p",
        element("b", f"{finding.severity}: {finding.kind}"),
        where,
        Markup("<br />"),
        clipped(finding.what, LONGEST),
    )
    return Markup(title + table([], cells))

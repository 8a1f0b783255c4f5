"""What the diagnosis found, and the figures behind it on a click."""

from chainrule.foreign_text import screenful
from chainrule.markup import Markup, element
from chainrule.report.contents import FindingRow, Findings
from chainrule.report.pieces import clip, section, table

ROWS = 6  # of a screen, at most, for each part of a finding


def findings_section(findings: Findings | None) -> Markup:
    """Each finding as a box: what, where, evidence, remedy, reason."""
    if findings is None:
        return Markup()
    if findings.found:
        boxes = [finding_box(finding) for finding in findings.found]
    else:
        boxes = [
            element("p", "Nothing wrong was found with the network, its training or the data.", class_="well")
        ]
    return section("Findings", *boxes, measured(findings))


def finding_box(finding: FindingRow) -> Markup:
    """One finding."""
    lines = [("Evidence", finding.evidence), ("Try", finding.remedy), *(("Why", r) for r in finding.reasons)]
    listed = [
        element("div", element("dt", name), element("dd", screenful(text, ROWS)))
        for name, text in lines
        if text
    ]
    return element(
        "div",
        element("p", element("strong", clip(f"{finding.severity.capitalize()}: {finding.kind}"))),
        element("p", screenful(finding.title, ROWS)),
        element("dl", *listed),
        class_=f"finding {finding.severity}",
    )


def measured(findings: Findings) -> Markup:
    """All figures, also of what is well."""
    parts = [table(("Figure", "Value"), list(findings.figures.items()), numeric=(1,))]
    titles = list(dict.fromkeys(name for layer in findings.layers for name in layer))
    if titles:
        body = [[layer.get(name, "") for name in titles] for layer in findings.layers]
        parts.append(table(titles, body, numeric=range(1, len(titles))))
    return element("details", element("summary", "Show what was measured"), *parts)

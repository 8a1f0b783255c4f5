"""How often prediction intervals, or label sets, hold the truth on rows that judge."""

from __future__ import annotations

from chainrule.markup import Markup, element
from chainrule.number_text import readable, rough
from chainrule.report.contents import Report
from chainrule.report.pieces import note, section, table

USUAL = 0.9


def coverage_section(report: Report, scored: str) -> Markup:
    """A table: what was asked for, how often it held the truth, how large intervals or sets are."""
    found = report.coverage
    if not found:
        return Markup()
    is_classes = report.task == "classification"
    body = [
        (f"{one.probability:.0%}", f"{one.covered:.1%}", f"{one.size:.2f}" if is_classes else rough(one.size))
        for one in found
    ]
    what = "label sets" if is_classes else "intervals"
    usual = next((one for one in found if one.probability == USUAL), found[-1])
    text = (
        f"The {what} for {usual.probability:.0%} hold the right class for {usual.covered:.1%} of {scored}, with "
        f"{usual.size:.2f} classes in a set on average."
        if is_classes
        else f"The intervals for {usual.probability:.0%} hold {usual.covered:.1%} of the true values of {scored}; they "
        f"are {readable(float(f'{usual.size:.3g}'))} wide on average."
    )
    option = "--label-sets" if is_classes else "--interval"
    size = "Classes in a set" if is_classes else "Mean width"
    return section(
        "How often label sets hold the right class" if is_classes else "How often intervals hold the truth",
        element("p", text),
        table(("Asked for", "Held", size), body, numeric=(1, 2)),
        note(
            f"Each row's is made of the errors on other rows. chainrule predict {option} {usual.probability:g} writes "
            f"them. {_beyond(is_classes)}"
        ),
    )


def _beyond(is_classes: bool) -> str:
    """Why they may hold more than was asked for."""
    if is_classes:
        return "The predicted class is always in the set, so that sets of a good model hold more than is asked for."
    return "They hold for rows like these; for rows of another kind they promise nothing."

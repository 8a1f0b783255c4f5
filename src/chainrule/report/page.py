"""The page itself: its head, its parts from the top, the sections that only list something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chainrule.alike import alike
from chainrule.foreign_text import clipped
from chainrule.markup import Markup, element, escape
from chainrule.number_text import duration, readable
from chainrule.report.calibration import calibration_section
from chainrule.report.classes import confusion_section
from chainrule.report.contents import Confusion, Report
from chainrule.report.coverage import coverage_section
from chainrule.report.dependence import dependence_section
from chainrule.report.findings import findings_section
from chainrule.report.importance import importance_section
from chainrule.report.losses import loss_section
from chainrule.report.metrics import metrics_section
from chainrule.report.numbers import scatter_section
from chainrule.report.pieces import clip, note, rows, scroller, section, table
from chainrule.report.ranking import ranking_section
from chainrule.report.spread import spread_section
from chainrule.report.worst import worst_section

NOTICES, CHARACTERS = 50, 150_000  # kinds of notices that are listed, and characters of all of them, at most
CODE = 4_600  # characters of a line: the longest path that a file can have, and some words


def render(report: Report) -> str:
    """The report as the text of one HTML file, also well-formed XML, of less than 2 MB.

    All text is escaped; nothing is loaded from elsewhere; colours follow the reader's light or dark setting.
    """
    head = element(
        "head",
        Markup('<meta charset="utf-8" />'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        # A browser that reads this refuses to load anything, whatever the data's text may hold.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'",
        ),
        element("title", clip(report.title)),
        element("style", Markup(Path(__file__).with_name("report.css").read_text("utf-8"))),
    )
    body = element(
        "body",
        element(
            "main",
            header(report),
            findings_section(report.findings),
            metrics_section(report.metrics, scored_rows(report), report.task),
            outcome_section(report),
            importance_section(report.importances),
            dependence_section(report.dependences, report.task),
            calibration_section(report.calibration, scored_rows(report)),
            ranking_section(report.curves_of_classes, scored_rows(report)),
            coverage_section(report, scored_rows(report)),
            spread_section(report.spread, report.task, scored_rows(report)),
            worst_section(report.worst),
            notices(report),
            loss_section(report.curves, report.loss),
            predict_section(report),
            columns_section(report),
            network_section(report),
            settings_section(report),
        ),
        element("footer", f"Made by chainrule {clipped(report.version)}."),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def header(report: Report) -> Markup:
    """Title, and the figures that matter most."""
    constant = "the most frequent class" if isinstance(report.outcome, Confusion) else "the mean"
    constant = "the classes' shares" if report.metric in {"log loss", "AUC"} else constant
    tiles = [
        (
            f"{report.metric} on {scored_rows(report)}{clipped(report.score_spread)}",
            readable(report.score),
            "score",
        ),
        (f"{report.metric} of always predicting {constant}", readable(report.baseline), None),
        ("rows trained on", readable(report.training_rows), None),
        *(
            [("networks that answer together", readable(report.networks), None)]
            if report.networks > 1
            else []
        ),
        ("training time", duration(report.seconds), None),
    ]
    listed = [
        element("div", element("dt", clip(label)), element("dd", value), class_=kind)
        for label, value, kind in tiles
    ]
    return element(
        "header",
        element("p", clipped(report.task.capitalize()), class_="task"),
        element("h1", clip(report.title)),
        element("dl", *listed, class_="tiles"),
    )


def scored_rows(report: Report) -> str:
    """Which rows the score is of, in words."""
    if report.held_out_rows:
        return f"{rows(report.held_out_rows)} held out"
    if report.out_of_fold_rows:
        return f"{readable(report.out_of_fold_rows)} out-of-fold rows"
    return f"the {rows(report.training_rows)} trained on: none were held out"


def notices(report: Report) -> Markup:
    """What happened on the way that the reader should know: one line a kind, all of the kind on a click."""
    if not report.notices:
        return Markup()
    kinds = alike(report.notices)
    listed = [element("li", notices_of_kind(some, CHARACTERS // len(kinds))) for some in kinds[:NOTICES]]
    left_out = len(kinds) - NOTICES
    more = note(f"{readable(left_out)} more kinds are not listed.") if left_out > 0 else Markup()
    heading = "What was done to the table"
    return element("section", element("h2", heading), element("ul", *listed), more, class_="notices")


def notices_of_kind(some: Sequence[str], characters: int) -> Markup:
    """The first one, and the others folded, as far as they have no more than so many characters."""
    shown, *others = (escape(clip(text)) for text in some)
    if not others:
        return shown
    ends = np.cumsum([len(item) for item in others])
    listed = others[: int(np.searchsorted(ends, characters, side="right"))]
    left_out = len(others) - len(listed)
    more = note(f"{readable(left_out)} more are not listed.") if left_out else Markup()
    summary = element("summary", f"{readable(len(others))} more like this")
    return Markup(
        shown + element("details", summary, element("ul", *(element("li", item) for item in listed)), more)
    )


def predict_section(report: Report) -> Markup:
    """How to use the model."""
    return section(
        "How to predict",
        element("p", "From the command line:"),
        element("pre", element("code", code(report.predict_command))),
        element("p", "From Python:"),
        element("pre", element("code", code(report.python_snippet))),
    )


def code(text: str) -> str:
    """Lines to be copied, which are whole as long as the name of a file can be."""
    return "\n".join(clipped(line, CODE) for line in text.split("\n"))


def columns_section(report: Report) -> Markup:
    """The columns of the data."""
    body = [(name, kind, content, readable(missing)) for name, kind, content, missing in report.columns]
    return section(
        "Columns",
        table(("Column", "Kind", "Range or categories", "Missing"), body, numeric=(3,)),
        note("Missing cells are counted in all rows, also in those held out."),
    )


def network_section(report: Report) -> Markup:
    """The layers of the network."""
    body = [(name, shape, readable(count)) for name, shape, count in report.layers]
    total = readable(sum(layer.parameters for layer in report.layers))
    return section(
        "Network",
        drawing(report.drawing),
        table(("Layer", "Output shape", "Parameters"), body, numeric=(2,)),
        note(f"{total} parameters in all."),
    )


def drawing(svg: str) -> Markup:
    """The network as a picture, where there is one."""
    if not svg:
        return Markup()
    return element("figure", scroller(Markup(svg), "Drawing of the network"), class_="drawing")


def settings_section(report: Report) -> Markup:
    """The settings of the run."""
    body = [(str(name), str(value)) for name, value in report.settings.items()]
    return section("Settings", table(("Setting", "Value"), body))


def outcome_section(report: Report) -> Markup:
    """How the predictions compare with what is true."""
    if isinstance(report.outcome, Confusion):
        return confusion_section(report.outcome, scored_rows(report))
    return scatter_section(report.outcome)

"""The page itself: its head, its parts from the top, the sections that only list something."""

from __future__ import annotations

from pathlib import Path

from chainrule.report.calibration import calibration_section
from chainrule.report.classes import confusion_section
from chainrule.report.contents import Confusion, Report
from chainrule.report.findings import findings_section
from chainrule.report.importance import importance_section
from chainrule.report.losses import loss_section
from chainrule.report.numbers import scatter_section
from chainrule.report.pieces import clip, duration, note, number, rows, scroller, section, table
from chainrule.report.worst import worst_section
from chainrule.svg import Markup, element

NOTICES = 50


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
        element("title", report.title),
        element("style", Markup(Path(__file__).with_name("report.css").read_text("utf-8"))),
    )
    body = element(
        "body",
        element(
            "main",
            header(report),
            notices(report),
            findings_section(report.findings),
            loss_section(report.curves),
            outcome_section(report),
            calibration_section(report.calibration, scored_rows(report)),
            worst_section(report.worst),
            importance_section(report.importances),
            predict_section(report),
            columns_section(report),
            network_section(report),
            settings_section(report),
        ),
        element("footer", f"Made by chainrule {report.version}."),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def header(report: Report) -> Markup:
    """Title, and the figures that matter most."""
    constant = "the most frequent class" if isinstance(report.outcome, Confusion) else "the mean"
    tiles = [
        (f"{report.metric} on {scored_rows(report)}", number(report.score), "score"),
        (f"{report.metric} of always predicting {constant}", number(report.baseline), None),
        ("rows trained on", number(report.training_rows), None),
        ("training time", duration(report.seconds), None),
    ]
    listed = [
        element("div", element("dt", clip(label)), element("dd", value), class_=kind)
        for label, value, kind in tiles
    ]
    return element(
        "header",
        element("p", report.task.capitalize(), class_="task"),
        element("h1", clip(report.title)),
        element("dl", *listed, class_="tiles"),
    )


def scored_rows(report: Report) -> str:
    """Which rows the score is of, in words."""
    if report.held_out_rows:
        return f"{rows(report.held_out_rows)} held out"
    return f"the {rows(report.training_rows)} trained on: none were held out"


def notices(report: Report) -> Markup:
    """What happened on the way that the reader should know."""
    if not report.notices:
        return Markup()
    listed = [element("li", clip(text)) for text in report.notices[:NOTICES]]
    left_out = len(report.notices) - NOTICES
    more = note(f"{number(left_out)} more are not listed.") if left_out > 0 else Markup()
    return element("section", element("h2", "Notices"), element("ul", *listed), more, class_="notices")


def predict_section(report: Report) -> Markup:
    """How to use the model."""
    return section(
        "How to predict",
        element("p", "From the command line:"),
        element("pre", element("code", report.predict_command)),
        element("p", "From Python:"),
        element("pre", element("code", report.python_snippet)),
    )


def columns_section(report: Report) -> Markup:
    """The columns of the data."""
    body = [(name, kind, content, number(missing)) for name, kind, content, missing in report.columns]
    return section("Columns", table(("Column", "Kind", "Range or categories", "Missing"), body, numeric=(3,)))


def network_section(report: Report) -> Markup:
    """The layers of the network."""
    body = [(name, shape, number(count)) for name, shape, count in report.layers]
    total = number(sum(layer.parameters for layer in report.layers))
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

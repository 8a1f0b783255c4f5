"""The report of a training run: one HTML file, pictures inside, without network access or JavaScript."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError, ShapeError
from chainrule.svg import (
    Markup,
    Scale,
    axes,
    curve,
    element,
    label_room,
    picture,
    scale_over,
    thin,
)

Floats = NDArray[np.float64]

# What is drawn or listed at most; where more was given, the report says so.
CURVE_POINTS = 400
OTHER_RESTARTS = 30
SCATTER_POINTS = 2_000
MATRIX_CLASSES = 50
TABLE_ROWS = 150
UPRIGHT_FROM = 36  # letters over the matrix, beyond which the names stand upright
OPEN_ROWS = 25  # a longer table is shown on a click
TEXT_LENGTH = 160
NOTICES = 50

WIDTH = 560.0  # of a chart, in its own pixels
DECADES_FOR_LOGARITHMIC = 1.5


class Column(NamedTuple):
    """A column of the data: what it holds, and in how many rows it is missing."""

    name: str
    kind: str
    content: str  # a range, or the categories
    missing: int


class Layer(NamedTuple):
    """A layer of the network: its name, its output's shape, the number of its parameters."""

    name: str
    shape: str
    parameters: int


@dataclass(frozen=True)
class Curves:
    """Losses [restarts, epochs], NaN for epochs not run; ``kept`` and ``best_epoch`` count from 0."""

    training: Floats
    validation: Floats | None
    kept: int
    best_epoch: int

    def __post_init__(self) -> None:
        shape = np.shape(self.training)
        other = shape if self.validation is None else np.shape(self.validation)
        if len(shape) != 2 or other != shape:
            raise ShapeError(
                "The curves of training and validation loss differ in shape.",
                expected="[restarts, epochs] for both",
                got=f"{list(shape)} and {list(other)}",
            )
        if not (0 <= self.kept < shape[0] and 0 <= self.best_epoch < shape[1]):
            raise DataError(
                "The kept restart or its best epoch is not among the curves.",
                expected=f"a restart below {shape[0]} and an epoch below {shape[1]}",
                got=f"restart {self.kept}, epoch {self.best_epoch}",
            )


@dataclass(frozen=True)
class Confusion:
    """Held-out rows by class: counts [actual, predicted], precision [classes], recall [classes]."""

    classes: Sequence[str]
    counts: NDArray[np.int64]
    precision: Floats
    recall: Floats

    def __post_init__(self) -> None:
        n = len(self.classes)
        shapes = [np.shape(self.counts), np.shape(self.precision), np.shape(self.recall)]
        if shapes != [(n, n), (n,), (n,)]:
            raise ShapeError(
                "Counts, precision and recall do not belong to the same classes.",
                expected=f"shapes {[n, n]}, {[n]}, {[n]} for {n} classes",
                got=f"shapes {', '.join(str(list(shape)) for shape in shapes)}",
            )


@dataclass(frozen=True)
class Predictions:
    """Held-out rows of a regression: actual and predicted target [rows], in the target's own units."""

    actual: Floats
    predicted: Floats

    def __post_init__(self) -> None:
        if np.ndim(self.actual) != 1 or np.shape(self.actual) != np.shape(self.predicted):
            raise ShapeError(
                "There is not one prediction for each actual value.",
                expected="two arrays of shape [rows]",
                got=f"shapes {list(np.shape(self.actual))} and {list(np.shape(self.predicted))}",
            )


@dataclass(frozen=True)
class Report:
    """What the report of a training run shows.

    ``score``, ``baseline`` and ``outcome`` are of the held-out rows; where there are none, of the training rows.
    """

    title: str
    task: str  # "classification" or "regression"
    metric: str
    score: float
    baseline: float  # of the majority class or the mean of the training rows
    training_rows: int
    held_out_rows: int
    curves: Curves
    outcome: Confusion | Predictions
    columns: Sequence[Column]
    layers: Sequence[Layer]
    settings: Mapping[str, object]
    notices: Sequence[str]
    predict_command: str
    python_snippet: str
    version: str
    seconds: float


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
            loss_section(report.curves),
            outcome_section(report),
            predict_section(report),
            columns_section(report),
            network_section(report),
            settings_section(report),
        ),
        element("footer", f"Made by chainrule {report.version}."),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


# Small pieces


def clip(text: object) -> str:
    """The text, shortened where it is so long that it would swell the file."""
    written = str(text)
    return written if len(written) <= TEXT_LENGTH else written[: TEXT_LENGTH - 1] + "…"


def number(value: float) -> str:
    """Four digits, or all that stand before the point; a word for what is no number."""
    if not np.isfinite(value):
        return "not a number" if np.isnan(value) else "infinite"
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-4:
        return f"{value:.3e}"
    digits = 0 if float(value).is_integer() else max(0, 3 - math.floor(math.log10(abs(value))))
    written = f"{round(value, digits):,.{digits}f}".replace(",", "\u202f")
    return written.rstrip("0").rstrip(".") if digits else written


def rows(count: int) -> str:
    """A number of rows, in words."""
    return f"{number(count)} row" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """A time span as one would say it."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes / 60:.1f} h"


def section(heading: str, *content: str) -> Markup:
    """A part of the page under a heading."""
    return element("section", element("h2", heading), *content)


def table(titles: Sequence[str], body: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> Markup:
    """A table whose first column names the rows; the numeric columns stand right."""
    style = ["number" if i in numeric else None for i in range(len(titles))]
    head = [element("th", text, scope="col", class_=kind) for text, kind in zip(titles, style, strict=True)]
    lines = []
    for cells in body[:TABLE_ROWS]:
        first = element("th", clip(cells[0]), scope="row")
        rest = [
            element("td", clip(text), class_=kind) for text, kind in zip(cells[1:], style[1:], strict=True)
        ]
        lines.append(element("tr", first, *rest))
    left_out = max(0, len(body) - TABLE_ROWS)
    shown = f"the first {TABLE_ROWS} of {number(len(body))}" if left_out else f"all {len(body)}"
    more = note(f"{number(left_out)} more are not listed.") if left_out else Markup()
    inner = element("table", element("thead", element("tr", *head)), element("tbody", *lines))
    framed = Markup(scroller(inner, f"Table: {titles[0]}") + more)
    if len(body) <= OPEN_ROWS:
        return framed
    return element("details", element("summary", f"Show {shown}"), framed)


def scroller(content: str, label: str) -> Markup:
    """A frame that scrolls sideways by itself where its content is wider than the screen."""
    return element("div", content, class_="scroll", role="region", tabindex=0, aria_label=label)


def note(text: str) -> Markup:
    """A remark in small letters."""
    return element("p", text, class_="note")


# The parts of the page, from the top


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
        table(("Layer", "Output shape", "Parameters"), body, numeric=(2,)),
        note(f"{total} parameters in all."),
    )


def settings_section(report: Report) -> Markup:
    """The settings of the run."""
    body = [(str(name), str(value)) for name, value in report.settings.items()]
    return section("Settings", table(("Setting", "Value"), body))


# Loss curves


def loss_section(curves: Curves) -> Markup:
    """Training and validation loss by epoch: the kept restart bold, the others faint."""
    restarts = len(curves.training)
    kinds = [("training", curves.training)]
    if curves.validation is not None:
        kinds.append(("validation", curves.validation))
    values = np.concatenate([losses for _, losses in kinds])
    text = f"Restart {curves.kept + 1} of {restarts} is kept. " if restarts > 1 else ""
    text += f"The network is the one after epoch {curves.best_epoch + 1}."
    if np.isinf(values).any():
        text += " Losses that became infinite are not drawn."
    if restarts - 1 > OTHER_RESTARTS:
        text += f" Of the other restarts, the first {OTHER_RESTARTS} are drawn."
    finite = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(finite).all():
        return section("Loss", element("p", "No epoch ended with a finite loss."))
    figure = element(
        "figure",
        legend([kind for kind, _ in kinds], others=restarts > 1),
        loss_chart(kinds, finite, curves),
        element("figcaption", text),
    )
    return section("Loss", figure)


def loss_chart(kinds: Sequence[tuple[str, Floats]], finite: Floats, curves: Curves) -> Markup:
    """The chart itself; ``finite`` holds all losses that can be drawn, NaN elsewhere."""
    top, bottom, right = 36.0, 290.0, WIDTH - 16
    epochs = int(np.flatnonzero(~np.isnan(finite).all(axis=0))[-1]) + 1
    logarithmic = spans_decades(finite)
    y = scale_over(finite, bottom, top, logarithmic=logarithmic)
    room = 0.5 if epochs == 1 else 0.02 * (epochs - 1)
    x = Scale(1 - min(room, 0.9), epochs + room, label_room(y), right, whole=True)
    drawn = [r for r in range(len(curves.training)) if r != curves.kept][:OTHER_RESTARTS]
    lines = []
    for restart in [*drawn, curves.kept]:
        for kind, losses in kinds:
            name = f"restart {restart + 1}, {kind} loss" if len(curves.training) > 1 else f"{kind} loss"
            style = f"curve {kind}" + (" kept" if restart == curves.kept else "")
            lines.append(loss_curve(losses[restart, :epochs], x, y, name, style))
    kind, losses = kinds[-1]
    loss = losses[curves.kept, curves.best_epoch]
    if np.isfinite(loss):
        lines.append(best_mark(x, y, curves.best_epoch + 1, loss, kind))
    title = "Loss" + (" (logarithmic)" if logarithmic else "")
    description = (
        f"{' and '.join(kind for kind, _ in kinds)} loss over {epochs} epochs; lowest kept: {number(loss)}."
    )
    return picture(WIDTH, 345, "Loss by epoch", description, axes(x, y, "Epoch", title), *lines)


def spans_decades(values: Floats) -> bool:
    """Whether a logarithmic axis shows the values better."""
    low, high = np.nanmin(values), np.nanmax(values)
    return bool(low > 0 and np.log10(high) - np.log10(low) >= DECADES_FOR_LOGARITHMIC)


def loss_curve(losses: Floats, x: Scale, y: Scale, name: str, style: str) -> Markup:
    """One restart's losses."""
    drawable = np.where(np.isfinite(losses), losses, np.nan)
    points = thin(drawable, CURVE_POINTS)
    return curve(x(points + 1), y(drawable[points]), element("title", name), class_=style)


def best_mark(x: Scale, y: Scale, epoch: int, loss: float, kind: str) -> Markup:
    """A line and a dot at the epoch whose parameters are kept."""
    across, up = float(x(epoch)), float(y(loss))
    left = across > (x.start + x.end) / 2
    return element(
        "g",
        element("line", x1=f"{across:.1f}", x2=f"{across:.1f}", y1=y.end, y2=y.start, class_="best"),
        element("circle", cx=f"{across:.1f}", cy=f"{up:.1f}", r=5, class_=f"mark {kind}"),
        element(
            "text",
            f"epoch {epoch}: {number(loss)}",
            x=f"{across + (-8 if left else 8):.1f}",
            y=y.end + 4,
            dy="0.6em",
            text_anchor="end" if left else "start",
            class_="best",
        ),
    )


def legend(kinds: Sequence[str], others: bool) -> Markup:
    """What the lines of the loss chart mean."""
    entries = [(kind, f"curve {kind} kept") for kind in kinds] + [
        ("other restarts", "curve training")
    ] * others
    parts = []
    for text, style in entries:
        line = element("line", x1=1, x2=33, y1=6, y2=6, class_=style)
        swatch = element("svg", line, viewBox="0 0 34 12", class_="swatch", aria_hidden="true")
        parts.append(element("li", swatch, text))
    return element("ul", *parts, class_="legend")


# Held-out rows


def outcome_section(report: Report) -> Markup:
    """How the predictions compare with what is true."""
    if isinstance(report.outcome, Confusion):
        return confusion_section(report.outcome, scored_rows(report))
    return scatter_section(report.outcome)


def confusion_section(confusion: Confusion, scored: str) -> Markup:
    """Confusion matrix (of few enough classes), the most frequent mistakes, precision and recall."""
    counts = np.asarray(confusion.counts)
    n, total, right = len(confusion.classes), int(counts.sum()), int(np.trace(counts))
    parts = [element("p", f"Predicted rightly: {number(right)} of {scored}.")]
    if n <= MATRIX_CLASSES:
        parts.append(scroller(confusion_matrix(confusion), "Confusion matrix"))
        parts.append(
            note(
                "Each row is an actual class, each column a predicted one. The stronger the colour, "
                "the larger the share of the actual class's rows; blue is right, orange wrong."
            )
        )
    else:
        parts.append(
            note(f"A matrix of {n} classes would not be legible; the most frequent mistakes are below.")
        )
    if n > 2 and total > right:
        parts += [
            element("h3", "Most frequent mistakes"),
            mistakes_table(confusion, 10 if n <= MATRIX_CLASSES else OPEN_ROWS),
        ]
    return section("Actual and predicted class", *parts, element("h3", "By class"), classes_table(confusion))


def confusion_matrix(confusion: Confusion) -> Markup:
    """The counts as a table, each cell shaded by its share of the row."""
    names = [clip(name) for name in confusion.classes]
    upright = len(names) * max(map(len, names), default=0) > UPRIGHT_FROM
    counts = np.asarray(confusion.counts)
    # The root and the offset let a share of one in a hundred still be seen.
    strength = 0.1 + 0.52 * np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    head = [
        element("th", element("span", name, title=name), scope="col", class_="upright" if upright else None)
        for name in names
    ]
    lines = []
    for i, name in enumerate(names):
        cells = [
            element(
                "td",
                number(count),
                class_=("right" if i == j else "wrong") if count else "none",
                style=f"--strength:{strength[i, j]:.2f}" if count else None,
            )
            for j, count in enumerate(counts[i].tolist())
        ]
        lines.append(element("tr", element("th", element("span", name, title=name), scope="row"), *cells))
    corner = element("td", "predicted \u2192", Markup("<br />"), "actual \u2193", class_="corner")
    inner = element("thead", element("tr", corner, *head))
    return element("table", inner, element("tbody", *lines), class_="matrix")


def mistakes_table(confusion: Confusion, limit: int) -> Markup:
    """The pairs of classes that are confused most often."""
    counts = np.asarray(confusion.counts)
    wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    actual, predicted = np.unravel_index(order, wrong.shape)
    body = [
        (
            confusion.classes[i],
            confusion.classes[j],
            number(wrong[i, j]),
            f"{wrong[i, j] / counts[i].sum():.1%}",
        )
        for i, j in zip(actual.tolist(), predicted.tolist(), strict=True)
        if wrong[i, j]
    ]
    return table(("Actual", "Predicted", "Rows", "Of the actual class"), body, numeric=(2, 3))


def classes_table(confusion: Confusion) -> Markup:
    """Precision and recall of each class; of very many, those with the lowest recall come first."""
    support = np.asarray(confusion.counts).sum(axis=1)
    order = np.arange(len(support))
    if len(support) > MATRIX_CLASSES:
        order = np.argsort(confusion.recall, kind="stable")
    body = [
        (confusion.classes[i], number(support[i]), share(confusion.precision[i]), share(confusion.recall[i]))
        for i in order.tolist()
    ]
    return table(("Class", "Rows", "Precision", "Recall"), body, numeric=(1, 2, 3))


def share(value: float) -> str:
    """A number between 0 and 1, or a dash where it is not defined."""
    return "\u2013" if np.isnan(value) else f"{value:.3f}"


def scatter_section(predictions: Predictions) -> Markup:
    """Predicted against actual values, and how far apart they are."""
    actual, predicted = (np.asarray(v, dtype=np.float64) for v in (predictions.actual, predictions.predicted))
    finite = np.isfinite(actual) & np.isfinite(predicted)
    text = ""
    if not finite.all():
        text = f"{rows(int((~finite).sum()))} without a finite prediction left out. "
    actual, predicted = actual[finite], predicted[finite]
    if not len(actual):
        return section("Actual and predicted value", element("p", text or "No rows were held out."))
    half, most = np.quantile(np.abs(actual / 2 - predicted / 2), [0.5, 0.9]) * 2
    distance = f"Half of the predictions are off by less than {number(half)}, "
    distance += f"nine in ten by less than {number(most)}."
    if len(actual) > SCATTER_POINTS:
        text += f"{number(SCATTER_POINTS)} of {rows(len(actual))} are drawn, chosen at random. "
        chosen = np.random.default_rng(0).choice(len(actual), SCATTER_POINTS, replace=False)
        actual, predicted = actual[chosen], predicted[chosen]
    caption = element("figcaption", text + "On the line, predicted and actual value are equal.")
    figure = element("figure", scatter_chart(actual, predicted), caption, class_="square")
    return section("Actual and predicted value", element("p", distance), figure)


def scatter_chart(actual: Floats, predicted: Floats) -> Markup:
    """Both axes with the same scale, and the diagonal."""
    top, bottom = 36.0, 470.0
    y = scale_over(np.concatenate([actual, predicted]), bottom, top)
    left = label_room(y)
    x = Scale(y.low, y.high, left, left + bottom - top)
    across, up = x(actual), y(predicted)
    dots = [element("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3) for a, b in zip(across, up, strict=True)]
    opacity = 0.8 if len(dots) < 200 else 0.4
    diagonal = element("line", x1=x.start, y1=y.start, x2=x.end, y2=y.end, class_="diagonal")
    return picture(
        left + bottom - top + 16,
        525,
        "Predicted against actual value",
        f"One dot for each of {len(actual)} rows.",
        axes(x, y, "Actual", "Predicted"),
        element("g", *dots, class_="dots", fill_opacity=opacity),
        diagonal,
    )

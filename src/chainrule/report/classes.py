"""Actual and predicted classes: the confusion matrix, the most frequent mistakes, precision and recall."""

from __future__ import annotations

import numpy as np

from chainrule import markup
from chainrule.foreign_text import clipped
from chainrule.markup import Markup, element
from chainrule.number_text import readable
from chainrule.report.contents import Confusion
from chainrule.report.pieces import OPEN_ROWS, note, scroller, section, table

MATRIX_CLASSES = 50
UPRIGHT_FROM = 36  # characters above the matrix, beyond which names are written vertically


def confusion_section(confusion: Confusion, scored: str) -> Markup:
    """Confusion matrix (of few enough classes), the most frequent mistakes, precision and recall."""
    counts = np.asarray(confusion.counts)
    n, total, right = len(confusion.classes), int(counts.sum()), int(np.trace(counts))
    parts = [element("p", f"Predicted rightly: {readable(right)} of {scored}.")]
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
    names = [clipped(name) for name in confusion.classes]
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
                readable(count),
                class_=("right" if i == j else "wrong") if count else "none",
                style=f"--strength:{strength[i, j]:.2f}" if count else None,
            )
            for j, count in enumerate(counts[i].tolist())
        ]
        lines.append([element("th", element("span", name, title=name), scope="row"), *cells])
    corner = element("td", "predicted \u2192", Markup("<br />"), "actual \u2193", class_="corner")
    return markup.table([corner, *head], lines, class_="matrix")


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
            readable(wrong[i, j]),
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
        (
            confusion.classes[i],
            readable(support[i]),
            share(confusion.precision[i]),
            share(confusion.recall[i]),
        )
        for i in order.tolist()
    ]
    return table(("Class", "Rows", "Precision", "Recall"), body, numeric=(1, 2, 3))


def share(value: float) -> str:
    """A number between 0 and 1, or a dash where it is not defined."""
    return "\u2013" if np.isnan(value) else f"{value:.3f}"

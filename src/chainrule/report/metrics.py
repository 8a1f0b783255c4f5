"""How good the predictions are, by several measures."""

from collections.abc import Sequence

from chainrule.markup import Markup, element
from chainrule.report.contents import MetricRow
from chainrule.report.pieces import note, section, table

ABSENT = "\u2013"  # stands for a figure that is not defined
CONSTANT = {
    "classification": "always predicting the class shares of the training rows; for accuracy, "
    "their most frequent class",
    "regression": "always predicting the mean of the training rows",
}


def metrics_section(metrics: Sequence[MetricRow], scored: str, task: str) -> Markup:
    """A table: each measure beside those of a constant and of a linear model."""
    if not metrics:
        return Markup()
    titles = ("Measure", "Network", "Linear model", "Constant")
    body = [(m.name, m.value, m.linear, m.baseline) for m in metrics]
    linear = "The linear model is trained on the rows that train the network."
    if all(m.linear == ABSENT for m in metrics):
        linear = "For so many classes a linear model is left out, and the AUC."
    meanings = [
        element("div", element("dt", m.name), element("dd", m.meaning), class_="meaning") for m in metrics
    ]
    return section(
        "How good it is",
        table(titles, body, numeric=(1, 2, 3)),
        note(f"On {scored}. Constant: {CONSTANT[task]}. {linear}"),
        element("details", element("summary", "What the measures say"), element("dl", *meanings)),
    )

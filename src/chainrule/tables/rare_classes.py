"""Classes of which too few rows are there, or that are never predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from chainrule.data.describe import list_some
from chainrule.foreign_text import quoted
from chainrule.tables.finding import Draft, Remedy

if TYPE_CHECKING:
    from chainrule.tables.trained import Trained

FEWEST = 5  # scored rows of a class, below which its figures are chance
FOUND = 0.1  # of a class's rows, below which it is as good as never predicted


def find_rare_classes(trained: Trained) -> Iterator[Draft]:
    """Classes with hardly a row to learn from or to judge by."""
    if trained.model.task == "regression" or trained.prepared.split.scored_on == "training":
        return
    classes = trained.model.classes
    scored = np.bincount(trained.scored.actual, minlength=len(classes))
    training = np.bincount(trained.prepared.training.target, minlength=len(classes))
    few = np.flatnonzero((scored < FEWEST) & (scored < scored.max()))
    if len(few) == 0 or scored.max() < FEWEST:
        return
    listed = [f"{training[c]} trained and {scored[c]} judge {quoted(classes[c])}" for c in few]
    yield Draft(
        "rare classes",
        "note",
        f"Of {_named(classes, few)} there are too few rows to say how well {'it is' if len(few) == 1 else 'they are'} "
        "recognised.",
        f"of {len(scored)} classes: {list_some(listed, limit=5)}",
        Remedy(
            "more rows of these classes, or joining classes", "more rows of these classes, or joining classes"
        ),
    )


def find_missed_classes(trained: Trained) -> Iterator[Draft]:
    """Classes whose rows the network hardly ever recognises although there are enough of them."""
    if trained.model.task == "regression":
        return
    classes, actual = trained.model.classes, trained.scored.actual
    predicted = trained.scored.labels
    counts = np.bincount(actual, minlength=len(classes))
    right = np.bincount(actual[predicted == actual], minlength=len(classes))
    missed = np.flatnonzero((counts >= FEWEST) & (right < FOUND * counts))
    if len(missed) == 0:
        return
    listed = [f"{right[c]} of {counts[c]} rows of {quoted(classes[c])}" for c in missed]
    yield Draft(
        "missed classes",
        "warning",
        f"{_named(classes, missed)} {'is' if len(missed) == 1 else 'are'} hardly ever predicted, because other classes "
        "are likelier for nearly every row: go by the probabilities, not by the predicted class.",
        f"recognised: {list_some(listed, limit=5)}",
        Remedy(
            "a threshold of your own on the column probability_CLASS of the predictions",
            "a threshold of your own on Predictions.probabilities",
        )
        if trained.prepared.settings.aim is not None
        else Remedy(
            "--aim balanced-accuracy, or a threshold of your own on the column probability_CLASS of the predictions",
            "aim='balanced-accuracy', or a threshold of your own on Predictions.probabilities",
        ),
        ("The likeliest class is right most often; of a rare class that may never be the likeliest one.",),
    )


def _named(classes: Sequence[str], which: np.ndarray) -> str:
    return list_some([quoted(classes[c]) for c in which], limit=5)

"""Rare classes that the network never predicts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.data.describe import list_some
from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding

RARE = 0.2  # of the share that a class would have if all were equally frequent
FOUND = 0.5  # of a rare class's rows: below it, the class is as good as ignored


def find(e: Evidence) -> Iterator[Finding]:
    """Classes a fifth as frequent as equal shares, of which the network finds fewer than half of the rows.

    Only where it does better than chance on the others or not at all: the frequent class alone is right too often.
    """
    if e.labels is None or e.predicted is None or not e.replica:
        return
    counts = np.bincount(e.labels)
    present = counts > 0
    rare = present & (counts < RARE * len(e.labels) / present.sum())
    found = np.array(
        [np.mean(e.predicted[e.labels == c] == c) if present[c] else 1.0 for c in range(len(counts))]
    )
    ignored = np.flatnonzero(rare & (found < FOUND))
    if len(ignored):
        yield Finding(
            "imbalanced classes",
            "Rare classes are hardly ever predicted: the loss is low already when they are ignored.",
            f"class {list_some(ignored.tolist())}",
            {
                "rarest class's rows": int(counts[present].min()),
                "most frequent class's rows": int(counts.max()),
                "rare rows found": float(found[ignored].mean()),
                "accuracy": e.training.accuracy,
                "of always the most frequent": e.training.chance,
            },
            "warning",
            "weight the loss by class, repeat the rare rows, or judge by recall instead of accuracy",
            ("B21",),
        )

"""Equal rows with different targets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding

SHARE = 0.02  # of all rows, below which no network's score changes visibly


def find(e: Evidence) -> Iterator[Finding]:
    """Rows that no function of their columns can tell apart although their targets differ."""
    x = np.ascontiguousarray(
        e.rows.x.reshape(len(e.rows), -1) + 0
    )  # of both zeros one is left: bytes are compared
    rows = x.view(f"V{x.itemsize * x.shape[1]}").ravel() if x.shape[1] else np.zeros(len(x))
    _, group = np.unique(rows, return_inverse=True)
    if e.labels is not None:
        wrong = _outvoted(group, e.labels)
        kind = "different classes"
    else:
        wrong = _far_from_mean(group, e.rows.y.reshape(len(x), -1).astype(np.float64))
        kind = "targets that are far apart"
    if wrong.mean() > SHARE:
        one = int(np.flatnonzero(wrong)[0])
        equals = np.flatnonzero(group == group[one])
        first, other = sorted((one, int(equals[equals != one][0])))
        yield Finding(
            "contradicting rows",
            f"Some rows are identical in every column yet have {kind}: no network can get them all right.",
            f"{int(wrong.sum())} of {len(x)} rows, such as {first} and {other} (counted from 0)",
            {"contradicted rows": int(wrong.sum()), "share": float(wrong.mean())},
            "severe" if wrong.mean() > 0.2 else "warning",
            "look at such pairs: a column is missing, was rounded away, or the targets are wrong",
            ("A16",),
        )


def _outvoted(group: np.ndarray, labels: np.ndarray) -> np.ndarray:
    counts = np.zeros((group.max() + 1, labels.max() + 1), np.int64)
    np.add.at(counts, (group, labels), 1)
    return labels != counts.argmax(1)[group]


def _far_from_mean(group: np.ndarray, y: np.ndarray) -> np.ndarray:
    total = np.zeros((group.max() + 1, y.shape[1]))
    np.add.at(total, group, y)
    mean = total / np.bincount(group)[:, None]
    distance = np.abs(y - mean[group]).max(1)
    return distance > max(0.5 * float(y.std()), 1e-12)

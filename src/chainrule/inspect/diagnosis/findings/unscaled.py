"""Columns or a target of very different sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding

# The loss's curvature along a column's weight grows with the column's square: a ratio of 100 between two
# columns is one of 10,000 between curvatures, and one learning rate cannot serve both.
RATIO = 100.0
SIZE = 100.0  # values this large saturate a unit with a weight of 1/10


def find(e: Evidence) -> Iterator[Finding]:
    """Columns whose sizes differ by more than 100, or exceed 100; a target beyond 100."""
    first = e.readings[0].layer.kind if e.readings else ""
    if first != "BatchNorm1d":  # which scales them itself
        yield from _columns(e)
    if e.labels is None:
        yield from _target(e)


def sizes(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The root mean square of each column's entries that are not 0, so that rare categories count as 1."""
    used = np.maximum((x != 0).sum(0), 1)
    return np.sqrt(np.square(x).sum(0) / used)


def _columns(e: Evidence) -> Iterator[Finding]:
    flat = e.rows.x.reshape(len(e.rows), -1).astype(np.float64)
    size = sizes(flat)
    some = size > 0
    if not some.any():
        return
    largest, smallest = float(size.max()), float(size[some].min())
    ratio = largest / smallest if e.rows.x.ndim == 2 else 1.0
    if ratio > RATIO or largest > SIZE:
        place = int(size.argmax())
        yield Finding(
            "unscaled columns",
            "The input's columns differ in size so much, or are so large, that no learning rate suits all weights.",
            f"column {place} of {flat.shape[1]}, the largest",
            {
                "largest column's size": largest,
                "smallest column's size": smallest,
                "ratio": ratio,
                "curvatures' ratio": ratio**2,
            },
            "severe" if max(ratio, largest) > 10 * RATIO else "warning",
            "scale every column to mean 0 and deviation 1 (or to [-1, 1]), or start with nn.BatchNorm1d",
            ("B3", "B22", "A13"),
        )


def _target(e: Evidence) -> Iterator[Finding]:
    y = e.rows.y.astype(np.float64)
    size = float(np.sqrt(np.mean(np.square(y))))
    if size > SIZE:
        yield Finding(
            "unscaled target",
            "The target's numbers are large: so are the first gradients, and the weights that can predict them.",
            "y",
            {"target's size": size, "its deviation": float(y.std())},
            "warning",
            "predict (y - mean) / deviation and convert the predictions back",
            ("B3",),
        )

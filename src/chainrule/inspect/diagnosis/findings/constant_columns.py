"""Columns that hold one value only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.data.describe import list_some
from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding

SMALL = 0.1  # of the size of all entries: beside them it does nothing


def find(e: Evidence) -> Iterator[Finding]:
    """Columns of a single value that is not small, which act as a second bias; zeros do nothing at all."""
    if e.rows.x.ndim != 2 or len(e.rows) < 2:
        return
    x = e.rows.x
    constant = np.flatnonzero((x == x[0]).all(0) & (np.abs(x[0]) > SMALL * np.sqrt(np.mean(np.square(x)))))
    if len(constant):
        yield Finding(
            "constant columns",
            "Some columns hold the same value in every row: they tell nothing, and act as another bias.",
            f"column {list_some(constant.tolist())}",
            {"constant columns": len(constant), "columns": x.shape[1]},
            "note",
            "leave them out, and find out why they are constant: a failed join often looks like this",
            ("A20",),
        )

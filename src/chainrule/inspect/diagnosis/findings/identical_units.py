"""Hidden units that are copies of one another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.probe import Floats

COPIES = 0.5  # of a layer's units
SAME = 1e-5  # relative to the layer's size


def find(e: Evidence) -> Iterator[Finding]:
    """Half of a hidden layer's units have the same values on every row: they started with equal weights.

    They also have equal gradients, so they stay equal for ever.
    """
    if e.fitted:
        return
    for reading in e.readings[:-1]:
        values = reading.values
        units = values.shape[1]
        if not reading.layer.activation or units < 2:
            continue
        alive = np.flatnonzero(np.ptp(values, axis=0) > 0)
        distinct = _distinct(values[:, alive])
        copies = len(alive) - distinct
        if copies >= COPIES * units:
            yield Finding(
                "identical units",
                f"Of {units} hidden units only {distinct} differ; equal units get equal gradients and stay equal.",
                reading.layer.name,
                {"units": units, "different ones": distinct},
                "severe",
                "draw the first weights at random: the initialisers of nn.MLP do, model.initialise(seed) repeats it",
                ("E29", "A11"),
            )
            return


def _distinct(values: Floats) -> int:
    scale = np.abs(values).max(initial=0.0) or 1.0
    return len(np.unique(np.round(values.T / (scale * SAME)), axis=0))

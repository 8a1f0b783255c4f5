"""Units that are off on every row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.slopes import dead

# He's initial weights leave about one unit in 2^rows dead, that is none; a third of a layer is no accident.
SHARE = 1 / 3
ALMOST_ALL = 0.85  # of a layer: what is left is a bottleneck


def find(e: Evidence) -> Iterator[Finding]:
    """More than a third of the units of a layer like ReLU pass no gradient on for any row, and are missed.

    Weight decay and an easy task leave many units dead in networks that lack nothing: starting again, or another
    activation, then changes no score. So the network must also fall short of what the data allow, or next to
    nothing of a layer may be left.
    """
    if e.fitted:
        return
    for reading in e.readings:
        if reading.slope is None or reading.layer.bounded:
            continue
        off = dead(reading)
        if off.mean() > (SHARE if e.falls_short else ALMOST_ALL):
            units = np.flatnonzero(off)
            yield Finding(
                "dead units",
                "Many units are off on every row: their derivative is 0, so nothing below or in them changes.",
                reading.layer.name,
                {
                    "dead units": int(off.sum()),
                    "units": len(off),
                    "the first": ", ".join(map(str, units[:5])),
                    **e.since("dead", reading.layer.name, SHARE),
                },
                "severe" if off.mean() > 0.8 else "warning",
                "a smaller learning rate, biases that start at 0 or above, leaky_relu or elu; start again",
                ("C13", "A14", "E28"),
            )

"""Parameters that no gradient reaches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding


def find(e: Evidence) -> Iterator[Finding]:
    """A weight whose gradient is exactly 0 although the loss is not at its floor.

    Steps and signs have derivative 0 everywhere; a layer that the output does not depend on is another cause.
    Rows behind dead units are left to that finding.
    """
    if e.probed is None or e.fitted:
        return
    silent = [name for name, g in e.probed.gradient.items() if g.size and not np.any(g)]
    steps = [r.layer.name for r in e.readings if r.layer.kind in {"Step", "Sign", "step", "sign"}]
    unused = sorted(set(e.probed.gradient) - {p for r in e.readings for p in r.layer.parameters})
    outside = [name for name in silent if name in unused] if e.readings else []
    if silent and (steps or outside):
        yield Finding(
            "no gradient",
            "The gradient of some parameters is exactly 0, so they never change"
            + (": the derivative of a step is 0." if steps else ": the output does not depend on them."),
            ", ".join(steps or outside),
            {"parameters without gradient": len(silent), "of": len(e.probed.gradient)},
            "severe",
            "an activation with a derivative, such as tanh or ReLU"
            if steps
            else "use the layer in forward(), or remove it",
            ("E10",) if steps else ("A26",),
        )

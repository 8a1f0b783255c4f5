"""Gradients and activations that shrink or grow from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.probe import Floats

# A first layer whose gradient is a thousandth of the last one's learns a thousand times slower; with one
# step size for all, the last layer has long ended when the first begins.
RATIO = 1e3
DEPTH = 3  # layers with weights, from which it is a matter of depth


def find(e: Evidence) -> Iterator[Finding]:
    """Messages (dL/du, root mean square) of the first and the last layer with weights differ by 1000."""
    layers = [r for r in e.readings if r.layer.parameters and r.values.ndim == 2]
    if len(layers) < DEPTH or e.fitted:
        return
    messages = [_rms(r.messages) for r in layers]
    values = [_rms(r.values) for r in layers]
    first, last = messages[0], messages[-1]
    if not (np.isfinite(messages).all() and np.isfinite(values).all()) or last == 0:
        return
    where = f"{layers[0].layer.name} to {layers[-1].layer.name}"
    figures = {
        "first layer's message": first,
        "last layer's message": last,
        "factor a layer": float((max(first, 1e-300) / last) ** (1 / (len(layers) - 1))),
        "first layer's activation": values[0],
        "last layer's activation": values[-1],
    }
    if first < last / RATIO:
        yield Finding(
            "vanishing gradients",
            "On the way down the gradient shrinks: the first layers hardly learn.",
            where,
            figures,
            "severe" if first < last / RATIO**2 else "warning",
            "ReLU with He's initial weights, batch normalisation, fewer layers, or edges that skip layers",
            ("A26", "A13", "A14", "B22"),
        )
    elif first > last * RATIO or values[-1] > RATIO * max(values[0], 1e-300):
        yield Finding(
            "exploding gradients",
            "From layer to layer the numbers grow: a step that suits one layer is far too large for another.",
            where,
            figures,
            "severe" if first > last * RATIO**2 else "warning",
            "smaller first weights (He's or Glorot's), clip_norm=1.0, batch normalisation",
            ("A26", "E30", "B22"),
        )


def _rms(values: Floats) -> float:
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(np.square(values))))

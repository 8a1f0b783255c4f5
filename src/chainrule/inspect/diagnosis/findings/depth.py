"""Gradients and activations that shrink or grow from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.probe import root_mean_square

# A first layer whose gradient is a thousandth of the last one's learns a thousand times slower; with one
# learning rate for all, the last layer has long ended when the first begins.
RATIO = 1e3
DEPTH = 3  # layers with weights, from which it is a matter of depth


@dataclass(frozen=True)
class Depth:
    """Root mean squares at the first and the last layer with weights."""

    first: float
    last: float
    values: tuple[float, float]
    where: str
    figures: dict[str, float]


def find_exploding(e: Evidence) -> Iterator[Finding]:
    """The first layer's messages (dL/du) are 1000 times the last one's, or the last one's values the first one's."""
    depth = _measured(e)
    if depth is None:
        return
    grown = depth.values[1] > RATIO * max(depth.values[0], 1e-300)
    if depth.first > depth.last * RATIO or grown:
        yield Finding(
            "exploding gradients",
            "From layer to layer the numbers grow: a step that suits one layer is far too large for another.",
            depth.where,
            depth.figures,
            "severe" if depth.first > depth.last * RATIO**2 else "warning",
            "smaller first weights (He's or Glorot's), clip_norm=1.0, batch normalisation",
            ("A26", "E30", "B22"),
        )


def find_vanishing(e: Evidence) -> Iterator[Finding]:
    """The first layer's messages (dL/du) are less than a thousandth of the last one's."""
    depth = _measured(e)
    if depth is not None and depth.first < depth.last / RATIO:
        yield Finding(
            "vanishing gradients",
            "On the way down the gradient shrinks: the first layers hardly learn.",
            depth.where,
            depth.figures,
            "severe" if depth.first < depth.last / RATIO**2 else "warning",
            "ReLU with He's initial weights, batch normalisation, fewer layers, or edges that skip layers",
            ("A26", "A13", "A14", "B22"),
        )


def _measured(e: Evidence) -> Depth | None:
    """None in a shallow network, in one that fits, and where the numbers are not finite."""
    layers = [r for r in e.readings if r.layer.parameters and r.values.ndim == 2]
    if len(layers) < DEPTH or e.fitted:
        return None
    messages = [root_mean_square(r.messages) for r in layers]
    values = [root_mean_square(r.values) for r in layers]
    first, last = messages[0], messages[-1]
    if not (np.isfinite(messages).all() and np.isfinite(values).all()) or last == 0:
        return None
    figures = {
        "first layer's message": first,
        "last layer's message": last,
        "factor a layer": float((max(first, 1e-300) / last) ** (1 / (len(layers) - 1))),
        "first layer's activation": values[0],
        "last layer's activation": values[-1],
    }
    where = f"{layers[0].layer.name} to {layers[-1].layer.name}"
    return Depth(first, last, (values[0], values[-1]), where, figures)

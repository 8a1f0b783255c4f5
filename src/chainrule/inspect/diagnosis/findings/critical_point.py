"""Places where the gradient is next to 0 but the loss is not low: saddles and flat regions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence, weight_sizes
from chainrule.inspect.diagnosis.finding import Finding

# Relative to loss over weights' norm: a step of a tenth of the weights' norm down the slope gains less than
# a ten-thousandth of the loss.
FLAT_GRADIENT = 1e-3
FLAT_CURVATURE = 1e-3
DOWN = 0.01  # of the largest curvature, beyond rounding and the Lanczos iteration's errors


def slopes(e: Evidence) -> tuple[float, float]:
    """The gradient's norm and the largest curvature, made free of units by the loss and the weights' norm."""
    if e.probed is None or e.curvature is None or not e.probed.loss > 0:
        return float("nan"), float("nan")
    size = max(float(np.sqrt(sum(w**2 for w in weight_sizes(e.model).values()))), 1.0)
    largest = max(abs(e.curvature.lowest), abs(e.curvature.highest))
    return e.probed.gradient_norm * size / e.probed.loss, largest * size**2 / e.probed.loss


def kind_of_point(e: Evidence) -> str:
    """What the second-derivative test says of the point.

    Of a small network by all eigenvalues of the Hessian, of a larger one as far as the extreme ones tell.
    """
    gradient, _ = slopes(e)
    c = e.curvature
    if c is None or np.isnan(gradient):
        return "not measured"
    if gradient >= FLAT_GRADIENT:
        return "no critical point"
    if e.whole is not None:
        return e.whole(DOWN).kind
    largest = max(abs(c.lowest), abs(c.highest))
    if c.lowest + c.lowest_error < -DOWN * largest:
        return "saddle" if c.highest > DOWN * largest else "maximum"
    return "minimum" if c.lowest > DOWN * largest else "inconclusive"


def find(e: Evidence) -> Iterator[Finding]:
    """The gradient is next to 0 and the network does not fit: the Hessian's extremes say which kind of place."""
    gradient, bend = slopes(e)
    c = e.curvature
    if e.fitted or c is None or np.isnan(gradient) or gradient >= FLAT_GRADIENT:
        return
    figures = {
        "relative gradient": gradient,
        "lowest curvature": c.lowest,
        "highest curvature": c.highest,
        "fit": e.training.fit,
    }
    if bend < FLAT_CURVATURE:
        yield Finding(
            "flat region",
            "Neither slope nor curvature: nothing that a step could follow in any direction.",
            "the whole network",
            figures,
            "severe",
            "start again with smaller weights and scaled columns; ReLU instead of logistic or tanh; restarts",
            ("E30", "A13", "A11"),
        )
    elif kind_of_point(e) in ("saddle", "maximum"):
        yield Finding(
            "saddle point",
            "The gradient is next to 0, but along some directions the loss curves down: not a minimum.",
            "the whole network",
            figures,
            "severe",
            "nudge the weights by a little noise and go on, use small minibatches, or start again (restarts)",
            ("E29", "A10", "E28"),
        )

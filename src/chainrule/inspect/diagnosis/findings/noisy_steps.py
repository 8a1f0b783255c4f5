"""Steps that follow the minibatch rather than the loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.loss_curve import has_ended

# The noise scale (McCandlish et al., 2018) is the batch size at which noise and gradient are equally large.
RATIO = 10.0
GAIN = 0.1  # of the loss: near a minimum one step along the gradient gains next to nothing


def noise_scale(e: Evidence) -> float:
    """tr(covariance of a row's gradient) / |gradient|^2, in rows; NaN where it cannot be measured."""
    if e.probed is None:
        return float("nan")
    squared = e.probed.gradient_norm**2
    squared -= e.probed.noise / e.probed.rows  # what the noise adds to the mean's square
    return e.probed.noise / squared if squared > 0 else float("inf")


def gain(e: Evidence) -> float:
    """The share of the loss that one exact step along the full gradient would take away, to second order."""
    if e.probed is None or e.curvature is None or not (e.curvature.along > 0 and e.probed.loss > 0):
        return float("nan")
    return e.probed.gradient_norm**2 / (2 * e.curvature.along * e.probed.loss)


def find(e: Evidence) -> Iterator[Finding]:
    """The loss gets no lower although one step along the full gradient would lower it by a tenth.

    The minibatches' gradients are mostly noise there: the noise scale is more than ten times the batch size.
    """
    replica = e.replica
    if replica is None or e.fitted or len(replica.loss) < 8 or not e.batch_size or not len(e.learning_rates):
        return
    if e.steps_per_epoch <= 1:
        return  # a step follows all rows
    lr, first = float(e.learning_rates[-1]), float(e.learning_rates[0])
    scale, left = noise_scale(e), gain(e)
    if (
        has_ended(np.array(replica.loss))
        and left > GAIN
        and scale > RATIO * e.batch_size
        and lr > 0.1 * first
    ):
        yield Finding(
            "noisy steps",
            "The loss gets no lower, but not because there is nothing to gain: minibatches are mostly noise.",
            "the whole network",
            {
                "noise scale, rows": scale,
                "batch size": e.batch_size,
                "gain of one step along the full gradient": left,
                "learning rate": lr,
            },
            "warning",
            "a learning rate that falls to 0 (InverseTime, CosineDecay), or a larger batch",
            ("B10", "D8", "D9"),
        )

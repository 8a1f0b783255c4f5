"""Probabilities of a network that was trained with smoothed labels, without the smoothing's share in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Unsmoothing(NamedTuple):
    """Turns the softmax of a network's outputs into probabilities of the classes.

    Cross-entropy with label smoothing s has its least at q = (1 - s) p + s / K, for probabilities p of K classes:
    ``share`` is that s, and p follows in closed form. No class is held less likely than ``least``, which is also what
    becomes of the negative values that q below s / K would give. The order of the classes stays.

    >>> Unsmoothing(share=0.1, least=0.001).probabilities([[0.95, 0.05], [0.5, 0.5]]).round(3).tolist()
    [[0.999, 0.001], [0.5, 0.5]]
    """

    share: float
    least: float

    def probabilities(self, smoothed: Any) -> NDArray[np.float64]:
        """Probabilities [rows, classes] from a softmax [rows, classes]; every row adds up to 1."""
        q = np.asarray(smoothed, np.float64)
        p = np.clip((q - self.share / q.shape[-1]) / (1.0 - self.share), self.least, 1.0)
        return p / p.sum(-1, keepdims=True)


def unsmoothing(share: float, classes: int, rows: int) -> Unsmoothing:
    """The rule for a network of so many classes that ``rows`` rows trained with label smoothing ``share``.

    Of two classes none is held less likely than one row in all those that trained (at least 100 of them), of more
    classes accordingly less: what never occurred among n rows may still come, and a sure mistake costs without bound.

    >>> unsmoothing(0.05, classes=2, rows=500)
    Unsmoothing(share=0.05, least=0.002)
    """
    return Unsmoothing(share, 2.0 / (classes * max(rows, 100)) if classes else 0.0)

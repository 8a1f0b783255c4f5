"""Reads a loss curve: has it ended, and does it settle?"""

from __future__ import annotations

import numpy as np

from chainrule.inspect.diagnosis.probe import Floats

JUMP = 0.2  # of the loss, between two epochs
GAIN = 0.9  # a last quarter below this share of the second quarter still gets better


def ends_unsteady(curve: Floats) -> bool:
    """Whether the second half of a curve jumps by a fifth from epoch to epoch and gets no better."""
    tail = curve[len(curve) // 2 :]
    if len(tail) < 4:
        return False
    jumps = np.abs(np.diff(tail)) / np.maximum(tail[:-1], 1e-300)
    return bool(np.median(jumps) > JUMP and has_ended(curve))


def has_ended(curve: Floats) -> bool:
    """Whether the last quarter of a curve is hardly lower than the second."""
    quarter = max(len(curve) // 4, 1)
    return bool(np.median(curve[-quarter:]) >= GAIN * np.median(curve[quarter : 2 * quarter]))

"""Where activations pass gradients on: saturated places and dead units, from the derivatives measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chainrule.inspect.diagnosis.probe import Reading

#: a derivative below this share of the largest that the activation can have lets next to nothing through
FLAT = 0.01
#: the largest derivative of each bounded activation; the others' is about 1
LARGEST = {"Logistic": 0.25, "logistic": 0.25}


def flat(reading: Reading) -> NDArray[np.bool_]:
    """Where [rows, units] an activation's derivative is next to 0."""
    assert reading.slope is not None
    largest = LARGEST.get(reading.layer.kind, 1.0)
    return np.abs(reading.slope) < FLAT * largest


def dead(reading: Reading) -> NDArray[np.bool_]:
    """Which units [units] let no gradient through on any row."""
    return np.asarray(flat(reading).all(0))


def saturated_share(reading: Reading) -> float:
    """The share of all places where a bounded activation is flat; 0 for one that is not bounded."""
    return float(np.mean(flat(reading))) if reading.layer.bounded else 0.0

"""Scales each number by its median and quartiles, so that values far out neither dominate nor leave the range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chainrule import functions as f
from chainrule.nn.layers import need_features
from chainrule.nn.module import Buffer, Module
from chainrule.tensor import Tensor

LIMIT = 3.0  # scaled values lie within plus and minus this


class RobustScaling(Module):
    """Centre and scale some of the features, and clip them smoothly: [batch, features] -> [batch, features].

    A number v becomes z / sqrt(1 + (z / 3)^2) with z = (v - median) / (difference of the quartiles). Where half of
    the values are equal, the median distance of the others from them takes the place of the quartiles' difference.
    Features that are not among ``numbers`` stay as they are (Holzmueller et al., 2024, section 3).
    """

    def __init__(
        self, centre: NDArray[np.float32], scale: NDArray[np.float32], clip: NDArray[np.float32]
    ) -> None:
        self.centre, self.scale, self.clip = Buffer.made(centre), Buffer.made(scale), Buffer.made(clip)

    @staticmethod
    def blank(features: int) -> RobustScaling:
        """One that changes nothing, to be filled with what a file holds."""
        zeros, ones = np.zeros(features, np.float32), np.ones(features, np.float32)
        return RobustScaling(zeros, ones, zeros)

    @staticmethod
    def fitted(features: NDArray[np.float32], numbers: Sequence[int]) -> RobustScaling:
        """The one for training rows [rows, features], of which the columns ``numbers`` hold numbers."""
        made = RobustScaling.blank(features.shape[1])
        centre, scale, clip = (np.array(part.numpy()) for part in (made.centre, made.scale, made.clip))
        places = list(numbers)
        if places and len(features):
            values = features[:, places].astype(np.float64)
            low, median, high = np.percentile(values, [25, 50, 75], axis=0)
            spread = high - low
            for place in np.flatnonzero(spread == 0):
                spread[place] = _spread_of_others(values[:, place], median[place])
            centre[places], scale[places], clip[places] = median, 1 / spread, 1 / LIMIT
        return RobustScaling(centre, scale, clip)

    def forward(self, x: Tensor) -> Tensor:
        """The scaled features."""
        need_features(self, x, self.centre.shape[0])
        z = (x - self.centre) * self.scale
        return z / f.sqrt(1.0 + f.square(z * self.clip))

    def describe(self) -> str:
        """How many features there are, and how many of them are numbers."""
        return f"{self.centre.shape[0]}, numbers={int((self.clip.numpy() > 0).sum())}"


def _spread_of_others(values: NDArray[np.float64], usual: float) -> float:
    """A scale for a column of which half of the values are the ``usual`` one: the median distance of the others."""
    others = np.abs(values[values != usual] - usual)
    return float(np.median(others)) if others.size else 1.0

"""Inputs in [-1, 1], as lecture B asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.checks import check_finite
from chainrule.errors import DataError, ShapeError
from chainrule.missing import as_array


@dataclass(frozen=True)
class Ranges:
    """The smallest and largest value [features] of each column of some training rows.

    >>> ranges = fit_ranges([[0.0, 10.0], [4.0, 30.0]])
    >>> ranges.low.tolist(), ranges.high.tolist()
    ([0.0, 10.0], [4.0, 30.0])
    >>> ranges.scale([[0.0, 20.0]]).tolist()
    [[-1.0, 0.0]]
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def scale(self, X: Any) -> NDArray[np.float64]:
        """``X`` [rows, features] with each column's range mapped to [-1, 1]; a constant column becomes 0.

        Raises DataError that names the first value outside the training rows' range, ShapeError for another
        number of columns.
        """
        values = as_array(X, np.float64, "X")
        if values.ndim != 2 or values.shape[1] != len(self.low):
            raise ShapeError("scale: other columns", expected=["rows", len(self.low)], got=list(values.shape))
        check_finite("X", values)
        outside = np.argwhere((values < self.low) | (values > self.high))
        if len(outside):
            row, column = outside[0]
            raise DataError(
                f"X has {len(outside)} value{'s' if len(outside) > 1 else ''} outside the training rows' range",
                expected=f"column {column} from {self.low[column]:g} to {self.high[column]:g}",
                got=f"X[{row}, {column}] = {values[row, column]:g}",
                hint="clip the values, or take the ranges from rows that reach further",
            )
        width = self.high - self.low
        share = np.divide(values - self.low, width, out=np.full_like(values, 0.5), where=width > 0)
        return 2.0 * share - 1.0


def fit_ranges(X: Any) -> Ranges:
    """The ranges of the columns of training rows ``X`` [rows, features], which ``scale`` maps to [-1, 1].

    Raises DataError for values that are not finite, ShapeError without rows or columns.

    >>> fit_ranges([[0.0, 10.0], [4.0, 30.0]]).scale([[1.0, 30.0]]).tolist()
    [[-0.5, 1.0]]

    Lectures: B3.
    """
    values = as_array(X, np.float64, "X")
    if values.ndim != 2 or not len(values):
        raise ShapeError(
            "fit_ranges: X is no table of rows", expected="[rows, features]", got=list(values.shape)
        )
    check_finite("X", values)
    return Ranges(values.min(0), values.max(0))

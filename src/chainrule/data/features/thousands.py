"""Whether the point sets thousands apart in a column of numbers such as 1.234, 56.789 and 100.

Such a column stays text, to be looked at whole where its cells' spelling is judged. A number such as 0.123, 12.5 or
1234.567 shows that the point is a decimal mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

FIRST = 20  # rows that are looked at before all of them
GROUPED = r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)$"


def shows_decimal_point(values: pl.Series, cells: pl.Series) -> bool:
    """Whether one of the values, or how its cell is written, shows that the point is a decimal mark."""
    for some in (values.head(FIRST), values):
        numbers = some.drop_nulls().to_numpy()
        size = np.abs(numbers)
        if not ((size < 1000) & ((size >= 1) | (size == 0))).all() or not _have_three_decimals(numbers):
            return True
    return not cells.filter(values.is_not_null()).str.strip_chars().str.contains(GROUPED).all()


def has_fraction(values: pl.Series) -> bool:
    """Whether one of the values is no whole number."""
    return bool((values != values.round()).any())


def _have_three_decimals(values: NDArray[np.float64]) -> bool:
    """Whether numbers below 1000 have three decimals at most."""
    return bool((np.abs(values * 1000 - np.rint(values * 1000)) < 1e-6).all())

"""Checks of arrays before they are trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import list_some
from chainrule.errors import DataError
from chainrule.missing import need_whole


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Require that every number of an array is finite.

    ``array`` has any shape and a boolean, integer, real or complex dtype. Costs one sum when all is well.

    Raises DataError naming the first few entries that are not finite, as ``name[row, column]`` counted from 0
    as NumPy does, and how many there are; likewise if the array does not hold numbers.

    >>> check_finite("X", np.array([[0.0, 1.0], [2.0, np.nan]]))
    Traceback (most recent call last):
    ...
    chainrule.errors.DataError: X has 1 value that is not finite
      expected: finite numbers
      got:      X[1, 1] = nan (rows and columns counted from 0, as NumPy does)
      try:      remove or fill in row 1
    """
    need_whole(name, array)
    if array.dtype.kind in "biu":
        return
    if array.dtype.kind not in "fc":
        raise DataError(
            f"{name} does not hold numbers", expected="a numeric dtype", got=f"dtype {array.dtype}"
        )
    with np.errstate(all="ignore"):
        if np.isfinite(np.sum(array)):  # a sum of finite numbers may overflow, so only "finite" decides here
            return
    wrong = ~np.isfinite(array)
    count = int(np.count_nonzero(wrong))
    if count == 0:
        return
    entries = [tuple(int(i) for i in index) for index in np.argwhere(wrong)[:5]]
    shown = [
        f"{name}[{', '.join(map(str, index))}] = {array[index]}" if index else f"{name} = {array}"
        for index in entries
    ]
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    rows = sorted({index[0] for index in entries if index})
    raise DataError(
        f"{name} has {count} value{'s' if count > 1 else ''} that {'are' if count > 1 else 'is'} not finite",
        expected="finite numbers",
        got=f"{', '.join(shown)}{more} (rows and columns counted from 0, as NumPy does)",
        hint=f"remove or fill in row{'s' if len(rows) > 1 else ''} {list_some(rows)}" if rows else "",
    )

"""Labels of rows (classes, groups) as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import SettingError
from chainrule.missing import as_array


def read_labels(labels: ArrayLike, n_rows: int, name: str = "labels") -> NDArray[Any]:
    """One label for each row, as an array of NumPy's [n_rows].

    Raises SettingError for another shape, DataError where labels are missing.

    >>> read_labels(["a", "b"], 2)
    array(['a', 'b'], dtype=object)
    """
    given = as_array(labels, name=name)
    if given.dtype.kind in "SU":  # whose arrays drop a NUL at the end: two classes would be one
        given = as_array(labels, object, name)
    if given.shape != (n_rows,):
        raise SettingError(
            f"{name}: there is one label a row", expected=f"shape ({n_rows},)", got=f"shape {given.shape}"
        )
    return given


def numbered(labels: NDArray[Any]) -> NDArray[np.int64]:
    """The labels as 0, 1, ... in their order; labels that are numbered already need no sorting of the rows.

    Labels that have no order are numbered as they come.

    >>> numbered(np.array(["b", "a", "b"])).tolist()
    [1, 0, 1]
    """
    if labels.dtype.kind in "iu" and labels.size and labels.min() >= 0 and labels.max() < labels.size:
        present = np.bincount(labels) > 0
        return (np.cumsum(present) - 1)[labels]
    try:
        return np.unique(labels, return_inverse=True)[1]
    except TypeError:  # objects without an order, such as texts among numbers: as they come
        known: dict[object, int] = {}
        return np.array([known.setdefault(label, len(known)) for label in labels.tolist()], np.int64)

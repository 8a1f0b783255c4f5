"""y as the table estimators take it: any labels, or numbers, as a column that tables read without a change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from chainrule.data.features.different import stripped
from chainrule.data.features.readings import LARGEST
from chainrule.errors import DataError
from chainrule.estimators.inputs import need_names_that_last, need_numbers
from chainrule.foreign_text import quoted
from chainrule.missing import as_array
from chainrule.ops.record import Array

if TYPE_CHECKING:
    import polars as pl

NUMBERS = (bool, int, float, Decimal, np.bool_, np.number)


@dataclass(frozen=True, eq=False)
class Classes:
    """The different labels of y in ascending order, which of them each row has, and what tables call each."""

    labels: Array
    places: Array
    names: tuple[str, ...]
    kind: str  # the type that ``Columns`` gives the column

    def column(self, name: str) -> pl.Series:
        """The labels as a column of a table."""
        import polars as pl

        if self.kind == "number":
            return pl.Series(name, self.labels[self.places].astype(np.int64))
        if self.kind == "boolean":
            return pl.Series(name, self.labels[self.places])
        return pl.Series(name, self.names, pl.String).gather(self.places)


def read_classes(y: ArrayLike, counted: Array | None = None) -> Classes:
    """The labels of y [rows]: texts, truth values, integers, or floats that are whole; only of rows that are counted.

    Raises DataError where one is missing, where kinds are mixed, and for a single class; else as scikit-learn does.
    """
    need_names_that_last("y", y)
    if isinstance(y, list | tuple) and np.asarray(y).dtype.kind in "US":
        _need_texts(np.array(y, dtype=object).ravel())  # in an array of texts, numbers would be texts
    given = _one_column(y, counted)
    _need_texts(given)
    check_classification_targets(given)
    labels, places = np.unique(given, return_inverse=True)
    if len(labels) < 2:
        raise DataError(
            "y has one class only: there is nothing to learn",
            expected="at least two classes",
            got=f"the class {quoted(labels.tolist()[0])} in every row",
        )
    names, kind = tuple(str(label) for label in labels.tolist()), "category"
    if labels.dtype.kind == "b":
        names, kind = ("false", "true"), "boolean"
    elif labels.dtype.kind in "iu" and labels[-1] < 2**63:
        kind = "number"
    elif not _are_distinct(names):
        names = tuple(f"{place}: {name!r}" for place, name in enumerate(names))
    return Classes(labels, places, names, kind)


def read_numbers(y: ArrayLike, counted: Array | None = None) -> Array:
    """The numbers of y [rows], integers or float64; only of rows that are counted.

    Raises DataError where one is missing and for what is no number; else as scikit-learn does.
    """
    need_numbers("y", y)
    given = _one_column(y, counted)
    if given.dtype.kind == "O" and all(isinstance(number, NUMBERS) for number in given):
        given = given.astype(np.float64)
    if given.dtype.kind not in "biuf":
        raise DataError(
            "y holds no numbers",
            expected="one number for each row",
            got=f"{quoted(given.tolist()[0])} in row 0 ({given.dtype})",
            hint="y.astype(float), if these are numbers written as text",
        )
    wild = np.flatnonzero(np.abs(given.astype(np.float64)) > LARGEST)
    if len(wild):
        raise DataError(
            "y has numbers whose differences leave the range of float64",
            expected=f"numbers up to {LARGEST:g}",
            got=f"{given[wild[0]]:g} in row {wild[0]}",
        )
    is_small = given.dtype.kind in "bi" or given.dtype in (np.uint8, np.uint16, np.uint32)
    return given.astype(np.int64 if is_small else np.float64)


def _one_column(y: Any, counted: Array | None) -> Array:
    """y as an array [rows] without gaps; one of a single column with scikit-learn's warning."""
    array = column_or_1d(as_array(y, name="y"), warn=True)
    if not len(array):
        raise DataError("y is empty", expected="a value for each row of X")
    gone = [] if array.dtype.kind != "O" else [i for i, cell in enumerate(array) if _is_nan(cell)]
    if gone:
        raise DataError("Input y contains NaN", expected="a value in every row", got=f"NaN in row {gone[0]}")
    assert_all_finite(array, input_name="y")
    if counted is not None:
        check_consistent_length(counted, array)
    return np.asarray(array if counted is None else array[counted])


def _is_nan(cell: object) -> bool:
    return isinstance(cell, float) and math.isnan(cell)


def _need_texts(y: Array) -> None:
    """DataError for an array of objects other than texts: no score of scikit-learn's takes such labels."""
    wrong = [] if y.dtype.kind != "O" else [row for row, label in enumerate(y) if not isinstance(label, str)]
    if wrong:
        label, mixed = y[wrong[0]], len(wrong) < len(y)
        raise DataError(
            "Unknown label type: y has texts and other objects"
            if mixed
            else "Unknown label type: y has objects",
            expected="texts, or an array of numbers or truth values",
            got=f"{type(label).__name__} {quoted(label)} in row {wrong[0]}",
            hint=f"y.astype({'str' if mixed else type(label).__name__})",
        )


def _are_distinct(names: tuple[str, ...]) -> bool:
    """Whether tables tell these names apart: they drop spaces around a text, and take an empty one for missing."""
    import polars as pl

    plain = stripped(pl.Series(names))
    return not plain.null_count() and plain.n_unique() == len(names)

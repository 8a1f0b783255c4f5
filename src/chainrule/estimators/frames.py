"""X as the table estimators take it: frames of any library, or arrays and lists, as one frame of polars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from chainrule.data.describe import COUNTING
from chainrule.data.features.frames import as_frame, from_cells
from chainrule.data.features.readings import LARGEST
from chainrule.errors import DataError
from chainrule.estimators.inputs import Table, need_distinct_columns
from chainrule.foreign_text import quoted
from chainrule.missing import find_missing
from chainrule.ops.record import Array

if TYPE_CHECKING:
    import polars as pl


WHOLE = frozenset({str, int, bool})  # of which none is a missing value


class CellError(DataError, TypeError):
    """A cell is nothing that a table holds; a TypeError too, as scikit-learn's checks have it."""


def training_frame(estimator: BaseEstimator, X: Table, y: object) -> pl.DataFrame:
    """X of a ``fit``, by the names that the frame has, or else column_1, column_2, ...

    Sets ``n_features_in_`` and ``feature_names_in_`` as scikit-learn does. Raises as ``prediction_frame``.
    """
    vars(estimator).pop("feature_names_in_", None)
    frame = _frame(estimator, X, y, reset=True)
    if frame.height < 2:
        raise DataError("X has 1 sample only", expected="at least 2 rows to learn from", got="1 row")
    return frame


def prediction_frame(estimator: BaseEstimator, X: Table) -> pl.DataFrame:
    """X of a prediction, under the names of training; names are compared and counted by scikit-learn's rules.

    Raises DataError for no rows, for two columns of one name and for infinite numbers, CellError for cells that are
    neither text nor numbers, truth values, dates or times, and what scikit-learn's validation raises.
    """
    return _frame(estimator, X, "no_validation", reset=False)


def _frame(estimator: BaseEstimator, X: Any, y: object, *, reset: bool) -> pl.DataFrame:
    array = None
    if _is_frame(X) and hasattr(X, "set_axis"):  # of pandas, whose names may be numbers
        need_distinct_columns(X)
    elif _is_frame(X):
        X = as_frame(X)
    else:
        array = _as_array(X, estimator)
    validate_data(estimator, X if array is None else array, y, reset=reset, skip_check_array=True)
    own = getattr(estimator, "feature_names_in_", None)
    names = [f"column_{i + 1}" for i in range(estimator.n_features_in_)] if own is None else own.tolist()
    frame = _of_array(array, X, names) if array is not None else _renamed(X, names)
    if not frame.height or not frame.width:
        what = "rows" if frame.width else "columns"
        raise DataError(
            f"X has no {what}", expected="at least one", got=f"{frame.height} x {frame.width} cells"
        )
    _need_finite(frame)
    return frame


def _is_frame(X: Any) -> bool:
    """Whether X is a frame of pandas, or one that polars can take; a single column is none."""
    is_lazy = hasattr(X, "collect_schema")
    return is_lazy or (hasattr(X, "columns") and len(getattr(X, "shape", ())) == 2)


def _renamed(X: Any, names: list[str]) -> pl.DataFrame:
    import polars as pl

    if hasattr(X, "set_axis"):
        X = X.set_axis(names, axis=1)
    try:
        frame = as_frame(X)
    except DataError as error:
        raise _as_cell_error(error) from None
    return pl.DataFrame(dict(zip(names, frame.get_columns(), strict=True)))


def _as_array(X: Any, estimator: BaseEstimator) -> Array:
    """An array [rows, columns], by scikit-learn's rules; of lists of unlike cells, one of objects."""
    from sklearn.utils import check_array

    if isinstance(X, list | tuple) and np.asarray(X).dtype.kind in "US":
        X = np.array(X, dtype=object)  # in an array of texts numbers, truth values and NaN would be texts
    found: Array = check_array(
        X, dtype=None, ensure_all_finite=False, input_name="X", estimator=estimator, accept_sparse=False
    )
    return found


def _of_array(array: Array, given: Any, names: list[str]) -> pl.DataFrame:
    import polars as pl

    gone = np.ma.getmaskarray(given) if isinstance(given, np.ma.MaskedArray) else None
    columns = {
        name: _column(name, array[:, i], None if gone is None else gone[:, i]) for i, name in enumerate(names)
    }
    return pl.DataFrame(columns)


def _column(name: str, cells: Array, gone: Array | None) -> pl.Series:
    import polars as pl

    if gone is not None and gone.any():
        cells = cells.astype(object)
        cells[gone] = None
    if cells.dtype.kind == "O":
        whole = [None if _is_missing(cell) else cell for cell in cells.tolist()]
        try:
            return from_cells(name, whole)
        except DataError as error:
            raise _as_cell_error(error) from None
    if cells.dtype.kind in "SU":
        return pl.Series(name, cells.astype(str).tolist(), pl.String)
    if cells.dtype.kind == "M":
        cells = cells.astype("datetime64[us]")
    if cells.dtype in (np.float16, np.longdouble):
        cells = cells.astype(np.float64)
    return pl.Series(name, np.ascontiguousarray(cells), nan_to_null=True)


def _is_missing(cell: object) -> bool:
    kind = type(cell)
    if kind is float:
        return cell != cell  # noqa: PLR0124
    return kind not in WHOLE and (
        (isinstance(cell, np.floating) and bool(np.isnan(cell))) or find_missing([cell]) is not None
    )


def _as_cell_error(error: DataError) -> DataError:
    """The same error; one of scikit-learn's kind if it is of what a cell is."""
    if "cells of different kinds" not in error.what:
        return error
    return CellError(
        f"X: each cell of this argument must be a string, a number, a date or true/false: {error.what}",
        expected=error.expected,
        got=error.got,
        where=COUNTING,
    )


def _need_finite(frame: pl.DataFrame) -> None:
    for column in frame.get_columns():
        if not column.dtype.is_float():
            continue
        wrong = (column.abs() > LARGEST).fill_null(False) & column.is_not_nan().fill_null(False)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise DataError(
                f"Input X contains infinity or a value too large: column {quoted(column.name)}",
                expected=f"numbers up to {LARGEST:g}; None or NaN where a value is missing",
                got=f"{column[row]} in row {row}",
            )

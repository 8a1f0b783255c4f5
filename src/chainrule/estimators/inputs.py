"""Checks of X, y and weights beyond scikit-learn's validation, and the types of what comes in and goes on.

``features_of`` and ``features_and_targets`` are what the estimators call; their errors name the column and the row.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeAlias, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, validate_data

from chainrule.data.digits import DataWarning
from chainrule.errors import DataError, user_line
from chainrule.foreign_text import screenful
from chainrule.missing import need_whole
from chainrule.ops.record import Array
from chainrule.training.sparse_rows import SparseMatrix, as_csr, is_sparse, written_out

#: what NumPy and scikit-learn say where a cell is no number
_SAID_OF_CELLS = re.compile(
    "could not convert string to float|DateTime64|not '(date|datetime|time|Time|Period)"
)
LARGEST_WEIGHT = 2.0**64  # and its inverse: sums, quotients and squares of gradients stay within float32
LARGEST_WRITTEN_OUT = 2**22  # numbers of a sparse X
IMPUTER = "sklearn.impute.SimpleImputer fills in missing values"
NO_TARGET = "no_validation"  # scikit-learn's word for no y at all, as None means that y is missing


class Frame(Protocol):
    """A table of pandas, polars or Arrow: the attributes that are used here."""

    @property
    def columns(self) -> Iterable[object]:
        """Their names; of Arrow, the columns themselves."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""


#: X as users bring it
Table: TypeAlias = ArrayLike | Frame | SparseMatrix
#: X validated
Features: TypeAlias = Array | SparseMatrix


class Validation(TypedDict, total=False):
    """What ``validate_data`` is told about y."""

    multi_output: bool
    y_numeric: bool


def features_of(estimator: BaseEstimator, X: Table, *, reset: bool) -> Features:
    """X validated by scikit-learn, in its dtype; a small sparse one written out, a large one as it is.

    A sparse vector is one row. Frames of any kind that scikit-learn knows; feature names are kept, and compared where
    ``reset`` is False. Raises DataError for a frame whose columns share a name, for text and dates, and for what
    is not finite (named by column and row); everything else is scikit-learn's ValueError or TypeError.
    """
    return _rows(_validated(estimator, X, NO_TARGET, reset, {}))


def features_and_targets(
    estimator: BaseEstimator, X: Table, y: Table, *, reset: bool, **options: Unpack[Validation]
) -> tuple[Features, Array]:
    """X as :func:`features_of` gives it, and y, validated together; a sparse y stays so."""
    x, targets = _validated(estimator, X, y, reset, options)
    return _rows(x), targets


def _validated(estimator: BaseEstimator, X: Any, y: Table | None, reset: bool, options: Validation) -> Any:
    """What ``validate_data`` makes of X, or of X and y, with errors that say where the fault is."""
    need_distinct_columns(X)
    need_whole("X", X, IMPUTER)
    need_numbers("X", X)
    if not (y is None or isinstance(y, str)):
        need_whole("y", y)
        need_names_that_last("y", y)
    if options.get("y_numeric"):
        need_numbers("y", y)
    if is_sparse(X) and X.ndim == 1:
        X = X.reshape((1, -1))
    try:
        return validate_data(
            estimator,
            X,
            y,
            accept_sparse=["csr", "csc"],
            dtype=(np.float64, np.float32),
            reset=reset,
            **options,
        )
    except (ValueError, TypeError) as error:
        text = str(error)
        if _SAID_OF_CELLS.search(text):
            raise _not_numbers(X, error) from None
        if text.startswith("Input X contains"):
            raise _not_finite(X, text) from None
        if type(error) in (ValueError, TypeError) and screenful(text) != text:  # for the names in it
            raise type(error)(screenful(text)) from None
        raise


def _rows(X: Features) -> Features:
    """A small sparse matrix as an array, a large one in compressed rows; an array as it is."""
    large = X.shape[0] * X.shape[1] > LARGEST_WRITTEN_OUT
    return as_csr(X) if large and is_sparse(X) else dense(X)


def dense(X: Features) -> Array:
    """A sparse matrix as an array; an array as it is."""
    return written_out(X)


@overload
def in_dtype(X: Array, dtype: DTypeLike) -> Array: ...
@overload
def in_dtype(X: Features, dtype: DTypeLike) -> Features: ...
def in_dtype(X: Features, dtype: DTypeLike) -> Features:
    """Convert to a contiguous array of the network's dtype; compressed rows stay compressed."""
    with np.errstate(over="ignore"):  # what does not fit becomes infinite; training then says so
        return np.ascontiguousarray(X, dtype) if isinstance(X, np.ndarray) else X.astype(dtype)


def need_room(rows: Features, converted: Features) -> None:
    """Raise DataError if finite numbers of X have become infinite in the network's dtype."""
    given, taken = (X if isinstance(X, np.ndarray) else X.data for X in (rows, converted))
    if given.dtype == taken.dtype:
        return
    with np.errstate(all="ignore"):
        if np.isfinite(np.sum(taken)):
            return
    wrong = np.argwhere(np.isinf(taken))
    if len(wrong):
        raise DataError(
            f"X: numbers too large for {taken.dtype}, in which the network computes",
            expected=f"numbers up to {np.finfo(taken.dtype).max:.3g}",
            got=f"{given[tuple(wrong[0])]:g} at {wrong[0].tolist()}"
            + f", and {len(wrong) - 1} more" * (len(wrong) > 1),
            hint="standardise X (sklearn.preprocessing.StandardScaler), or set dtype='float64'",
        )


def need_distinct_columns(X: Table) -> None:
    """Raise DataError if two columns of a frame have the same name."""
    columns = getattr(
        X, "column_names", getattr(X, "columns", None)
    )  # Arrow's columns are the cells themselves
    if columns is None or not hasattr(columns, "__iter__"):
        return
    twice = [name for name, count in Counter(map(str, columns)).items() if count > 1]
    if twice:
        raise DataError(
            "X: several columns have the same name",
            expected="distinct column names",
            got=", ".join(map(repr, twice[:3])),
            hint="rename or drop them: X.loc[:, ~X.columns.duplicated()] keeps the first of each",
        )


def need_numbers(name: str, data: Any) -> None:
    """Raise DataError for records and for dates and times, which NumPy would turn into days or nanoseconds."""
    while isinstance(data, list | tuple) and data:
        data = data[0]
    if hasattr(data, "columns"):  # a frame: one row of it shows what its array would hold
        data = np.asarray(data.head(1) if hasattr(data, "head") else data.slice(0, 1))
    dtype = getattr(data, "dtype", None)
    kind = getattr(dtype, "kind", "")
    if kind in ("m", "M", "V"):
        raise DataError(
            f"{name}: {'records' if kind == 'V' else 'dates and times'} are not numbers",
            expected="numbers",
            got=f"dtype {dtype}",
            hint="numpy.lib.recfunctions.structured_to_unstructured"
            if kind == "V"
            else "say what counts: days since the first one, the month, the weekday",
        )


def need_names_that_last(name: str, classes: Any) -> None:
    """Raise DataError for texts that end with NUL: NumPy drops it, and 'a' and 'a\\0' would be one class."""
    if hasattr(classes, "to_pylist"):  # of Arrow
        classes = classes.to_pylist()
    if getattr(getattr(classes, "dtype", None), "kind", "O") in "biufc":
        return
    if not (isinstance(classes, list | tuple) or len(getattr(classes, "shape", ())) == 1):
        return
    for row, text in enumerate(classes):
        if isinstance(text, str | bytes) and text[-1:] in ("\0", b"\0"):
            raise DataError(
                f"{name}: the name of a class ends with NUL, which arrays of texts do not keep",
                expected="names that NumPy can hold",
                got=f"{text[:60]!r} in row {row}",
                hint="replace it: [text.replace('\\0', '?') for text in y]",
            )


def _not_numbers(X: Table, error: Exception) -> DataError:
    """An error that names the first column that is not numeric, and its first text or date."""
    for name, column in _columns(X):
        for row, value in enumerate(column):
            if _as_number(value) is None:
                kinds = sorted({type(v).__name__ for v in column})
                mixed = f" (the column mixes {', '.join(kinds)})" if len(kinds) > 1 else ""
                return DataError(
                    f"X: column {name} is not numeric",
                    expected="numbers",
                    got=f"{value!r} in row {row}{mixed}",
                    hint="encode it first, e.g. with sklearn.preprocessing.OneHotEncoder in a ColumnTransformer",
                )
    return DataError(f"X: {error}")


def _not_finite(X: Table, text: str) -> DataError:
    """An error with scikit-learn's message and the place of the first such number."""
    where = None
    for name, column in [] if is_sparse(X) else _columns(X):
        rows = (i for i, v in enumerate(column) if not np.isfinite(_as_number(v) or 0.0))
        row = next(rows, None)
        if row is not None:
            where = f"{column[row]} in column {name}, row {row}"
            break
    if is_sparse(X):
        csr = as_csr(X)
        entry = int(np.flatnonzero(~np.isfinite(csr.data.astype(np.float64)))[0])
        row = int(np.searchsorted(csr.indptr, entry, side="right")) - 1
        where = f"{csr.data[entry]} in column {csr.indices[entry]}, row {row}"
    lines = text.splitlines()
    return DataError(
        lines[0],
        expected="finite numbers",
        got=where,
        hint=IMPUTER,
    )


def _as_number(value: Any) -> float | None:
    """The value as a number, a missing one as NaN; None for text, dates and the like."""
    if value is None or type(value).__name__ == "NAType":
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _columns(X: Any) -> Iterator[tuple[str, list[object]]]:
    """Names and values of the columns of a frame, an array or a sparse matrix."""
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):
        for name in list(getattr(X, "column_names", X.columns)):
            column = X[name]
            yield repr(name), column.to_pylist() if hasattr(column, "to_pylist") else list(column)
    else:
        values = np.asarray(dense(X), dtype=object)
        for j in range(values.shape[1]):
            yield str(j), list(values[:, j])


def row_weights(sample_weight: ArrayLike | None, X: Features, name: str = "sample_weight") -> Array | None:
    """One weight for each row, float64; DataError for negative ones, and where all of them are 0."""
    if sample_weight is None:
        return None
    need_whole(name, sample_weight)
    need_numbers(name, sample_weight)
    try:
        weight = np.asarray(_check_sample_weight(sample_weight, X, dtype=np.float64))
    except (ValueError, TypeError) as error:
        raise DataError(
            str(error).splitlines()[0], hint=f"{name}: one finite number >= 0 for each row"
        ) from None
    if (weight < 0).any():
        row = int(np.flatnonzero(weight < 0)[0])
        raise DataError(f"{name}: negative weights", expected=">= 0", got=f"{weight[row]:g} in row {row}")
    if not weight.any():
        raise DataError(
            f"{name}: the weights sum to 0", expected="at least one weight > 0", got=f"{len(weight)} rows"
        )
    return weight


def within_reach(weight: Array, name: str = "sample_weight") -> Array:
    """Divide weights by their mean, with a DataWarning, if they are too large or too small for float32.

    Weights of 1e38 would make the loss infinite, and weights of 1e-300 would be 0 in float32; only the ratios of such
    weights matter. Other weights are returned as they are.
    """
    largest = float(weight.max())
    if 1 / LARGEST_WEIGHT <= largest <= LARGEST_WEIGHT:
        return weight
    relative = weight / largest
    text = (
        f"{name}: weights up to {largest:g} are divided by their mean, since the network's dtype cannot represent "
        "their sums. The penalty (alpha) then acts as with weights around 1"
    )
    warnings.warn_explicit(text, DataWarning, *(user_line() or ("chainrule", 0)))
    return np.asarray(relative / relative.mean())

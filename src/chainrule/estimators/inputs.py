"""What estimators check beyond scikit-learn's own validation, and the shapes training wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from chainrule.errors import DataError
from chainrule.ops.record import Array
from chainrule.training.sparse_rows import as_csr, is_sparse, written_out

LARGEST_WRITTEN_OUT = 2**22  # numbers of a sparse X
NO_TARGET = "no_validation"  # scikit-learn's word for no y at all, as None means that y is missing


def features_of(estimator: Any, X: Any, y: Any = NO_TARGET, *, reset: bool, **options: Any) -> Any:
    """X (and y) validated by scikit-learn, in its dtype; a small sparse one written out, a large one as it is.

    A sparse vector is one row. Frames of any kind scikit-learn knows; feature names are kept, and compared where
    ``reset`` is False. Raises DataError for a frame whose columns share a name, for text and dates, and for what
    is not finite (named by column and row); everything else is scikit-learn's ValueError or TypeError.
    """
    need_distinct_columns(X)
    if is_sparse(X) and X.ndim == 1:
        X = X.reshape((1, -1))
    options |= {"accept_sparse": ["csr", "csc"], "dtype": (np.float64, np.float32), "reset": reset}
    try:
        checked = validate_data(estimator, X, y, **options)
    except (ValueError, TypeError) as error:
        text = str(error)
        if "could not convert string to float" in text or "DateTime64" in text:
            raise _not_numbers(X, error) from None
        if text.startswith("Input X contains"):
            raise _not_finite(X, text) from None
        raise
    if isinstance(y, str) and y == NO_TARGET:
        return _rows(checked)
    return _rows(checked[0]), checked[1]


def _rows(X: Any) -> Any:
    """An array, or of a sparse matrix that is large as an array its compressed rows."""
    return as_csr(X) if is_sparse(X) and X.shape[0] * X.shape[1] > LARGEST_WRITTEN_OUT else dense(X)


def dense(X: Any) -> Array:
    """A sparse matrix written out."""
    return written_out(X)


def in_dtype(X: Any, dtype: Any) -> Any:
    """Contiguous, in the network's dtype."""
    with np.errstate(over="ignore"):  # what does not fit becomes infinite; training then says so
        return X.astype(dtype) if is_sparse(X) else np.ascontiguousarray(X, dtype)


def need_distinct_columns(X: Any) -> None:
    """DataError where a frame has two columns of one name."""
    columns = getattr(X, "columns", None)
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


def _not_numbers(X: Any, error: Exception) -> DataError:
    """Where the text, or the date, is: the first column that is not numeric, and its first such row."""
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


def _not_finite(X: Any, text: str) -> DataError:
    """scikit-learn's message, and where the first such number is."""
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
        hint="sklearn.impute.SimpleImputer fills in missing values",
    )


def _as_number(value: Any) -> float | None:
    """The value as a number, a missing one as NaN; None for text, dates and the like."""
    if value is None or type(value).__name__ == "NAType":
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _columns(X: Any) -> Iterator[tuple[str, list[Any]]]:
    """Names and values of the columns of a frame, an array or a sparse matrix."""
    if hasattr(X, "columns") and hasattr(X, "__getitem__"):
        for name in list(getattr(X, "column_names", X.columns)):
            column = X[name]
            yield repr(name), column.to_pylist() if hasattr(column, "to_pylist") else list(column)
    else:
        values = np.asarray(dense(X), dtype=object)
        for j in range(values.shape[1]):
            yield str(j), list(values[:, j])


def row_weights(sample_weight: Any, X: Array, name: str = "sample_weight") -> Array | None:
    """One weight for each row, float64; DataError for negative ones and for a sum of 0."""
    if sample_weight is None:
        return None
    weight = np.asarray(_check_sample_weight(sample_weight, X, dtype=np.float64))
    if (weight < 0).any():
        row = int(np.flatnonzero(weight < 0)[0])
        raise DataError(f"{name}: negative weights", expected=">= 0", got=f"{weight[row]:g} in row {row}")
    if weight.sum() <= 0:
        raise DataError(
            f"{name}: the weights sum to 0", expected="at least one weight > 0", got=f"{len(weight)} rows"
        )
    return weight

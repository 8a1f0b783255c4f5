"""What estimators check beyond scikit-learn's own validation, and the shapes training wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from chainrule.errors import DataError
from chainrule.ops.record import Array

NO_TARGET = "no_validation"  # scikit-learn's word for no y at all, as None means that y is missing


def features_of(estimator: Any, X: Any, y: Any = NO_TARGET, *, reset: bool, **options: Any) -> Any:
    """X (and y) validated by scikit-learn, in its dtype and dense.

    Frames of any kind scikit-learn knows; feature names are kept, and compared where ``reset`` is False.
    Raises DataError for a frame whose columns share a name and for text (named by column and row);
    everything else is scikit-learn's ValueError or TypeError.
    """
    need_distinct_columns(X)
    options |= {"accept_sparse": ["csr", "csc"], "dtype": (np.float64, np.float32), "reset": reset}
    try:
        checked = validate_data(estimator, X, y, **options)
    except ValueError as error:
        if "could not convert string to float" not in str(error):
            raise
        raise _text_found(X, error) from None
    if isinstance(y, str) and y == NO_TARGET:
        return dense(checked)
    return dense(checked[0]), checked[1]


def dense(X: Any) -> Array:
    """A sparse matrix written out; training reads rows as they lie in memory."""
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X)


def in_dtype(X: Array, dtype: Any) -> Array:
    """Contiguous, in the network's dtype."""
    with np.errstate(over="ignore"):  # what does not fit becomes infinite; training then says so
        return np.ascontiguousarray(X, dtype)


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


def _text_found(X: Any, error: ValueError) -> DataError:
    """Where the text is: the first column that is not numeric, and its first such row."""
    for name, column in _columns(X):
        for row, value in enumerate(column):
            try:
                float(value)
            except (TypeError, ValueError):
                kinds = sorted({type(v).__name__ for v in column})
                mixed = f" (the column mixes {', '.join(kinds)})" if len(kinds) > 1 else ""
                return DataError(
                    f"X: column {name} is not numeric: could not convert string to float",
                    expected="numbers",
                    got=f"{value!r} in row {row}{mixed}",
                    hint="encode it first, with sklearn.preprocessing.OneHotEncoder in a ColumnTransformer",
                )
    return DataError(f"X: {error}")


def _columns(X: Any) -> Iterator[tuple[str, list[Any]]]:
    if hasattr(X, "columns") and hasattr(X, "__getitem__") and not isinstance(X, np.ndarray):
        for name in list(getattr(X, "column_names", X.columns)):
            yield repr(name), list(X[name])
    else:
        values = np.asarray(X, dtype=object)
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

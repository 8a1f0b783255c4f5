"""The column to predict: its task, and the way from its cells to numbers and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.columns import (
    as_text,
    column_numbers,
    find_kind,
    moments,
    notice_missing_spellings,
    standardise,
)
from chainrule.data.describe import COUNTING, list_cells, list_rows, list_some, suggest_names
from chainrule.errors import DataError, SettingError

if TYPE_CHECKING:
    import polars as pl

TASKS = ("classification", "regression")
CLASS_TYPES = ("text", "integer", "boolean")
LARGEST_INTEGER = 2.0**53


@dataclass(frozen=True)
class Target:
    """What was learned from the target's training rows.

    For ``task`` "classification": ``classes``, the names of the labels 0, 1, ..., and their ``class_type``
    ("text", "integer" or "boolean"). For "regression": ``mean`` and ``standard_deviation`` in the target's
    units.

    >>> import polars as pl
    >>> from chainrule import data
    >>> frame = pl.DataFrame({"size": [1.0, 3.0], "y": ["no", "yes"]})
    >>> fitted, notices = data.fit_preprocessor(frame, "y")
    >>> fitted.target.task, fitted.target.classes
    ('classification', ('no', 'yes'))
    """

    name: str
    task: str
    classes: tuple[str, ...] = ()
    class_type: str = "text"
    mean: float = 0.0
    standard_deviation: float = 1.0


def find_task(column: pl.Series) -> str:
    """Whether a target column is one of classes or of numbers: "classification" or "regression".

    Text and true/false are classes. Integers (also written 1.0) are classes if there are exactly two
    different ones, or at most 20 and on average at least ten rows of each; other numbers are regression.

    Raises DataError for dates, for text in a numeric column, and for a column without any value.

    >>> import polars as pl
    >>> find_task(pl.Series(["yes", "no"])), find_task(pl.Series([1.5, 2.0, 2.5]))
    ('classification', 'regression')
    """
    kind = _target_kind(column)
    if kind in {"categorical", "boolean"}:
        return "classification"
    values = column_numbers(column, kind)
    known = values[~np.isnan(values)]
    if not known.size:
        raise DataError(f"target {column.name!r} has no value in any row")
    different = np.unique(known)
    few = different.size == 2 or (different.size <= 20 and known.size >= 10 * different.size)
    return "classification" if few and _all_integers(different) else "regression"


def target_column(frame: pl.DataFrame, target: str) -> pl.Series:
    """The target column of a table; raises DataError with the nearest names if it is not there."""
    if target not in frame.columns:
        raise DataError(
            f"the table has no column {target!r} to predict",
            expected=f"one of its {frame.width} columns",
            got=repr(target),
            hint=suggest_names(target, frame.columns),
        )
    return frame[target]


def rows_with_target(
    frame: pl.DataFrame, target: str, rows: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], list[str]]:
    """The indices of those ``rows`` (all if None) that have a target, int64, and a notice of those without.

    Raises DataError if none has.

    >>> import polars as pl
    >>> rows_with_target(pl.DataFrame({"x": [1, 2, 3], "y": [0.5, 1.5, 2.5]}), "y")
    (array([0, 1, 2]), [])
    >>> rows_with_target(pl.DataFrame({"x": [1, 2], "y": [0.5, None]}), "y")
    (array([0]), ["target 'y' has no value in row 2: left out (1 row)"])
    """
    missing = _missing(target_column(frame, target))
    every = np.arange(frame.height) if rows is None else np.asarray(rows, dtype=np.int64)
    kept, dropped = every[~missing[every]], every[missing[every]]
    if not kept.size:
        raise DataError(f"no row has a value of the target {target!r}", got=f"{every.size} rows without one")
    if not dropped.size:
        return kept, []
    rows_left_out = f"{dropped.size} row{'s' if dropped.size > 1 else ''}"
    return kept, [f"target {target!r} has no value in {list_rows(dropped)}: left out ({rows_left_out})"]


def fit_target(
    column: pl.Series, rows: NDArray[np.int64], task: str | None = None
) -> tuple[Target, list[str]]:
    """What is learned from the target of the given rows (indices from 0, none missing), and notices.

    Raises DataError for a single class or a constant target, text for regression, fractions for
    classification; SettingError for an unknown ``task``.
    """
    if task not in {None, *TASKS}:
        raise SettingError("there is no such task", expected=" or ".join(map(repr, TASKS)), got=repr(task))
    found = find_task(column) if task is None else task
    if found == "classification":
        return _fit_classes(column, rows, said=task is not None)
    if _target_kind(column) == "categorical":
        raise DataError(
            f"target {column.name!r} holds text, which regression cannot predict",
            expected="numbers",
            got=list_some(
                [repr(text) for text in column.drop_nulls().unique(maintain_order=True).head(4).to_list()]
            ),
            hint="use task='classification', or make the column numeric",
        )
    mean, deviation = moments(column_numbers(column, "numeric")[rows])
    if deviation == 0:
        raise _one_value(column, f"{mean:.6g}")
    return Target(column.name, "regression", mean=mean, standard_deviation=deviation), []


def encode_target(target: Target, column: pl.Series) -> NDArray[Any]:
    """Labels, int64 [rows], or standardised numbers, float32 [rows, 1].

    Raises DataError for missing values and for classes that training did not have.
    """
    missing = _missing(column)
    if missing.any():
        raise DataError(
            f"target {target.name!r} has no value in {list_rows(np.flatnonzero(missing))}",
            where=COUNTING,
            hint="keep only the rows that rows_with_target gives",
        )
    if target.task == "regression":
        values = column_numbers(column, "numeric")
        return standardise(target.name, values, target.mean, target.standard_deviation)[:, np.newaxis]
    names = _class_names(column, target.class_type)
    label = {name: position for position, name in enumerate(target.classes)}
    unknown = [(row, name) for row, name in enumerate(names) if name not in label]
    if unknown:
        raise DataError(
            f"target {target.name!r} has classes that training did not have",
            expected=list_some([repr(name) for name in target.classes], limit=10),
            got=list_cells(unknown),
            where=COUNTING,
        )
    return np.array([label[name] for name in names], dtype=np.int64)


def decode_target(target: Target, predicted: NDArray[Any]) -> pl.Series:
    """Predictions as a Series [rows]: of classes from labels [rows], in the target's units from numbers."""
    import polars as pl

    if target.task == "regression":
        values = np.asarray(predicted, dtype=np.float64).reshape(-1)
        return pl.Series(target.name, values * target.standard_deviation + target.mean)
    labels = np.asarray(predicted)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            "labels are integers, one a row", expected="[rows]", got=f"{labels.dtype} {list(labels.shape)}"
        )
    wrong = labels[(labels < 0) | (labels >= len(target.classes))]
    if wrong.size:
        raise DataError(
            "labels out of range", expected=f"0 to {len(target.classes) - 1}", got=list_some(wrong.tolist())
        )
    names = pl.Series(target.name, [target.classes[label] for label in labels], dtype=pl.String)
    if target.class_type == "integer":
        return names.cast(pl.Int64)
    return names == "true" if target.class_type == "boolean" else names


def _target_kind(column: pl.Series) -> str:
    kind = find_kind(column)
    if kind in {"time", "ignored"}:
        raise DataError(
            f"target {column.name!r} cannot be predicted",
            expected="numbers, text or true/false",
            got=str(column.dtype),
        )
    return kind


def _missing(column: pl.Series) -> NDArray[np.bool_]:
    kind = _target_kind(column)
    return (
        as_text(column).is_null().to_numpy()
        if kind == "categorical"
        else np.isnan(column_numbers(column, kind))
    )


def _all_integers(values: NDArray[np.float64]) -> bool:
    return bool(np.all(values == np.round(values)) and np.all(np.abs(values) <= LARGEST_INTEGER))


def _fit_classes(column: pl.Series, rows: NDArray[np.int64], said: bool) -> tuple[Target, list[str]]:
    name, kind = column.name, _target_kind(column)
    class_type = {"categorical": "text", "boolean": "boolean"}.get(kind, "integer")
    if class_type == "integer":
        _reject_fractions(name, column_numbers(column, kind))
    names = set(_class_names(column[rows], class_type))
    classes = tuple(sorted(names, key=int if class_type == "integer" else str))
    if len(classes) == 1:
        raise _one_value(column, repr(classes[0]))
    if len(classes) > max(20, len(rows) / 2):
        raise DataError(
            f"target {name!r} has almost as many classes as rows, like an identifier",
            expected="several rows of each class",
            got=f"{len(classes)} classes in {len(rows)} rows",
            hint="choose another target, or task='regression' if it holds numbers",
        )
    notices = notice_missing_spellings(f"target {name!r}", classes)
    if class_type == "integer" and len(classes) > 2 and not said:
        notices.append(
            f"target {name!r} has {len(classes)} different integers: taken as classes "
            "(set the task to regression to predict them as numbers)"
        )
    return Target(name, "classification", classes=classes, class_type=class_type), notices


def _class_names(column: pl.Series, class_type: str) -> list[str]:
    if class_type == "text":
        return as_text(column).to_list()
    if class_type == "boolean":
        return ["true" if value else "false" for value in column_numbers(column, "boolean")]
    return [
        f"{value + 0.0:.0f}" if value.is_integer() else str(value)
        for value in column_numbers(column, "numeric").tolist()
    ]


def _reject_fractions(name: str, values: NDArray[np.float64]) -> None:
    wrong = [row for row in np.flatnonzero(~np.isnan(values)) if not _all_integers(values[[row]])]
    if wrong:
        raise DataError(
            f"target {name!r} has numbers that are not whole, which cannot name classes",
            expected="text, true/false or integers",
            got=list_cells((int(row), float(values[row])) for row in wrong),
            where=COUNTING,
            hint="use task='regression'",
        )


def _one_value(column: pl.Series, value: str) -> DataError:
    return DataError(
        f"target {column.name!r} has one value only in the training rows: there is nothing to learn",
        expected="at least two classes, or numbers that differ",
        got=f"{value} in every row",
    )


def are_classes(target: Target) -> bool:
    """Whether the classes of a record that was read are ones that ``fit_target`` makes."""
    if target.task == "regression":
        return not target.classes
    if target.class_type == "boolean":
        return target.classes == ("false", "true")
    integer = re.compile("0|-?[1-9][0-9]{0,15}").fullmatch
    return len(target.classes) >= 2 and (target.class_type == "text" or all(map(integer, target.classes)))

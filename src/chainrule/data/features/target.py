"""The column to predict: its task, and the way from its cells to numbers and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.describe import COUNTING, list_cells, list_rows, list_some, suggest_names
from chainrule.data.features.column_options import said_as
from chainrule.data.features.columns import PLAIN
from chainrule.data.features.different import different_cells
from chainrule.data.features.finding import find_reading
from chainrule.data.features.missing_marks import USUAL
from chainrule.data.features.numbers import column_numbers, moments, standardise
from chainrule.data.features.odd_values import sentinels
from chainrule.data.features.readings import Reading, read
from chainrule.data.features.spellings import canonical_text, kind_of_type, places_of
from chainrule.errors import DataError, SettingError
from chainrule.foreign_text import quoted, short_repr

if TYPE_CHECKING:
    import polars as pl

TASKS = ("classification", "regression")
CLASS_TYPES = ("text", "integer", "boolean")
LARGEST_INTEGER = 2.0**53
MOST_INTEGERS = 20  # that are taken for classes without being told
VERY_MANY = 100  # integer classes, which are more likely numbers
INTEGER = re.compile("0|-?[1-9][0-9]{0,18}")
FIRST = 1000  # numbers that are looked at before all of them


@dataclass(frozen=True, repr=False)
class Target:
    """What was learned from the target's training rows.

    For ``task`` "classification": ``classes``, the names of the labels 0, 1, ..., and their ``class_type``
    ("text", "integer" or "boolean"). For "regression": ``mean`` and ``standard_deviation`` in the target's
    units. ``reading`` says how its cells become values.

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
    reading: Reading = PLAIN

    __repr__ = short_repr


def find_task(column: pl.Series, reading: Reading | None = None) -> str:
    """Whether a target column is one of classes or of numbers: "classification" or "regression".

    ``reading`` says how its cells become values; found from them if None. Text and true/false are classes. Integers
    (also written 1.0) are classes if there are exactly two different ones, or at most 20 and on average at least ten
    rows of each; other numbers are regression.

    Raises DataError for dates, and for a column without any value.

    >>> import polars as pl
    >>> find_task(pl.Series(["yes", "no"])), find_task(pl.Series([1.5, 2.0, 2.5]))
    ('classification', 'regression')
    """
    column = canonical(column, reading)
    if _target_kind(column) in {"text", "boolean"}:
        return "classification"
    known = _known_numbers(column)
    if not known.size:
        raise DataError(f"target {quoted(column.name)} has no value in any row")
    if np.unique(known[:FIRST]).size > MOST_INTEGERS:
        return "regression"  # nothing that follows makes them fewer
    different = np.unique(known)
    few = different.size == 2 or (different.size <= MOST_INTEGERS and known.size >= 10 * different.size)
    return "classification" if few and _all_integers(different) else "regression"


def _known_numbers(column: pl.Series) -> NDArray[Any]:
    """Numbers [rows that have one]; integers as they are, for large ones may be the same as float64."""
    if column.dtype.is_integer() and not str(column.dtype).endswith("Int128"):  # which NumPy does not have
        return column.drop_nulls().to_numpy()
    values = column_numbers(column)
    missing = np.isnan(values)
    return values[~missing] if missing.any() else values


def target_column(frame: pl.DataFrame, target: str) -> pl.Series:
    """The target column of a table; raises DataError with the nearest names if it is not there."""
    if target not in frame.columns:
        raise DataError(
            f"the table has no column {quoted(target)} to predict",
            expected=f"one of its {frame.width} columns",
            got=quoted(target),
            hint=suggest_names(target, frame.columns),
        )
    return frame[target]


def rows_with_target(
    frame: pl.DataFrame,
    target: str,
    rows: NDArray[np.int64] | None = None,
    reading: Reading | None = None,
) -> tuple[NDArray[np.int64], list[str]]:
    """The indices of those ``rows`` (all if None) that have a target, int64, and a notice of those without.

    ``reading`` says how its cells become values; found from them if None. What does not fit it is no target.

    Raises DataError if none has.

    >>> import polars as pl
    >>> rows_with_target(pl.DataFrame({"x": [1, 2, 3], "y": [0.5, 1.5, 2.5]}), "y")
    (array([0, 1, 2]), [])
    >>> rows_with_target(pl.DataFrame({"x": [1, 2], "y": [0.5, None]}), "y")
    (array([0]), ["target 'y' has no value in row 2: left out (1 row)"])
    """
    missing = _missing(canonical(target_column(frame, target), reading))
    if rows is None:
        kept, dropped = np.flatnonzero(~missing), np.flatnonzero(missing)
    else:
        every = np.asarray(rows, dtype=np.int64)
        kept, dropped = every[~missing[every]], every[missing[every]]
    if not kept.size:
        raise DataError(
            f"no row has a value of the target {quoted(target)}", got=f"{dropped.size} rows without one"
        )
    if not dropped.size:
        return kept, []
    rows_left_out = f"{dropped.size} row{'s' if dropped.size > 1 else ''}"
    return kept, [f"target {quoted(target)} has no value in {list_rows(dropped)}: left out ({rows_left_out})"]


def canonical(column: pl.Series, reading: Reading | None = None) -> pl.Series:
    """A target column in the canonical form of its reading, which is found if None."""
    reading = reading or find_reading(column, is_target=True).reading
    if reading.values == "clock" and column.dtype.is_float():
        return column  # seconds already
    return read(column, reading).series


def fit_target(
    column: pl.Series, rows: NDArray[np.int64], task: str | None = None, reading: Reading | None = None
) -> tuple[Target, list[str]]:
    """What is learned from the target of the given rows (indices from 0, none missing), and notices.

    Raises DataError for a single class or a constant target, text for regression, fractions for
    classification; SettingError for an unknown ``task``.
    """
    if task not in {None, *TASKS}:
        raise SettingError("there is no such task", expected=" or ".join(map(repr, TASKS)), got=quoted(task))
    reading = reading or find_reading(column, is_target=True, task=task).reading
    column = canonical(column, reading)
    found = find_task(column, reading) if task is None else task
    if found == "classification":
        return _fit_classes(column, rows, reading, said=task is not None)
    if _target_kind(column) == "text":
        raise DataError(
            f"target {quoted(column.name)} holds text, which regression cannot predict",
            expected="numbers, in nine of ten cells that are not missing",
            got=list_some(
                [quoted(text) for text in column.drop_nulls().unique(maintain_order=True).head(4).to_list()]
            ),
            hint=f"to leave out rows without a number: {said_as('type', column.name, 'number')}",
        )
    mean, deviation = moments(column_numbers(column)[rows])
    if deviation == 0 and column.dtype.is_integer() and column[rows].n_unique() > 1:
        raise DataError(
            f"target {quoted(column.name)} has integers that differ in their last digits only, as codes do",
            expected="numbers that differ in their first 15 digits, or classes",
            got=list_some(column[rows].unique(maintain_order=True).head(3).to_list()),
            hint="subtract the smallest of them",
        )
    if deviation == 0:
        raise _one_value(column, f"{mean:.6g}")
    values = column_numbers(column)[rows]
    notices = sentinels(column.name, values[~np.isnan(values)])
    return Target(
        column.name, "regression", mean=mean, standard_deviation=deviation, reading=reading
    ), notices


def encode_target(target: Target, column: pl.Series, rows: NDArray[np.int64] | None = None) -> NDArray[Any]:
    """Labels, int64 [rows], or standardised numbers, float32 [rows, 1].

    ``rows`` says which rows of the table they are, for errors; if None, the first ones.

    Raises DataError for missing values and for classes that training did not have.
    """
    column = canonical(column, target.reading)
    missing = _missing(column)
    if missing.any():
        raise DataError(
            f"target {quoted(target.name)} has no value in {list_rows(np.flatnonzero(missing))}",
            where=COUNTING,
            hint="keep only the rows that rows_with_target gives",
        )
    if target.task == "regression":
        values = column_numbers(column)
        return standardise(target.name, values, target.mean, target.standard_deviation, rows)[:, np.newaxis]
    names, places = _class_names(column)
    place = places_of(target.classes)
    labels = np.array([place(name) for name in names], dtype=np.int64)[places]
    unknown = np.flatnonzero(labels < 0)
    if unknown.size:
        raise DataError(
            f"target {quoted(target.name)} has classes that training did not have",
            expected=list_some([quoted(name) for name in target.classes], limit=10),
            got=list_cells(
                (row if rows is None else int(rows[row]), names[places[row]]) for row in unknown.tolist()
            ),
            where=COUNTING,
        )
    return labels


def decode_target(target: Target, predicted: NDArray[Any]) -> pl.Series:
    """Predictions as a Series [rows]: of classes from labels [rows], in the target's units from numbers."""
    import polars as pl

    if target.task == "regression":
        outputs = np.asarray(predicted, dtype=np.float64).reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            values = outputs * target.standard_deviation + target.mean
        beyond = np.flatnonzero(np.isfinite(outputs) & ~np.isfinite(values))
        if beyond.size:
            raise DataError(
                f"predictions of {quoted(target.name)} are beyond what a number can hold",
                expected=f"around {target.mean:.6g}, give or take {target.standard_deviation:.6g}",
                got=list_cells((row, f"{outputs[row]:.6g} of these") for row in beyond.tolist()),
                where=COUNTING,
            )
        return pl.Series(target.name, values)
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
    names = pl.Series(target.name, target.classes, dtype=pl.String).gather(labels)
    if target.class_type == "integer":
        return names.cast(pl.Int64)
    return names == "true" if target.class_type == "boolean" else names


def _target_kind(column: pl.Series) -> str:
    """What a target in its canonical form holds: "number", "boolean" or "text"."""
    kind = kind_of_type(column)
    if kind in {"date", "clock", "other"}:
        raise DataError(
            f"target {quoted(column.name)} cannot be predicted",
            expected="numbers, text or true/false",
            got={"date": "dates", "clock": "times of day"}.get(kind, str(column.dtype)),
        )
    return "text" if kind == "category" else kind


def _missing(column: pl.Series) -> NDArray[np.bool_]:
    if _target_kind(column) != "text":
        return (
            np.isnan(column_numbers(column))
            if column.null_count() or column.dtype.is_float()
            else _none(column)
        )
    cells = different_cells(column)
    empty = cells.texts.is_null().to_numpy()
    return empty[cells.places()] if empty.any() else _none(column)


def _none(column: pl.Series) -> NDArray[np.bool_]:
    return np.zeros(len(column), np.bool_)


def _all_integers(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iu" or bool(
        np.all(values == np.round(values)) and np.all(np.abs(values) <= LARGEST_INTEGER)
    )


def _fit_classes(
    column: pl.Series, rows: NDArray[np.int64], reading: Reading, said: bool
) -> tuple[Target, list[str]]:
    name, kind = column.name, _target_kind(column)
    if kind == "number" and not column.dtype.is_integer():
        _reject_fractions(name, column_numbers(column))
    listed, places = _class_names(column[rows])
    names = {listed[place] for place in np.unique(places)}
    fits = kind == "number" and all(abs(int(text)) < 2**63 for text in names)
    class_type = "integer" if fits else "boolean" if kind == "boolean" else "text"
    classes = tuple(sorted(names, key=int if class_type == "integer" else str))
    if len(classes) == 1:
        raise _one_value(column, quoted(classes[0]))
    if len(classes) > max(20, len(rows) / 2):
        raise DataError(
            f"target {quoted(name)} has almost as many classes as rows, like an identifier",
            expected="several rows of each class",
            got=f"{len(classes)} classes in {len(rows)} rows",
            hint="choose another target, or task='regression' if it holds numbers",
        )
    notices = (
        [*_notice_missing_marks(name, classes), *_notice_spellings(name, classes)]
        if class_type == "text"
        else []
    )
    if class_type == "integer" and len(classes) > 2 and not said:
        notices.append(
            f"target {quoted(name)} has {len(classes)} different integers: taken as classes "
            "(--task regression predicts them as numbers (in Python: task='regression'))"
        )
    if class_type == "integer" and len(classes) > VERY_MANY:
        notices.append(
            f"target {quoted(name)} has {len(classes)} classes: --task regression (in Python: task='regression') "
            "predicts a number"
        )
    return Target(name, "classification", classes=classes, class_type=class_type, reading=reading), notices


def _notice_missing_marks(name: str, classes: tuple[str, ...]) -> list[str]:
    """A notice if a text that often means "missing" is a class."""
    odd = [text for text in classes if text.lower() in USUAL]
    if not odd:
        return []
    said = said_as("missing", name, odd[0])
    return [
        f"target {quoted(name)}: {list_some(list(map(quoted, odd)))} is a class; if it means missing: {said}"
    ]


def _notice_spellings(name: str, classes: tuple[str, ...]) -> list[str]:
    """A notice of classes that differ in nothing but capitals and blanks, as those typed by several people do."""
    alike: dict[str, list[str]] = {}
    for text in classes:
        alike.setdefault("".join(text.casefold().split()), []).append(text)
    spelled = [texts for texts in alike.values() if len(texts) > 1]
    if not spelled:
        return []
    most = max(spelled, key=len)
    more = f" (and {len(spelled) - 1} more such)" if len(spelled) > 1 else ""
    shown = list_some(list(map(quoted, most)), limit=5)
    return [
        f"target {quoted(name)}: {shown} are taken as different classes{more}; "
        "if they mean the same, write them alike in the table"
    ]


def _class_names(column: pl.Series) -> tuple[list[str], NDArray[np.integer]]:
    """The names of the classes that a column without gaps has, and which of them each row has, integers [rows]."""
    import polars as pl

    if _target_kind(column) == "text":
        cells = different_cells(column)
        return cells.texts.to_list(), cells.places()
    different, places = np.unique(column.to_numpy(), return_inverse=True)
    return canonical_text(pl.Series(different)).to_list(), places


def class_numbers(column: pl.Series, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which class each of some rows has, int64 [rows]: the place of its text among all texts, sorted."""
    cells = different_cells(column)
    rank = {text: place for place, text in enumerate(sorted(set(cells.texts.drop_nulls())))}
    number_of = np.array([rank.get(text, -1) for text in cells.texts.to_list()], dtype=np.int64)
    return number_of[cells.places()[rows]]


def _reject_fractions(name: str, values: NDArray[np.float64]) -> None:
    known = ~np.isnan(values)
    whole = (values == np.round(values)) & (np.abs(values) <= LARGEST_INTEGER)
    wrong = np.flatnonzero(known & ~whole)
    if wrong.size:
        raise DataError(
            f"target {quoted(name)} has numbers that are not whole, which cannot name classes",
            expected="text, true/false or integers",
            got=list_cells((row, float(values[row])) for row in wrong.tolist()),
            where=COUNTING,
            hint="use task='regression'",
        )


def _one_value(column: pl.Series, value: str) -> DataError:
    return DataError(
        f"target {quoted(column.name)} has one value only in the training rows: there is nothing to learn",
        expected="at least two classes, or numbers that differ",
        got=f"{value} in every row",
    )


def are_classes(target: Target) -> bool:
    """Whether the classes of a record that was read are ones that ``fit_target`` makes."""
    if target.task == "regression":
        return not target.classes
    if target.class_type == "boolean":
        return target.classes == ("false", "true")
    if target.class_type == "text":
        return len(target.classes) >= 2
    return len(target.classes) >= 2 and all(map(_is_integer, target.classes))


def _is_integer(text: str) -> bool:
    return bool(INTEGER.fullmatch(text)) and abs(int(text)) < 2**63

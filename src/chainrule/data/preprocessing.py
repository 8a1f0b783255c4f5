"""How a table becomes arrays: learned from training rows, applied to any rows, kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.columns import KINDS, Column, encode_column, fit_column
from chainrule.data.describe import list_some, suggest_names
from chainrule.data.notices import Notice
from chainrule.data.records import Checks, is_finite_number, read_record
from chainrule.data.target import (
    CLASS_TYPES,
    TASKS,
    Target,
    are_classes,
    decode_target,
    encode_target,
    fit_target,
    rows_with_target,
    target_column,
)
from chainrule.errors import DataError, ModelFileError, SettingError
from chainrule.files import parse_json

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Preprocessor:
    """What was learned from a training table: one record a column, in the table's order, and the target's.

    >>> import polars as pl
    >>> from chainrule import data
    >>> frame = pl.DataFrame({"size": [1.0, 3.0], "kind": ["a", "b"], "y": [0.5, 2.5]})
    >>> fitted, notices = data.fit_preprocessor(frame, "y")
    >>> fitted.feature_names
    ('size', 'kind=a', 'kind=b')
    >>> fitted.transform(frame)
    array([[-1.,  1.,  0.],
           [ 1.,  0.,  1.]], dtype=float32)
    """

    columns: tuple[Column, ...]
    target: Target

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in the order of ``transform``'s columns."""
        return tuple(chain.from_iterable(column.feature_names for column in self.columns))

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns to read as text, whatever they look like: give them to ``read_table`` with new data."""
        names = tuple(column.name for column in self.columns if column.kind == "categorical")
        is_text = self.target.task == "classification" and self.target.class_type == "text"
        return (*names, self.target.name) if is_text else names

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that become features."""
        return tuple(column for column in self.columns if column.kind != "ignored")

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """``feature_names`` as an array of texts, as scikit-learn's transformers give them.

        ``input_features`` may repeat the names of the columns that are used, in their order. Raises SettingError
        for other ones.

        >>> import polars as pl
        >>> fitted, _ = fit_preprocessor(pl.DataFrame({"a": ["x", "y"], "b": [1, 2], "c": [1.5, 2.5]}), "c")
        >>> fitted.get_feature_names_out().tolist()
        ['a=x', 'a=y', 'b']
        """
        names = [column.name for column in self.used]
        if input_features is not None and list(input_features) != names:
            raise SettingError(
                "get_feature_names_out: other columns than in training",
                expected=names,
                got=list(input_features),
            )
        return np.array(self.feature_names, dtype=object)

    def transform(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """The features of a table, float32 [rows, features]; the target may be among its columns or not.

        Raises DataError for a column that is missing and for cells that are not of their column's kind.
        """
        return self.encode(frame)[0]

    def transform_with_notices(self, frame: pl.DataFrame) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """As ``transform``, with notices: columns ignored, values filled in, categories not known."""
        encoded, notices = self.encode(frame)
        return encoded, tuple(map(str, notices))

    def encode(self, frame: pl.DataFrame) -> tuple[NDArray[np.float32], list[Notice]]:
        """As ``transform_with_notices``, with notices that add up over the parts of a table."""
        used = self.used
        _require_columns(frame, [column.name for column in used])
        known = {*(column.name for column in self.columns), self.target.name}
        extra = [repr(name) for name in frame.columns if name not in known]
        ignored = Notice(f"columns that training did not have are ignored: {list_some(extra)}")
        notices = [ignored] if extra else []
        encoded = np.empty((frame.height, len(self.feature_names)), dtype=np.float32)
        start = 0
        for column in used:
            features, more = encode_column(column, frame[column.name])
            encoded[:, start : start + features.shape[1]] = features
            start += features.shape[1]
            notices += more
        return encoded, notices

    def encode_target(self, frame: pl.DataFrame) -> NDArray[Any]:
        """The target of a table: labels, int64 [rows], or standardised numbers, float32 [rows, 1].

        Raises DataError if the target is not in the table, has missing values, or classes that training
        did not have.
        """
        return encode_target(self.target, target_column(frame, self.target.name))

    def decode(self, predicted: NDArray[Any]) -> pl.Series:
        """Predictions in the target's terms, a Series [rows].

        Labels, integers [rows], become classes (text, integers or truth values); standardised numbers,
        [rows] or [rows, 1], become float64 in the target's units. Raises DataError for labels out of range.
        """
        return decode_target(self.target, predicted)

    def to_json(self) -> str:
        """All of it as JSON text; ``from_json`` gives an equal preprocessor back."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> Preprocessor:
        """The preprocessor that ``to_json`` wrote; raises ModelFileError for anything else."""
        value = parse_json(text, "the model's preprocessing")
        if not isinstance(value, dict) or set(value) != {"columns", "target"}:
            raise _malformed("preprocessing", value, "an object with the keys columns, target")
        if not isinstance(value["columns"], list):
            raise _malformed("columns", value["columns"], "a list")
        columns = tuple(
            read_record(Column, entry, f"columns[{i}]", CHECKS, _malformed)
            for i, entry in enumerate(value["columns"])
        )
        preprocessor = Preprocessor(
            columns, read_record(Target, value["target"], "target", CHECKS, _malformed)
        )
        _check_meaning(preprocessor)
        return preprocessor


def fit_preprocessor(
    frame: pl.DataFrame, target: str, task: str | None = None, rows: NDArray[np.int64] | None = None
) -> tuple[Preprocessor, tuple[str, ...]]:
    """Learn from the training rows how a table becomes arrays; returns notices of what was decided.

    ``rows`` are the training rows' indices, all rows if None; rows without a target are left out. Only they
    count for moments, fill values, categories and classes, but errors are looked for in the whole table,
    and name its rows. ``task`` is "classification", "regression", or None to find out (``find_task``).

    Raises DataError for a table or target that cannot be learned from.

    >>> import polars as pl
    >>> towns = ["Oslo", "Rome", "Oslo"]
    >>> houses = pl.DataFrame({"rooms": [2, 4, None], "town": towns, "price": [1.5, 4.0, 2.0]})
    >>> preprocessor, notices = fit_preprocessor(houses, "price")
    >>> preprocessor.feature_names, preprocessor.target.task
    (('rooms', 'town=Oslo', 'town=Rome'), 'regression')
    >>> preprocessor.transform(houses).shape
    (3, 3)
    >>> print(*notices)
    column 'rooms' has no value in 1 of 3 rows: filled with the median in training, 3
    """
    usable, notices = rows_with_target(frame, target, rows)
    fitted_target, more = fit_target(target_column(frame, target), usable, task)
    notices += more
    columns = []
    for name in frame.columns:
        if name != target:
            column, more = fit_column(frame[name], usable)
            columns.append(column)
            notices += more
    preprocessor = Preprocessor(tuple(columns), fitted_target)
    if not preprocessor.feature_names:
        raise DataError(
            "no column is left to predict from",
            expected="a column besides the target that differs between rows",
            got="; ".join(notices) or f"only the target {target!r}",
        )
    return preprocessor, tuple(notices)


def _require_columns(frame: pl.DataFrame, names: list[str]) -> None:
    absent = [name for name in names if name not in frame.columns]
    if absent:
        others = [name for name in frame.columns if name not in names]
        raise DataError(
            f"the table lacks {len(absent)} of the {len(names)} columns that the model was trained with",
            expected=list_some([repr(name) for name in absent]),
            got=f"columns {list_some([repr(name) for name in frame.columns])}",
            hint=f"instead of {absent[0]!r}, {suggest_names(absent[0], others)}" if others else "",
        )


# Reading: a model file comes from anywhere, so every field is checked before it is used.


def _malformed(where: str, got: object, expected: str) -> ModelFileError:
    shown = ascii(got)
    return ModelFileError(
        "the model's preprocessing is malformed",
        expected=expected,
        got=shown if len(shown) <= 200 else shown[:200] + "...",
        where=where,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


CHECKS: Checks = MappingProxyType(
    {
        "str": ("text", _is_text),
        "float": ("a finite number with a decimal point", is_finite_number),
        "bool": ("true or false", _is_bool),
        "tuple[str, ...]": ("a list of different texts", _is_texts),
    }
)
"""For each type of field: what it is called, and whether a value that JSON gave is one."""


def _check_meaning(preprocessor: Preprocessor) -> None:
    columns, target = preprocessor.columns, preprocessor.target
    names = [column.name for column in columns]
    deviations = [target.standard_deviation, *(column.standard_deviation for column in columns)]
    # a median is at most one standard deviation from its mean; twice that leaves room for rounding
    far = [c.name for c in columns if not abs(c.fill - c.mean) <= 2 * c.standard_deviation]
    for where, got, is_right, expected in (
        ("columns", names, len({*names, target.name}) == len(names) + 1, "names that differ"),
        ("columns", names, bool(preprocessor.feature_names), "a column that is used"),
        ("kind", [c.kind for c in columns], all(c.kind in KINDS for c in columns), f"each one of {KINDS}"),
        ("standard_deviation", deviations, min(deviations) > 0, "positive numbers"),
        ("fill", far, not far, "values within two standard deviations of their mean"),
        ("target.task", target.task, target.task in TASKS, f"one of {TASKS}"),
        ("target.class_type", target.class_type, target.class_type in CLASS_TYPES, f"one of {CLASS_TYPES}"),
        ("target.classes", target.classes, are_classes(target), "the names of two classes or more"),
    ):
        if not is_right:
            raise _malformed(where, got, expected)

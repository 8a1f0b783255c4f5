"""How a table becomes arrays: learned from training rows, applied to any rows, kept as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.canonical import read_columns, require_columns
from chainrule.data.features.categories import effect_targets, out_of_fold
from chainrule.data.features.columns import Column
from chainrule.data.features.fitting import encode_columns
from chainrule.data.features.notices import Notice
from chainrule.data.features.readings import read
from chainrule.data.features.saved import read_saved
from chainrule.data.features.target import Target, decode_target, encode_target, target_column
from chainrule.errors import SettingError
from chainrule.foreign_text import short_repr

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, repr=False)
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
    keep: tuple[str, ...] = ()

    __repr__ = short_repr

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in the order of ``transform``'s columns."""
        return tuple(chain.from_iterable(column.feature_names for column in self.columns))

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns to read as text, whatever they look like: give them to ``read_table`` with new data.

        Those that are kept are among them, for they are to be written as they stand.
        """
        names = [column.name for column in self.used if column.reading.needs_text]
        if self.target.reading.needs_text:
            names.append(self.target.name)
        return tuple(dict.fromkeys((*names, *self.keep)))

    @property
    def assumed(self) -> tuple[str, ...]:
        """What is taken for granted about how numbers and dates are written, in a few words."""
        readings = [self.target.reading, *(column.reading for column in self.used)]
        commas = any(reading.decimal == "," for reading in readings)
        orders = sorted({reading.day_first for reading in readings} - {""})
        return (*["decimal comma"] * commas, *(f"{first} first in dates" for first in orders))

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that become features."""
        return tuple(column for column in self.columns if column.kind != "ignored")

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """``feature_names`` as an array of texts, as scikit-learn's transformers give them.

        ``input_features`` may repeat the names of the columns that are used, in their order. Raises SettingError
        for other ones.

        >>> import polars as pl
        >>> from chainrule.data import fit_preprocessor
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

    def read(self, frame: pl.DataFrame, before: int = 0) -> tuple[pl.DataFrame, list[Notice]]:
        """The table with its columns in their canonical form, and notices of cells that count as missing.

        ``before`` rows came before those of this part of a table. A table in that form stays as it is. Raises DataError
        for a column that is missing or is of another type, and for one of which not a single cell fits.
        """
        import polars as pl

        used = self.used
        frame = require_columns(frame, [*(column.name for column in used), *self.keep], self.target.name)
        readings = {column.name: column.reading for column in used}
        if self.target.name in frame.columns:
            readings[self.target.name] = self.target.reading
        columns, notices = read_columns(frame, readings, before=before)
        return pl.DataFrame({one.name: one for one in columns}), notices

    def encode(
        self, frame: pl.DataFrame, rows: NDArray[np.int64] | None = None, canonical: bool = False
    ) -> tuple[NDArray[np.float32], list[Notice]]:
        """As ``transform_with_notices``, with notices that add up over the parts of a table.

        Only the features of some ``rows``, in their order, are given if these are named; errors and notices are of
        the whole table. ``canonical`` says that the table is one that ``read`` or ``read_frame`` gave.
        """
        used = self.used
        frame = require_columns(frame, [column.name for column in used], self.target.name)
        known = {*(column.name for column in self.columns), self.target.name, *self.keep}
        extra = tuple(repr(name) for name in frame.columns if name not in known)
        ignored = Notice("columns that training did not have are ignored:", extra)
        notices = [ignored] if extra else []
        readings = {} if canonical else {column.name: column.reading for column in used}
        columns, odd = read_columns(frame, readings)
        encoded, found = encode_columns(used, {series.name: series for series in columns}, rows, frame.height)
        return encoded, [*notices, *odd, *found]

    @property
    def has_target_means(self) -> bool:
        """Whether some features say what the target's mean in a row's category is."""
        return any(column.has_effects for column in self.used)

    def encode_training(
        self,
        frame: pl.DataFrame,
        rows: NDArray[np.int64],
        out: NDArray[np.float32],
        groups: NDArray[np.int64] | None = None,
        train: NDArray[np.bool_] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        """Replace what the features of the training ``rows``, the first of ``out``, say about their own targets.

        Only columns of many categories have such features. Each row then gets the means of other rows,
        with ``groups`` [training rows] those of other groups, with ``train`` [training rows] only those of these rows.
        """
        if not self.has_target_means:
            return
        target, _ = effect_targets(self.target, frame[self.target.name], rows)
        stop = 0
        for column in self.used:
            start, stop = stop, stop + column.width
            if column.has_effects:
                series = read(frame[column.name], column.reading).series
                part = out[: len(rows), start:stop]
                out_of_fold(column, series, rows, target, part, groups, train, weights)

    def encode_target(self, frame: pl.DataFrame) -> NDArray[Any]:
        """The target of a table: labels, int64 [rows], or standardised numbers, float32 [rows, 1].

        Raises DataError if the target is not in the table, has missing values, or classes that training
        did not have.
        """
        return self.encode_target_column(target_column(frame, self.target.name))

    def encode_target_column(self, column: pl.Series) -> NDArray[Any]:
        """As ``encode_target``, of the column itself."""
        return encode_target(self.target, column)

    def decode(self, predicted: NDArray[Any]) -> pl.Series:
        """Predictions in the target's terms, a Series [rows].

        Labels, integers [rows], become classes (text, integers or truth values); standardised numbers,
        [rows] or [rows, 1], become float64 in the target's units. Raises DataError for labels out of range.
        """
        return decode_target(self.target, predicted)

    def to_json(self) -> str:
        """All of it as JSON text; ``from_json`` gives an equal preprocessor back."""
        return json.dumps(self, default=vars, ensure_ascii=False)  # faster than asdict, which copies all

    @staticmethod
    def from_json(text: str) -> Preprocessor:
        """The preprocessor that ``to_json`` wrote; raises ModelFileError for anything else."""
        return Preprocessor(*read_saved(text))

"""A table that is ready for training: which rows do what, and the rows as the network takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Preprocessor
from chainrule.foreign_text import short_repr
from chainrule.tables.architecture import Architecture
from chainrule.tables.roles import Roles
from chainrule.tables.settings import TrainingSettings
from chainrule.training.folds import Fold

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Split:
    """Row numbers of the table, from 0: those that train, choose the best epoch, and give the score.

    Of an ensemble all rows train, but those that are held out, and each network is judged by a fold of them.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> prepared = tables.prepare(wine.frame, wine.target, tables.TrainingSettings())
    >>> [part.size for part in prepared.split.parts]
    [121, 21, 36]
    """

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    held_out: NDArray[np.int64]
    out_of_fold: NDArray[np.int64] | None = (
        None  # training rows that networks judge which did not train on them
    )

    @property
    def parts(self) -> tuple[NDArray[np.int64], ...]:
        """The three of them."""
        return self.training, self.validation, self.held_out

    @property
    def scored(self) -> NDArray[np.int64]:
        """The held-out rows; where there are none, those out of fold; without folds, those that train."""
        if self.held_out.size:
            return self.held_out
        return self.training if self.out_of_fold is None else self.out_of_fold

    @property
    def scored_on(self) -> str:
        """What ``scored`` are: "held-out", "out-of-fold" or "training" rows."""
        if self.held_out.size:
            return "held-out"
        return "training" if self.out_of_fold is None else "out-of-fold"


class Encoded(NamedTuple):
    """Rows as the network takes them: features, float32 [rows, features], and target, [rows] or [rows, 1]."""

    features: NDArray[np.float32]
    target: NDArray[Any]

    def part(self, start: int, stop: int) -> Encoded:
        """Some of the rows, in the same memory."""
        return Encoded(self.features[start:stop], self.target[start:stop])

    def rows(self, rows: NDArray[Any]) -> Encoded:
        """Some of the rows, by their number or by a mask: a copy."""
        return Encoded(self.features[rows], self.target[rows])

    def every(self, step: int) -> Encoded:
        """Every so many-th of the rows, in the same memory."""
        return Encoded(self.features[::step], self.target[::step])


@dataclass(frozen=True, repr=False)
class Prepared:
    """A table made ready for training: encoded by what its training rows taught.

    ``arranged`` holds the encoded rows once, those that train first, then those that choose the epoch, then those
    that are held out; ``training``, ``validation``, ``held_out`` and more are parts of it. ``features`` and
    ``target`` are of the table's rows in its own order, computed anew; ``roles`` say of these rows what groups they are
    of, when they are from, and how much they count.

    >>> from chainrule import data, tables
    >>> wine = data.load_bundled("wine")
    >>> prepared = tables.prepare(wine.frame, wine.target)
    >>> prepared.features.shape, prepared.training.features.shape, prepared.architecture.widths
    ((178, 13), (178, 13), (13, 64, 64, 3))
    """

    frame: pl.DataFrame
    preprocessor: Preprocessor
    split: Split
    arranged: Encoded
    settings: TrainingSettings
    architecture: Architecture
    notices: tuple[str, ...]
    roles: Roles = field(default_factory=Roles)

    __repr__ = short_repr

    @property
    def features(self) -> NDArray[np.float32]:
        """The features of all rows of the table, float32 [rows, features]."""
        return self.preprocessor.transform(self.frame)

    @property
    def target(self) -> NDArray[Any]:
        """The encoded target of all rows of the table, [rows] or [rows, 1]; zeros where there is none."""
        known = self.arranged.target
        every = np.zeros((self.frame.height, *known.shape[1:]), known.dtype)
        every[np.concatenate(self.split.parts)] = known
        return every

    def encoded(self, rows: NDArray[np.int64]) -> Encoded:
        """Features and target of some rows of the table."""
        return Encoded(self.features[rows], self.target[rows])

    @property
    def training(self) -> Encoded:
        """The rows that train the network."""
        return self.arranged.part(0, self.split.training.size)

    def for_network(self, fold: Fold) -> NDArray[np.float32]:
        """The features of all training rows for the network of a fold: means of targets are of its own rows alone."""
        features = self.training.features
        if not self.preprocessor.has_target_means:
            return features
        rows = self.split.training
        train = np.zeros(len(rows), np.bool_)
        train[fold.train] = True
        groups = None if self.roles.groups is None else self.roles.groups[rows]
        own = features.copy()
        counts = self.roles.counts(rows)
        weights = None if counts is None else counts[rows]
        self.preprocessor.encode_training(self.frame, rows, own, groups, train, weights)
        return own

    @property
    def validation(self) -> Encoded:
        """The rows that choose the best epoch; there may be none."""
        start = self.split.training.size
        return self.arranged.part(start, start + self.split.validation.size)

    @property
    def unseen(self) -> Encoded:
        """The rows that do not train the network: validation, then held-out rows."""
        return self.arranged.part(self.split.training.size, len(self.arranged.target))

    @property
    def scored(self) -> Encoded:
        """The rows that the score is of: those held out or, where there are none, those that train."""
        if not self.split.held_out.size:
            known = self.split.out_of_fold
            if known is None or known.size == self.split.training.size:
                return self.training
            mine = np.isin(self.split.training, known)
            return self.training.rows(mine)
        return self.arranged.part(
            self.split.training.size + self.split.validation.size, len(self.arranged.target)
        )

    @property
    def most_frequent(self) -> int:
        """The label of the training rows' most frequent class; 0 for a regression."""
        if self.preprocessor.target.task == "regression":
            return 0
        weights = self.roles.weights
        return int(
            np.bincount(
                self.training.target, None if weights is None else weights[self.split.training]
            ).argmax()
        )

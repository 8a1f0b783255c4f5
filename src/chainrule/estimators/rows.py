"""Rows of a table as an estimator keeps them: as given, as validated, and as the loss reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chainrule.estimators.inputs import Features, Table
from chainrule.ops.record import Array

LARGEST_MERGED = 2**20


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some rows: X as the user gave it, validated features, and the target in three forms.

    ``y`` is validated [rows] or [rows, outputs]; ``encoded`` has one column for each target or label (bools for
    labels, and for the second of two classes), or one of class numbers where there are more than two classes;
    ``target`` is what the loss reads. ``weight`` is None where all rows weigh the same;
    ``score_weight`` is the user's alone, without class weights.
    """

    given: Table
    x: Features
    y: Array
    encoded: Array
    target: Array
    weight: Array | None
    score_weight: Array | None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def total(self) -> float:
        """The number of rows, or the sum of their weights."""
        return float(len(self)) if self.weight is None else float(self.weight.sum())

    def take(self, index: Array) -> Part:
        """The rows with these numbers; ``given`` stays behind."""
        return Part(
            given=(),
            x=self.x[index],
            y=self.y[index],
            encoded=self.encoded[index],
            target=self.target[index],
            weight=None if self.weight is None else self.weight[index],
            score_weight=None if self.score_weight is None else self.score_weight[index],
        )

    def merged(self) -> Part:
        """Merge equal rows into one with the sum of their weights, and drop rows of weight 0; the rows are sorted.

        If one minibatch holds all rows, this changes nothing but rounding, and a row that comes twice gives the same
        bits as one of weight 2. Tables of more than a million numbers are returned as they are.
        """
        if not isinstance(self.x, np.ndarray) or self.x.size > LARGEST_MERGED:
            return self
        weight = np.ones(len(self)) if self.weight is None else self.weight
        kept = np.flatnonzero(weight)
        key = np.column_stack([self.x, self.target])[kept]
        _, first, which = np.unique(key, axis=0, return_index=True, return_inverse=True)
        total = np.bincount(which.ravel(), weight[kept], minlength=len(first))
        rows = self.take(kept[first])
        return replace(rows, weight=None if (total == 1.0).all() else total)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Validation rows, by which an estimator is scored during training."""

    part: Part
    given: Table

    @property
    def x(self) -> Features:
        """Validated features."""
        return self.part.x

    @property
    def target(self) -> Array:
        """What the loss reads."""
        return self.part.target

    @property
    def weight(self) -> Array | None:
        """Weights, or None."""
        return self.part.weight

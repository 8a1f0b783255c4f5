"""Rows on their way through an estimator: as given, as validated, as the loss wants them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.estimators.session import Session
from chainrule.ops.record import Array
from chainrule.training.sparse_rows import is_sparse

LARGEST_MERGED = 2**20


@dataclass(frozen=True)
class Part:
    """Some rows: X as the user gave it, validated features, and the target in three forms.

    ``y`` is validated [rows] or [rows, outputs], ``encoded`` has one column for each output of the network
    (bools for classes), ``target`` is what the loss reads. ``weight`` is None where all rows weigh the same;
    ``score_weight`` is the user's alone, without class weights.
    """

    given: Any
    x: Any
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
        """The rows of these numbers, without what was given."""
        arrays: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[index]
            for name in ("x", "y", "encoded", "target", "weight", "score_weight")
        }
        return replace(self, given=None, **arrays)

    def merged(self) -> Part:
        """Equal rows as one of their common weight, rows of weight 0 left out, in an order of their own.

        Where one minibatch holds all rows this changes nothing but rounding, and then a row that comes twice
        gives the same bits as one of weight 2. Tables of more than a million numbers are left as they are.
        """
        if is_sparse(self.x) or self.x.size > LARGEST_MERGED:
            return self
        weight = np.ones(len(self)) if self.weight is None else self.weight
        kept = np.flatnonzero(weight)
        key = np.column_stack([self.x, self.target])[kept]
        _, first, which = np.unique(key, axis=0, return_index=True, return_inverse=True)
        total = np.bincount(which.ravel(), weight[kept], minlength=len(first))
        rows = self.take(kept[first])
        return replace(rows, weight=None if (total == 1.0).all() else total)


@dataclass(frozen=True)
class Watched:
    """Rows that do not train, by which an estimator is judged during training."""

    part: Part
    given: Any

    @property
    def x(self) -> Any:
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

    def scorer(self, estimator: Any, session: Session | None) -> Callable[[], float]:
        """A function that tells how good the estimator's present parameters are; higher is better."""
        scorer = estimator._scorer()
        if scorer is not None:
            options = {} if self.part.score_weight is None else {"sample_weight": self.part.score_weight}
            return lambda: float(scorer(estimator, self.given, self.part.y, **options))
        if estimator.scoring == "loss":
            assert session is not None
            return lambda: -session.validation_loss()
        return self._own_score(estimator)

    def _own_score(self, estimator: Any) -> Callable[[], float]:
        def score() -> float:
            outputs = estimator._predictions(self.x)
            if not np.isfinite(outputs).all():
                return float("nan")
            return float(estimator._own_score(self.part, outputs))

        return score

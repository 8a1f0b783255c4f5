"""What an ensemble says of its own training rows: each is answered by the networks that did not train on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.foreign_text import short_repr
from chainrule.nn.module import Module
from chainrule.tables.mixture import log_probabilities

Rows = NDArray[np.int64]


@dataclass(frozen=True, repr=False, eq=False)
class OutOfFold:
    """Networks, and for each the rows (numbers among those that train) that it did not see.

    ``shares`` say how much each network counts. ``classes`` says whether outputs are logits, the logarithms of whose
    probabilities are averaged and then made less or more sure by ``temperature``.
    ``linear`` are the outputs [rows, outputs] of linear models of the same folds, where there are any.
    """

    members: Sequence[Module]
    unseen: Sequence[Rows]
    shares: Sequence[float]
    classes: bool
    temperature: float = 1.0
    linear: NDArray[np.float64] | None = None

    __repr__ = short_repr

    def outputs(self, features: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
        """The outputs [rows, outputs] for the ``features`` of some rows; NaN where every network saw the row."""
        total, weight = None, np.zeros((len(rows), 1))
        last, mine = None, rows[:0]
        for member, unseen, share in zip(self.members, self.unseen, self.shares, strict=True):
            if unseen is not last:  # the networks of a fold stand side by side
                last, mine = unseen, np.flatnonzero(np.isin(rows, unseen))
            if not len(mine) and total is not None:
                continue
            found = member.predict(features[mine]).astype(np.float64)
            found = log_probabilities(found) if self.classes else found
            total = np.zeros((len(rows), found.shape[1])) if total is None else total
            total[mine] += share * found
            weight[mine] += share
        assert total is not None  # there is a member
        with np.errstate(invalid="ignore"):  # 0 / 0
            return (total / weight / self.temperature).astype(np.float32)

    def by_folds(self, predict: Callable[[Rows, Rows], NDArray[Any] | None]) -> NDArray[Any] | None:
        """What another model says of all rows that are judged, of each fold after training on the others.

        ``predict`` takes the rows to train on and those to judge; None where it gives None for a fold.
        """
        judged = np.unique(np.concatenate(self.unseen))
        everything: NDArray[Any] | None = None
        known = np.zeros(len(judged), bool)
        for rows in self.unseen:
            new = np.setdiff1d(rows, judged[known])
            if new.size == 0:
                continue
            found = predict(np.setdiff1d(judged, rows), new)
            if found is None:
                return None
            if everything is None:
                everything = np.empty((len(judged), *found.shape[1:]), found.dtype)
            place = np.searchsorted(judged, new)
            everything[place], known[place] = found, True
        return everything

"""What an ensemble says of its own training rows: each is answered by the networks that did not train on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.foreign_text import short_repr
from chainrule.nn.module import Module
from chainrule.tables.mixture import mean_of

Rows = NDArray[np.int64]


@dataclass(frozen=True, repr=False, eq=False)
class OutOfFold:
    """Networks, and for each the rows (numbers among those that train) that it did not see.

    ``classes`` says whether outputs are logits, whose probabilities are averaged and then made less or more sure by
    ``temperature``.
    """

    members: Sequence[Module]
    unseen: Sequence[Rows]
    classes: bool
    temperature: float = 1.0

    __repr__ = short_repr

    def outputs(self, features: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
        """The outputs [rows, outputs] for the ``features`` of some rows; NaN where every network saw the row."""
        answers = [np.flatnonzero(np.isin(rows, unseen)) for unseen in self.unseen]
        found = [member.predict(features[mine]) for member, mine in zip(self.members, answers, strict=True)]
        count = np.bincount(np.concatenate(answers), minlength=len(rows))
        stacked = np.empty((max(int(count.max()), 1), len(rows), found[0].shape[1]))
        place = np.zeros(len(rows), np.int64)  # how many answers each row has had
        for mine, outputs in zip(answers, found, strict=True):
            stacked[place[mine], mine] = outputs
            place[mine] += 1
        mixed = np.full(stacked.shape[1:], np.nan, np.float32)
        for several in np.unique(count[count > 0]):
            these = np.flatnonzero(count == several)
            mixed[these] = mean_of(stacked[:several, these], self.classes)
        mixed /= np.float32(self.temperature)
        return mixed

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

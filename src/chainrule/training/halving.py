"""Successive halving: many replicas begin, and the worse ones are dropped on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chainrule.optim.settings import check_count, check_number, keep_checked

MOST_RESTARTS = 10**7  # nobody has the memory that the curves of more would take


@dataclass(frozen=True)
class Halving:
    """Train ``restarts`` replicas and drop the worse ones every ``every`` epochs until one is left.

    It is given to ``cr.fit`` as ``restarts``. Each time the fraction ``keep`` of the remaining replicas, rounded up,
    goes on: those with the lowest validation loss (without ``validation``: training loss; with ``cr.EarlyStopping``:
    the lowest so far), of equal ones the first. At least one is dropped. A replica that has stopped competes with its
    last loss. Nothing is dropped after the last epoch. (Successive halving: Jamieson & Talwalkar, 2016.) Raises
    SettingError for settings out of range.

    >>> import chainrule as cr
    >>> halving = cr.Halving(64, keep=0.5, every=5)
    >>> [halving.survivors(alive) for alive in (64, 5, 2)]
    [32, 3, 1]
    """

    restarts: int
    keep: float = 0.5
    every: int = 1

    def __post_init__(self) -> None:
        keep_checked(
            self,
            restarts=check_count("restarts", self.restarts, least=2, most=MOST_RESTARTS),
            keep=check_number("keep", self.keep, above=0, below=1),
            every=check_count("every", self.every),
        )

    def survivors(self, alive: int) -> int:
        """How many of ``alive`` replicas go on."""
        wanted = math.ceil(round(alive * self.keep, 6))  # 0.7 * 10 is a little more than 7
        return max(1, min(alive - 1, wanted))

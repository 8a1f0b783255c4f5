"""The learning rate at the start of each epoch, as a schedule has it; asked for many epochs at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.ops.record import Array
from chainrule.optim.schedules import Listing, Rate, rates, takes_arrays

BLOCK = 256  # epochs at once: a schedule takes as long for one
MOST_BLOCKS = 64  # kept, of 2 kB each


class EpochRates:
    """The values of schedules at the first step of every epoch.

    Blocks begin at fixed epochs, so that a value does not depend on where a run was resumed.
    """

    def __init__(self, listings: Sequence[Listing] = ()) -> None:
        self._listings = listings
        self._known: tuple[Rate | None, dict[tuple[int, int], Array]] = None, {}

    def at(self, rate: Rate, begin: int, steps: int, epochs: int) -> list[float]:
        """The rate at the start of so many epochs of ``steps`` steps, the first of which begins at step ``begin``."""
        first = begin // steps
        if begin % steps or not takes_arrays(rate):
            return self._asked(rate, begin + steps * np.arange(epochs)).tolist()
        blocks = range(first // BLOCK, (first + epochs - 1) // BLOCK + 1)
        found = [self._block(rate, steps, number) for number in blocks]
        start = first - blocks[0] * BLOCK
        return (found[0] if len(found) == 1 else np.concatenate(found))[start : start + epochs].tolist()

    def _block(self, rate: Rate, steps: int, number: int) -> Array:
        known, blocks = self._known
        if known is not rate:
            blocks = {}
        key = steps, number  # replicas with rows of their own differ in the steps of an epoch
        if key not in blocks:
            starts = steps * np.arange(number * BLOCK, (number + 1) * BLOCK)
            # several threads may do this, so it is replaced whole
            blocks = dict([*blocks.items()][1 - MOST_BLOCKS :]) | {key: self._asked(rate, starts)}
            self._known = rate, blocks
        return blocks[key]

    def _asked(self, rate: Rate, steps: Array) -> Array:
        listing = next((known for known in self._listings if known.listed is rate), None)
        return rates(rate, steps) if listing is None else listing.at(steps)

"""How long to train where a budget of seconds is given: short trials say what an epoch takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from chainrule.errors import SettingError
from chainrule.tables.prepared import Prepared
from chainrule.tables.settings import TrainingSettings

RESERVE = 0.1  # of the seconds, since epochs do not all take the same time
MOST_REPEATS = 16  # how often the rows are dealt at most; more change little
LOOK = 0.3  # of the seconds, for trials at most
FIRST, LONGER = (
    4,
    2.0,
)  # epochs of the first longer trial; how many times as long it must take as one of one epoch


def within_budget(
    prepared: Prepared,
    trial: Callable[[int], object],
    begun: tuple[int, int] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Prepared:
    """The same table with as many epochs, or repeats of the folds, as ``settings.budget`` seconds allow.

    ``trial`` trains for so many epochs and is thrown away. A run that is gone on with has ``begun`` with so many epochs
    and networks, which it keeps. Raises SettingError for a budget that is too short for one epoch.
    """
    settings = prepared.settings
    if settings.budget is None:
        return prepared
    if begun is not None:
        return _planned(prepared, begun[0], max(begun[1] // settings.folds, 1))
    start = clock()
    begins, epoch = _measured(trial, LOOK * settings.budget, clock)
    usable = 1 - (2 if settings.distil else 1) * RESERVE  # a network that imitates takes a tenth or less
    left = settings.budget * usable - (clock() - start)
    usual = settings.epochs_for(prepared.split.training.size)
    possible = int((left - begins) / epoch)
    if possible < 1:
        needed = math.ceil((clock() - start + begins + epoch) / usable)
        raise SettingError(
            f"a budget of {settings.budget:g} s is too short for one epoch of all networks",
            expected=f"about {needed} s or more here",
            hint="a longer budget, or fewer folds",
        )
    repeats = int(left / (begins + usual * epoch))
    return _planned(prepared, min(possible, usual), min(max(repeats, 1), MOST_REPEATS))


def _measured(trial: Callable[[int], object], most: float, clock: Callable[[], float]) -> tuple[float, float]:
    """The seconds in which a run begins, and those of an epoch; ``most`` seconds may be spent on telling them apart."""
    trial(1)  # it compiles, too
    start = clock()
    trial(1)
    once, more = clock() - start, FIRST
    while True:  # until the epochs are more than what a run takes to begin, which hides them
        before = clock()
        if before - start + (1 + FIRST) * once > most:  # none of the trials takes longer than that
            return 0.0, once  # an epoch at most
        trial(1 + more)
        longer = clock() - before
        if longer > LONGER * once:
            epoch = (longer - once) / more
            return max(once - epoch, 0.0), epoch
        more *= FIRST


def _planned(prepared: Prepared, epochs: int, repeats: int) -> Prepared:
    """The same with these epochs and repeats, and a notice that says so."""
    settings = prepared.settings
    patience = (
        settings.patience if settings.patience is None else min(settings.patience, max(epochs // 3, 10))
    )
    settings = replace(settings, epochs=epochs, restarts=repeats, patience=patience)
    return replace(
        prepared,
        settings=settings,
        architecture=replace(prepared.architecture, members=settings.folds * repeats),
        notices=(*prepared.notices, describe_plan(settings)),
    )


def describe_plan(settings: TrainingSettings) -> str:
    """What a budget allowed, and how to have the same model again without one.

    >>> describe_plan(TrainingSettings(ensemble=True, budget=60, epochs=24, restarts=2, patience=10))
    '60 s allow 24 epochs and 16 folds; the same model again: epochs=24, restarts=2 and patience=10 without a budget'
    """
    again = f"epochs={settings.epochs}, restarts={settings.restarts} and patience={settings.patience}"
    allowed = f"{settings.epochs} epochs and {settings.restarts * settings.folds} folds"
    return f"{settings.budget:g} s allow {allowed}; the same model again: {again} without a budget"


def check_budget(settings: TrainingSettings) -> None:
    """SettingError where a budget is given to a single network, which has no folds to repeat."""
    if settings.budget is not None and not settings.ensemble:
        raise SettingError(
            "a budget is of an ensemble, and a single network is asked for, or rows are too few for folds",
            hint="leave out the budget",
        )

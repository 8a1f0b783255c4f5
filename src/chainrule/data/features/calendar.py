"""Where in the day, the week, the month and the year a time is, so that what comes again can be learned.

A phase is how much of its cycle has passed, from 0 to 1. It becomes sines and cosines of the phase and of its first
multiples: the last day of a cycle is then as near to the first one as any two neighbours are. Three harmonics tell the
seven days of the week apart in every way there is. Only parts that tell something of the target are used: each of them
is some features more, and on small tables features that tell nothing cost as much as good ones gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY = 86_400  # seconds
THURSDAY = 3  # days from a Monday to 1970-01-01
HARMONICS = MappingProxyType({"time of day": 3, "day of week": 3, "day of month": 1, "time of year": 2})
"""The parts of the calendar, each with how many multiples of its phase become features."""
CYCLES = MappingProxyType(
    {"time of day": DAY, "day of week": 7 * DAY, "day of month": 31 * DAY, "time of year": 366 * DAY}
)
LEAST_CYCLES = MappingProxyType({"time of day": 2, "day of week": 2, "day of month": 2, "time of year": 1})
"""How many cycles training times must span: in fewer, the part says no more than the time itself."""
SURE = 0.01  # how often a part that tells nothing may pass for one that does
MOST_ROWS = 100_000  # that are looked at


def phase(part: str, seconds: Floats) -> Floats:
    """How much of the cycle of a part of the calendar has passed at some times, in seconds since 1970-01-01 [rows].

    NaN where the time is missing.

    >>> phase("day of week", np.array([4.0 * DAY])), phase("time of day", np.array([6 * 3600.0]))
    (array([0.]), array([0.25]))
    """
    days = np.floor(seconds / DAY)
    if part == "time of day":
        return np.asarray(seconds / DAY - days)
    if part == "day of week":
        return np.asarray(np.mod(days + THURSDAY, 7) / 7)
    known = np.isfinite(days)
    dates = np.where(known, days, 0).astype("datetime64[D]")
    unit, length = ("M", 31) if part == "day of month" else ("Y", 366)
    passed = (dates - dates.astype(f"datetime64[{unit}]").astype("datetime64[D]")).astype(np.float64)
    return np.where(known, passed / length, np.nan)


def telling_parts(seconds: Floats, target: Floats) -> tuple[str, ...]:
    """The parts of the calendar that say of training times [rows] what the target [rows, outputs] is there.

    By an F test for each part: whether its sines and cosines explain more of the target, beyond a trend in time, than
    chance would. Times may be missing (NaN).
    """
    known = np.flatnonzero(np.isfinite(seconds))
    known = known[:: -(-len(known) // MOST_ROWS) or 1]
    if len(known) < 3:
        return ()
    seconds, target = seconds[known], target[known]
    span = float(np.ptp(seconds))
    return tuple(
        part
        for part, cycle in CYCLES.items()
        if span >= LEAST_CYCLES[part] * cycle and _chance(part, seconds, target) < SURE
    )


def _chance(part: str, seconds: Floats, target: Floats) -> float:
    """How likely a part would explain as much of the target by chance, if it told nothing.

    Rows of one day (for the time of day: of one moment) count as one, with their mean: they may have in common what no
    calendar tells, and a hundred rows of four days say no more of weekdays than four.
    """
    from scipy.special import fdtrc

    moments = seconds if part == "time of day" else np.floor(seconds / DAY) * DAY
    moments, place, rows = np.unique(moments, return_inverse=True, return_counts=True)
    target = np.stack([np.bincount(place, one) / rows for one in target.T], 1)
    trend = np.stack([np.ones(len(moments)), (moments - moments[0]) / (np.ptp(moments) or 1.0)], 1)
    harmonics = np.zeros((len(moments), 2 * HARMONICS[part]), np.float32)
    encode_calendar([part], moments, harmonics)
    before, plain = _left(trend, target)
    after, both = _left(np.concatenate([trend, harmonics], 1), target)
    more, rest = both - plain, len(moments) - both
    if more <= 0 or rest <= 0:
        return 1.0
    usable = before > 1e-12 * np.square(target - target.mean(0)).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(usable, (before - after) / more / (after / rest), 0.0)
    chances = fdtrc(more, rest, np.maximum(ratio, 0.0))
    return float(chances.min() * len(chances))


def _left(features: Floats, target: Floats) -> tuple[Floats, int]:
    """The squares of the target [rows, outputs] that least squares leaves unexplained, and the features' rank."""
    weights, _, rank, _ = np.linalg.lstsq(features, target, rcond=1e-6)
    return np.square(target - features @ weights).sum(0), int(rank)


def calendar_names(name: str, parts: Sequence[str]) -> tuple[str, ...]:
    """The names of the features of some parts of a column.

    >>> calendar_names("day", ["day of month"])
    ('day: day of month, sine', 'day: day of month, cosine')
    """
    return tuple(
        f"{name}: {part}, {function}" + (f" of {k} times" if k > 1 else "")
        for part in parts
        for k in range(1, HARMONICS[part] + 1)
        for function in ("sine", "cosine")
    )


def encode_calendar(parts: Sequence[str], seconds: Floats, out: NDArray[np.float32]) -> None:
    """Write the features of some parts of the calendar into ``out`` [rows, features]; zeros where there is no time."""
    place = 0
    for part in parts:
        angle = 2 * np.pi * phase(part, seconds)
        for k in range(1, HARMONICS[part] + 1):
            out[:, place], out[:, place + 1] = (
                np.nan_to_num(np.sin(k * angle)),
                np.nan_to_num(np.cos(k * angle)),
            )
            place += 2

"""The calendar in ONNX, which knows no dates: what ``data.features.calendar`` computes, from seconds since 1970."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule.data.features.calendar import DAY, HARMONICS, THURSDAY
from chainrule.exchange.onnx_writer import Writer

MARCH = 719_468  # days from 0000-03-01 to 1970-01-01: leap days then end the years
ERA = 146_097  # days in 400 years


class _Days:
    """Whole numbers and parts of them as float64 values of a file, [rows]; each of them is written once."""

    def __init__(self, w: Writer, seconds: str) -> None:
        self.w = w
        self.days = self.floor(self.op("Div", seconds, DAY))
        self.of_day = self.op("Sub", self.op("Div", seconds, DAY), self.days)

    def op(self, name: str, *values: str | float) -> str:
        return self.w.op(name, *(v if isinstance(v, str) else self.w.constant(v, np.float64) for v in values))

    def floor(self, value: str) -> str:
        return self.op("Floor", value)

    def times(self, value: str, by: float) -> str:
        """How often ``by`` goes into the value."""
        return self.floor(self.op("Div", value, by))

    def rest(self, value: str, by: float) -> str:
        """What is left of the value."""
        return self.op("Sub", value, self.op("Mul", self.times(value, by), by))

    def week(self) -> str:
        """The day of the week, from Monday, 0."""
        return self.rest(self.op("Add", self.days, THURSDAY), 7)

    def since_march(self) -> tuple[str, str]:
        """The year in its 400 years, and the day in it, both from 0; years begin in March.

        By the count of leap days: one in four years, none in a hundred, one in four hundred.
        """
        day = self.rest(self.op("Add", self.days, MARCH), ERA)
        leap = self.op("Sub", self.times(day, 1_460), self.times(day, 36_524))
        leap = self.op("Add", leap, self.times(day, ERA - 1))
        year = self.times(self.op("Sub", day, leap), 365)
        before = self.op(
            "Sub", self.op("Add", self.op("Mul", year, 365), self.times(year, 4)), self.times(year, 100)
        )
        return year, self.op("Sub", day, before)

    def month(self) -> str:
        """The day of the month, from 0; five months from March on have 153 days, and so have the next five."""
        _, day = self.since_march()
        month = self.times(self.op("Add", self.op("Mul", day, 5), 2), 153)
        return self.op("Sub", day, self.times(self.op("Add", self.op("Mul", month, 153), 2), 5))

    def year(self) -> str:
        """The day of the year, from 0."""
        year, day = self.since_march()
        in_january, january = self.op("GreaterOrEqual", day, 306), self.op("Sub", day, 306)
        of_four, of_hundred, of_all = (self.op("Equal", self.rest(year, n), 0) for n in (4, 100, 400))
        leap = self.w.op("Or", self.w.op("And", of_four, self.w.op("Not", of_hundred)), of_all)
        march = self.op("Add", self.op("Add", day, 59), self.w.cast(leap, np.bool_, np.float64))
        return self.op("Where", in_january, january, march)


def calendar_features(w: Writer, parts: Sequence[str], seconds: str) -> str:
    """The sines and cosines of some parts of the calendar, float32 [rows, features]; zeros where there is no time."""
    days = _Days(w, seconds)
    phases = {
        "time of day": lambda: days.of_day,
        "day of week": lambda: days.op("Div", days.week(), 7),
        "day of month": lambda: days.op("Div", days.month(), 31),
        "time of year": lambda: days.op("Div", days.year(), 366),
    }
    missing, zero, behind = w.op("IsNaN", seconds), w.constant(0, np.float32), w.constant([1], np.int64)
    features = []
    for part in parts:
        phase = phases[part]()
        for k in range(1, HARMONICS[part] + 1):
            passed = days.rest(days.op("Mul", phase, k), 1)  # small angles: float32 then loses nothing
            angle = w.cast(days.op("Mul", passed, 2 * math.pi), np.float64, np.float32)
            for function in ("Sin", "Cos"):
                value = w.op("Where", missing, zero, w.op(function, angle))
                features.append(w.op("Unsqueeze", value, behind))
    return w.op("Concat", *features, axis=1)

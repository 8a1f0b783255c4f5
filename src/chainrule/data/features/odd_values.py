"""Columns that only number or name the rows, and values that rather stand for a missing one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chainrule.data.features.column_options import said_as
from chainrule.foreign_text import quoted

if TYPE_CHECKING:
    import polars as pl

FEWEST = 10  # rows, below which nothing is said
NAMES_OF_IDS = re.compile(
    r"(?i:(?:.*[\s_.-])?(?:id|ids|uuid|guid|key|index|idx|identifier|ident|rowid|record|serial"
    r"|rownames?|row|nr|no|num|number|unnamed: \d+|column_1|#))"
    r"|.*[a-z]ID"
)
YEARS = (1500, 2200)
TIMES_REPEATED = 3
SHARE_REPEATED = 0.005


def numbers_rows(series: pl.Series, values: NDArray[np.float64]) -> str:
    """Why a column of integers says nothing about its rows: it counts them, or is an ID; "" if neither.

    All ``values`` [rows] of the column are looked at. It counts the rows if its values are 0, 1, 2 ... or 1, 2, 3 ...
    in any order, or go up by one from any number that is no year. It is an ID if it is called so and no value comes
    twice.
    """
    if not series.dtype.is_integer() or len(values) < FEWEST or series.null_count():
        return ""
    low, high = float(values.min()), float(values.max())
    span = high - low + 1 == len(values)
    is_year = low >= YEARS[0] and high <= YEARS[1]
    if span and bool((np.diff(values) == 1).all()) and not is_year:
        return "it counts the rows"
    different = span or bool(NAMES_OF_IDS.fullmatch(series.name))
    if not different or np.unique(values).size < len(values):
        return ""
    if span and low in {0, 1}:
        return "it numbers the rows"
    return "it is an ID: all its values are different" if NAMES_OF_IDS.fullmatch(series.name) else ""


def sentinels(name: str, known: NDArray[np.float64]) -> list[str]:
    """Notices of whole numbers [rows] that come again and again, further from all others than these from each other.

    >>> sentinels("x", np.array([0.5, 2.0, 1.5, 3.0, 2.5, 1.0] * 9 + [-999.0] * 6))[0][:46]
    "column 'x' is -999 in 6 of 60 rows, far from a"
    """
    if len(known) < FEWEST:
        return []
    low, high = float(known.min()), float(known.max())
    found = [
        value
        for value in dict.fromkeys((low, high))
        if value and value.is_integer() and _stands_apart(value, known)
    ]
    return [
        f"column {quoted(name)} is {value:.10g} in {int((known == value).sum())} of {len(known)} rows, far from all "
        f"other values; if that means missing: {said_as('missing', f'{value:.10g}')}"
        for value in found
    ]


def _stands_apart(value: float, known: NDArray[np.float64]) -> bool:
    count = int((known == value).sum())
    if count < max(TIMES_REPEATED, SHARE_REPEATED * len(known)):
        return False
    others = known[known != value]
    if not others.size:
        return False
    low, high = float(others.min()), float(others.max())
    gap = min(abs(value - low), abs(value - high))
    return bool(high > low and gap >= high - low and np.unique(others[:1000]).size >= 5)

"""Checks of the numbers that optimizers and schedules are set to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.per_replica import is_number


def check_number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> float:
    """The setting, a float; SettingError unless finite, least <= value <= most and above < value < below."""
    fits = is_number(value) and math.isfinite(value)
    if fits and least <= value <= most and above < value < below:
        return float(value)
    bounds = [(">=", least), (">", above), ("<=", most), ("<", below)]
    limits = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if math.isfinite(bound))
    raise SettingError(
        f"{name} has a value that it cannot have", expected=f"a number {limits}", got=repr(value)
    )


def check_count(name: str, value: Any, least: int = 1) -> int:
    """The setting as an int; SettingError unless it is a whole number of at least ``least``."""
    if is_number(value) and value >= least and value == value // 1:
        return int(value)
    raise SettingError(
        f"{name} has a value that it cannot have", expected=f"a whole number >= {least}", got=repr(value)
    )


def check_flag(name: str, value: Any) -> bool:
    """The setting; SettingError unless it is True or False."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise SettingError(f"{name} has a value that it cannot have", expected="True or False", got=repr(value))

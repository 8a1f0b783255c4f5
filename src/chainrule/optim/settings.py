"""Checks of the numbers that optimizers, schedules and runs are set to."""

from __future__ import annotations

import math

import numpy as np

from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.per_replica import is_number

#: what a hint proposes: the first of these that is in range
_USUAL = (1.0, 0.5, 0.1, 0.0, 2.0)


def check_number(
    name: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> float:
    """The setting as a float; SettingError unless finite, least <= value <= most and above < value < below.

    >>> check_number("momentum", 1.5, least=0, below=1)
    Traceback (most recent call last):
        ...
    chainrule.errors.SettingError: momentum must be a number >= 0 and < 1
      got:      1.5
      try:      momentum=0.5
    """

    def fits(number: float) -> bool:
        return math.isfinite(number) and least <= number <= most and above < number < below

    number = float(value) if is_number(value) else math.nan
    if fits(number):
        return number
    bounds = [(">=", least), (">", above), ("<=", most), ("<", below)]
    limits = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if math.isfinite(bound))
    proposed = next((x for x in (*_USUAL, least, most) if fits(x)), (above + below) / 2)
    raise SettingError(
        f"{name} must be {f'a number {limits}' if limits else 'a finite number'}",
        got=quoted(value),
        hint=_hint(name, f"{proposed:g}"),
    )


def check_count(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """The setting as an int; SettingError unless it is a whole number of at least ``least`` and at most ``most``.

    >>> check_count("epochs", 0)
    Traceback (most recent call last):
        ...
    chainrule.errors.SettingError: epochs must be a whole number >= 1
      got:      0
      try:      epochs=1
    """
    whole = _as_int(value)
    if whole is not None and least <= whole and (most is None or whole <= most):
        return whole
    too_large = isinstance(value, int) and value > least and not isinstance(value, bool)
    top = "2**1023" if most is None and too_large else most  # beyond, no float can hold it
    limit = "" if top is None else f", and at most {top}"
    raise SettingError(
        f"{name} must be a whole number >= {least}{limit}",
        got=quoted(value),
        hint=_hint(name, str(least)),
    )


def check_flag(name: str, value: object) -> bool:
    """The setting; SettingError unless it is True or False."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise SettingError(f"{name} must be True or False", got=quoted(value), hint=_hint(name, "True"))


def keep_checked(record: object, **checked: object) -> None:
    """Put checked values into a frozen dataclass, from its ``__post_init__``: plain numbers, whatever came."""
    for name, value in checked.items():
        object.__setattr__(record, name, value)


def _as_int(value: object) -> int | None:
    """A plain whole number as an int; None for what is none."""
    return int(value) if is_number(value) and math.isfinite(value) and value == int(value) else None


def _hint(name: str, value: str) -> str:
    """A setting that would be taken, as it is written in a call."""
    return f"{name}={value}" if name.isidentifier() else f"such as {value}"

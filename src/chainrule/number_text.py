"""Numbers as text: how many digits, which signs, which separators. Formulas, drawings, plots and reports use these."""

from __future__ import annotations

import math

import numpy as np

MINUS = "\u2212"  # the true minus sign
THIN_SPACE = "\u202f"  # between groups of three digits; a line does not break there
SHORT_LABEL = 6  # characters of a tick label, up to which several fit below an axis
LONGEST_LABEL = 9  # characters of a tick label that fit beside an axis


def significant(value: float, digits: int = 6) -> str:
    """A number to some significant digits, with a short exponent.

    >>> significant(0.1234567), significant(-1e-9), significant(float("nan")), significant(2.0)
    ('0.123457', '-1e-9', 'nan', '2')
    """
    text = f"{float(value):.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text


def readable(value: float) -> str:
    """A number for prose and tables: four digits, or all before the point, in groups of three; a word if not finite.

    >>> readable(12.3456), readable(0.00001), readable(float("nan")), readable(12345) == "12\u202f345"
    ('12.35', '1.000e-05', 'not a number', True)
    """
    if not np.isfinite(value):
        return "not a number" if np.isnan(value) else "infinite"
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-4:
        return f"{value:.3e}"
    digits = 0 if float(value).is_integer() else max(0, 3 - math.floor(math.log10(abs(value))))
    written = f"{round(value, digits):,.{digits}f}".replace(",", THIN_SPACE)
    return written.rstrip("0").rstrip(".") if digits else written


def rough(value: float) -> str:
    """Like ``readable``, to three digits: for what the next draw of rows would change in the second.

    >>> rough(0.056681), rough(-12.3456), rough(12345) == "12\u202f300"
    ('0.0567', '-12.3', True)
    """
    return readable(float(f"{value:.3g}"))


def tick_label(value: float) -> str:
    """The shortest text for a tick on an axis.

    >>> [tick_label(value) for value in (0.0, 0.25, 1500.0, 1e-5, -2.5e9, 1e8 + 1)]
    ['0', '0.25', '1500', '1e-5', '-2.5e9', '100000001']
    """
    plain = np.format_float_positional(value, trim="-")
    mantissa, exponent = f"{value:.3e}".split("e")
    scientific = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    # Large numbers that differ in their last digits must not get the same label.
    longest = SHORT_LABEL if float(scientific) == value else LONGEST_LABEL
    return plain if len(plain) <= longest else scientific


def duration(seconds: float) -> str:
    """A time span in seconds, minutes or hours.

    >>> duration(0.123), duration(75.2), duration(100), duration(7200)
    ('0.12 s', '75 s', '1 min 40 s', '2.0 h')
    """
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes / 60:.1f} h"

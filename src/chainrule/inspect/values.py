"""Numbers and arrays as short text."""

from __future__ import annotations

import numpy as np

from chainrule.ops.record import Array, Shape

MINUS = "−"
FEW = 6  # elements that are written out


def number(value: float, digits: int = 6) -> str:
    """A number to some significant digits, with a true minus sign.

    >>> number(-2.25), number(0.1234567), number(1e-9), number(float("nan"))
    ('−2.25', '0.123457', '1e−9', 'nan')
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    text = f"{float(value):.{digits}g}"
    if "e" in text:
        mantissa, power = text.split("e")
        text = f"{mantissa}e{int(power)}"
    return text.replace("-", MINUS)


def shape_text(shape: Shape) -> str:
    """A shape as it is written in this library: [2, 3].

    >>> shape_text((2, 3))
    '[2, 3]'
    """
    return f"[{', '.join(map(str, shape))}]"


def array(value: Array, digits: int = 6, few: int = FEW) -> str:
    """A number, a short vector or a small matrix in full; of anything larger its shape and range.

    >>> array(np.array([0.5, -1.0])), array(np.arange(12.0))
    ('[0.5, −1]', '[12] from 0 to 11')
    """
    if value.ndim == 0:
        return number(value.item(), digits)
    if value.size <= few and value.ndim <= 2 and value.size > 0:
        rows = [f"[{', '.join(number(x, digits) for x in row)}]" for row in np.atleast_2d(value)]
        return rows[0] if value.ndim == 1 else f"[{', '.join(rows)}]"
    return f"{shape_text(value.shape)} {span(value, digits)}".rstrip()


def span(value: Array, digits: int = 6) -> str:
    """The range of an array's elements in words; how many are not finite, if any.

    >>> span(np.array([1.0, np.nan, 3.0]))
    'from 1 to 3, 1 not finite'
    """
    if value.size == 0:
        return "empty"
    if value.dtype.kind == "b":
        return f"{int(value.sum())} true"
    finite = value[np.isfinite(value)]
    wrong = value.size - finite.size
    note = f"{wrong} not finite" if wrong else ""
    if finite.size == 0:
        return note
    low, high = finite.min(), finite.max()
    body = (
        f"all {number(low, digits)}"
        if low == high
        else f"from {number(low, digits)} to {number(high, digits)}"
    )
    return f"{body}, {note}" if note else body

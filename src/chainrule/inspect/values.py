"""Numbers, shapes and arrays as short text for drawings and derivations."""

from __future__ import annotations

import numpy as np

from chainrule.number_text import MINUS, significant
from chainrule.ops.record import Array, Shape

FEW = 6  # elements that are written out


def number(value: float, digits: int = 6) -> str:
    """A number to some significant digits, with a true minus sign; "true" or "false" for booleans.

    >>> number(-2.25), number(0.1234567), number(1e-9), number(float("nan"))
    ('−2.25', '0.123457', '1e−9', 'nan')
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return significant(value, digits).replace("-", MINUS)


def shape_text(shape: Shape) -> str:
    """A shape as text: [2, 3].

    >>> shape_text((2, 3))
    '[2, 3]'
    """
    return f"[{', '.join(map(str, shape))}]"


def array(value: Array, digits: int = 6, few: int = FEW) -> str:
    """A number, a short vector or a small matrix in full; anything larger as its shape and range.

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
    """The range of an array's elements in words, and how many are not finite, if any are not.

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

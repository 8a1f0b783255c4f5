"""How a tensor is shown: in a line of text, and as a table in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.graph import describe_form
from chainrule.number_text import significant
from chainrule.ops import dtypes
from chainrule.ops.record import is_float

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

MOST_CELLS = 20  # along an axis, that a notebook shows as a table


def text(tensor: Tensor) -> str:
    """The elements, the dtype where it is no default, and whether it requires a gradient."""
    if tensor._data is None:
        return f"<traced tensor {describe_form(tensor.node)}>"
    elements = np.array2string(tensor._data, separator=", ", prefix="tensor(", threshold=200)
    usual = tensor.dtype in (dtypes.DEFAULT_FLOAT, dtypes.DEFAULT_INT, dtypes.bool_)
    parts = [
        elements,
        "" if usual else f"dtype={tensor.dtype.name}",
        "requires_grad=True" if tensor.requires_grad else "",
    ]
    return f"tensor({', '.join(part for part in parts if part)})"


def html(tensor: Tensor) -> str:
    """A matrix that fits on a screen as a table, anything else as its text."""
    from chainrule.markup import preformatted
    from chainrule.notebook import html_table

    if tensor._data is None or tensor.ndim != 2 or not tensor.size or max(tensor.shape) > MOST_CELLS:
        return preformatted(text(tensor))
    rows = [
        [str(i), *(significant(x) if is_float(tensor.dtype) else str(x) for x in row)]
        for i, row in enumerate(tensor._data)
    ]
    grad = ", requires_grad" if tensor.requires_grad else ""
    return html_table(["", *map(str, range(tensor.shape[1]))], rows, f"{describe_form(tensor.node)}{grad}")

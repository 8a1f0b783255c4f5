"""Which dtypes there are and how they mix.

Promotion follows the array API standard. Where it leaves a choice: an integer or boolean array with a float
array takes the float's dtype, and a Python scalar never widens an array.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import DtypeError, caller_line
from chainrule.ops.operand import Dtype

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

bool_ = np.dtype(np.bool_)
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float32, float64 = np.dtype(np.float32), np.dtype(np.float64)

DTYPES = (bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64)
_KNOWN = frozenset(DTYPES)
DEFAULT_FLOAT = float32
DEFAULT_INT = int64
_RANK = {"b": 0, "u": 1, "i": 1, "f": 2}


def check_dtype(dtype: DTypeLike) -> Dtype:
    """The dtype as NumPy writes it, native byte order; an error for one that chainrule does not have."""
    if isinstance(dtype, np.dtype) and dtype in _KNOWN:
        return dtype
    try:
        found = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise _unsupported(dtype) from None
    if found not in DTYPES:
        raise _unsupported(found)
    return found


def _unsupported(dtype: object) -> DtypeError:
    return DtypeError(
        f"dtype {dtype} is not supported",
        expected=", ".join(str(known) for known in DTYPES),
        got=dtype,
        where=caller_line(),
        hint="convert the array with .astype(np.float32)",
    )


def scalar_dtype(value: object, beside: Dtype | None) -> Dtype:
    """The dtype a Python scalar takes beside an array of dtype ``beside``."""
    own = {bool: bool_, int: DEFAULT_INT, float: DEFAULT_FLOAT}[type(value)]
    if beside is None or _RANK[own.kind] > _RANK[beside.kind]:
        return own
    return beside


def promote(dtypes: Iterable[Dtype]) -> Dtype:
    """The common dtype of arrays."""
    found = [check_dtype(dtype) for dtype in dtypes]
    highest = max(_RANK[dtype.kind] for dtype in found)
    result = np.result_type(*(dtype for dtype in found if _RANK[dtype.kind] == highest))
    if _RANK[result.kind] != highest:
        raise DtypeError(
            "these integer dtypes have no common integer dtype",
            got=", ".join(str(dtype) for dtype in found),
            hint="cast one of them first: x.astype(cr.int64)",
        )
    return result

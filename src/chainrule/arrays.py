"""Whatever holds numbers as an array of a dtype that chainrule has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import DataError, DtypeError, ShapeError, caller_line
from chainrule.missing import as_array
from chainrule.ops import dtypes
from chainrule.ops.operand import Dtype
from chainrule.ops.record import Array, is_float

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def numeric(data: object, dtype: DTypeLike | None, copy: bool | None) -> Array:
    """The data in a dtype: the one that is given, that of an array, or the default one for Python's numbers."""
    array = _as_array(data)
    if dtype is None:
        default = {"f": dtypes.DEFAULT_FLOAT, "i": dtypes.DEFAULT_INT}.get(array.dtype.kind)
        dtype = array.dtype if default is None or _is_typed(data) else default
    wanted = dtypes.check_dtype(dtype)
    if array.dtype.kind not in "biuf":
        array = _as_numbers(array, wanted)
    return np.array(array, dtype=wanted, copy=copy)


def _is_typed(data: object) -> bool:
    """Whether the data have a dtype of their own: an array, or a list of arrays."""
    return hasattr(data, "dtype") or (
        isinstance(data, list | tuple) and len(data) > 0 and hasattr(data[0], "dtype")
    )


def _as_array(data: object) -> Array:
    try:
        return as_array(data)
    except DataError:
        raise
    except ValueError:
        raise ShapeError(
            "nested lists have different lengths",
            expected="rows of equal length",
            where=caller_line(),
        ) from None


def _as_numbers(array: Array, wanted: Dtype) -> Array:
    """Objects and texts as numbers; a DtypeError for what has none, and for what would lose a part (complex, dates)."""
    if array.dtype.kind in "OSU":
        try:
            return array.astype(wanted)
        except (TypeError, ValueError) as error:
            raise DtypeError(
                f"dtype {array.dtype} cannot be made {wanted}",
                expected="numbers",
                got=str(error),
                where=caller_line(),
            ) from None
    dtypes.check_dtype(array.dtype)
    return array


def need_float(dtype: Dtype) -> None:
    """DtypeError for a dtype whose values have no gradients."""
    if not is_float(dtype):
        raise DtypeError(
            "only floats have gradients",
            expected="float32 or float64",
            got=dtype,
            where=caller_line(),
        )

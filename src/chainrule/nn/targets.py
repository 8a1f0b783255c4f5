"""Checks targets for the losses: labels in range, shapes that match the outputs."""

from __future__ import annotations

import numpy as np

from chainrule.errors import DataError, ShapeError, caller_line
from chainrule.missing import as_array
from chainrule.nn.module import as_float
from chainrule.ops.dtypes import int64
from chainrule.ops.record import Array, is_float
from chainrule.tensor import TRACE, Tensor, TensorLike, as_tensor


def check_labels(labels: TensorLike, classes: int) -> None:
    """Raise DataError, naming the first bad rows, unless all labels are integers from 0 to classes - 1.

    >>> check_labels([0, 2, 1], classes=3)
    """
    values = looked_at(labels)
    if values.dtype.kind not in "iub":
        raise DataError(
            "labels are not integers",
            expected=f"integers from 0 to {classes - 1}",
            got=f"{values.dtype}" + (f", starting {_first(values.ravel())}" if values.size else ""),
            where=caller_line(),
            hint="number the classes from 0 and convert with .astype(int); for a regression use squared_error",
        )
    bad = (values < 0) | (values >= classes)
    if bad.any():
        raise DataError(
            "labels are out of range",
            expected=f"integers from 0 to {classes - 1}, for {classes} outputs",
            got=_bad_rows(values, bad),
            where=caller_line(),
            hint="number the classes from 0, or give the network one output per class",
        )


def check_binary_targets(targets: TensorLike) -> None:
    """Raise DataError, naming the first bad rows, unless all targets lie between 0 and 1.

    >>> check_binary_targets([0, 1, 1])
    """
    values = looked_at(targets)
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        raise DataError(
            "targets of binary_cross_entropy are out of range",
            expected="0, 1, or probabilities",
            got=_bad_rows(values, bad),
            where=caller_line(),
            hint="recode labels of -1 and 1 as (y + 1) / 2",
        )


def _bad_rows(values: Array, bad: Array) -> str:
    values, bad = np.atleast_1d(values), np.atleast_1d(bad)
    rows = np.flatnonzero(bad.reshape(len(bad), -1).any(1))
    named = ", ".join(f"{_first(values[row].ravel())} in row {row}" for row in rows[:3])
    return named if len(rows) <= 3 else f"{named} and {len(rows) - 3} more"


def _first(values: Array) -> str:
    return ", ".join(str(value) for value in values[:3]) + (", ..." if len(values) > 3 else "")


def known(x: Tensor) -> bool:
    """Whether ``x`` has values now: it has none while a graph is traced."""
    return x._data is not None and TRACE.get() is None


def looked_at(x: TensorLike) -> Array:
    """The values of targets, for checks only: nothing is computed from them, so gradients are unaffected."""
    return as_array(x if not isinstance(x, Tensor) or x._data is None else x._data, name="targets")


def labels_of(target: TensorLike, shape: tuple[int, ...], classes: int) -> Tensor:
    """Return labels as int64 of this shape; a column [batch, 1] is accepted."""
    if isinstance(target, Tensor) and not known(target):
        check_labels(np.zeros(0, target.dtype), classes)  # a traced one has no values, only a dtype
    else:
        check_labels(target, classes)
    labels = as_tensor(target)
    if labels.shape == (*shape, 1):
        labels = labels.reshape(shape)
    if labels.shape != shape:
        raise ShapeError(
            "the labels have a shape that does not match the outputs",
            expected=f"labels {list(shape)} for outputs {[*shape, classes]}",
            got=list(labels.shape),
            where=caller_line(),
            hint="labels are class numbers: convert one-hot rows with .argmax(1)",
        )
    return labels.astype(int64)


def aligned(name: str, prediction: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    """Return prediction and target as tensors of equal shape; raise ShapeError if they cannot be."""
    prediction = as_tensor(prediction)
    if not is_float(prediction.dtype):
        given = as_tensor(target)
    elif isinstance(target, Tensor):
        given = target if is_float(target.dtype) else target.astype(prediction.dtype)
    else:
        given = as_float(target, prediction.dtype)
    if given.shape == prediction.shape:
        return prediction, given
    if (*given.shape, 1) == prediction.shape or given.shape == (*prediction.shape, 1):
        return prediction, given.reshape(prediction.shape)
    raise ShapeError(
        f"{name}: target and prediction differ in shape",
        expected=f"a target {list(prediction.shape)}",
        got=list(given.shape),
        where=caller_line(),
        hint="each output needs one target: check the width of the last layer, or reshape the target",
    )

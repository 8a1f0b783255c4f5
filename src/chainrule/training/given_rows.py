"""``rows`` of ``cr.fit``: which rows each replica trains on and is judged by, read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.missing import as_array
from chainrule.ops.record import Array
from chainrule.training.folds import Fold

_HINT = "rows=cr.folds(len(X), 8), restarts=8"


def folds_of(
    rows: Iterable[Any] | None, *, count: int, restarts: int, validation: object
) -> tuple[Fold, ...]:
    """What was given as ``rows`` for data of ``count`` rows, one fold for each replica; nothing if it was None.

    Each set of rows has ``train`` and ``validation``, or is a pair of these: row numbers, or a mask with a truth value
    for each row. ``validation`` may be None or empty, but then for every replica. Raises SettingError for anything
    else, and for a row that a replica both trains on and is judged by.
    """
    if rows is None:
        return ()
    if validation is not None:
        raise SettingError(
            "rows says by which rows each replica is judged, and validation gives others",
            expected="one of the two",
            got="both",
            hint="leave out validation",
        )
    given = list(rows) if isinstance(rows, Iterable) else [rows]
    if len(given) != restarts:
        raise SettingError(
            f"rows must have one set of rows for each of the {restarts} replicas",
            got=f"{len(given)} sets",
            hint=f"restarts={len(given)}" if given else _HINT,
        )
    found = tuple(_fold(each, number, count) for number, each in enumerate(given))
    _check_all_or_none(found)
    return found


def _fold(given: Any, number: int, count: int) -> Fold:
    """One replica's rows, checked."""
    name = f"rows[{number}]"
    if hasattr(given, "train") and hasattr(given, "validation"):
        parts = given.train, given.validation
    elif isinstance(given, tuple | list) and len(given) == 2 and not any(map(np.isscalar, given)):
        parts = given[0], given[1]
    else:
        raise SettingError(
            f"{name} is no set of rows to train on and rows to validate with",
            expected="a cr.Fold, or a pair (train, validation) of row numbers or masks",
            got=quoted(given),
            hint=_HINT,
        )
    train = _numbers(parts[0], f"{name}.train", count)
    validation = _numbers(() if parts[1] is None else parts[1], f"{name}.validation", count)
    if not len(train):
        raise SettingError(f"{name}.train has no rows", expected="at least 1 row to train on", got="none")
    trained = np.zeros(count, np.bool_)
    trained[train] = True
    both = validation[trained[validation]]
    if len(both):
        raise SettingError(
            f"{name}: rows to train on are also rows to validate with, so their loss would say nothing of new rows",
            expected="no row in both",
            got=f"{len(both)} in both, such as row {both[0]}",
            hint="take them out of one of the two",
        )
    return Fold(train, validation)


def _numbers(given: Any, name: str, count: int) -> Array:
    """Row numbers, or the places of a mask that are true, as int64 [rows]."""
    array = as_array(given, name=name)
    if array.size == 0 and array.dtype.kind != "b":
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise SettingError(
            f"{name} must be row numbers, or a mask of truth values",
            expected="one axis of integers or booleans",
            got=f"{array.dtype}{list(array.shape)}",
        )
    if array.dtype.kind == "b":
        if len(array) != count:
            raise SettingError(
                f"{name}: a mask has a truth value for each row of X",
                expected=f"{count} values",
                got=len(array),
            )
        return np.flatnonzero(array)
    wrong = array[(array < 0) | (array >= count)]
    if len(wrong):
        raise SettingError(
            f"{name}: X has no such row", expected=f"row numbers from 0 to {count - 1}", got=f"row {wrong[0]}"
        )
    return np.ascontiguousarray(array, np.int64)


def _check_all_or_none(found: Sequence[Fold]) -> None:
    """SettingError where some replicas have validation rows and others have none: they are compared by their losses."""
    without = [number for number, fold in enumerate(found) if not len(fold.validation)]
    if without and len(without) < len(found):
        raise SettingError(
            f"rows[{without[0]}] has no validation rows, and other replicas have some",
            expected="validation rows for every replica, or for none",
            got=f"{len(found) - len(without)} of {len(found)} with validation rows",
            hint="replicas are compared by the loss of these rows",
        )

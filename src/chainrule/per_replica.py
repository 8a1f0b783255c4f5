"""A number that a graph reads from memory, so that each replica of a run may have another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

import numpy as np

from chainrule.errors import SettingError
from chainrule.ops.record import Array
from chainrule.tensor import TRACE, Tensor

#: one number, or one for each of the R replicas of ``cr.fit(restarts=R)``
Numbers = float | tuple[float, ...]


class PerReplica:
    """One number, or one for each replica. Graphs read it from a leaf, so all values share one program.

    ``encode`` makes the array that the graph reads of a number. ``cr.fit`` finds these among the attributes
    of the model's modules and of its penalty, and gives every replica its own.
    """

    def __init__(self, name: str, numbers: Numbers, encode: Callable[[float], object] = np.float64) -> None:
        self.name = name
        self.values: tuple[Array, ...] = tuple(np.asarray(encode(x)) for x in as_tuple(numbers))
        self.tensor = Tensor.leaf(self.values[0].copy())

    def of(self, replica: int) -> Array:
        """What this replica reads."""
        return self.values[replica if len(self.values) > 1 else 0]

    def read(self) -> Tensor:
        """The number as a scalar tensor.

        Raises SettingError where there are several and nothing says which replica is meant.
        """
        if len(self.values) > 1 and TRACE.get() is None:
            raise SettingError(
                f"{self.name} has a value for each of {len(self.values)} replicas, and this is none of them",
                expected="one number outside cr.fit",
                hint=f"set one number, or train with cr.fit(restarts={len(self.values)})",
            )
        return self.tensor


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether this is a plain real number, and one that a float can hold: no boolean, array or tensor."""
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() < 1024
    return isinstance(value, float | np.integer | np.floating)


def as_tuple(numbers: Numbers) -> tuple[float, ...]:
    """The number or numbers as a tuple."""
    return numbers if isinstance(numbers, tuple) else (numbers,)


def as_numbers(name: str, given: object, check: Callable[[object], float]) -> Numbers:
    """One checked number, or a tuple of them where a sequence was given; SettingError for an empty one."""
    if isinstance(given, np.ndarray) and given.ndim == 1:
        given = list(given)
    if not isinstance(given, list | tuple):
        return check(given)
    if len(given) == 0:
        raise SettingError(f"{name}: no value for any replica", expected="a number, or one for each replica")
    return tuple(check(x) for x in given)

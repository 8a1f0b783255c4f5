"""Python's operators, written once for everything that primitives apply to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from chainrule.ops import elementwise as e
from chainrule.ops.operand import Dtype, Operable


class Operators:
    """Arithmetic and order; ``==`` is left to the class that uses this."""

    __slots__ = ()
    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]:
            """Lengths of the axes."""

        @property
        def dtype(self) -> Dtype:
            """Kind of the elements."""

    records_primitives = True  # by its method ``apply``
    __array_ufunc__: Callable[..., object] | None = None  # NumPy's operators then leave the work to ours
    __pandas_priority__ = 5000  # and those of pandas, whose own results would lose the derivative

    def __add__(self, other: Operable) -> Self:
        return e.add(self, other)

    def __radd__(self, other: Operable) -> Self:
        return e.add(other, self)

    def __sub__(self, other: Operable) -> Self:
        return e.subtract(self, other)

    def __rsub__(self, other: Operable) -> Self:
        return e.subtract(other, self)

    def __mul__(self, other: Operable) -> Self:
        return e.multiply(self, other)

    def __rmul__(self, other: Operable) -> Self:
        return e.multiply(other, self)

    def __truediv__(self, other: Operable) -> Self:
        return e.divide(self, other)

    def __rtruediv__(self, other: Operable) -> Self:
        return e.divide(other, self)

    def __pow__(self, exponent: Operable) -> Self:
        # squares are everywhere in losses, and one product is exact and cheap
        if type(exponent) in (int, float) and exponent == 2 and self.dtype.kind == "f":
            return e.multiply(self, self)
        return e.power(self, exponent)

    def __rpow__(self, base: Operable) -> Self:
        return e.power(base, self)

    def __neg__(self) -> Self:
        return e.negative(self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return e.abs(self)

    def __lt__(self, other: Operable) -> Self:
        return e.less(self, other)

    def __le__(self, other: Operable) -> Self:
        return e.less_equal(self, other)

    def __gt__(self, other: Operable) -> Self:
        return e.greater(self, other)

    def __ge__(self, other: Operable) -> Self:
        return e.greater_equal(self, other)

    def __and__(self, other: Operable) -> Self:
        return e.logical_and(self, other)

    def __rand__(self, other: Operable) -> Self:
        return e.logical_and(other, self)

    def __or__(self, other: Operable) -> Self:
        return e.logical_or(self, other)

    def __ror__(self, other: Operable) -> Self:
        return e.logical_or(other, self)

    def __invert__(self) -> Self:
        return e.logical_not(self)

"""What records compute with: an operand has a shape, a dtype and arithmetic; an application knows how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from chainrule.ops.record import Primitive

Dtype = np.dtype[Any]
Params = dict[str, Any]  # each record has names and types of its own
#: what primitives compute with: nodes, tensors, arrays, numbers, nested lists of them
Operable: TypeAlias = "Operand | ArrayLike | Sequence[Operable]"


class Operand(Protocol):
    """A node of a graph, or a tensor: whatever primitives apply to."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> Dtype:
        """Of the elements."""

    def __add__(self, other: Operand | float, /) -> Self: ...
    def __radd__(self, other: float, /) -> Self: ...
    def __sub__(self, other: Operand | float, /) -> Self: ...
    def __rsub__(self, other: float, /) -> Self: ...
    def __mul__(self, other: Operand | float, /) -> Self: ...
    def __rmul__(self, other: float, /) -> Self: ...
    def __truediv__(self, other: Operand | float, /) -> Self: ...
    def __rtruediv__(self, other: float, /) -> Self: ...
    def __neg__(self) -> Self: ...
    def __and__(self, other: Operand, /) -> Self: ...
    def __or__(self, other: Operand, /) -> Self: ...
    def __invert__(self) -> Self: ...


class Application(Operand, Protocol):
    """One application of a primitive, as its record's rules see it."""

    @property
    def op(self) -> Primitive:
        """The primitive."""

    @property
    def inputs(self) -> tuple[Application, ...]:
        """What it was applied to."""

    @property
    def params(self) -> Params:
        """Its parameters by name."""


#: of each input: the factor that its cotangent is multiplied by
Factors = tuple[Operand, ...]
#: of each input: a cotangent, or None for zero
Cotangents = tuple[Operand | None, ...]

"""What is asked for: a matrix product with fixed shapes and strides, and what happens to its results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainrule.compiler.codegen.builder import Function, Type, Value

Epilogue = Callable[[Function, Value, Value, Value, Value | None], None]
"""Called with (function, row, column, results, mask) when results are ready.

``row`` and ``column`` are i64. ``results`` are those of the columns from ``column`` on: a vector of a power of two of
lanes, at most the target's, or a scalar. ``mask`` is a literal whose first lanes are on, or None where all lanes count.
Every element is handed over once, in no promised order. What is written must depend on the arguments alone: it is
written for trial once, to see how long it is, and thrown away.
"""


@dataclass(frozen=True)
class Product:
    """C[M, N] = A[M, K] @ B[K, N] of one ``scalar`` type: float, double, i32 or i64.

    Strides are in elements: A[m, k] lies at ``m * a_strides[0] + k * a_strides[1]``, B[k, n] alike.
    """

    M: int
    N: int
    K: int
    a_strides: tuple[int, int]
    b_strides: tuple[int, int]
    scalar: str

    @property
    def bytes(self) -> int:
        """Of one element."""
        return Type(self.scalar).bits // 8

    def normal(self) -> Product:
        """The same product with the strides that suit best along axes of one element, where any would do."""
        (a_m, a_k), (b_k, b_n) = self.a_strides, self.b_strides
        a = (0 if self.M == 1 else a_m, 1 if self.K == 1 else a_k)
        b = (0 if self.K == 1 else b_k, 1 if self.N == 1 else b_n)
        return Product(self.M, self.N, self.K, a, b, self.scalar)

"""What is asked for: a matrix product with fixed shapes and strides, and what happens to its results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainrule.compiler.host import Target
from chainrule.compiler.ir import Function, Type, Value, first_lanes

Epilogue = Callable[[Function, Value, Value, Value, Value | None], None]
"""Called with (function, row, column, results, mask): ``row`` and ``column`` are i64; ``results`` is a vector of
columns from ``column`` on, of any power of two of lanes up to the target's, one lane being a scalar; ``mask`` is a
literal whose first lanes are on, or None where all lanes count. Every element is handed over once. The text that it
writes must depend on its arguments alone: it is written for trial once and thrown away, to see how long it is."""


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
        (am, ak), (bk, bn) = self.a_strides, self.b_strides
        a = (0 if self.M == 1 else am, 1 if self.K == 1 else ak)
        b = (0 if self.K == 1 else bk, 1 if self.N == 1 else bn)
        return Product(self.M, self.N, self.K, a, b, self.scalar)


def lanes_for(active: int) -> tuple[int, Value | None]:
    """The smallest vector for so many numbers, and the mask of those that count."""
    lanes = 1 << (active - 1).bit_length()
    return lanes, None if lanes == active else first_lanes(active, lanes)


def multiply_add(f: Function, target: Target, a: Value, b: Value, c: Value) -> Value:
    """a b + c; rounded once where the target can."""
    if not a.type.is_float:
        return f.binary("add", f.binary("mul", a, b), c)
    if target.fma:
        return f.fma(a, b, c)
    return f.binary("fadd", f.binary("fmul", a, b), c)


def add(f: Function, a: Value, b: Value) -> Value:
    """a + b."""
    return f.binary("fadd" if a.type.is_float else "add", a, b)


def smaller(f: Function, a: Value, b: Value) -> Value:
    """The smaller of two indices."""
    if a.name.isdigit() and b.name.isdigit():
        return min(a, b, key=lambda v: int(v.name))
    return f.intrinsic("smin", a, b)

"""What records lower to: values in registers, and the builder that appends instructions to a function."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol


class Type(NamedTuple):
    """A scalar, or a vector of ``lanes`` scalars: float, double, i1, i8, i16, i32, i64, ptr."""

    scalar: str
    lanes: int = 1

    def __str__(self) -> str:
        return self.scalar if self.lanes == 1 else f"<{self.lanes} x {self.scalar}>"

    @property
    def suffix(self) -> str:
        """How intrinsics spell the type: v16f32."""
        short = {"float": "f32", "double": "f64", "ptr": "p0"}.get(self.scalar, self.scalar)
        return short if self.lanes == 1 else f"v{self.lanes}{short}"

    @property
    def bits(self) -> int:
        """Bits of one scalar."""
        known = {"float": 32, "double": 64, "ptr": 64}
        return known.get(self.scalar) or int(self.scalar[1:])

    @property
    def is_float(self) -> bool:
        """Whether the scalar is a float or a double."""
        return self.scalar in {"float", "double"}

    def of(self, scalar: str) -> Type:
        """As many lanes of another scalar."""
        return Type(scalar, self.lanes)

    @property
    def as_int(self) -> Type:
        """Integers of the same width, lane by lane."""
        return self.of(f"i{self.bits}")

    @property
    def mask(self) -> Type:
        """One bit for each lane."""
        return self.of("i1")


class Value(NamedTuple):
    """An SSA name or a literal, with its type; of a literal of integers or of a mask also what it stands for."""

    name: str
    type: Type
    number: int | None = None  # the integer that every lane holds
    active: int | None = None  # of a mask: how many lanes, the first ones, are on

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


class Turns(Protocol):
    """The index of a loop and the values carried through it, which the loop's body replaces."""

    index: Value
    values: list[Value]


class Builder(Protocol):
    """Appends instructions to a function: ``compiler/codegen/builder.py``, as far as records need it."""

    def binary(self, op: str, a: Value, b: Value) -> Value:
        """fadd, fsub, fmul, fdiv, add, sub, mul, and, or, xor, shl, lshr, ashr, ..."""

    def fneg(self, a: Value) -> Value:
        """-a."""

    def fcmp(self, relation: str, a: Value, b: Value) -> Value:
        """oeq, ogt, oge, olt, ole, une, uno, ..."""

    def icmp(self, relation: str, a: Value, b: Value) -> Value:
        """eq, ne, slt, sle, sgt, sge, ult, ..."""

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """a where the condition holds, else b."""

    def convert(self, op: str, a: Value, scalar: str) -> Value:
        """sitofp, fptosi, fpext, fptrunc, zext, sext, trunc, ... to lanes of another scalar."""

    def call(self, result: Type | None, name: str, *arguments: Value) -> Value:
        """Call a function or intrinsic."""

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        """llvm.NAME on values of one type."""

    def math(self, name: str, *x: Value) -> Value:
        """A function of ``compiler/codegen/mathfn.py``."""

    def const(self, number: float, type: Type) -> Value:
        """A literal, the same in every lane."""

    def known(self, value: Value) -> int | None:
        """The integer that a literal has in every lane."""

    def loop(
        self, start: Value, stop: Value, step: int, carried: Sequence[Value] = ()
    ) -> AbstractContextManager[Turns]:
        """Instructions that run again and again; at least once."""

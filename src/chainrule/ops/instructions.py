"""How elementwise primitives become instructions: functions that the records name.

Each is called ``(f, node, *lanes)``: ``f`` writes instructions (``compiler/codegen/builder.py``), ``node`` is the
application, the lanes are its operands in registers; the result is the lanes of its value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.ops.faults import Fault
from chainrule.ops.operand import Application, Dtype
from chainrule.ops.registers import Builder, Value

Lower = Callable[..., Value]

_SCALARS = {"f4": "float", "f8": "double", "b1": "i1", "i1": "i8", "u1": "i8", "i2": "i16", "u2": "i16"}
_SCALARS |= {"i4": "i32", "u4": "i32", "i8": "i64", "u8": "i64"}


def scalar_of(dtype: Dtype) -> str:
    """The LLVM type of one element in a register (in memory a boolean is a byte)."""
    return _SCALARS[f"{dtype.kind}{dtype.itemsize}"]


def same(f: Builder, node: Application, x: Value) -> Value:
    """The operand itself."""
    return x


def arithmetic(float_op: str, int_op: str) -> Lower:
    """An operation of two numbers."""

    def lower(f: Builder, node: Application, a: Value, b: Value) -> Value:
        if node.dtype.kind == "b":  # as NumPy: + is or, * is and
            return f.binary({"add": "or", "mul": "and"}[int_op], a, b)
        return f.binary(float_op if a.type.is_float else int_op, a, b)

    return lower


def function(name: str) -> Lower:
    """A function that ``compiler/codegen/mathfn.py`` writes."""
    return lambda f, node, *x: f.math(name, *x)


def intrinsic(name: str) -> Lower:
    """A function that the processor has; integers are what they are."""
    return lambda f, node, x: f.intrinsic(name, x) if x.type.is_float else x


def bits(name: str) -> Lower:
    """An operation on truth values."""
    return lambda f, node, a, b: f.binary(name, a, b)


def logical_not(f: Builder, node: Application, x: Value) -> Value:
    """The other truth value."""
    return f.binary("xor", x, f.const(1, x.type))


def negative(f: Builder, node: Application, x: Value) -> Value:
    """-x."""
    return f.fneg(x) if x.type.is_float else f.binary("sub", f.const(0, x.type), x)


def absolute(f: Builder, node: Application, x: Value) -> Value:
    """|x|."""
    if x.type.is_float:
        return f.intrinsic("fabs", x)
    if node.dtype.kind in "ub":
        return x
    return f.select(f.icmp("slt", x, f.const(0, x.type)), negative(f, node, x), x)


def sign(f: Builder, node: Application, x: Value) -> Value:
    """-1, 0 or 1; NaN stays NaN."""
    zero, one = f.const(0, x.type), f.const(1, x.type)
    if x.type.is_float:
        signed = f.intrinsic("copysign", one, x)
        kept = f.select(f.fcmp("oeq", x, zero), zero, signed)
        return f.select(f.fcmp("uno", x, x), x, kept)
    above = f.select(f.icmp("sgt" if node.dtype.kind == "i" else "ugt", x, zero), one, zero)
    if node.dtype.kind == "i":
        return f.select(f.icmp("slt", x, zero), f.const(-1, x.type), above)
    return above


def comparison(float_relation: str, int_relation: str) -> Lower:
    """A relation of two numbers, as one bit a lane."""

    def lower(f: Builder, node: Application, a: Value, b: Value) -> Value:
        if a.type.is_float:
            return f.fcmp(float_relation, a, b)
        signed = node.inputs[0].dtype.kind == "i"
        relation = int_relation if int_relation in ("eq", "ne") else ("s" if signed else "u") + int_relation
        return f.icmp(relation, a, b)

    return lower


def extremum(relation: str) -> Lower:
    """The larger ("gt") or smaller ("lt") of two; NaN if either is, as in NumPy."""

    def lower(f: Builder, node: Application, a: Value, b: Value) -> Value:
        if a.type.is_float:
            chosen = f.select(f.fcmp(f"o{relation}", a, b), a, b)
            return f.select(f.fcmp("uno", a, a), a, chosen)
        return f.select(f.icmp(("s" if node.dtype.kind == "i" else "u") + relation, a, b), a, b)

    return lower


def relu(f: Builder, node: Application, x: Value) -> Value:
    """max(x, 0); NaN stays NaN."""
    zero = f.const(0, x.type)
    if x.type.is_float:
        return f.select(f.fcmp("ole", x, zero), zero, x)
    return extremum("gt")(f, node, x, zero)


def where(f: Builder, node: Application, condition: Value, a: Value, b: Value) -> Value:
    """a where the condition holds."""
    return f.select(condition, a, b)


def clip(f: Builder, node: Application, x: Value, low: Value, high: Value) -> Value:
    """x within bounds."""
    return extremum("lt")(f, node, extremum("gt")(f, node, x, low), high)


def power(f: Builder, node: Application, x: Value, p: Value) -> Value:
    """x^p; integers wrap around as products do. Of a negative exponent see ``negative_exponent``."""
    if x.type.is_float:
        return f.math("power", x, p)
    one, known = f.const(1, x.type), f.known(p)
    if known is not None:
        return _known_power(f, x, max(known, 0))
    zero, index = f.const(0, x.type), x.type._replace(lanes=1)
    with f.loop(f.const(0, index), f.const(x.type.bits, index), 1, [one, x, p]) as loop:
        result, square, left = loop.values
        odd = f.icmp("ne", f.binary("and", left, one), zero)
        result = f.select(odd, f.binary("mul", result, square), result)
        loop.values = [result, f.binary("mul", square, square), f.binary("lshr", left, one)]
    return loop.values[0]


def _known_power(f: Builder, x: Value, exponent: int) -> Value:
    """x^exponent by squaring, the exponent's bits from the highest on."""
    if exponent == 0:
        return f.const(1, x.type)
    result = x
    for bit in f"{exponent:b}"[1:]:
        result = f.binary("mul", result, result)
        if bit == "1":
            result = f.binary("mul", result, x)
    return result


def negative_exponent(f: Builder, node: Application, x: Value, p: Value) -> tuple[Value, Fault] | None:
    """The lanes whose exponent is a negative integer, which have no power that is an integer."""
    if node.dtype.kind != "i":
        return None
    return f.icmp("slt", p, f.const(0, p.type)), Fault.NEGATIVE_EXPONENT


def cast(f: Builder, node: Application, x: Value) -> Value:
    """Between any two dtypes, as NumPy's astype; floats out of an integer's range saturate."""
    return convert(f, x, node.inputs[0].dtype, node.dtype)


def convert(f: Builder, x: Value, old: Dtype, new: Dtype) -> Value:
    """Lanes of one dtype as lanes of another."""
    to = scalar_of(new)
    if old == new:
        return x
    if new.kind == "b":
        zero = f.const(0, x.type)
        return f.fcmp("une", x, zero) if x.type.is_float else f.icmp("ne", x, zero)
    if old.kind == "f" and new.kind == "f":
        return f.convert("fpext" if new.itemsize > old.itemsize else "fptrunc", x, to)
    if old.kind == "f":
        result = x.type.of(to)
        name = f"llvm.fpto{'s' if new.kind == 'i' else 'u'}i.sat.{result.suffix}.{x.type.suffix}"
        return f.call(result, name, x)
    if new.kind == "f":
        return f.convert("sitofp" if old.kind == "i" else "uitofp", x, to)
    if new.itemsize * 8 == x.type.bits:
        return x
    narrower = new.itemsize * 8 < x.type.bits
    return f.convert("trunc" if narrower else "sext" if old.kind == "i" else "zext", x, to)


def lowest(node: Application) -> float:
    """What every number is larger than or equal to: where a maximum starts."""
    kind = node.dtype.kind
    return -np.inf if kind == "f" else 0 if kind in "ub" else int(np.iinfo(node.dtype).min)


def highest(node: Application) -> float:
    """What every number is smaller than or equal to: where a minimum starts."""
    kind = node.dtype.kind
    return np.inf if kind == "f" else 1 if kind == "b" else int(np.iinfo(node.dtype).max)

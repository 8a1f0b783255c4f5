"""How each primitive becomes instructions.

Elementwise primitives turn lanes of operands into lanes of the result. A reduction has a neutral element and a
way to combine. Views only change how memory is read. What is left has a loop of its own in ``emit.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from chainrule.compiler import mathfn
from chainrule.compiler.ir import I32, Function, Type, Value, const
from chainrule.graph import Node
from chainrule.ops import PRIMITIVES, contract, elementwise, indexing, movement, random, reduce, source
from chainrule.ops.record import Primitive

Lower = Callable[..., Value]

SCALARS = {"f4": "float", "f8": "double", "b1": "i1", "i1": "i8", "u1": "i8", "i2": "i16", "u2": "i16"}
SCALARS |= {"i4": "i32", "u4": "i32", "i8": "i64", "u8": "i64"}


def scalar_of(dtype: np.dtype[np.generic]) -> str:
    """The LLVM type of one element in a register (in memory a boolean is a byte)."""
    return SCALARS[f"{dtype.kind}{dtype.itemsize}"]


def _arithmetic(float_op: str, int_op: str) -> Lower:
    def lower(f: Function, node: Node, a: Value, b: Value) -> Value:
        if node.dtype.kind == "b":  # as NumPy: + is or, * is and
            return f.binary({"add": "or", "mul": "and"}[int_op], a, b)
        return f.binary(float_op if a.type.is_float else int_op, a, b)

    return lower


def _negative(f: Function, node: Node, x: Value) -> Value:
    return f.fneg(x) if x.type.is_float else f.binary("sub", const(0, x.type), x)


def _abs(f: Function, node: Node, x: Value) -> Value:
    if x.type.is_float:
        return f.intrinsic("fabs", x)
    if node.dtype.kind in "ub":
        return x
    return f.select(f.icmp("slt", x, const(0, x.type)), _negative(f, node, x), x)


def _sign(f: Function, node: Node, x: Value) -> Value:
    zero, one = const(0, x.type), const(1, x.type)
    if x.type.is_float:
        signed = f.intrinsic("copysign", one, x)
        kept = f.select(f.fcmp("oeq", x, zero), zero, signed)
        return f.select(f.fcmp("uno", x, x), x, kept)
    above = f.select(f.icmp("sgt" if node.dtype.kind == "i" else "ugt", x, zero), one, zero)
    if node.dtype.kind == "i":
        return f.select(f.icmp("slt", x, zero), const(-1, x.type), above)
    return above


def _compare(float_relation: str, int_relation: str) -> Lower:
    def lower(f: Function, node: Node, a: Value, b: Value) -> Value:
        if a.type.is_float:
            return f.fcmp(float_relation, a, b)
        signed = node.inputs[0].dtype.kind == "i"
        relation = int_relation if int_relation in ("eq", "ne") else ("s" if signed else "u") + int_relation
        return f.icmp(relation, a, b)

    return lower


def _extremum(relation: str) -> Lower:
    def lower(f: Function, node: Node, a: Value, b: Value) -> Value:
        return combine_extremum(f, relation, a, b, signed=node.dtype.kind == "i")

    return lower


def combine_extremum(f: Function, relation: str, a: Value, b: Value, *, signed: bool) -> Value:
    """The larger (gt) or smaller (lt) of two values; NaN if either is, as in NumPy."""
    if a.type.is_float:
        chosen = f.select(f.fcmp(f"o{relation}", a, b), a, b)
        return f.select(f.fcmp("uno", a, a), a, chosen)
    return f.select(f.icmp(("s" if signed else "u") + relation, a, b), a, b)


def _relu(f: Function, node: Node, x: Value) -> Value:
    zero = const(0, x.type)
    if x.type.is_float:  # NaN stays NaN
        return f.select(f.fcmp("ole", x, zero), zero, x)
    return combine_extremum(f, "gt", x, zero, signed=node.dtype.kind == "i")


def _where(f: Function, node: Node, c: Value, a: Value, b: Value) -> Value:
    return f.select(c, a, b)


def _clip(f: Function, node: Node, x: Value, low: Value, high: Value) -> Value:
    signed = node.dtype.kind == "i"
    return combine_extremum(f, "lt", combine_extremum(f, "gt", x, low, signed=signed), high, signed=signed)


def _power(f: Function, node: Node, x: Value, p: Value) -> Value:
    if x.type.is_float:
        return mathfn.power(f, x, p)
    wide = (f.convert("sitofp", v, "double") for v in (x, p))
    return f.convert("fptosi", mathfn.power(f, *wide), x.type.scalar)


def _math(function: Callable[[Function, Value], Value]) -> Lower:
    return lambda f, node, x: function(f, x)


def _intrinsic(name: str) -> Lower:
    return lambda f, node, x: f.intrinsic(name, x)


def _bits(name: str) -> Lower:
    return lambda f, node, *xs: f.binary(name, *xs)


def cast(f: Function, node: Node, x: Value) -> Value:
    """Between any two dtypes, as NumPy's astype; floats out of an integer's range saturate."""
    return convert(f, x, node.inputs[0].dtype, node.dtype)


def convert(f: Function, x: Value, old: np.dtype[np.generic], new: np.dtype[np.generic]) -> Value:
    """Lanes of one dtype as lanes of another."""
    to = scalar_of(new)
    if old == new:
        return x
    if new.kind == "b":
        zero = const(0, x.type)
        return f.fcmp("une", x, zero) if x.type.is_float else f.icmp("ne", x, zero)
    if old.kind == "f" and new.kind == "f":
        return f.convert("fpext" if new.itemsize > old.itemsize else "fptrunc", x, to)
    if old.kind == "f":
        result = x.type.of(to)
        name = f"llvm.fpto{'s' if new.kind == 'i' else 'u'}i.sat.{result.suffix}.{x.type.suffix}"
        return f.call(result, name, x)
    if new.kind == "f":
        return f.convert("sitofp" if old.kind == "i" else "uitofp", x, to)
    bits = Type(to).bits
    if bits == x.type.bits:
        return x
    return f.convert("trunc" if bits < x.type.bits else "sext" if old.kind == "i" else "zext", x, to)


ELEMENTWISE: dict[Primitive, Lower] = {
    elementwise.add: _arithmetic("fadd", "add"),
    elementwise.subtract: _arithmetic("fsub", "sub"),
    elementwise.multiply: _arithmetic("fmul", "mul"),
    elementwise.divide: _arithmetic("fdiv", "sdiv"),
    elementwise.negative: _negative,
    elementwise.power: _power,
    elementwise.exp: _math(mathfn.exp),
    elementwise.expm1: _math(mathfn.expm1),
    elementwise.log: _math(mathfn.log),
    elementwise.log1p: _math(mathfn.log1p),
    elementwise.sqrt: _intrinsic("sqrt"),
    elementwise.abs: _abs,
    elementwise.sign: _sign,
    elementwise.floor: _intrinsic("floor"),
    elementwise.sin: _math(mathfn.sin),
    elementwise.cos: _math(mathfn.cos),
    elementwise.logistic: _math(mathfn.logistic),
    elementwise.tanh: _math(mathfn.tanh),
    elementwise.softplus: _math(mathfn.softplus),
    elementwise.erf: _math(mathfn.erf),
    elementwise.relu: _relu,
    elementwise.maximum: _extremum("gt"),
    elementwise.minimum: _extremum("lt"),
    elementwise.where: _where,
    elementwise.clip: _clip,
    elementwise.equal: _compare("oeq", "eq"),
    elementwise.not_equal: _compare("une", "ne"),
    elementwise.less: _compare("olt", "lt"),
    elementwise.less_equal: _compare("ole", "le"),
    elementwise.greater: _compare("ogt", "gt"),
    elementwise.greater_equal: _compare("oge", "ge"),
    elementwise.logical_and: _bits("and"),
    elementwise.logical_or: _bits("or"),
    elementwise.logical_not: lambda f, node, x: f.binary("xor", x, const(1, x.type)),
    movement.cast: cast,
    movement.identity: lambda f, node, x: x,
    movement.stop_gradient: lambda f, node, x: x,
}


class Combine(NamedTuple):
    """A reduction: where it starts, and how two partial results become one."""

    start: Callable[[Node], float]
    join: Callable[[Function, Node, Value, Value], Value]


def _lowest(node: Node) -> float:
    kind = node.dtype.kind
    return -np.inf if kind == "f" else 0 if kind in "ub" else int(np.iinfo(node.dtype).min)


def _highest(node: Node) -> float:
    kind = node.dtype.kind
    return np.inf if kind == "f" else 1 if kind == "b" else int(np.iinfo(node.dtype).max)


REDUCTIONS: dict[Primitive, Combine] = {
    reduce.sum: Combine(lambda node: 0, ELEMENTWISE[elementwise.add]),
    reduce.prod: Combine(lambda node: 1, ELEMENTWISE[elementwise.multiply]),
    reduce.max: Combine(_lowest, ELEMENTWISE[elementwise.maximum]),
    reduce.min: Combine(_highest, ELEMENTWISE[elementwise.minimum]),
}

VIEWS = {
    movement.reshape,
    movement.transpose,
    movement.broadcast,
    movement.expand,
    movement.squeeze,
    movement.slice,
}

#: primitives with a loop of their own
LOOPS = {
    reduce.logsumexp,
    reduce.argmax,
    contract.matmul,
    indexing.gather,
    indexing.scatter_add,
    movement.concat,
    movement.stack,
    movement.pad,
    random.random_bits,
}

_missing = (
    set(PRIMITIVES.values())
    - ELEMENTWISE.keys()
    - REDUCTIONS.keys()
    - VIEWS
    - LOOPS
    - {source.leaf, source.constant}
)
if _missing:
    raise NotImplementedError(f"primitives without a lowering: {_missing}")

_ROTATIONS = random._ROTATIONS


def threefry(f: Function, key: tuple[Value, Value], index: Value, counter: Value) -> Value:
    """Lanes of random bits, as ``ops/random.py`` computes them."""
    word = index.type

    def rotated(x: Value, turn: int) -> Value:
        return f.op(f"call {word} @llvm.fshl.{word.suffix}({x}, {x}, {const(turn, word)})", word)

    f.declared.add(f"declare {word} @llvm.fshl.{word.suffix}({word}, {word}, {word})")
    parity = f.binary("xor", f.binary("xor", *key), const(random._PARITY, I32))
    keys = [f.splat(k, word.lanes) for k in (*key, parity)]
    x, y = f.binary("add", index, keys[0]), f.binary("add", counter, keys[1])
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            x = f.binary("add", x, y)
            y = f.binary("xor", rotated(y, turn), x)
        x = f.binary("add", x, keys[(group + 1) % 3])
        y = f.binary("add", y, keys[(group + 2) % 3])
        y = f.binary("add", y, const(group + 1, word))
    return x

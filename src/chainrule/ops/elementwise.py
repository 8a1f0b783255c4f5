"""Primitives that act on each element alone; operands broadcast."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import TypedDict, Unpack

import numpy as np

from chainrule.errors import DtypeError
from chainrule.ops import instructions as i
from chainrule.ops.dtypes import bool_
from chainrule.ops.instructions import Lower
from chainrule.ops.movement import identity
from chainrule.ops.notation import Expression, function
from chainrule.ops.operand import Application, Cotangents, Dtype, Factors, Operand
from chainrule.ops.record import (
    ZERO,
    Array,
    Case,
    Computed,
    Cost,
    Derivative,
    Elementwise,
    Faulty,
    Form,
    Primitive,
    Undefined,
    broadcast_shapes,
    expect,
)
from chainrule.ops.source import constant

Interval = tuple[float, float]
Written = Callable[..., Expression]

EVERYWHERE: Interval = (-3.0, 3.0)
POSITIVE: Interval = (0.2, 4.0)
AWAY_FROM_ZERO: Interval = (0.3, 3.0)  # drawn with a random sign


def _draw(rng: np.random.Generator, interval: Interval, shape: tuple[int, ...], signed: bool) -> Array:
    x = rng.uniform(*interval, size=shape)
    return x * rng.choice([-1.0, 1.0], size=shape) if signed else x


def _refuse_booleans(name: str, x: Operand) -> None:
    expect(
        x.dtype != bool_,
        DtypeError,
        f"{name}: booleans are not numbers",
        expected="floats or integers",
        got=x.dtype,
        hint="use ~, & and | on booleans, or cast them: x.astype(cr.int64)",
    )


class Said(TypedDict, total=False):
    """What a record may say besides: see ``Primitive``. It is written as its name with the operands in brackets."""

    written: Written
    cost: Cost
    hint: str
    partials: Callable[..., Factors]
    floating: bool
    instead: Callable[..., Operand | None]


def unary(
    name: str,
    value: Callable[..., Computed],
    derivative: Derivative,
    interval: Interval = EVERYWHERE,
    *,
    lower: Lower,
    signed: bool = False,
    boolean: bool = True,
    **said: Unpack[Said],
) -> Primitive:
    """A record of one operand; ``interval`` is where its tests draw from. Integers become floats first."""

    def form(x: Operand) -> Form:
        if not boolean:
            _refuse_booleans(name, x)
        return Form(x.shape, x.dtype)

    def domain(rng: np.random.Generator) -> Iterator[Case]:
        for shape in ((), (5,), (3, 4)):
            yield Case((_draw(rng, interval, shape, signed),))

    bad = () if boolean else (Case((np.ones(2, bool),)),)
    said = {"written": function(f"{name}({{0}})"), "floating": True, **said}
    return Primitive(
        name, form, value, derivative, domain, bad, promoted=(0, 1), lowering=Elementwise(lower), **said
    )


def in_software(
    name: str,
    value: Callable[..., Computed],
    derivative: Derivative,
    interval: Interval = EVERYWHERE,
    **said: Unpack[Said],
) -> Primitive:
    """A record of one operand whose function of the same name is written in ``compiler/codegen/mathfn.py``."""
    said = {"cost": "long", **said}
    return unary(name, value, derivative, interval, lower=i.function(name), **said)


def binary(
    name: str,
    value: Callable[..., Computed],
    derivative: Derivative,
    left: Interval = EVERYWHERE,
    right: Interval = EVERYWHERE,
    *,
    lower: Lower,
    signed: bool = False,
    boolean: bool = True,
    result: Dtype | None = None,
    faulty: Faulty | None = None,
    **said: Unpack[Said],
) -> Primitive:
    """A record of two operands, which broadcast against each other."""

    def form(x: Operand, y: Operand) -> Form:
        if not boolean:
            _refuse_booleans(name, x)
        return Form(broadcast_shapes(name, x.shape, y.shape), result or x.dtype)

    def domain(rng: np.random.Generator) -> Iterator[Case]:
        for first, second in (((), ()), ((3, 4), (3, 4)), ((3, 1), (4,)), ((2, 3, 4), (3, 1)), ((), (3,))):
            yield Case((_draw(rng, left, first, False), _draw(rng, right, second, signed)))

    bad = APART if boolean else (*APART, Case((np.ones(2, bool), np.ones(2, bool))))
    lowering = Elementwise(lower, faulty)
    return Primitive(name, form, value, derivative, domain, bad, promoted=(0, 2), lowering=lowering, **said)


#: shapes that do not broadcast
APART = (Case((np.ones((3, 2)), np.ones((3,)))), Case((np.ones((2, 3)), np.ones((3, 2)))))

# Arithmetic

add: Primitive = binary(
    "add",
    np.add,
    lambda g, y, a, b: (g, g),
    lower=i.arithmetic("fadd", "add"),
    written=lambda node, a, b: a + b,
)
subtract: Primitive = binary(
    "subtract",
    np.subtract,
    lambda g, y, a, b: (g, -g),
    boolean=False,
    lower=i.arithmetic("fsub", "sub"),
    written=lambda node, a, b: a - b,
)


def _square_of_kink(a: Application, b: Application) -> Operand | None:
    """|x| |x| as x x, and a root times itself as what it is the root of.

    At 0 the factors have a kink and their product has none: the rule for products would lose the second derivative.
    """
    if a.op not in (abs, root) or not _same(a, b):
        return None
    (x,) = a.inputs
    return multiply(x, x) if a.op is abs else identity(x)


def _same(a: Application, b: Application) -> bool:
    """Whether two nodes compute the same from the same nodes, as far as a short look shows."""
    waiting, seen = [(a, b)], set()
    while waiting:
        x, y = waiting.pop()
        if x is y or (x, y) in seen:
            continue
        if x.op is y.op is constant:
            alike = x.dtype == y.dtype and np.array_equal(x.params["value"], y.params["value"])
        else:
            alike = x.op is y.op and x.params == y.params and len(x.inputs) == len(y.inputs) > 0
        seen.add((x, y))
        if not alike or len(seen) > 32:
            return False
        waiting.extend(zip(x.inputs, y.inputs, strict=True))
    return True


multiply: Primitive = binary(
    "multiply",
    np.multiply,
    lambda g, y, a, b: (g * b, g * a),
    instead=_square_of_kink,
    lower=i.arithmetic("fmul", "mul"),
    written=lambda node, a, b: a * b,
)
divide: Primitive = binary(
    "divide",
    np.true_divide,
    lambda g, y, a, b: (g / b, -(g * y) / b),
    right=AWAY_FROM_ZERO,
    signed=True,
    floating=True,
    lower=i.arithmetic("fdiv", "sdiv"),
    cost="long",
    hint="keep the divisor away from 0: x / (y + 1e-8)",
    written=lambda node, a, b: a / b,
)
negative: Primitive = unary(
    "negative",
    np.negative,
    lambda g, y, x: (-g,),
    floating=False,
    boolean=False,
    lower=i.negative,
    written=lambda node, x: -x,
)


def _power(x: Array, p: Array) -> Computed:
    if p.dtype.kind == "i" and (p < 0).any():
        raise DtypeError(
            "power: an integer has no negative power that is an integer",
            expected="floats, or exponents from 0 on",
            got=int(p.min()),
            hint="use a float exponent: x ** -1.0",
        )
    if x.ndim == p.ndim == 0:
        # on processors with AVX-512 NumPy rounds the power of two numbers otherwise than that of arrays
        return np.power(x.reshape(1), p.reshape(1)).reshape(())
    return np.power(x, p)


def _power_derivative(g: Operand, y: Operand, x: Operand, p: Operand) -> Cotangents:
    # p x^(p-1); where x and p are both 0 that is 0 times infinity, but x^0 is flat: 1 in the place of x makes
    # it 0, and all higher derivatives
    dx = p * power(where(equal(x, 0) & equal(p, 0), 1, x), p - 1)
    # x^p log x, which is 0 at x = 0 for p > 0, and taken to be for p = 0; the inner where keeps log away from 0
    at_zero = equal(x, 0) & greater_equal(p, 0)
    dp = where(at_zero, 0, y * log(where(at_zero, 1, x)))
    return g * dx, g * dp


def _power_instead(x: Application, p: Application) -> Operand | None:
    """The square of what has a kink, as a product of two."""
    two = x.op in (abs, root) and p.op is constant and p.shape == () and p.params["value"] == 2
    return multiply(x, x) if two else None


def _power_written(node: Application, x: Expression, p: Expression) -> Expression:
    return x**p.number if p.number is not None else _any_power(node, x, p)


_any_power = function("({0})^({1})", r"\left({0}\right)^{{{1}}}")

power: Primitive = binary(
    "power",
    _power,
    _power_derivative,
    POSITIVE,
    (-2.0, 3.0),
    boolean=False,
    instead=_power_instead,
    lower=i.power,
    faulty=i.negative_exponent,
    cost="long",
    hint="keep the base above 0: cr.maximum(x, 1e-12)",
    written=_power_written,
    partials=lambda y, x, p: (p * y / x, y * log(x)),
)

# Exponentials and logarithms

exp: Primitive = in_software(
    "exp",
    np.exp,
    lambda g, y, x: (g * y,),
    hint="keep its input below 88 (float32): subtract the largest, or use cr.logsumexp, cr.softmax, cr.softplus",
    written=function("exp({0})", r"e^{{{0}}}"),
)
expm1: Primitive = in_software(
    "expm1",
    np.expm1,
    lambda g, y, x: (g * exp(x),),
    hint="keep its input below 88 (float32)",
)
log: Primitive = in_software(
    "log",
    np.log,
    lambda g, y, x: (g / x,),
    POSITIVE,
    hint="keep its input above 0: cr.log(cr.maximum(x, 1e-12))",
    written=function("log({0})", r"\log\left({0}\right)"),
)
log1p: Primitive = in_software(
    "log1p",
    np.log1p,
    lambda g, y, x: (g / (1.0 + x),),
    (-0.8, 4.0),
    hint="keep its input above -1",
)
sqrt: Primitive = unary(
    "sqrt",
    np.sqrt,
    lambda g, y, x: (0.5 * g / y,),
    POSITIVE,
    lower=i.intrinsic("sqrt"),
    cost="long",
    hint="keep its input above 0, where the derivative is finite: cr.sqrt(x + 1e-12)",
    written=lambda node, x: x**0.5,
)


def _root_derivative(g: Operand, y: Operand, x: Operand) -> Cotangents:
    at_zero = equal(y, 0)
    return (where(at_zero, 0, 0.5 * g / where(at_zero, 1, y)),)


#: the square root of what cannot be negative, such as a sum of squares; unlike that of sqrt its derivative at 0 is 0
root: Primitive = unary(
    "root",
    np.sqrt,
    _root_derivative,
    POSITIVE,
    lower=i.intrinsic("sqrt"),
    cost="long",
    written=lambda node, x: x**0.5,
    partials=lambda y, x: (0.5 / y,),
)

# Sign and steps: their derivative is zero wherever there is one

abs: Primitive = unary(
    "abs",
    np.abs,
    lambda g, y, x: (g * sign(x),),
    AWAY_FROM_ZERO,
    signed=True,
    floating=False,
    lower=i.absolute,
    written=function("|{0}|", r"\left|{0}\right|"),
)
sign: Primitive = unary(
    "sign",
    np.sign,
    ZERO,
    AWAY_FROM_ZERO,
    signed=True,
    floating=False,
    boolean=False,
    lower=i.sign,
)
floor: Primitive = unary(
    "floor",
    np.floor,
    ZERO,
    (0.1, 0.9),
    floating=False,
    lower=i.intrinsic("floor"),
    written=function("⌊{0}⌋", r"\lfloor {0} \rfloor"),
)

# Trigonometric, hyperbolic, sigmoid

sin: Primitive = in_software(
    "sin",
    np.sin,
    lambda g, y, x: (g * cos(x),),
    written=function("sin({0})", r"\sin\left({0}\right)"),
)
cos: Primitive = in_software(
    "cos",
    np.cos,
    lambda g, y, x: (-(g * sin(x)),),
    written=function("cos({0})", r"\cos\left({0}\right)"),
)


def _logistic(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + e), e / (1.0 + e)).astype(x.dtype)


def _erf(x: Array) -> Computed:
    from scipy.special import erf as scipy_erf

    return scipy_erf(x)


# s(z) s(-z), not s(1 - s), which is exactly 0 from z = 37 on (row C14, erratum 20)
logistic: Primitive = in_software(
    "logistic",
    _logistic,
    lambda g, y, x: (g * (y * logistic(-x)),),
    written=function("σ({0})", r"\sigma\left({0}\right)"),
    partials=lambda y, x: (y * (1 - y),),
)
# 1 - tanh^2 loses all digits where tanh is close to 1; 4 s(2z) s(-2z) loses none
tanh: Primitive = in_software(
    "tanh",
    np.tanh,
    lambda g, y, x: (g * (4.0 * logistic(2.0 * x) * logistic(-2.0 * x)),),
    written=function("tanh({0})", r"\tanh\left({0}\right)"),
    partials=lambda y, x: (1 - y * y,),
)
#: log(1 + e^x) without overflow, and with full relative accuracy for negative x
softplus: Primitive = in_software(
    "softplus",
    lambda x: np.maximum(x, x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x))),
    lambda g, y, x: (g * logistic(x),),
)
erf: Primitive = in_software(
    "erf",
    _erf,
    lambda g, y, x: (g * (2.0 / np.pi**0.5 * exp(-(x * x))),),
)

# Piecewise: at a kink each record states the value that it takes

#: derivative 0 at 0
relu: Primitive = unary(
    "relu",
    lambda x: np.maximum(x, x.dtype.type(0)),
    lambda g, y, x: (where(greater(y, 0), g, 0),),
    AWAY_FROM_ZERO,
    signed=True,
    floating=False,
    lower=i.relu,
)


def _extremum_derivative(g: Operand, y: Operand, a: Operand, b: Operand) -> Cotangents:
    # a tie shares the cotangent equally
    tie = where(equal(a, b), 0.5 * g, 0)
    return where(equal(y, a), g, 0) - tie, where(equal(y, b), g, 0) - tie


maximum: Primitive = binary(
    "maximum",
    np.maximum,
    _extremum_derivative,
    lower=i.extremum("gt"),
    written=function("max({0}, {1})", r"\max\left({0}, {1}\right)"),
)
minimum: Primitive = binary(
    "minimum",
    np.minimum,
    _extremum_derivative,
    lower=i.extremum("lt"),
    written=function("min({0}, {1})", r"\min\left({0}, {1}\right)"),
)


def _where_form(condition: Operand, a: Operand, b: Operand) -> Form:
    expect(
        condition.dtype == bool_,
        DtypeError,
        "where: the condition is not boolean",
        expected="bool",
        got=condition.dtype,
        hint="compare first: where(x > 0, a, b)",
    )
    return Form(broadcast_shapes("where", condition.shape, a.shape, b.shape), a.dtype)


def _where_domain(rng: np.random.Generator) -> Iterator[Case]:
    for c, a, b in (((), (), ()), ((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), (2, 3, 4))):
        yield Case((rng.random(c) < 0.5, rng.normal(size=a), rng.normal(size=b)))


where: Primitive = Primitive(
    "where",
    _where_form,
    np.where,
    lambda g, y, c, a, b: (None, where(c, g, 0), where(c, 0, g)),
    _where_domain,
    (
        Case((np.ones(3), np.ones(3), np.ones(3))),
        Case((np.ones(3, bool), np.ones((3, 2)), np.ones((3,)))),
    ),
    promoted=(1, 3),
    lowering=Elementwise(i.where),
    written=lambda node, c, a, b: c * a + (1 - c) * b,  # conditions are written [a > b]: 1 or 0
)


def _clip_form(x: Operand, low: Operand, high: Operand) -> Form:
    return Form(broadcast_shapes("clip", x.shape, low.shape, high.shape), x.dtype)


def _clip_domain(rng: np.random.Generator) -> Iterator[Case]:
    for shape, bounds in (((7,), ()), ((3, 4), (4,))):
        low = rng.uniform(-1.0, -0.5, size=bounds)
        yield Case((rng.normal(size=shape) * 2, low, low + 1.5))


def _clip_derivative(g: Operand, y: Operand, x: Operand, low: Operand, high: Operand) -> Cotangents:
    # at a bound the derivative goes to x, none to the bound
    inside = greater_equal(x, low) & less_equal(x, high)
    below = less(x, low) & less(low, high)
    return where(inside, g, 0), where(below, g, 0), where(inside | below, 0, g)


clip: Primitive = Primitive(
    "clip",
    _clip_form,
    lambda x, low, high: np.minimum(np.maximum(x, low), high),
    _clip_derivative,
    _clip_domain,
    (Case((np.ones((2, 3)), np.zeros(()), np.ones(2))),),
    promoted=(0, 3),
    lowering=Elementwise(i.clip),
    written=function("clip({0}, {1}, {2})"),
)

# Comparisons and logic: boolean results, no derivative

NO_SLOPE = Undefined("cr.logistic(k * (a - b)) is a smooth a > b; x.detach() where a gradient of 0 is meant")


def _comparison(name: str, value: Callable[..., Computed], lower: Lower, text: str, latex: str) -> Primitive:
    written = function(f"[{{0}} {text} {{1}}]", rf"\left[{{0}} {latex} {{1}}\right]")
    return binary(name, value, NO_SLOPE, result=bool_, lower=lower, cost="cheap", written=written)


equal: Primitive = _comparison("equal", np.equal, i.comparison("oeq", "eq"), "=", "=")
not_equal: Primitive = _comparison("not_equal", np.not_equal, i.comparison("une", "ne"), "≠", r"\neq")
less: Primitive = _comparison("less", np.less, i.comparison("olt", "lt"), "<", "<")
less_equal: Primitive = _comparison("less_equal", np.less_equal, i.comparison("ole", "le"), "≤", r"\leq")
greater: Primitive = _comparison("greater", np.greater, i.comparison("ogt", "gt"), ">", ">")
greater_equal: Primitive = _comparison(
    "greater_equal", np.greater_equal, i.comparison("oge", "ge"), "≥", r"\geq"
)


def _logic(
    name: str, value: Callable[..., Computed], lower: Lower, count: int, written: Written
) -> Primitive:
    def form(*operands: Operand) -> Form:
        expect(
            builtins.all(x.dtype == bool_ for x in operands),
            DtypeError,
            f"{name}: operands are not boolean",
            expected="bool",
            got=" and ".join(str(x.dtype) for x in operands),
            hint="compare first, as in (x > 0) & (x < 1)",
        )
        return Form(broadcast_shapes(name, *(x.shape for x in operands)), bool_)

    def domain(rng: np.random.Generator) -> Iterator[Case]:
        for shape in ((), (5,), (3, 4)):
            yield Case(tuple(rng.random(shape) < 0.5 for _ in range(count)))

    bad = (Case(tuple(np.ones(3) for _ in range(count))),)
    return Primitive(
        name, form, value, NO_SLOPE, domain, bad, lowering=Elementwise(lower), cost="cheap", written=written
    )


logical_and: Primitive = _logic("logical_and", np.logical_and, i.bits("and"), 2, lambda node, a, b: a * b)
logical_or: Primitive = _logic(
    "logical_or", np.logical_or, i.bits("or"), 2, function("[{0} or {1}]", r"\left[{0} \vee {1}\right]")
)
logical_not: Primitive = _logic("logical_not", np.logical_not, i.logical_not, 1, lambda node, a: 1 - a)

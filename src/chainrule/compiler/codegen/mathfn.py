"""exp, log, tanh and their kin as branch-free vector polynomials, at most 2 ULP from the exact value.

Each takes the LLVM function being written and a float or double of any number of lanes, and appends the
instructions that compute its result. NaN, infinities, denormals and signed zeros come out as IEEE and C99
say. The instructions are the same for every number of lanes, so an element's bits do not depend on its place.
Only sin and cos have a branch: the C library computes them for arguments beyond 2^17 (float), 2^40 (double).

``fmuladd`` is one rounding where the target has fused multiply-add and two where it has not (SSE2); what must
be exact either way uses constants with trailing zeros, or ``fma``, which SSE2 leaves to the C library.

The coefficients are minimax (Remez), rounded one after the other with the rest fitted anew.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from chainrule.compiler.codegen.builder import Function, Type, Value, const

# Bits after the point of the significand; the exponent of 1.0.
_MANTISSA = {"float": 23, "double": 52}
_BIAS = {"float": 127, "double": 1023}
# log 2 in two parts; the first has so many trailing zeros that its product with any exponent is exact.
_LOG2 = {
    "float": (0.693145751953125, 1.428606765330187e-06),
    "double": (0.6931471803691238, 1.9082149292705877e-10),
}
# Beyond these e^x is 0, or infinity.
_EXP_RANGE = {"float": (-105.0, 89.0), "double": (-746.0, 710.0)}
# q in e^r = 1 + r + r^2 q(r) on |r| <= log(2)/2; relative error of e^r 2^-28.2, 2^-55.7.
_EXP = {
    "float": (0.49999994, 0.16666517, 0.041668106, 0.008369131, 0.0013836423),
    "double": (
        0.500000000000001, 0.1666666666666542, 0.04166666666652981, 0.008333333333735059,
        0.0013888888946608866, 0.00019841269635692446, 2.4801487210569606e-05, 2.7557014624326883e-06,
        2.763317546191754e-07, 2.5297492423932714e-08,
    ),
}  # fmt: skip
# p in tanh a = a + a^3 p(a^2) on a <= 0.56; relative error 2^-29.3, 2^-60.0.
_TANH = {
    "float": (-0.33333313, 0.13332437, -0.053835757, 0.021000978, -0.0061719175),
    "double": (
        -0.3333333333333328, 0.13333333333323746, -0.05396825396207625, 0.021869488337220303,
        -0.00886323179795525, 0.003592083851362212, -0.0014554898018481444, 0.0005882248075147828,
        -0.00023281925989382602, 8.250614066389056e-05, -1.8992042701886854e-05,
    ),
}  # fmt: skip
# r in 2 artanh s = 2 s + s^3 r(s^2) on |s| <= 0.1717 (log); relative error 2^-30.2, 2^-59.5.
_LOG = {
    "float": (0.66666776, 0.39977574, 0.29871237),
    "double": (
        0.6666666666666735, 0.39999999999409136, 0.28571428743781224, 0.22222198414676447,
        0.1818357332611637, 0.1531380172931446, 0.1479861696039583,
    ),
}  # fmt: skip
# The same on |s| <= 1/3 (softplus); relative error 2^-27.7, 2^-59.4.
_LOG1P = {
    "float": (0.6666642, 0.40021437, 0.28003022, 0.2800682),
    "double": (
        0.6666666666666631, 0.40000000000155905, 0.2857142854801195, 0.22222223960593898,
        0.1818174422288389, 0.1538655407360206, 0.1330104407428466, 0.12105576551849401,
        0.08342128547651143, 0.17015172207333976,
    ),
}  # fmt: skip
# t in 2 artanh s = 2 s + s^3 (2/3 + s^2 t(s^2)) on |s| <= 0.1717 (power); relative error 2^-66.3.
_LOG_TAIL = (
    0.4000000000000227, 0.28571428570091223, 0.22222222521479604, 0.1818178422557638,
    0.15386764079862228, 0.13256655636979153, 0.1319787645513117,
)  # fmt: skip
# s in sin r = r + r^3 s(r^2), and c in cos r = 1 + r^2 c(r^2), on |r| <= pi/4 + 0.01; relative error
# 2^-27.8, 2^-57.7 and 2^-32.7, 2^-63.7.
_SIN = {
    "float": (-0.16666654, 0.0083321044, -0.00019507446),
    "double": (
        -0.16666666666666624, 0.008333333333320423, -0.00019841269828198722, 2.7557313128665556e-06,
        -2.505066921531184e-08, 1.589160582882367e-10,
    ),
}  # fmt: skip
_COS = {
    "float": (-0.5, 0.041666646, -0.0013887294, 2.4429415e-05),
    "double": (
        -0.5, 0.04166666666666658, -0.0013888888888870952, 2.4801587287510024e-05,
        -2.7557313784947904e-07, 2.0875646447733414e-09, -1.1355684463143677e-11,
    ),
}  # fmt: skip
# pi/2 in three parts, each rounded to the type.
_HALF_PI = {
    "float": (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    "double": (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
}
# Up to here sin and cos reduce their argument with the three parts above; beyond, the C library is called, and its
# accuracy is theirs (glibc 2.36 is off by more than 2 ULP for the few doubles next to a multiple of pi/2).
_SIN_RANGE = {"float": 2.0**17, "double": 2.0**40}
# p in erf a = a + a p(a^2) on a <= 0.75 (float), 1 (double); relative error 2^-29.2, 2^-56.0.
_ERF_SPLIT = {"float": 0.75, "double": 1.0}
_ERF = {
    "float": (0.12837917, -0.3761262, 0.11283379, -0.026834335, 0.005113157, -0.0006737584),
    "double": (
        0.12837916709551256, -0.37612638903183343, 0.11283791670936955, -0.026866170641960584,
        0.005223977596754516, -0.0008548325486227837, 0.00012055280543518657, -1.4924466737272734e-05,
        1.6444166495227123e-06, -1.6184130930839758e-07, 1.3617378152253254e-08, -7.609212449843236e-10,
    ),
}  # fmt: skip
# log(1 - erf a) from there to where erf rounds to 1; relative error of erf 2^-28.3, 2^-57.0.
_ERF_END = {"float": 4.0, "double": 5.95}
_LOG_ERFC = {
    "float": (
        -2.1412297e-05, -1.1284335, -0.6358417, -0.10516465, 0.022848336, -0.0032057755, 0.0002131721,
    ),
    "double": (
        -5.027454266061019e-07, -1.128374090450879, -0.636643623868778, -0.10270345075183177,
        0.01899019943990437, 0.0004106003898920727, -0.0019159156188999328, 0.0007706217320272999,
        -0.00013503741687213638, -2.027277918129526e-05, 2.2824768722852633e-05, -8.667818316703023e-06,
        2.135822531603313e-06, -3.733270103288714e-07, 4.642578762602873e-08, -3.934497576878129e-09,
        2.0450817000799004e-10, -4.92889581174417e-12,
    ),
}  # fmt: skip


# Small pieces


def _bits(f: Function, x: Value) -> Value:
    return f.convert("bitcast", x, x.type.as_int.scalar)


def _float(f: Function, bits: Value, type: Type) -> Value:
    return f.convert("bitcast", bits, type.scalar)


def _pattern(value: float, type: Type) -> int:
    """The bits of a number, as an integer."""
    code = "f" if type.scalar == "float" else "d"
    return int.from_bytes(struct.pack(f"<{code}", value), "little")


def _muladd(f: Function, a: Value, b: Value, c: Value) -> Value:
    return f.intrinsic("fmuladd", a, b, c)


def _polynomial(f: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """Horner's rule: the fewest instructions; neighbouring elements fill the gaps of its chain."""
    *rest, last = coefficients
    result = const(last, x.type)
    for c in reversed(rest):
        result = _muladd(f, result, x, const(c, x.type))
    return result


def _at_most(f: Function, x: Value, bound: float) -> Value:
    """min(x, bound), NaN where x is NaN: one instruction on x86."""
    limit = const(bound, x.type)
    return f.select(f.fcmp("ogt", x, limit), limit, x)


def _at_least(f: Function, x: Value, bound: float) -> Value:
    """max(x, bound), NaN where x is NaN."""
    limit = const(bound, x.type)
    return f.select(f.fcmp("olt", x, limit), limit, x)


def _two_sum(f: Function, a: Value, b: Value) -> tuple[Value, Value]:
    """a + b, and what rounding took from it; for |a| >= |b| or a = 0."""
    total = f.binary("fadd", a, b)
    return total, f.binary("fsub", b, f.binary("fsub", total, a))


# Exponentials


def _whole(f: Function, x: Value, bias: int, sign: int = 1) -> tuple[Value, Value, Value]:
    """``bits``, k, and x less sign k times the first part of log 2; the low end of bits is k + bias.

    Adding 1.5 2^mantissa rounds to a whole number and leaves it in the low bits.
    """
    type = x.type
    shifter = const(1.5 * 2.0 ** _MANTISSA[type.scalar] + bias, type)
    shifted = _muladd(f, x, const(sign / math.log(2), type), shifter)
    k = f.binary("fsub", shifted, shifter)
    return _bits(f, shifted), k, _muladd(f, k, const(-sign * _LOG2[type.scalar][0], type), x)


def _reduce(f: Function, x: Value, bias: int, sign: int = 1) -> tuple[Value, Value]:
    """``bits`` and r with e^(sign x) = 2^k e^(sign r), |r| <= log(2)/2; the low end of bits is k + bias."""
    bits, k, r = _whole(f, x, bias, sign)
    return bits, _muladd(f, k, const(-sign * _LOG2[x.type.scalar][1], x.type), r)


def _power_of_two(f: Function, bits: Value, type: Type) -> Value:
    """2^k from an integer whose low end is k + bias."""
    return _float(f, f.binary("shl", bits, const(_MANTISSA[type.scalar], bits.type)), type)


def _two_factors(f: Function, bits: Value, type: Type) -> tuple[Value, Value]:
    """Two numbers whose product is 2^k, which may itself be denormal or too large; low end k + 2 bias."""
    half = f.binary("lshr", bits, const(1, bits.type))
    return _power_of_two(f, half, type), _power_of_two(f, f.binary("sub", bits, half), type)


def _exp_sum(f: Function, r: Value, extra: Value) -> Value:
    """e^r - 1 - r + extra for |r| <= log(2)/2; with r for extra, e^r - 1."""
    return _muladd(f, f.binary("fmul", r, r), _polynomial(f, r, _EXP[r.type.scalar]), extra)


def exp(f: Function, x: Value) -> Value:
    """e^x."""
    low, high = _EXP_RANGE[x.type.scalar]
    bits, r = _reduce(f, _at_least(f, _at_most(f, x, high), low), 2 * _BIAS[x.type.scalar])
    first, second = _two_factors(f, bits, x.type)
    return f.binary("fmul", _muladd(f, _exp_sum(f, r, r), first, first), second)


def expm1(f: Function, x: Value) -> Value:
    """e^x - 1, exact to the last places near 0."""
    type = x.type
    low, high = -0.8 * _MANTISSA[type.scalar], _EXP_RANGE[type.scalar][1]
    bits, k, r = _whole(f, _at_least(f, _at_most(f, x, high), low), _BIAS[type.scalar] - 1)
    scale = _power_of_two(f, bits, type)  # 2^(k-1): 2^128 would not fit
    r, error = _two_sum(f, r, f.binary("fmul", k, const(-_LOG2[type.scalar][1], type)))
    rest = _exp_sum(f, r, error)
    half = _muladd(f, scale, r, f.binary("fsub", scale, const(0.5, type)))
    half = _muladd(f, scale, rest, half)
    tiny = f.fcmp("olt", f.intrinsic("fabs", x), const(2.0**-60, type))  # half of it may not be a number
    return f.select(tiny, x, f.binary("fadd", half, half))


def _logistic_tail(f: Function, a: Value) -> Value:
    """1 / (1 + e^a) for a >= 0, to the last denormal: 2^k / (2^k + e^r), where only one sum is rounded."""
    type, one = a.type, const(1, a.type)
    bits, r = _reduce(f, _at_most(f, a, -_EXP_RANGE[type.scalar][0]), 2 * _BIAS[type.scalar], sign=-1)
    first, second = _two_factors(f, bits, type)
    total = _muladd(f, first, second, one)
    # 2^k once it is too small to count in 1 + 2^k, else 0
    lost = _muladd(f, first, second, f.binary("fsub", one, total))
    rest = _exp_sum(f, r, f.binary("fadd", r, lost))
    return f.binary("fmul", f.binary("fdiv", first, f.binary("fadd", total, rest)), second)


def logistic(f: Function, z: Value) -> Value:
    """1 / (1 + e^-z). logistic(z) and logistic(-z) share all but the last two instructions."""
    tail = _logistic_tail(f, f.intrinsic("fabs", z))
    upper = f.binary("fsub", const(1, z.type), tail)
    return f.select(f.fcmp("olt", z, const(0, z.type)), tail, upper)


def tanh(f: Function, x: Value) -> Value:
    """The hyperbolic tangent: a polynomial near 0, 1 - 2 / (1 + e^2x) further out."""
    type, one = x.type, const(1, x.type)
    a = f.intrinsic("fabs", x)
    square = f.binary("fmul", a, a)
    near = _muladd(f, f.binary("fmul", a, square), _polynomial(f, square, _TANH[type.scalar]), a)
    bounded = _at_most(f, a, 0.4 * _MANTISSA[type.scalar])  # tanh rounds to 1 from there on
    bits, r = _reduce(f, f.binary("fadd", bounded, bounded), _BIAS[type.scalar], sign=-1)
    scale = _power_of_two(f, bits, type)
    below = _muladd(f, r, _polynomial(f, r, (1, *_EXP[type.scalar])), f.binary("fadd", scale, one))
    far = _muladd(f, f.binary("fdiv", scale, below), const(-2, type), one)
    return f.intrinsic("copysign", f.select(f.fcmp("olt", a, const(0.55, type)), near, far), x)


# Logarithms


def _significand(f: Function, x: Value) -> tuple[Value, Value, Value]:
    """k and m - 1 with x = 2^k m and m in [sqrt(1/2), sqrt(2)), for a normal x > 0; and k + bias in bits."""
    type, integer = x.type, x.type.as_int
    mantissa, bias = _MANTISSA[type.scalar], _BIAS[type.scalar]
    low = _pattern(math.sqrt(0.5), type)
    moved = f.binary("add", _bits(f, x), const(_pattern(1, type) - low, integer))
    fraction = f.binary("and", moved, const(2**mantissa - 1, integer))
    m = _float(f, f.binary("add", fraction, const(low, integer)), type)
    # k + bias written into the low bits of 2^mantissa: AVX2 has no conversion from 64-bit integers.
    exponent = f.binary("lshr", moved, const(mantissa, integer))
    shifted = _float(f, f.binary("or", exponent, const(_pattern(2.0**mantissa, type), integer)), type)
    k = f.binary("fsub", shifted, const(2.0**mantissa + bias, type))
    return k, f.binary("fsub", m, const(1, type)), exponent


def _without_denormals(f: Function, x: Value) -> tuple[Value, Value]:
    """A normal number and the power of two by which it is larger than x > 0."""
    type = x.type
    shift = _MANTISSA[type.scalar] + 1
    tiny = f.fcmp("olt", x, const(2.0 ** (1 - _BIAS[type.scalar]), type))
    scaled = f.select(tiny, f.binary("fmul", x, const(2.0**shift, type)), x)
    return scaled, f.select(tiny, const(shift, type), const(0, type))


def _log1p_parts(f: Function, u: Value, coefficients: Sequence[float]) -> tuple[Value, Value]:
    """s and t with log(1 + u) = u - s t: s = u / (2 + u), t = u - s^2 r(s^2)."""
    s = f.binary("fdiv", u, f.binary("fadd", u, const(2, u.type)))
    square = f.binary("fmul", s, s)
    return s, _muladd(f, f.fneg(square), _polynomial(f, square, coefficients), u)


def _log_sum(f: Function, k: Value, u: Value, extra: Value) -> Value:
    """k log 2 + log(1 + u) + extra."""
    high, low = (const(part, u.type) for part in _LOG2[u.type.scalar])
    s, t = _log1p_parts(f, u, _LOG[u.type.scalar])
    rest = _muladd(f, s, t, f.fneg(_muladd(f, k, low, extra)))
    return _muladd(f, k, high, f.binary("fsub", u, rest))


def _log_ends(f: Function, y: Value, x: Value) -> Value:
    """y, but infinity or NaN where x is, -infinity where x is 0, NaN where x < 0."""
    type = x.type
    y = f.select(f.fcmp("olt", x, const(math.inf, type)), y, x)
    pole = f.select(f.fcmp("oeq", x, const(0, type)), const(-math.inf, type), const(math.nan, type))
    return f.select(f.fcmp("ole", x, const(0, type)), pole, y)


def log(f: Function, x: Value) -> Value:
    """The natural logarithm."""
    scaled, shift = _without_denormals(f, x)
    k, u, _ = _significand(f, scaled)
    y = _log_sum(f, f.binary("fsub", k, shift), u, const(0, x.type))
    return _log_ends(f, y, x)


def log1p(f: Function, x: Value) -> Value:
    """log(1 + x), exact to the last places near 0."""
    type, one = x.type, const(1, x.type)
    mantissa, bias = _MANTISSA[type.scalar], _BIAS[type.scalar]
    total = f.binary("fadd", x, one)
    above = f.fcmp("ogt", x, one)
    larger, smaller = f.select(above, x, one), f.select(above, one, x)
    lost = f.binary("fsub", smaller, f.binary("fsub", total, larger))  # 1 + x = total + lost, exactly
    k, u, exponent = _significand(f, total)
    # u + error = m - 1 + 2^-k lost; a quarter of it times 2^(2-k), which is normal for every k.
    quarter = f.binary("fmul", lost, const(0.25, type))
    scale = _power_of_two(f, f.binary("sub", const(2 * bias + 2, exponent.type), exponent), type)
    corrected = _muladd(f, quarter, scale, u)
    error = _muladd(f, quarter, scale, f.binary("fsub", u, corrected))
    ends = _log_ends(f, _log_sum(f, k, corrected, error), total)
    tiny = f.fcmp("olt", f.intrinsic("fabs", x), const(2.0 ** (-mantissa - 2), type))
    return f.select(tiny, x, ends)


def softplus(f: Function, x: Value) -> Value:
    """log(1 + e^x), without overflow and with full relative accuracy for negative x."""
    type, zero = x.type, const(0, x.type)
    below = _at_least(f, f.fneg(f.intrinsic("fabs", x)), _EXP_RANGE[type.scalar][0])
    bits, r = _reduce(f, below, 2 * _BIAS[type.scalar])
    scale = f.binary("fmul", *_two_factors(f, bits, type))
    p = _exp_sum(f, r, r)
    s, t = _log1p_parts(f, _muladd(f, p, scale, scale), _LOG1P[type.scalar])
    # p scale - s t + x + scale: p scale + scale is e^-|x| unrounded, and the largest term comes last.
    above = f.select(f.fcmp("ogt", x, zero), x, zero)
    rest = _muladd(f, f.fneg(s), t, f.binary("fmul", p, scale))
    return f.binary("fadd", f.binary("fadd", rest, above), scale)


# Error function


def erf(f: Function, x: Value) -> Value:
    """The error function: a polynomial near 0, 1 - e^polynomial further out."""
    type = x.type
    a = f.intrinsic("fabs", x)
    near = _muladd(f, a, _polynomial(f, f.binary("fmul", a, a), _ERF[type.scalar]), a)
    log_erfc = _polynomial(f, _at_most(f, a, _ERF_END[type.scalar]), _LOG_ERFC[type.scalar])
    bits, r = _reduce(f, log_erfc, _BIAS[type.scalar])
    scale = _power_of_two(f, bits, type)
    far = f.binary("fsub", const(1, type), scale)
    far = _muladd(f, f.fneg(scale), _exp_sum(f, r, r), far)
    split = f.fcmp("olt", a, const(_ERF_SPLIT[type.scalar], type))
    return f.intrinsic("copysign", f.select(split, near, far), x)


# Trigonometric


def sin(f: Function, x: Value) -> Value:
    """The sine."""
    return _circular(f, x, "sin")


def cos(f: Function, x: Value) -> Value:
    """The cosine."""
    return _circular(f, x, "cos")


def _circular(f: Function, x: Value, name: str) -> Value:
    """sin or cos: x = k pi/2 + r, then the sine or cosine of r with the sign of its quadrant."""
    type, integer = x.type, x.type.as_int
    shifter = const(1.5 * 2.0 ** _MANTISSA[type.scalar], type)
    shifted = _muladd(f, x, const(2 / math.pi, type), shifter)
    k = f.binary("fsub", shifted, shifter)
    r = x
    for part in _HALF_PI[type.scalar]:
        r = f.fma(k, const(-part, type), r)
    quadrant = _bits(f, shifted)
    if name == "cos":
        quadrant = f.binary("add", quadrant, const(1, integer))
    square = f.binary("fmul", r, r)
    sine = _muladd(f, f.binary("fmul", r, square), _polynomial(f, square, _SIN[type.scalar]), r)
    cosine = _muladd(f, square, _polynomial(f, square, _COS[type.scalar]), const(1, type))
    top = const(type.bits - 1, integer)
    odd = f.icmp("slt", f.binary("shl", quadrant, top), const(0, integer))
    sign = f.binary("shl", f.binary("lshr", quadrant, const(1, integer)), top)
    y = _float(f, f.binary("xor", _bits(f, f.select(odd, cosine, sine)), sign), type)
    if name == "sin":  # the sine's sum loses the sign of -0
        y = f.select(f.fcmp("oeq", x, const(0, type)), x, y)
    return _by_library(f, x, y, name)


def _by_library(f: Function, x: Value, y: Value, name: str) -> Value:
    """y, but the C library's result where x is too large; a branch that is hardly ever taken."""
    huge = f.fcmp("ogt", f.intrinsic("fabs", x), const(_SIN_RANGE[x.type.scalar], x.type))
    some = huge
    if x.type.lanes > 1:
        mask = Type(f"i{x.type.lanes}")
        some = f.icmp("ne", f.op(f"bitcast {huge} to {mask}", mask), const(0, mask))
    before, cold, after = f.block, f.fresh("huge"), f.fresh("joined")
    f.do(f"br {some}, label {cold}, label {after}")
    f.start(cold)
    called = f.select(huge, f.intrinsic(name, x), y)
    f.do(f"br label {after}")
    f.start(after)
    return f.op(f"phi {y.type} [ {y.name}, %{before} ], [ {called.name}, {cold} ]", y.type)


# Powers


def power(f: Function, x: Value, y: Value) -> Value:
    """x^y, with the special cases of C99: x^0 = 1^y = 1, and a negative x with a whole y."""
    type = x.type
    base = f.intrinsic("fabs", x)
    result = _power_float(f, base, y) if type.scalar == "float" else _power_double(f, base, y)
    return _power_ends(f, x, base, y, result)


def _power_float(f: Function, base: Value, y: Value) -> Value:
    """e^(y log base) for 0 < base < infinity, in doubles; a polynomial made for floats ends it."""
    wide, exponent = f.convert("fpext", base, "double"), f.convert("fpext", y, "double")
    k, u, _ = _significand(f, wide)
    product = f.binary("fmul", exponent, _log_sum(f, k, u, const(0, u.type)))
    low, high = _EXP_RANGE["float"]
    bits, r = _reduce(f, _at_least(f, _at_most(f, product, high), low), _BIAS["double"])
    power = f.binary("fmul", _polynomial(f, r, (1, 1, *_EXP["float"])), _power_of_two(f, bits, u.type))
    return f.convert("fptrunc", power, "float")


def _two_product(f: Function, a: Value, b: Value) -> tuple[Value, Value]:
    """a b, and what rounding took from it."""
    product = f.binary("fmul", a, b)
    return product, f.fma(a, b, f.fneg(product))


def _product(f: Function, a: tuple[Value, Value], b: tuple[Value, Value]) -> tuple[Value, Value]:
    """The product of two sums of a large and a small part."""
    high, low = _two_product(f, a[0], b[0])
    return high, f.fma(a[0], b[1], f.fma(a[1], b[0], low))


def _log_double(f: Function, x: Value) -> tuple[Value, Value]:
    """log x for x > 0 as a sum of two doubles with a relative error of 2^-64."""
    type = x.type
    scaled, shift = _without_denormals(f, x)
    k, u, _ = _significand(f, scaled)
    k = f.binary("fsub", k, shift)
    # s = u / (2 + u)
    below, below_low = _two_sum(f, const(2, type), u)
    inverse = f.binary("fdiv", const(1, type), below)
    s = f.binary("fmul", u, inverse)
    left = f.fma(f.fneg(s), below_low, f.fma(f.fneg(s), below, u))
    s_pair = s, f.binary("fmul", left, inverse)
    square = _product(f, s_pair, s_pair)
    # s^3 (2/3 + s^2 t)
    tail = f.binary("fmul", square[0], _polynomial(f, square[0], _LOG_TAIL))
    factor, factor_low = _two_sum(f, const(2 / 3, type), tail)
    factor_low = f.binary("fadd", factor_low, const(3.700743415417188e-17, type))  # the rest of 2/3
    cube = _product(f, s_pair, _product(f, square, (factor, factor_low)))
    # k log 2 + 2 s + cube
    high, low = _LOG2["double"]
    first, first_low = _two_sum(f, f.binary("fmul", k, const(high, type)), f.binary("fadd", s, s))
    second, second_low = _two_sum(f, first, cube[0])
    small = f.fma(k, const(low, type), cube[1])
    small = f.fma(s_pair[1], const(2, type), small)
    small = f.binary("fadd", small, f.binary("fadd", first_low, second_low))
    return _two_sum(f, second, small)


def _power_double(f: Function, base: Value, y: Value) -> Value:
    """e^(y log base) for 0 < base < infinity: the logarithm and its product with y in twice the precision."""
    type = y.type
    high, low = _log_double(f, base)
    # As good as infinite; but infinity times 0 is NaN.
    y = _at_least(f, _at_most(f, y, 2.0**66), -(2.0**66))
    product, lost = _two_product(f, high, y)
    lost = f.fma(low, y, lost)
    bottom, top = _EXP_RANGE["double"]
    bounded = _at_least(f, _at_most(f, product, top), bottom)
    lost = f.select(f.fcmp("oeq", product, bounded), lost, const(0, type))
    bits, k, r = _whole(f, bounded, 2 * _BIAS["double"])
    first, second = _two_factors(f, bits, type)
    r, error = _two_sum(f, r, f.fma(k, const(-_LOG2["double"][1], type), lost))
    p = f.binary("fadd", r, _exp_sum(f, r, error))
    return f.binary("fmul", _muladd(f, p, first, first), second)


def _power_ends(f: Function, x: Value, base: Value, y: Value, result: Value) -> Value:
    """|x|^y for |x| = 0, 1, infinity, y = 0 and NaN; then the sign, and NaN where there is no real power."""
    type = x.type
    zero, one, infinity = const(0, type), const(1, type), const(math.inf, type)
    at_zero, negative = f.fcmp("oeq", base, zero), f.fcmp("olt", x, zero)
    vanishes = f.binary("xor", at_zero, f.fcmp("olt", y, zero))
    at_end = f.binary("or", at_zero, f.fcmp("oeq", base, infinity))
    result = f.select(at_end, f.select(vanishes, zero, infinity), result)
    result = f.select(f.fcmp("uno", x, y), f.binary("fadd", x, y), result)
    flat = f.binary("or", f.fcmp("oeq", base, one), f.fcmp("oeq", y, zero))
    result = f.select(flat, one, result)
    half = f.binary("fmul", y, const(0.5, type))
    whole = f.fcmp("oeq", f.intrinsic("floor", y), y)
    odd = f.binary("and", whole, f.fcmp("une", f.intrinsic("floor", half), half))
    result = f.select(odd, f.intrinsic("copysign", result, x), result)
    real = f.binary("or", whole, f.fcmp("oeq", base, infinity))
    none = f.binary("and", negative, f.binary("xor", real, const(1, type.mask)))
    return f.select(none, const(math.nan, type), result)


#: what records may ask for by name
FUNCTIONS = {f.__name__: f for f in (exp, expm1, log, log1p, logistic, tanh, softplus, erf, sin, cos, power)}

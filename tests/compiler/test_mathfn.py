"""The compiled functions against NumPy and SciPy in higher precision: error in ULP, special values, lanes."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from chainrule.compiler.codegen import mathfn
from chainrule.compiler.codegen.builder import PTR, Function, Type, module_text
from chainrule.compiler.host import host

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ulp.py"
_SPEC = importlib.util.spec_from_file_location("ulp", _SCRIPT)
ulp = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(ulp)

TARGETS = [None, "avx2", "sse2"]
# Where long double is no wider than double, the reference is off by up to one ULP itself.
LIMIT = {"float": 2.0, "double": 2.0 if np.finfo(np.longdouble).nmant > 60 else 3.0}
EVERYDAY = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 1e-3, 0.1, 10.0, 1e10]
TURNS = [0.55, 0.75, 4.0, 5.95, 0.5**0.5, 2.0**0.5, 2.0**-25, 2.0**-54, 2.0**-60, 2.0**17, 2.0**40]
ENDS = {
    "float": [9.2, 16.6, 18.4, 87.33, 88.72, 89.0, 103.28, 103.97, 105.0],
    "double": [20.8, 36.7, 41.6, 708.4, 709.78, 710.0, 744.44, 745.13, 746.0],
}


@cache
def function(name, scalar, target=None, lanes=None):
    machine = host(target)
    return ulp.compiled(name, scalar, lanes or machine.lanes(Type(scalar).bits), machine)


def special(scalar):
    kind = np.finfo(ulp.DTYPES[scalar])
    sizes = [0, 1, 0.5, 2, kind.smallest_subnormal, kind.tiny, kind.max, np.inf, np.nan, kind.eps, 100, 1000]
    return np.array([sign * size for size in sizes for sign in (1, -1)], ulp.DTYPES[scalar])


def around(points, scalar, reach):
    """The numbers next to each point and its negative."""
    integer = np.int32 if scalar == "float" else np.int64
    bits = np.asarray(points, ulp.DTYPES[scalar]).view(integer)
    near = np.maximum(bits[:, None] + np.arange(-reach, reach, dtype=integer), 0).view(ulp.DTYPES[scalar])
    return np.concatenate([near.ravel(), -near.ravel()])


def dense(scalar, reach):
    """Neighbours of 0, of where a formula changes, of the ends of the range, of k pi/4 and k log(2)/2."""
    rng = np.random.default_rng(1)
    turns = rng.integers(1, int(mathfn._SIN_RANGE[scalar]), 200)
    multiples = np.concatenate([np.arange(1, 64), turns]).astype(np.longdouble)
    pi = 4 * np.arctan(np.longdouble(1))
    steps = np.concatenate([multiples * pi / 4, np.arange(1, 300) * np.log(np.longdouble(2)) / 2])
    plain = [*EVERYDAY, *TURNS, *ENDS[scalar], np.finfo(ulp.DTYPES[scalar]).tiny]
    return np.concatenate([special(scalar), around(plain, scalar, reach), around(steps, scalar, 16)])


def sweep(mantissas):
    """Floats of every sign and exponent, each with as many significands: the same grid, shifted by chance."""
    rng = np.random.default_rng(2)
    exponents = np.arange(512, dtype=np.uint32)[:, None] << 23
    step = 2**23 // mantissas
    places = np.arange(mantissas, dtype=np.uint32) * step + rng.integers(0, step, (512, mantissas))
    return (exponents + places).astype(np.uint32).ravel().view(np.float32)


def padded(x, lanes=16):
    return np.concatenate([x, np.ones(-x.size % lanes, x.dtype)])


def check(name, scalar, target, *arrays):
    error, place = ulp.worst(name, function(name, scalar, target), *map(padded, arrays))
    assert error <= LIMIT[scalar], f"{name}{place} is off by {error} ULP"


@pytest.mark.parametrize("name", ulp.UNARY)
def test_error_in_float32(name):
    check(name, "float", None, sweep(2048))
    check(name, "float", None, dense("float", 2000))


@pytest.mark.parametrize("name", ulp.UNARY)
def test_error_in_float64(name):
    count = 30_000 if name == "erf" else 100_000
    check(name, "double", None, ulp.patterns("double", count))
    check(name, "double", None, dense("double", 500 if name != "erf" else 50))


@pytest.mark.parametrize("target", TARGETS[1:])
@pytest.mark.parametrize("name", ulp.UNARY)
def test_error_on_other_targets(name, target):
    check(name, "float", target, sweep(128))
    check(name, "float", target, dense("float", 100))
    check(name, "double", target, ulp.patterns("double", 5000, seed=3))
    check(name, "double", target, special("double"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", ["float", "double"])
def test_error_of_power(scalar, target):
    check("power", scalar, target, *ulp.pairs(scalar, 100_000 if target is None else 10_000))
    x = around([1.0], scalar, 500)
    y = np.geomspace(1, 1e18, x.size).astype(x.dtype)  # results of every size from bases next to 1 and -1
    check("power", scalar, target, np.abs(x), y)
    check("power", scalar, target, x, np.round(y))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", ["float", "double"])
def test_power_of_special_values(scalar, target):
    whole = [3, -3, 5, 2.0**24 - 1, 2.0**53 - 1, 2.0**53, 1.5, -0.25]
    values = np.concatenate([special(scalar), np.array(whole, ulp.DTYPES[scalar])])
    x, y = np.meshgrid(values, values)
    check("power", scalar, target, x.ravel(), y.ravel())


@pytest.mark.parametrize("scalar", ["float", "double"])
@pytest.mark.parametrize("name", ulp.UNARY)
def test_special_values_as_numpy_gives_them(name, scalar):
    x = padded(special(scalar))
    got = function(name, scalar)(x)
    with np.errstate(over="ignore"):
        expected = ulp.exact(name, x).astype(x.dtype)
    ends = ~np.isfinite(expected) | (expected == 0)
    np.testing.assert_array_equal(got[ends], expected[ends])
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("name", ["tanh", "expm1", "log1p", "sin"])
@pytest.mark.parametrize("scalar", ["float", "double"])
def test_tiny_arguments_come_back(name, scalar):
    kind = np.finfo(ulp.DTYPES[scalar])
    x = padded(around([0, kind.tiny, kind.eps**3], scalar, 100))
    np.testing.assert_array_equal(function(name, scalar)(x), x)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", ["float", "double"])
@pytest.mark.parametrize("name", ulp.NAMES)
def test_bits_do_not_depend_on_lanes_or_place(name, scalar, target):
    arrays = [dense(scalar, 8)[:2048], ulp.patterns(scalar, 2048, seed=4)]
    arrays = arrays if name == "power" else [np.concatenate(arrays)]
    expected = function(name, scalar, target, 1)(*arrays)
    for lanes, shift in ((4, 0), (8, 3), (16, 5)):
        got = function(name, scalar, target, lanes)(*[np.roll(a, shift) for a in arrays])
        np.testing.assert_array_equal(np.roll(got, -shift), expected)  # NaN equals NaN
        np.testing.assert_array_equal(
            np.roll(np.signbit(got), -shift)[~np.isnan(expected)], np.signbit(expected)[~np.isnan(expected)]
        )


def test_both_tails_of_the_logistic_share_their_exponential():
    import llvmlite.binding as llvm

    f = Function("both", [(PTR, "place")])
    z = f.load(f.parameters[0], Type("float", 8))
    f.store(f.binary("fmul", mathfn.logistic(f, z), mathfn.logistic(f, f.fneg(z))), f.parameters[0])
    f.ret()
    target = host()
    module = llvm.parse_assembly(module_text([f], target.attributes))
    assert str(module).count("fdiv") == 2
    llvm.initialize_native_target()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(target.cpu, target.features)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(module, builder)
    assert str(module).count("fdiv") == 1


def next_to_a_multiple(exponent):
    """A double from 2^exponent up next to a multiple of pi/2: from the convergents of 2^(exponent-52) / (pi/2)."""
    import mpmath

    with mpmath.workdps(80):
        rest = mpmath.mpf(2) ** (exponent - 52) * 2 / mpmath.pi
        (_, before), (_, q) = (1, 0), (0, 1)
        while q < 2**53:
            rest = 1 / (rest - mpmath.floor(rest))
            before, q = q, int(rest) * q + before
    return float(before * -(-(2**52) // before)) * 2.0 ** (exponent - 52)


@pytest.mark.peers  # mpmath comes with PyTorch
@pytest.mark.parametrize("name", ulp.NAMES)
def test_hard_cases_against_mpmath(name):
    import mpmath

    rng = np.random.default_rng(5)
    spread = rng.choice([-1, 1], 100) * np.exp(rng.uniform(np.log(1e-3), np.log(700), 100))
    x = np.concatenate([spread, [0.5499999, 0.5500001, -0.3466, 0.3466, 1.0397, -36.73, -708.5, -740.25]])
    if name in ("sin", "cos"):
        x = np.concatenate([x, [next_to_a_multiple(e) for e in range(1, 39)]])
    if name in ("log", "power"):
        x = np.abs(np.concatenate([x, 1 + spread * 1e-7]))
    x = padded(x)
    arrays = (x, padded(rng.uniform(-1, 1, x.size) * 700 / np.log(x))) if name == "power" else (x,)
    functions = {
        "logistic": lambda z: 1 / (1 + mpmath.exp(-z)),
        "softplus": lambda z: mpmath.log1p(mpmath.exp(z)),
        "log1p": lambda z: mpmath.log1p(z) if z >= -1 else mpmath.nan,
    }
    with mpmath.workdps(350):  # e^-740 beside 1
        f = functions.get(name, getattr(mpmath, name, None))
        exact = [f(*map(mpmath.mpf, row)) for row in zip(*arrays, strict=True)]
        for got, true, row in zip(
            function(name, "double")(*arrays), exact, zip(*arrays, strict=True), strict=True
        ):
            error = abs(mpmath.mpf(got) - true) / mpmath.mpf(np.spacing(abs(got)))
            assert error <= 2.001 or (mpmath.isnan(true) and np.isnan(got)), (name, row, error)


def test_the_measure_of_error():
    x = np.array([1.0, 2.0**-149, 1.0, np.nan, 0.0, np.finfo(np.float32).max, np.inf], np.float32)
    exact = np.array([1 + 2.0**-23, 0.0, np.nan, np.nan, -0.0, np.inf, 2.0**128 - 2.0**103])
    np.testing.assert_array_equal(ulp.errors(x, exact), [1, 1, np.inf, 0, np.inf, 1, 0.5])

"""The largest errors of the compiled mathematical functions, in units in the last place.

    python benchmarks/ulp.py             random bit patterns and everyday numbers; half a minute
    python benchmarks/ulp.py exp --all   every float32 there is; ten minutes a function

One ULP is the gap between the numbers of the type around the exact result; a correctly rounded result is off
by at most 0.5. References: NumPy and SciPy in double for float32, in 80-bit extended precision for float64.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.special

from chainrule.compiler.codegen import mathfn
from chainrule.compiler.codegen.builder import I64, PTR, Function, Type, const, module_text
from chainrule.compiler.host import Library, Target, assemble, host

Array = np.ndarray[Any, np.dtype[Any]]
UNARY = ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "logistic", "softplus", "erf")
NAMES = (*UNARY, "power")
DTYPES = {"float": np.float32, "double": np.float64}


def compiled(name: str, scalar: str, lanes: int, target: Target) -> Callable[..., Array]:
    """A function of ``mathfn`` over arrays whose length is a multiple of ``lanes``."""
    type, count = Type(scalar, lanes), 2 if name == "power" else 1
    labels = [(PTR, "out"), (PTR, "x"), (PTR, "y")][: count + 1]
    f = Function("kernel", [*labels, (I64, "n")])
    out, *sources, n = f.parameters
    with f.loop(const(0, I64), n, lanes) as loop:
        arguments = [f.load(f.offset(source, loop.index, scalar), type) for source in sources]
        f.store(getattr(mathfn, name)(f, *arguments), f.offset(out, loop.index, scalar))
    f.ret()
    library = Library(assemble(module_text([f], target.attributes), target), target)
    native = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (count + 1), ctypes.c_int64)(
        library.address("kernel")
    )

    def run(*arrays: Array) -> Array:
        arrays = tuple(np.ascontiguousarray(a, DTYPES[scalar]) for a in arrays)
        assert arrays[0].size % lanes == 0 and library
        result = np.empty_like(arrays[0])
        native(result.ctypes.data, *[a.ctypes.data for a in arrays], result.size)
        return result

    return run


# References


def _erf(x: Array) -> Array:
    if x.dtype == np.float64:
        return scipy.special.erf(x)
    # 2/sqrt(pi) e^-x^2 (x + 2 x^3/3 + 4 x^5/15 + ...): all terms have the same sign
    near = np.clip(x, -7, 7)
    term = near.copy()
    total = term.copy()
    for n in range(1, 260):
        term = term * (2 * near * near / (2 * n + 1))
        total += term
    pi = 4 * np.arctan(x.dtype.type(1))
    return np.where(np.abs(x) < 1e-30, 2 / np.sqrt(pi) * x, 2 / np.sqrt(pi) * np.exp(-near * near) * total)


def _logistic(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@np.errstate(all="ignore")
def exact(name: str, *arrays: Array) -> Array:
    """The function in higher precision: double for float32, extended for float64."""
    functions = {
        "erf": _erf,
        "logistic": _logistic,
        "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    }
    wide = [a.astype(np.float64 if a.dtype == np.float32 else np.longdouble) for a in arrays]
    return functions.get(name, getattr(np, name, None))(*wide)


@np.errstate(all="ignore")  # a NaN that signals, infinity less infinity
def errors(got: Array, reference: Array) -> Array:
    """|got - reference| in ULP of the type of ``got``; infinite where only one is NaN, or signs differ."""
    kind, wide = np.finfo(got.dtype), got.astype(reference.dtype)
    # Infinity stands for what would be the next number after the largest.
    limit = np.ldexp(reference.dtype.type(1), kind.maxexp)
    wide_in, exact_in = np.clip(wide, -limit, limit), np.clip(reference, -limit, limit)
    exponent = np.where(exact_in == 0, kind.minexp, np.frexp(exact_in)[1] - 1)
    gap = np.ldexp(reference.dtype.type(1), np.clip(exponent, kind.minexp, kind.maxexp - 1) - kind.nmant)
    error = np.abs(wide_in - exact_in) / gap
    nan, other = np.isnan(wide), np.isnan(reference)
    error = np.where((nan & other) | (wide == reference), 0, error)
    wrong = (nan != other) | (~nan & (np.signbit(wide) != np.signbit(reference)))
    return np.where(wrong, np.inf, error).astype(np.float64)


# Arguments


def patterns(scalar: str, count: int, seed: int = 0) -> Array:
    """Random bit patterns, NaN and infinities among them, and as many numbers of everyday size."""
    rng = np.random.default_rng(seed)
    dtype = DTYPES[scalar]
    bits = rng.integers(0, 2 ** (np.finfo(dtype).bits), count // 2, dtype=f"u{np.finfo(dtype).bits // 8}")
    scale = np.repeat([0.5, 3, 30, 800], -(-count // 8))[: count - count // 2]
    return np.concatenate([bits.view(dtype), (rng.uniform(-1, 1, scale.size) * scale).astype(dtype)])


@np.errstate(all="ignore")
def pairs(scalar: str, count: int, seed: int = 0) -> tuple[Array, Array]:
    """Arguments of power: bit patterns, and exponents that give results of every size."""
    rng = np.random.default_rng(seed)
    x = np.abs(patterns(scalar, count, seed))
    limit = 104 if scalar == "float" else 745
    y = rng.uniform(-limit, limit, count) / np.log(x.astype(np.float64))
    y = np.where(rng.random(count) < 0.1, rng.integers(-9, 9, count), y)
    x = np.where((y == np.round(y)) & (rng.random(count) < 0.5), -x, x)
    return x.astype(DTYPES[scalar]), y.astype(DTYPES[scalar])


def every_float(chunk: int = 2**16) -> Iterator[Array]:
    """All 2^32 float32 values."""
    for start in range(0, 2**32, chunk):
        yield np.arange(start, start + chunk, dtype=np.uint64).astype(np.uint32).view(np.float32)


def worst(name: str, run: Callable[..., Array], *arrays: Array) -> tuple[float, tuple[Any, ...]]:
    """The largest error and where."""
    error = errors(run(*arrays), exact(name, *arrays))
    place = int(np.argmax(error))
    return float(error[place]), tuple(a[place] for a in arrays)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="function", help=", ".join(NAMES))
    parser.add_argument("--all", action="store_true", help="every float32 (functions of one argument)")
    parser.add_argument("--target", help="avx512, avx2 or sse2 instead of the host's best")
    parser.add_argument("--count", type=int, default=2**20, help="arguments to try")
    options = parser.parse_args()
    target = host(options.target)
    for name in options.names or NAMES:
        for scalar in ("float",) if options.all else ("float", "double"):
            run = compiled(name, scalar, target.lanes(Type(scalar).bits), target)
            if options.all:
                found = max((worst(name, run, x) for x in every_float()), key=lambda pair: pair[0])
            else:
                arrays = (
                    pairs(scalar, options.count) if name == "power" else (patterns(scalar, options.count),)
                )
                found = worst(name, run, *arrays)
            print(f"{name:10}{scalar:8}{found[0]:6.3f} ULP at {', '.join(map(str, found[1]))}", flush=True)


if __name__ == "__main__":
    main()

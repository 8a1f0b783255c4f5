"""Every primitive, every dtype, however its operands lie in memory: compiled code against the interpreter.

The programs are drawn from the records' own cases. Their arrays hold what a dtype has at its ends; their shapes leave
nothing, one element, or vectors and a rest.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import pytest
from tests.thorough import slow

import chainrule as cr
from chainrule.compiler.program import Binary, Instance
from chainrule.errors import ChainruleError
from chainrule.graph import Node, emit, new_leaf
from chainrule.interpret import evaluate
from chainrule.ops import PRIMITIVES, dtypes, elementwise, indexing, movement
from chainrule.ops.edges import EDGES
from chainrule.ops.record import Case, Elementwise, Primitive, is_float

Array = np.ndarray
ENDS = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -0.5, 1.0, 127.5, 255.5, -129.0, 2.0**31, 2.0**32])
FAR = np.array([-(2.0**31), 2.0**63, -(2.0**63), 2.0**64, 3e38, -3e38, 1e-40, 1e-7, 88.0, -104.0, 300.0])
TOLERANCE = {cr.float64: 1e-12, cr.float32: 1e-5}
LENGTHS = (None, 0, 1, 37)  # of one axis of a case; None leaves it as it is
DRAWN = sorted(PRIMITIVES.keys() - {"leaf", "constant"})


def filled(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, ends: bool) -> Array:
    """Numbers of a dtype, half of them from its ends if so wished; an integer's always."""
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind == "f":
        x, special = rng.normal(size=shape) * 3, np.concatenate([ENDS, FAR])
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        x = rng.integers(low, high, shape, dtype, endpoint=True)
        special = np.array([low, high, high // 2, 0, 1, 2, 3, 5], dtype)
    chosen = (rng.random(shape) < 0.5) & (ends or dtype.kind != "f")
    with np.errstate(over="ignore"):
        return np.asarray(np.where(chosen, rng.choice(special, size=shape), x), dtype)


# How an operand lies: the array in memory, and the view that gives the operand


def as_it_is(x: Array, rng: np.random.Generator) -> tuple[Array, Callable[[Node], Node]]:
    return x, lambda node: node


def transposed(x: Array, rng: np.random.Generator) -> tuple[Array, Callable[[Node], Node]]:
    axes = tuple(range(x.ndim))[::-1]
    return x.transpose(axes), lambda node: movement.transpose(node, axes=axes)


def backwards(x: Array, rng: np.random.Generator) -> tuple[Array, Callable[[Node], Node]]:
    start = tuple(max(n - 1, 0) for n in x.shape)
    read = {"start": start, "count": x.shape, "step": (-1,) * x.ndim}
    return np.flip(x), lambda node: movement.slice(node, **read)


def spread(x: Array, rng: np.random.Generator) -> tuple[Array, Callable[[Node], Node]]:
    """Every second element of a larger array."""
    larger = filled(rng, tuple(2 * n + 1 for n in x.shape), x.dtype, False)
    larger[tuple(slice(1, 2 * n + 1, 2) for n in x.shape)] = x
    start = tuple(min(n, 1) for n in x.shape)
    return larger, lambda node: movement.slice(node, start=start, count=x.shape, step=(2,) * x.ndim)


def repeated(x: Array, rng: np.random.Generator) -> tuple[Array, Callable[[Node], Node]]:
    """One element for all of an axis, of some axes."""
    first = tuple(slice(0, 1) if rng.random() < 0.5 else slice(None) for _ in x.shape)
    return x[first], lambda node: movement.broadcast(node, shape=x.shape)


LAYOUTS = (as_it_is, transposed, backwards, spread, repeated)


# Programs


def with_length(case: Case, length: int | None, rng: np.random.Generator) -> Case:
    """The case with another length in place of one that it has."""
    found = sorted({n for x in case.inputs for n in np.shape(x) if n > 1})
    if length is None or not found:
        return case
    old = rng.choice(found)

    def changed(shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(length if n == old else n for n in shape)

    inputs = tuple(
        np.resize(x, changed(np.shape(x))) if np.size(x) else np.zeros(changed(np.shape(x)))
        for x in case.inputs
    )
    params = {k: changed(v) if k in ("shape", "count") else v for k, v in case.params.items()}
    if "count" in params:
        params["start"] = tuple(a if n else 0 for a, n in zip(params["start"], params["count"], strict=True))
    return Case(inputs, params)


def operands(primitive: Primitive, case: Case, dtype: np.dtype, rng: np.random.Generator) -> list[Array]:
    """The case's arrays with numbers of the dtype, indices included where that is an integer's."""
    ends = bool(rng.integers(2)) and isinstance(primitive.lowering, Elementwise)

    def given(position: int, x: Array) -> Array:
        if is_float(x.dtype):
            drawn = filled(rng, x.shape, dtype, ends)
            exponent = primitive is elementwise.power and position == 1 and dtype.kind == "i"
            return drawn & np.iinfo(dtype).max if exponent else drawn  # of negative ones: test_integers.py
        if primitive in (indexing.gather, indexing.scatter_add) and dtype.kind in "iu":
            return (np.abs(x) if dtype.kind == "u" else x).astype(dtype)
        return x

    return [given(i, np.asarray(x)) for i, x in enumerate(case.inputs)]


def cases_of(primitive: Primitive, rng: np.random.Generator) -> list[Case]:
    drawn = list(primitive.domain(rng))
    if primitive is movement.cast:
        return [Case((np.ones((3, 40)),), {"dtype": dtype}) for dtype in dtypes.DTYPES]
    return [drawn[rng.integers(len(drawn))]]


def outcome(run: Callable[[], list[Array]]) -> Array | type[ChainruleError]:
    """The value, or the kind of error."""
    try:
        return run()[0]
    except ChainruleError as error:
        return type(error)


def check(primitive: Primitive, case: Case, dtype: np.dtype, layout, rng: np.random.Generator) -> None:
    given = operands(primitive, case, dtype, rng)
    trusted = layout is repeated and primitive in EDGES  # the numbers of edges and neurons are
    laid = [as_it_is(x, rng) if trusted and i > 1 else layout(x, rng) for i, x in enumerate(given)]
    arrays = [np.ascontiguousarray(x).reshape(x.shape) for x, _ in laid]
    leaves = [new_leaf(x.shape, x.dtype) for x in arrays]
    views = [view(leaf) for leaf, (_, view) in zip(leaves, laid, strict=True)]
    try:
        node = emit(primitive, views, case.params)
    except ChainruleError:  # a shape or dtype that the rule refuses, to either
        return
    expected = outcome(lambda: evaluate([node], dict(zip(leaves, arrays, strict=True))))
    got = outcome(lambda: Instance(Binary(leaves, [node]))(*arrays))
    about = f"{primitive.name} {dtype} {layout.__name__} {[x.shape for x in arrays]} {case.params}"
    if isinstance(expected, type) or isinstance(got, type):
        assert got is expected, about
        return
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype), about
    if is_float(got.dtype):
        least = 50 * np.finfo(got.dtype).tiny
        np.testing.assert_allclose(got, expected, TOLERANCE[got.dtype], least, err_msg=about)
    else:
        np.testing.assert_array_equal(got, expected, err_msg=about)


CASES = [(name, dtype) for name in DRAWN for dtype in dtypes.DTYPES]
#: a third of them always runs, another one for each neighbour in the list: every dtype and every record is there
IN_TURN = [slow(*case) if place % 3 else case for place, case in enumerate(CASES)]


@pytest.mark.parametrize(("name", "dtype"), IN_TURN, ids=[f"{name}-{dtype}" for name, dtype in CASES])
def test_compiled_agrees_with_the_interpreter(name: str, dtype: np.dtype) -> None:
    primitive = PRIMITIVES[name]
    rng = np.random.default_rng(zlib.crc32(f"{name} {dtype}".encode()))
    for number, layout in enumerate(LAYOUTS):
        for case in cases_of(primitive, rng):
            edges = primitive in EDGES  # whose integers say how many of everything there are
            length = None if edges else LENGTHS[(number + dtype.num) % len(LENGTHS)]
            check(primitive, with_length(case, length, rng), dtype, layout, rng)

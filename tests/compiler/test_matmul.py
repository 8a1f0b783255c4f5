"""The contraction kernels against NumPy: every shape, stride and target; nothing outside is read or written."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thorough import generated

from chainrule.compiler.codegen.builder import I64, PTR, Function, Type, Value, const, module_text
from chainrule.compiler.codegen.matmul import Product, emit_product, parts, scratch_bytes
from chainrule.compiler.codegen.matmul.plan import Dots, plan
from chainrule.compiler.host import Library, Target, assemble, host

TARGETS: dict[str | None, Target] = {level: host(level) for level in (None, "avx2", "sse2")}
# code for 64-byte vectors runs anywhere, if slowly: LLVM splits them
TARGETS["wide"] = replace(host("sse2"), vector_bytes=64, registers=32)
SCALARS = {"float": np.float32, "double": np.float64, "i32": np.int32, "i64": np.int64}
GUARD = 64  # elements around what a kernel may write

Matrix = np.ndarray


# Operands whose neighbours cannot be touched


@contextmanager
def fenced(values: Matrix, strides: tuple[int, int]) -> Iterator[int]:
    """The address of a copy of a matrix with these strides (elements), whose last element ends where memory ends."""
    rows, columns = values.shape
    size = values.itemsize
    if 0 in values.shape:
        yield 0
        return
    span = ((rows - 1) * strides[0] + (columns - 1) * strides[1] + 1) * size
    pages = -(-span // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    view = (ctypes.c_char * len(memory)).from_buffer(memory)
    start = ctypes.addressof(view)
    fence, begin = start + pages * mmap.PAGESIZE, pages * mmap.PAGESIZE - span
    whole = np.frombuffer(memory, values.dtype, span // size, begin)
    np.lib.stride_tricks.as_strided(whole, values.shape, [s * size for s in strides])[...] = values
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert protect(fence, mmap.PAGESIZE, 0) == 0
    try:
        yield start + begin
    finally:
        protect(fence, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE)


# Running a kernel

Body = Callable[[Function, Value, Value], Value]  # (function, what C holds, results) -> what it is to hold


def replaced(f: Function, old: Value, new: Value) -> Value:
    return new


def counted(f: Function, old: Value, new: Value) -> Value:
    """One more in every element, whatever the product is."""
    return f.binary("fadd" if old.type.is_float else "add", old, const(1, old.type))


def long_way(f: Function, old: Value, new: Value) -> Value:
    """The results, after many instructions that change nothing."""
    for _ in range(40):
        new = f.fneg(new) if new.type.is_float else f.binary("sub", const(0, new.type), new)
    return new


class Kernel:
    """A compiled product whose results go to a C-contiguous matrix."""

    def __init__(self, product: Product, target: Target, body: Body = replaced, whole: bool = False) -> None:
        self.product, self.dtype = product, np.dtype(SCALARS[product.scalar])
        self.scratch = scratch_bytes(product, target)
        f = Function("product", [*((PTR, p) for p in "abcs"), (I64, "first"), (I64, "last")])
        a, b, c, scratch, first, last = f.parameters
        self.seen: list[tuple[int, bool]] = []

        def epilogue(f: Function, row: Value, column: Value, value: Value, mask: Value | None) -> None:
            assert value.type.scalar == product.scalar
            place = f.offset(f.offset(c, f.times(row, product.N), product.scalar), column, product.scalar)
            f.store(body(f, f.load(place, value.type, mask), value), place, mask)

        self.parts = parts(product, target)
        part = (const(0, I64), const(self.parts.units, I64)) if whole else (first, last)
        emit_product(f, target, product, a, b, part, epilogue, scratch)
        f.ret()
        self.library = Library(assemble(module_text([f], target.attributes), target), target)
        kinds = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 2
        self.run = ctypes.CFUNCTYPE(None, *kinds)(self.library.address("product"))

    def __call__(self, a: Matrix, b: Matrix, cuts: tuple[int, ...] = ()) -> Matrix:
        """C, computed by a call for each part between cuts; all that surrounds it must stay as it was."""
        product, size = self.product, self.dtype.itemsize
        c = np.zeros(product.M * product.N + 2 * GUARD, self.dtype)
        c[:GUARD] = c[GUARD + product.M * product.N :] = 77
        scratch = np.full(self.scratch + 2 * GUARD * size, 77, np.uint8)
        edges = (0, *(min(cut * self.parts.step, self.parts.units) for cut in sorted(cuts)), self.parts.units)
        with fenced(a, product.a_strides) as at_a, fenced(b, product.b_strides) as at_b:
            for first, last in pairwise(edges):
                at_c, at_scratch = c.ctypes.data + GUARD * size, scratch.ctypes.data + GUARD * size
                self.run(at_a, at_b, at_c, at_scratch, first, last)
        assert (c[:GUARD] == 77).all() and (c[GUARD + product.M * product.N :] == 77).all()
        assert (scratch[: GUARD * size] == 77).all() and (scratch[GUARD * size + self.scratch :] == 77).all()
        return c[GUARD : GUARD + product.M * product.N].reshape(product.M, product.N)


def strided(rows: int, columns: int, layout: str) -> tuple[int, int]:
    """Strides of a matrix that lies by rows or by columns, tightly or inside a larger one."""
    wide = 3 if layout.endswith("wide") else 0
    return (columns + wide, 1) if layout.startswith("rows") else (1, rows + wide)


LAYOUTS = ("rows", "columns", "rows, wide", "columns, wide")


def operands(product: Product, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    dtype = np.dtype(SCALARS[product.scalar])
    shapes = (product.M, product.K), (product.K, product.N)
    if dtype.kind == "i":
        a, b = (rng.integers(-1000, 1000, shape).astype(dtype) for shape in shapes)
    else:
        a, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return a, b


def check(result: Matrix, a: Matrix, b: Matrix) -> None:
    """Exact for integers; for floats within the bound of any order of summation."""
    if result.dtype.kind == "i":
        np.testing.assert_array_equal(result, a @ b)
        return
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    terms = np.abs(a).astype(np.longdouble) @ np.abs(b).astype(np.longdouble)
    bound = (a.shape[1] + 1) * np.finfo(result.dtype).eps * terms
    assert (np.abs(result - exact) <= bound).all()


@st.composite
def products(
    draw: st.DrawFn, scalars: tuple[str, ...] = ("float", "float", "double", "i32", "i64")
) -> Product:
    size = st.integers(0, 9) | st.integers(0, 70) | st.sampled_from((1, 8, 16, 32, 64))
    M, N, K = draw(size), draw(size), draw(size)
    a, b = draw(st.sampled_from(LAYOUTS)), draw(st.sampled_from(LAYOUTS))
    return Product(M, N, K, strided(M, K, a), strided(K, N, b), draw(st.sampled_from(scalars)))


LARGE = [
    Product(40, 37, 1100, (1100, 1), (37, 1), "float"),  # sums over K in blocks
    Product(
        33, 50, 2061, (1, 33), (1, 2061), "float"
    ),  # the same, both operands transposed, blocks of odd length
    Product(26, 17, 1300, (1300, 1), (17, 1), "double"),
    Product(300, 70, 900, (1, 300), (70, 1), "float"),  # blocks of rows, A packed
    Product(256, 64, 128, (1, 256), (64, 1), "float"),
    Product(9, 700, 600, (600, 1), (1, 600), "float"),  # B transposed in several parts
    Product(70, 1100, 260, (260, 1), (1100, 1), "double"),
    Product(20, 10, 1500, (1, 20), (10, 1), "i32"),
    Product(3, 5, 3000, (3000, 1), (1, 3000), "float"),
    Product(200, 1, 333, (333, 1), (1, 1), "float"),
    Product(50, 3, 129, (129, 1), (3, 1), "float"),  # few columns, B transposed
    Product(12, 37, 1100, (1100, 1), (37, 1), "float"),  # few rows: blocks of K in registers
    Product(7, 5, 1283, (1, 7), (5, 1), "float"),
    Product(20, 70, 1025, (1, 20), (1, 1025), "float"),
    Product(3, 21, 1300, (1, 3), (21, 1), "double"),
    Product(5, 9, 4501, (4501, 1), (1, 4501), "float"),  # blocks of K in vectors
    Product(2, 3, 2303, (2303, 1), (1, 2303), "double"),
]


@st.composite
def large_products(draw: st.DrawFn) -> Product:
    """Products whose operands are cut in blocks: over K, over rows that no tile divides, over columns."""
    M, K = draw(st.integers(20, 700)), draw(st.integers(260, 2100))
    N = min(draw(st.integers(1, 100) | st.integers(200, 800)), 10_000_000 // (M * K))
    a, b = draw(st.sampled_from(LAYOUTS)), draw(st.sampled_from(LAYOUTS))
    scalar = draw(st.sampled_from(("float", "double", "i32")))
    return Product(M, N, K, strided(M, K, a), strided(K, N, b), scalar)


# The tests


@given(products(), st.sampled_from(list(TARGETS)), st.booleans())
@settings(max_examples=120, deadline=None)
def test_any_product_agrees_with_numpy(product: Product, level: str | None, whole: bool) -> None:
    a, b = operands(product)
    check(Kernel(product, TARGETS[level], whole=whole)(a, b), a, b)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("product", LARGE, ids=str)
def test_large_products(product: Product, level: str | None) -> None:
    a, b = operands(product)
    kernel = Kernel(product, TARGETS[level])
    whole = kernel(a, b)
    check(whole, a, b)
    steps = -(-kernel.parts.units // kernel.parts.step)
    cuts = (steps // 2, steps - 1)
    np.testing.assert_array_equal(kernel(a, b, cuts), whole)


@generated(20, 40, large_products(), st.sampled_from(list(TARGETS)), st.lists(st.integers(0, 70), max_size=2))
def test_any_large_product(product: Product, level: str | None, cuts: list[int]) -> None:
    a, b = operands(product)
    check(Kernel(product, TARGETS[level])(a, b, tuple(cuts)), a, b)
    counts = Kernel(product, TARGETS[level], counted)(a, b, tuple(cuts))
    assert (counts == 1).all()


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (3, 20), (20, 3), (20, 20), (1, 40), (30, 30), (40, 1)]
)
def test_long_sums_are_as_exact_as_short_ones(rows: int, columns: int, level: str | None) -> None:
    """Each addition of 0.1 rounds in the same direction for a long time: 30000 in one accumulator are off by 1e-4."""
    depth = 30_001
    a, b = np.full((rows, depth), 0.1, np.float32), np.ones((depth, columns), np.float32)
    for strides in ((depth, 1), (1, rows)):
        product = Product(rows, columns, depth, strides, (columns, 1), "float")
        exact = depth * np.float64(np.float32(0.1))
        assert np.abs(Kernel(product, TARGETS[level])(a, b) / exact - 1).max() < 5e-6


@given(products(), st.sampled_from(list(TARGETS)), st.lists(st.integers(0, 70), max_size=4))
@settings(max_examples=40, deadline=None)
def test_sharing_changes_no_bit(product: Product, level: str | None, cuts: list[int]) -> None:
    a, b = operands(product)
    kernel = Kernel(product, TARGETS[level])
    whole = kernel(a, b)
    shared = kernel(a, b, tuple(cuts))
    assert whole.tobytes() == shared.tobytes()
    literal = Kernel(product, TARGETS[level], whole=True)(a, b)
    assert whole.tobytes() == literal.tobytes()


@given(products(), st.sampled_from(list(TARGETS)), st.lists(st.integers(0, 70), max_size=2))
@settings(max_examples=40, deadline=None)
def test_every_element_is_handed_over_once(product: Product, level: str | None, cuts: list[int]) -> None:
    a, b = operands(product)
    counts = Kernel(product, TARGETS[level], counted)(a, b, tuple(cuts))
    assert (counts == 1).all()


@pytest.mark.parametrize("product", LARGE, ids=str)
def test_every_element_of_a_large_product_is_handed_over_once(product: Product) -> None:
    assert (Kernel(product, TARGETS[None], counted)(*operands(product), (11,)) == 1).all()


@given(products(("float", "i32")), st.sampled_from(list(TARGETS)), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_long_epilogue_sees_the_same_results(product: Product, level: str | None, whole: bool) -> None:
    a, b = operands(product)
    cuts = (product.M // 3,)
    short, long = (Kernel(product, TARGETS[level], body, whole)(a, b, cuts) for body in (replaced, long_way))
    np.testing.assert_array_equal(short, long)


@pytest.mark.parametrize("scalar", ["float", "i64"])
def test_a_sum_over_nothing_is_zero(scalar: str) -> None:
    product = Product(13, 21, 0, (0, 1), (21, 1), scalar)
    assert (Kernel(product, TARGETS[None])(*operands(product)) == 0).all()


@pytest.mark.parametrize("strides", [(0, 1), (1, 0), (0, 0), (2, 3)])
def test_repeated_and_scattered_elements(strides: tuple[int, int]) -> None:
    product = Product(10, 20, 15, (15, 1), strides, "float")
    a = operands(product)[0]
    memory = np.arange(1 + 14 * strides[0] + 19 * strides[1], dtype=np.float32)
    b = np.lib.stride_tricks.as_strided(memory, (15, 20), [4 * s for s in strides])
    check(Kernel(product, TARGETS[None])(a, b), a, b)


def test_non_finite_values_stay_in_their_rows_and_columns() -> None:
    product = Product(20, 20, 30, (30, 1), (1, 30), "float")
    a, b = operands(product)
    a[3, 4], b[5, 6], a[7, 8] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = a @ b
    np.testing.assert_allclose(Kernel(product, TARGETS[None])(a, b), expected, rtol=1e-3, atol=1e-4)


def test_the_way_depends_on_the_shape() -> None:
    """Both ways of computing, and both packings, are met by the products above."""
    ways = [(product, plan(product.normal(), target)) for product in LARGE for target in TARGETS.values()]
    strips = [(p, strip) for p, way in ways if not isinstance(way, Dots) for strip in way]
    assert any(isinstance(way, Dots) for _, way in ways)
    assert any(strip.pack_a for _, strip in strips) and any(strip.pack_b for _, strip in strips)
    assert any(strip.depth < product.K for product, strip in strips)


def test_nothing_packed_needs_little_scratch() -> None:
    product = Product(32, 64, 20, (20, 1), (64, 1), "float")
    assert scratch_bytes(product, TARGETS[None]) <= 14 * 64 * Type("float").bits

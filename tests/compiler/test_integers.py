"""Integers and truth values in compiled code are NumPy's, bit for bit: powers, products, constants, means."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.program import Binary, Instance
from chainrule.errors import DtypeError
from chainrule.graph import new_leaf
from chainrule.interpret import evaluate
from chainrule.ops import contract, dtypes, movement, reduce
from chainrule.ops import elementwise as e

INTEGERS = [dtype for dtype in dtypes.DTYPES if dtype.kind in "iu"]
SIGNED = [dtype for dtype in INTEGERS if dtype.kind == "i"]
SMALL = [dtype for dtype in dtypes.DTYPES if dtype.itemsize < 4]
every_integer = pytest.mark.parametrize("dtype", INTEGERS, ids=str)


def drawn(rng, shape, dtype):
    """Numbers of all sizes."""
    if dtype == cr.bool_:
        return np.asarray(rng.random(shape) < rng.choice([0.05, 0.5, 0.95]))
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


# Powers


@every_integer
@pytest.mark.parametrize("size", [1, 3, 9, 70])
def test_powers_wrap_around_as_numpys(dtype, size):
    rng = np.random.default_rng(size)
    x, p = drawn(rng, size, dtype), drawn(rng, size, dtype) & np.iinfo(dtype).max
    p[::2] %= 9
    np.testing.assert_array_equal(cr.compile(lambda x, p: x**p)(x, p).numpy(), x**p)
    for number in (0, 1, 2, 3, 7, 100):
        power = np.array(number, dtype)
        np.testing.assert_array_equal(cr.compile(lambda x, n=number: x**n)(x).numpy(), x**power)
        np.testing.assert_array_equal(cr.compile(lambda p, n=number: n**p)(p).numpy(), power**p)


def test_powers_are_exact_beyond_the_digits_of_a_float():
    assert cr.compile(lambda p: 3**p)(np.array([39])).tolist() == [3**39]
    assert cr.compile(lambda x: x**2)(np.full(9, 60000, np.uint32)).tolist() == [60000**2] * 9


POWERS = {
    "every element": lambda x, p: x**p,
    "one exponent": lambda x, p: x ** p[-1],
    "inside a sum": lambda x, p: (x[:, None] ** p).sum(0),
    "behind a product": lambda x, p: (x[:, None] @ p[None, :]) ** p,
    "counted": lambda x, p: ((x**p) > 3).sum(),
}


@pytest.mark.parametrize("form", POWERS)
@pytest.mark.parametrize("size", [1, 3, 8, 37])
@pytest.mark.parametrize("dtype", SIGNED, ids=str)
def test_a_negative_exponent_is_an_error(dtype, size, form):
    f = POWERS[form]
    fast, x, p = cr.compile(f), np.full(size, 2, dtype), np.full(size, 3, dtype)
    expected = f(cr.tensor(x), cr.tensor(p)).numpy()
    np.testing.assert_array_equal(fast(x, p).numpy(), expected)
    p[-1] = -1
    with pytest.raises(DtypeError, match="no negative power"):
        f(cr.tensor(x), cr.tensor(p))
    with pytest.raises(DtypeError, match="negative power in compiled code"):
        fast(x, p)
    p[-1] = 3
    np.testing.assert_array_equal(fast(x, p).numpy(), expected)  # nothing is left of it


def test_a_literal_negative_exponent_is_an_error():
    with pytest.raises(DtypeError, match="negative power"):
        cr.compile(lambda x: x**-1)(np.array([1, 2]))


def test_exponents_beside_those_that_count_do_not_matter():
    p = np.array([1, -1] * 21)
    read_every_second = cr.compile(lambda p: 2 ** p[::2])
    assert read_every_second(p).tolist() == [2] * 21
    assert cr.compile(lambda p: 2 ** p[:3])(np.array([1, 2, 3, -1])).tolist() == [2, 4, 8]


def test_truth_values_have_no_powers():
    b = np.array([True, False])
    for f in (lambda b: b**b, cr.compile(lambda b: b**b)):
        with pytest.raises(DtypeError, match="booleans are not numbers"):
            f(cr.tensor(b))


# Products of elements of one or two bytes


def laid(rng, x):
    """An array and a function that gives x of it: as it is, transposed, backwards, or one element for many."""
    turn, last = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2), tuple(max(n - 1, 0) for n in x.shape)
    ways = (
        (x, lambda node: node),
        (np.ascontiguousarray(x.transpose(turn)), lambda node: movement.transpose(node, axes=turn)),
        (
            np.ascontiguousarray(np.flip(x)),
            lambda node: movement.slice(node, start=last, count=x.shape, step=(-1,) * x.ndim),
        ),
        (
            np.ascontiguousarray(x[..., :1, :]),
            lambda node: movement.broadcast(node, shape=(*x.shape[:-2], x.shape[-2], x.shape[-1])),
        ),
    )
    return ways[rng.integers(len(ways))]


EPILOGUES = (
    lambda c: [c],
    lambda c: [c + c, c],
    lambda c: [reduce.sum(c, axis=(len(c.shape) - 1,), keepdims=False)],
    lambda c: [movement.transpose(c, axes=tuple(range(len(c.shape)))[::-1]), e.equal(c, 0)],
    lambda c: [movement.cast(c, dtype=cr.float32) * 0.5],
)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("dtype", SMALL, ids=str)
def test_products_of_small_elements(dtype, seed):
    rng = np.random.default_rng([seed, dtype.num])
    m, n, k = (int(rng.choice([rng.integers(0, 5), rng.integers(1, 70), 16, 32])) for _ in range(3))
    batch = [(), (2,), (3, 2)][rng.integers(3)]
    one = tuple(1 if rng.random() < 0.4 else length for length in batch)
    (a, first), (b, second) = (laid(rng, drawn(rng, s, dtype)) for s in ((*one, m, k), (*batch, k, n)))
    leaves = [new_leaf(a.shape, dtype), new_leaf(b.shape, dtype)]
    outputs = EPILOGUES[seed % len(EPILOGUES)](contract.matmul(first(leaves[0]), second(leaves[1])))
    expected = evaluate(outputs, dict(zip(leaves, (a, b), strict=True)))
    for got, wanted in zip(Instance(Binary(leaves, outputs))(a, b), expected, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def test_a_product_of_truth_values_is_whether_any_pair_is_true():
    b = np.array([True, True])
    assert cr.compile(lambda a, c: a @ c)(b, b).item() is True
    many = np.ones((2, 256), bool)  # whose count is 0 in eight bits
    assert cr.compile(lambda a: a @ a.T)(many).numpy().all()


# Constants, means and norms


@every_integer
def test_constants_at_the_ends(dtype):
    rng, limits = np.random.default_rng(0), np.iinfo(dtype)
    x = drawn(rng, 37, dtype)
    for number in (limits.min, limits.max, limits.max // 2 + 1):
        for f, numpys in (
            (lambda x, n: x + n, np.add),
            (lambda x, n: x * n, np.multiply),
            (lambda x, n: n - x, lambda x, n: n - x),
            (cr.maximum, np.maximum),
            (cr.minimum, np.minimum),
            (lambda x, n: x < n, np.less),
            (lambda x, n: cr.pad(x, [(1, 0)], n), lambda x, n: np.pad(x, (1, 0), constant_values=n)),
            (lambda x, n: cr.clip(x, min=n), np.maximum),
            (lambda x, n: cr.clip(x, max=n), np.minimum),
        ):
            with np.errstate(over="ignore"):
                expected = numpys(x, np.array(number, dtype))
            for way in (f, cr.compile(f)):
                np.testing.assert_array_equal(way(cr.tensor(x), number).numpy(), expected)


@pytest.mark.parametrize("dtype", [*INTEGERS, cr.bool_], ids=str)
@pytest.mark.parametrize("name", ["mean", "var", "std", "norm"])
def test_means_and_norms_of_integers_do_not_wrap_around(dtype, name):
    x = drawn(np.random.default_rng(1), (5, 40), dtype)
    f, numpys = getattr(cr, name), np.linalg.norm if name == "norm" else getattr(np, name)
    for axis in (0, 1):
        expected = numpys(x.astype(np.float64), axis=axis)
        for way in (f, cr.compile(f)):
            got = way(cr.tensor(x), axis)
            assert got.dtype == cr.float32
            np.testing.assert_allclose(got.numpy(), expected, 1e-6)

"""Values against NumPy, SciPy or exact expressions, at plain and at extreme points; derivatives at kinks."""

import math

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule.errors import DtypeError, IndexOutOfRangeError, ShapeError
from chainrule.ops import PRIMITIVES
from chainrule.ops.edges import incidence_of
from chainrule.ops.random import random_bits, threefry

INF, NAN = np.inf, np.nan
EXTREMES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-30, -1e-30, 1e30, -1e30, INF, -INF, NAN])
X = np.random.default_rng(0).normal(size=(3, 4))
UNARY = {
    "negative": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "root": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "erf": scipy.special.erf,
    "logistic": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(x, 0),
    "relu": lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
    "identity": lambda x: x,
    "stop_gradient": lambda x: x,
}
BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}
REDUCTIONS = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "logsumexp": scipy.special.logsumexp,
}
#: edges of a small graph, as a matrix [upper, lower] of which are there, as numbers and as the records take them
EDGES = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]])
TARGET, SOURCE = np.nonzero(EDGES)
WEIGHTS = np.array([7.0, 0.5, -1.0, 2.0, 3.0, -0.25, 1.5, 9.0])  # the first and the last belong to others
DENSE = np.zeros(EDGES.shape)
DENSE[TARGET, SOURCE] = WEIGHTS[1:-1]
#: neurons' values [neurons, batch], in eighths, so that sums are exact in any order
UPPER = np.random.default_rng(1).integers(-20, 20, (3, 5)) / 8
LOWER = np.random.default_rng(2).integers(-20, 20, (4, 5)) / 8
INCIDENCE = incidence_of(SOURCE, TARGET, *EDGES.shape, 1)
#: records with parameters of their own: (record, operands, parameters, the value)
OTHERS = [
    ("where", (X > 0, X, -X), {}, np.where(X > 0, X, -X)),
    ("clip", (X, np.array(-0.5), np.array([0.0, 0.1, 0.2, 0.3])), {}, np.clip(X, -0.5, [0.0, 0.1, 0.2, 0.3])),
    ("clip", (X, np.array(1.0), np.array(-1.0)), {}, np.clip(X, 1.0, -1.0)),
    ("logical_and", (X > 0, X < 1), {}, (X > 0) & (X < 1)),
    ("logical_or", (X > 1, X < 0), {}, (X > 1) | (X < 0)),
    ("logical_not", (X > 0,), {}, ~(X > 0)),
    ("argmax", (X,), {"axis": 1}, X.argmax(1)),
    ("argmax", (np.array([1.0, 3.0, 3.0]),), {"axis": 0}, np.array(1)),
    ("matmul", (X, X.T), {}, np.einsum("ik,jk->ij", X, X)),
    ("matmul", (X[:, None], X.T), {}, np.einsum("ik,jk->ij", X, X)[:, None]),
    ("reshape", (X,), {"shape": (2, 6)}, X.reshape(2, 6)),
    ("transpose", (X,), {"axes": (1, 0)}, X.T),
    ("broadcast", (X,), {"shape": (2, 3, 4)}, np.stack([X, X])),
    ("expand", (X,), {"axes": (0, 3)}, X[None, :, :, None]),
    ("squeeze", (X[None, :, None],), {"axes": (0, 2)}, X),
    ("slice", (X,), {"start": (2, 0), "count": (3, 2), "step": (-1, 3)}, X[::-1, ::3]),
    ("slice", (X,), {"start": (0, 3), "count": (0, 1), "step": (1, 1)}, X[:0, 3:]),
    (
        "pad",
        (np.array([1.0, 2.0]),),
        {"low": (1,), "high": (2,), "interior": (1,), "value": 9.0},
        np.array([9.0, 1.0, 9.0, 2.0, 9.0, 9.0]),
    ),
    ("concat", (X, X[:1]), {"axis": 0}, np.concatenate([X, X[:1]])),
    ("stack", (X, -X), {"axis": 2}, np.stack([X, -X], axis=2)),
    ("cast", (X,), {"dtype": np.dtype(np.int32)}, X.astype(np.int32)),
    ("gather", (X, np.array([[0, -1], [2, 0]])), {"axis": 1}, X[:, [[0, -1], [2, 0]]]),
    ("gather", (X, np.array([0, 2], np.uint64)), {"axis": 1}, X[:, [0, 2]]),
    (
        "scatter_add",
        (np.array([1.0, 2.0, 4.0]), np.array([1, -1, 1])),
        {"axis": 0, "size": 3},
        np.array([0.0, 5.0, 2.0]),
    ),
    ("edge_sum", (LOWER, WEIGHTS, *INCIDENCE), {"first": 1}, DENSE @ LOWER),
    ("edge_sum_down", (UPPER, WEIGHTS, *INCIDENCE), {"first": 1}, DENSE.T @ UPPER),
    ("edge_dot", (UPPER, LOWER, *INCIDENCE), {"first": 1}, (UPPER @ LOWER.T)[TARGET, SOURCE]),
]


def apply(name: str, *operands, **params) -> np.ndarray:
    return PRIMITIVES[name](*(cr.tensor(np.asarray(x)) for x in operands), **params).numpy()


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for rounding; NaN, infinities, shapes, dtypes and the signs of zeros included."""
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(np.float64).eps, atol=0, strict=True)
    zero = (expected == 0) & (expected.dtype.kind == "f")
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


def test_every_record_is_compared() -> None:
    compared = {*UNARY, *BINARY, *REDUCTIONS, *(row[0] for row in OTHERS)}
    # a constant and a leaf compute nothing; random_bits has known answers below
    assert compared == PRIMITIVES.keys() - {"constant", "leaf", "random_bits"}


@pytest.mark.parametrize(
    "x", [EXTREMES, X, X[:0], np.array(0.3)], ids=["extremes", "plain", "empty", "scalar"]
)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        expected = np.asarray(UNARY[name](x))
    assert_same(apply(name, x), expected)


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    for a, b in ((EXTREMES[:, None], EXTREMES), (X, X[0]), (X[:0], X[0]), (X[0, 0], X[0, 1])):
        with np.errstate(all="ignore"):
            expected = np.asarray(BINARY[name](a, b))
        assert_same(apply(name, a, b), expected)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str) -> None:
    rows = np.array(
        [[1.0, -2.0, 3.0], [INF, 1.0, 0.0], [-INF, 1.0, 0.0], [-INF, -INF, -INF], [NAN, 1.0, INF]]
    )
    for x in (X, np.arange(24.0).reshape(2, 3, 4), rows):
        for axis in ((0,), (1,), (0, 1)):
            for keepdims in (False, True):
                with np.errstate(all="ignore"):
                    expected = np.asarray(REDUCTIONS[name](x, axis=axis, keepdims=keepdims))
                got = apply(name, x, axis=axis, keepdims=keepdims)
                np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-14, strict=True)


def test_reductions_of_nothing() -> None:
    empty = np.ones((0, 3))
    np.testing.assert_array_equal(apply("sum", empty, axis=(0,), keepdims=False), np.zeros(3))
    np.testing.assert_array_equal(apply("prod", empty, axis=(0,), keepdims=False), np.ones(3))
    np.testing.assert_array_equal(apply("logsumexp", empty, axis=(0,), keepdims=False), np.full(3, -INF))
    for name in ("max", "min"):
        assert apply(name, empty, axis=(1,), keepdims=False).shape == (0,)
        with pytest.raises(ShapeError, match="empty"):
            apply(name, empty, axis=(0,), keepdims=False)
    np.testing.assert_array_equal(apply("sum", X, axis=(), keepdims=False), X)


@pytest.mark.parametrize(
    ("name", "operands", "params", "expected"), OTHERS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_other_records(name: str, operands: tuple, params: dict, expected: np.ndarray) -> None:
    np.testing.assert_allclose(apply(name, *operands, **params), expected, rtol=1e-15, strict=True)


@pytest.mark.parametrize(
    "name", ["add", "multiply", "subtract", "maximum", "power", "abs", "sign", "floor", "sum", "max"]
)
def test_integers_stay_exact(name: str) -> None:
    x = np.array([[2**53 + 1, 3], [5, 7]])
    if name in ("abs", "sign", "floor"):
        got, expected = apply(name, -x), {"abs": x, "sign": -np.ones_like(x), "floor": -x}[name]
    elif name in ("sum", "max"):
        got, expected = apply(name, x, axis=(1,), keepdims=False), REDUCTIONS[name](x, axis=1)
    else:
        got, expected = apply(name, x, np.array(1)), BINARY[name](x, 1)
    np.testing.assert_array_equal(got, expected, strict=True)


def test_negative_power_of_an_integer_says_what_to_do() -> None:
    with pytest.raises(DtypeError, match=r"test_values\.py(.|\n)*float exponent"):
        cr.tensor([2, 3]) ** -1
    np.testing.assert_allclose((cr.tensor([2, 4]) ** -1.0).numpy(), [0.5, 0.25])


@pytest.mark.parametrize("name", ["gather", "scatter_add"])
@pytest.mark.parametrize("index", [3, -4])
def test_index_out_of_range(name: str, index: int) -> None:
    params = {"axis": 0} | ({"size": 3} if name == "scatter_add" else {})
    updates = cr.tensor([1.0, 2.0, 3.0]) if name == "gather" else cr.tensor([1.0])
    with pytest.raises(IndexOutOfRangeError, match=r"test_values\.py"):
        PRIMITIVES[name](updates, cr.tensor([index]), **params)


# Accuracy where a plain formula loses it


@pytest.mark.parametrize("z", [-700.0, -100.0, -40.0, -5.0, 5.0, 40.0, 100.0, 700.0])
def test_logistic_keeps_full_relative_accuracy(z: float) -> None:
    e = math.exp(-abs(z))
    value = e / (1 + e) if z < 0 else 1 / (1 + e)
    assert cr.logistic(np.float64(z)).item() == pytest.approx(value, rel=4e-16)
    assert cr.grad(cr.logistic)(np.float64(z)).item() == pytest.approx(e / (1 + e) ** 2, rel=1e-15)
    second = e * (1 - e) / (1 + e) ** 3 * -math.copysign(1, z)
    assert cr.grad(cr.grad(cr.logistic))(np.float64(z)).item() == pytest.approx(second, rel=1e-14)


@pytest.mark.parametrize("z", [-350.0, -40.0, -1e-9, 1e-9, 1e-300, 20.0, 350.0])
def test_tanh_keeps_full_relative_accuracy(z: float) -> None:
    e = math.exp(-2 * abs(z))
    assert cr.tanh(np.float64(z)).item() == pytest.approx(math.tanh(z), rel=4e-16)
    assert cr.grad(cr.tanh)(np.float64(z)).item() == pytest.approx(4 * e / (1 + e) ** 2, rel=1e-15)


@pytest.mark.parametrize("z", [-700.0, -40.0, 0.0, 40.0, 1e308])
def test_softplus_neither_overflows_nor_vanishes(z: float) -> None:
    expected = math.log1p(math.exp(-abs(z))) + max(z, 0.0)
    assert cr.softplus(np.float64(z)).item() == pytest.approx(expected, rel=4e-16)
    assert cr.grad(cr.softplus)(np.float64(z)).item() == pytest.approx(
        cr.logistic(np.float64(z)).item(), rel=4e-16
    )


def test_float32_logistic_at_the_edge() -> None:
    assert cr.grad(cr.logistic)(np.float32(-80)).item() == pytest.approx(math.exp(-80), rel=1e-6)
    assert cr.grad(cr.logistic)(np.float32(200)).item() == 0.0  # exp(-200) is below every float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_large_scores(dtype: type) -> None:
    z = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, -INF], [-INF, 0.0, -INF]], dtype)
    half, third, log2, log3 = 0.5, 1 / 3, math.log(2), math.log(3)
    np.testing.assert_allclose(
        cr.softmax(z).numpy(), [[1, 0, 0], [third] * 3, [half, half, 0], [0, 1, 0]], rtol=1e-6, atol=0
    )
    np.testing.assert_allclose(
        cr.log_softmax(z).numpy(),
        [[0, -1e4, -2e4], [-log3] * 3, [-log2, -log2, -INF], [-INF, 0, -INF]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        cr.logsumexp(z, axis=1).numpy(), [1e4, -1e4 + log3, 1e4 + log2, 0], rtol=1e-6, atol=0
    )
    assert cr.logsumexp(np.full(3, -INF)).item() == -INF


def test_cross_entropy_of_large_scores_has_a_finite_gradient() -> None:
    for z in ([1e4, 0.0, -1e4], [0.0, -INF, 1e4]):
        loss = lambda z: -cr.log_softmax(z)[2]
        gradient = cr.grad(loss)(np.array(z)).numpy()
        np.testing.assert_allclose(gradient, scipy.special.softmax(z) - [0, 0, 1], atol=1e-15)
        assert np.isfinite(cr.hessian(loss)(np.array(z)).numpy()).all()


# Conventions where there is no derivative


def derivative(function, *points: float) -> list[float]:
    found = cr.grad(function, tuple(range(len(points))))(*(np.float64(x) for x in points))
    return [gradient.item() for gradient in found]


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_derivative_zero_at_the_kink(zero: float) -> None:
    assert derivative(cr.relu, zero) == [0]
    assert derivative(cr.abs, zero) == [0]
    assert derivative(cr.sign, zero) == [0]
    assert derivative(lambda x: cr.norm(cr.stack([x, 0.0 * x])), zero) == [0]


def test_norm_of_zeros_in_a_batch() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(cr.grad(lambda x: cr.norm(x, axis=1).sum())(x).numpy(), [[0, 0], [0.6, 0.8]])


def test_ties_share_equally() -> None:
    for function in (cr.maximum, cr.minimum):
        assert derivative(function, 2.0, 2.0) == [0.5, 0.5]
    for function in (cr.max, cr.min):
        np.testing.assert_allclose(cr.grad(function)(np.array([1.0, 1.0, 1.0])).numpy(), [1 / 3] * 3)
    x = np.array([[1.0, 5.0, 5.0], [7.0, 2.0, 3.0]])
    np.testing.assert_array_equal(
        cr.grad(lambda x: cr.max(x, axis=1).sum())(x).numpy(), [[0, 0.5, 0.5], [1, 0, 0]]
    )


def test_clip_at_and_beyond_its_bounds() -> None:
    clip = cr.clip
    assert derivative(clip, 0.0, 0.0, 1.0) == [1, 0, 0]
    assert derivative(clip, 1.0, 0.0, 1.0) == [1, 0, 0]
    assert derivative(clip, 0.5, 0.0, 1.0) == [1, 0, 0]
    assert derivative(clip, -2.0, 0.0, 1.0) == [0, 1, 0]
    assert derivative(clip, 2.0, 0.0, 1.0) == [0, 0, 1]
    assert derivative(clip, 0.5, 1.0, 0.0) == [0, 0, 1]  # bounds crossed: the upper one is the value
    assert (
        derivative(lambda x: cr.clip(x, min=0.0), 5.0)
        == derivative(lambda x: cr.clip(x, max=9.0), 5.0)
        == [1]
    )


@pytest.mark.parametrize("zeros", [(), (1,), (0, 2), (0, 1, 3)])
def test_prod_is_exact_at_zeros(zeros: tuple[int, ...]) -> None:
    x = np.array([2.0, 3.0, -5.0, 7.0])
    x[list(zeros)] = 0.0
    others = lambda *left_out: math.prod(v for i, v in enumerate(x) if i not in left_out)
    np.testing.assert_array_equal(cr.grad(cr.prod)(x).numpy(), [others(i) for i in range(4)])
    expected = [[0 if i == j else others(i, j) for j in range(4)] for i in range(4)]
    np.testing.assert_array_equal(cr.hessian(cr.prod)(x).numpy(), expected)


def test_gradient_of_an_empty_product() -> None:
    gradient = cr.grad(lambda x: cr.prod(x, axis=0).sum())(np.ones((0, 3)))
    assert gradient.shape == (0, 3)


def test_power_at_zero() -> None:
    power = lambda x, p: cr.tensor(0.0, dtype=cr.float64) + x**p
    assert derivative(power, 0.0, 3.0) == [0, 0]
    assert derivative(power, 0.0, 1.0) == [1, 0]
    assert derivative(power, 0.0, 0.0) == [0, 0]
    assert derivative(power, 0.0, 0.5) == [INF, 0]
    assert derivative(lambda x: x**2, 0.0) == [0]
    for p, second in ((0, 0), (1, 0), (2, 2), (3, 0), (4, 0)):
        assert derivative(cr.grad(lambda x, p=p: x**p), 0.0) == [second]
        assert derivative(cr.grad(lambda x, p=p: x ** np.float64(p)), 0.0) == [second]
    assert derivative(cr.grad(cr.grad(lambda x: x ** np.float64(3))), 0.0) == [6]
    assert derivative(lambda x: x**3, -2.0) == [12]  # a negative base and a fixed exponent


def test_second_derivatives_of_power_where_the_exponent_is_zero() -> None:
    x = 2.0
    hessian = cr.hessian(lambda v: v[0] ** v[1])(np.array([x, 0.0])).numpy()
    np.testing.assert_allclose(hessian, [[0, 1 / x], [1 / x, math.log(x) ** 2]], rtol=1e-15)


def test_where_does_not_let_nan_through() -> None:
    safe = lambda x: cr.where(x > 0, cr.log(cr.where(x > 0, x, 1.0)), 0.0)
    assert derivative(safe, -1.0) == [0]
    assert derivative(lambda x: cr.where(x > 0, x, x * x), -3.0) == [-6]


@pytest.mark.parametrize("run", [lambda f: f, cr.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_first_nan_is_the_largest_as_numpy_has_it(run, axis) -> None:
    """Infinities, zeros of both signs, NaN at every place and equal numbers: the place is NumPy's."""
    rng = np.random.default_rng(0)
    for length in (1, 2, 7, 16, 33):
        x = rng.choice(EXTREMES, size=(24, length))
        x[: min(length, 24)][np.arange(min(length, 24)), np.arange(min(length, 24))] = NAN
        x[-4:] = rng.choice(np.array([-INF, -1.0, 1.0]), size=(4, length))
        x = x if axis else np.ascontiguousarray(x.T)
        found = run(lambda v: cr.argmax(v, axis))(x).numpy()
        np.testing.assert_array_equal(found, np.argmax(x, axis))


# Random bits


def words(*values: int) -> tuple[np.ndarray, ...]:
    return tuple(np.array([value], np.uint32) for value in values)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_known_answers(counter: tuple, key: tuple, expected: tuple) -> None:
    """From the file of known answers of Random123, the authors' own implementation."""
    assert threefry(words(*key), words(*counter)) == words(*expected)


def bits(seed: tuple[int, int], counter: int, shape: tuple[int, ...]) -> np.ndarray:
    counter_tensor = cr.tensor(np.array(counter, np.uint32))
    return random_bits(cr.tensor(np.array(seed, np.uint32)), counter_tensor, shape=shape).numpy()


def test_random_bits_are_uniform() -> None:
    sample = bits((1, 2), 3, (200, 500)).ravel()
    ones = [(sample >> np.uint32(k) & np.uint32(1)).mean() for k in range(32)]
    np.testing.assert_allclose(ones, 0.5, atol=5 * 0.5 / np.sqrt(sample.size))
    counts = np.bincount(sample >> np.uint32(24), minlength=256)
    chi_squared = ((counts - sample.size / 256) ** 2).sum() / (sample.size / 256)
    assert abs(chi_squared - 255) < 5 * np.sqrt(2 * 255)
    u = sample / 2**32
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 5 / np.sqrt(sample.size)


def test_random_bits_depend_on_seed_counter_and_place_alone() -> None:
    a = bits((1, 2), 3, (4, 5))
    np.testing.assert_array_equal(a, bits((1, 2), 3, (4, 5)))
    np.testing.assert_array_equal(a.ravel()[:7], bits((1, 2), 3, (7,)))
    for other in (bits((1, 2), 4, (4, 5)), bits((1, 3), 3, (4, 5)), bits((2, 2), 3, (4, 5))):
        assert (a == other).sum() <= 1
    assert len(np.unique(bits((0, 0), 0, (100_000,)))) > 99_990

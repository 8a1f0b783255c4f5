"""First and second derivatives at kinks and at singularities that cancel: interpreted, compiled, backwards, forwards.

Where mathematics has a value it is the analytic one. Where it leaves a choice the tests say which: 0 for the slope of
a root at 0, of the absolute value and of relu; equal shares for ties.
"""

from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

INF = np.inf
EYE, NOTHING = np.eye(2), np.zeros((2, 2))


def squares(x):
    return (x * x).sum()


#: name -> function, point, gradient, Hessian of its sum
POINTS = {
    "std of equal elements": (cr.std, [1.0, 1.0, 1.0], [0, 0, 0], np.zeros((3, 3))),
    "std over an axis": (lambda x: cr.std(x.reshape(2, 1), 1), [1.0, 5.0], [0, 0], NOTHING),
    "square of std": (lambda x: cr.std(x) ** 2, [3.0, 3.0], [0, 0], [[0.5, -0.5], [-0.5, 0.5]]),
    "std times std": (lambda x: cr.std(x) * cr.std(x), [3.0, 3.0], [0, 0], [[0.5, -0.5], [-0.5, 0.5]]),
    "variance": (cr.var, [3.0, 3.0], [0, 0], [[0.5, -0.5], [-0.5, 0.5]]),
    "norm": (cr.norm, [0.0, 0.0], [0, 0], NOTHING),
    "square of a norm": (lambda x: cr.norm(x) ** 2, [0.0, 0.0], [0, 0], 2 * EYE),
    "square of a norm, by a NumPy number": (
        lambda x: cr.norm(x) ** np.float64(2),
        [0.0, 0.0],
        [0, 0],
        2 * EYE,
    ),
    "norm times norm": (lambda x: 3.0 * cr.norm(2.0 * x) * cr.norm(x), [3.0, 4.0], [36, 48], 12 * EYE),
    "norm times the same norm": (lambda x: cr.norm(2.0 * x) * cr.norm(2.0 * x), [0.0, 0.0], [0, 0], 8 * EYE),
    "square() of a norm": (lambda x: cr.square(cr.norm(x)), [0.0, 0.0], [0, 0], 2 * EYE),
    "squares of norms of rows": (lambda x: cr.norm(x.reshape(2, 1), 1) ** 2, [0.0, 2.0], [0, 4], 2 * EYE),
    "cube of a norm": (lambda x: cr.norm(x) ** 3, [0.0, 0.0], [0, 0], NOTHING),
    "fourth power of a norm": (lambda x: cr.norm(x) ** 4, [0.0, 0.0], [0, 0], NOTHING),
    "a penalty": (lambda x: 0.5 * cr.norm(x) ** 2 + cr.norm(x), [0.0, 0.0], [0, 0], EYE),
    "abs": (cr.abs, [0.0, -0.0], [0, 0], NOTHING),
    "square of abs": (lambda x: cr.abs(x) ** 2, [0.0, -2.0], [0, -4], 2 * EYE),
    "abs times abs": (lambda x: abs(x) * abs(x), [0.0, -2.0], [0, -4], 2 * EYE),
    "cube of abs": (lambda x: cr.abs(x) ** 3, [0.0, -2.0], [0, -12], [[0, 0], [0, 12]]),
    "relu": (cr.relu, [0.0, 1.0], [0, 1], NOTHING),
    "square of relu": (lambda x: cr.relu(x) ** 2, [0.0, 1.0], [0, 2], [[0, 0], [0, 2]]),
    "maximum at a tie": (lambda x: cr.maximum(x, 1.0), [1.0, 2.0], [0.5, 1], NOTHING),
    "max of equal elements": (cr.max, [1.0, 1.0], [0.5, 0.5], NOTHING),
    "clip at its bounds": (lambda x: cr.clip(x, 0.0, 1.0), [0.0, 1.0], [1, 1], NOTHING),
    "prod with a zero": (cr.prod, [0.0, 3.0], [3, 0], [[0, 1], [1, 0]]),
    "prod of zeros": (cr.prod, [0.0, 0.0], [0, 0], [[0, 1], [1, 0]]),
    "x ** 0": (lambda x: x**0, [0.0, 2.0], [0, 0], NOTHING),
    "x ** 1": (lambda x: x**1.0, [0.0, -2.0], [1, 1], NOTHING),
    "x ** 2": (lambda x: x**2, [0.0, -2.0], [0, -4], 2 * EYE),
    "x ** 3": (lambda x: x**3, [0.0, -2.0], [0, 12], [[0, 0], [0, -12]]),
    "x ** a tensor": (
        lambda x: x ** cr.tensor([2.0, 3.0], dtype=cr.float64),
        [0.0, 0.0],
        [0, 0],
        [[2, 0], [0, 0]],
    ),
    "0 ** p": (lambda p: 0.0**p, [1.0, 2.5], [0, 0], NOTHING),
    "logsumexp of equal elements": (cr.logsumexp, [5.0, 5.0], [0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]]),
    "logsumexp beside -inf": (cr.logsumexp, [-INF, 5.0], [0, 1], NOTHING),
    "log_softmax beside -inf": (lambda x: cr.log_softmax(x)[1], [-INF, 5.0], [0, 0], NOTHING),
    "softplus far out": (cr.softplus, [-800.0, 800.0], [0, 1], NOTHING),
    "logistic far out": (cr.logistic, [-800.0, 800.0], [0, 0], NOTHING),
    "tanh far out": (cr.tanh, [-1e300, 1e300], [0, 0], NOTHING),
    "expm1 far out": (cr.expm1, [-800.0, 0.0], [0, 1], [[0, 0], [0, 1]]),
    "huber": (lambda x: nn.huber(x, np.zeros(2), "sum"), [0.0, 3.0], [0, 1], [[1, 0], [0, 0]]),
    "cross entropy beside -inf": (
        lambda x: nn.cross_entropy(x.reshape(1, 2), [1]),
        [-INF, 0.0],
        [0, 0],
        NOTHING,
    ),
    "binary cross entropy": (
        lambda x: nn.binary_cross_entropy(x, np.array([0.0, 1.0]), "sum"),
        [-800.0, -800.0],
        [0, -1],
        NOTHING,
    ),
    "elu far out": (nn.activations.elu, [-800.0, 800.0], [0, 1], NOTHING),
    "gelu far out": (nn.activations.gelu, [-800.0, 800.0], [0, 1], NOTHING),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("name", POINTS)
def test_derivatives(name: str, compiled: bool) -> None:
    function, point, gradient, hessian = POINTS[name]
    total = lambda x: function(x).sum()
    x, direction = np.array(point), np.linspace(0.5, 2.0, len(point))
    found = {
        "gradient": (cr.grad(total), gradient),
        "Hessian": (cr.hessian(total), hessian),
        "forwards": (lambda x: cr.jvp(total, (x,), (direction,))[1], np.dot(gradient, direction)),
        "Hessian times a vector": (lambda x: cr.hvp(total, x, direction), np.dot(hessian, direction)),
    }
    for what, (derivative, expected) in found.items():
        got = (cr.compile(derivative) if compiled else derivative)(x).numpy()
        np.testing.assert_allclose(got, expected, 1e-12, 1e-12, err_msg=what)


def test_a_negative_power_of_zero_has_an_infinite_derivative() -> None:
    for f in (cr.grad(lambda p: 0.0**p), cr.compile(cr.grad(lambda p: 0.0**p))):
        assert f(np.float64(-1.0)).item() == -INF


def test_values_at_a_kink_stay_what_they_are() -> None:
    x = np.random.default_rng(0).normal(size=9)
    np.testing.assert_allclose(cr.tensor(cr.norm(x) ** 2).item(), np.dot(x, x), 1e-15)
    np.testing.assert_array_equal((abs(cr.tensor(x)) ** 2).numpy(), x * x)
    assert (abs(cr.tensor(np.array([-128], np.int8))) ** 2).tolist() == [0]  # 16384 in eight bits


@pytest.mark.parametrize("compiled", [False, True], ids=["interpreted", "compiled"])
def test_a_large_correction(compiled: bool) -> None:
    for name, values, correction in (
        ("var", [1.0, 2.0, 3.0], 3),
        ("var", [1.0, 2.0, 3.0], 4),
        ("std", [1.0, 2.0, 3.0], 5),
        ("var", [2.0], 1),
        ("std", [2.0], 2),
    ):
        function = partial(getattr(cr, name), correction=correction)
        got = (cr.compile(function) if compiled else function)(np.array(values)).item()
        assert np.array_equal(got, np.inf if np.ptp(values) else np.nan, equal_nan=True)


@pytest.mark.parametrize("compiled", [False, True], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_of_nothing(shape: tuple[int, ...], compiled: bool) -> None:
    way = cr.compile if compiled else lambda f: f
    x = np.zeros(shape)
    for f in (cr.softmax, cr.log_softmax):
        assert way(f)(x).shape == shape
        assert way(cr.grad(lambda x, f=f: f(x).sum()))(x).shape == shape
    assert way(cr.logsumexp)(x).item() == -INF
    expected = np.logaddexp.reduce(x, axis=-1)
    np.testing.assert_array_equal(way(lambda x: cr.logsumexp(x, -1))(x).numpy(), expected)
    assert way(cr.grad(cr.logsumexp))(x).shape == shape

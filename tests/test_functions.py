"""Functions composed from primitives, against NumPy and SciPy; each is differentiated by finite differences."""

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule.errors import ShapeError

X = np.random.default_rng(0).normal(size=(2, 3, 4))
P = np.abs(X) + 0.1

REDUCTIONS = {
    "sum": (cr.sum, np.sum),
    "prod": (cr.prod, np.prod),
    "max": (cr.max, np.max),
    "min": (cr.min, np.min),
    "mean": (cr.mean, np.mean),
    "var": (cr.var, np.var),
    "std": (cr.std, np.std),
    "norm": (cr.norm, lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))),
    "logsumexp": (cr.logsumexp, scipy.special.logsumexp),
}
CASES = {
    "square": (cr.square, np.square(X)),
    "clip": (lambda x: cr.clip(x, -0.5, 0.5), np.clip(X, -0.5, 0.5)),
    "clip below": (lambda x: cr.clip(x, min=0.1), np.maximum(X, 0.1)),
    "clip above": (lambda x: cr.clip(x, max=0.1), np.minimum(X, 0.1)),
    "softmax": (cr.softmax, scipy.special.softmax(X, -1)),
    "softmax 0": (lambda x: cr.softmax(x, 0), scipy.special.softmax(X, 0)),
    "log_softmax": (lambda x: cr.log_softmax(x, 1), scipy.special.log_softmax(X, 1)),
    "var 1": (lambda x: cr.var(x, 1, correction=1), X.var(1, ddof=1)),
    "std 1": (
        lambda x: cr.std(x, (0, 2), keepdims=True, correction=1.0),
        X.std((0, 2), ddof=1, keepdims=True),
    ),
    "reshape": (lambda x: cr.reshape(x, (4, -1)), X.reshape(4, -1)),
    "transpose": (cr.transpose, X.T),
    "transpose axes": (lambda x: cr.transpose(x, (-1, 0, 1)), X.transpose(2, 0, 1)),
    "broadcast_to": (lambda x: cr.broadcast_to(x[0], (5, 3, 4)), np.broadcast_to(X[0], (5, 3, 4))),
    "expand_dims": (lambda x: cr.expand_dims(x, (0, -1)), np.expand_dims(X, (0, -1))),
    "squeeze": (lambda x: cr.squeeze(x[:1, :, :1]), X[0, :, 0]),
    "squeeze axis": (lambda x: cr.squeeze(x[:1, :, :1], -1), X[:1, :, 0]),
    "concat": (lambda x: cr.concat([x, x[:, :1]], 1), np.concatenate([X, X[:, :1]], 1)),
    "concat last": (lambda x: cr.concat((x, 2.0 * x), -1), np.concatenate([X, 2 * X], -1)),
    "stack": (lambda x: cr.stack([x, -x], -1), np.stack([X, -X], -1)),
    "pad": (
        lambda x: cr.pad(x, [(0, 1), (2, 0), (1, 1)], 3.0),
        np.pad(X, [(0, 1), (2, 0), (1, 1)], constant_values=3.0),
    ),
    "flip": (cr.flip, np.flip(X)),
    "flip axes": (lambda x: cr.flip(x, (0, -1)), np.flip(X, (0, 2))),
    "take": (lambda x: cr.take(x, [[2, -1], [0, 0]], 1), np.take(X, [[2, -1], [0, 0]], 1)),
    "matmul": (lambda x: cr.matmul(x, x[0].T), X @ X[0].T),
    "matrix vector": (lambda x: x @ x[0, 0], X @ X[0, 0]),
    "vector matrix": (lambda x: x[0, :, 0] @ x, X[0, :, 0] @ X),
    "vector vector": (lambda x: x[0, 0] @ x[1, 1], X[0, 0] @ X[1, 1]),
    "array tensor": (lambda x: np.eye(3) @ x, X),
    "astype": (lambda x: cr.astype(x, "float64"), X),
}


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 1), np.int64(1)], ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_over_every_kind_of_axis(name: str, axis) -> None:
    ours, reference = REDUCTIONS[name]
    for keepdims in (False, True):
        expected = np.asarray(reference(P, axis=axis, keepdims=keepdims))
        np.testing.assert_allclose(ours(P, axis, keepdims).numpy(), expected, rtol=1e-13, strict=True)
    cr.check_gradients(lambda x: ours(x, axis), P)


@pytest.mark.parametrize("name", CASES)
def test_composed(name: str) -> None:
    ours, expected = CASES[name]
    np.testing.assert_allclose(ours(cr.tensor(X)).numpy(), expected, rtol=1e-13, atol=1e-15, strict=True)
    cr.check_gradients(ours, X)


def test_argmax() -> None:
    assert cr.argmax(X).item() == X.argmax() and cr.argmax(X).shape == ()
    np.testing.assert_array_equal(cr.argmax(X, -1).numpy(), X.argmax(-1))


def test_one_hot() -> None:
    rows = cr.one_hot(np.array([[0, 2]]), 3)
    assert rows.dtype == cr.float32 and rows.tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert cr.one_hot(np.array([1], np.uint8), 2, cr.int64).tolist() == [[0, 1]]


def test_clip_of_integers() -> None:
    x = np.array([-5, 0, 300])
    assert cr.clip(x, min=0).tolist() == [0, 0, 300] and cr.clip(x, max=7).dtype == cr.int64
    assert cr.clip(np.array([1, 255], np.uint8), max=9).tolist() == [1, 9]


def test_mean_of_integers_and_of_nothing() -> None:
    assert cr.mean([1, 2]).item() == 1.5 and cr.mean(np.array([True, False])).item() == 0.5
    assert np.isnan(cr.mean(np.zeros(0)).item()) and cr.sum(np.zeros((0, 2)), 0).tolist() == [0, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: cr.sum(X, 3),
        lambda: cr.sum(X, (0, -3)),
        lambda: cr.transpose(X, (0, 1)),
        lambda: cr.squeeze(X, 0),
        lambda: cr.expand_dims(X, 4),
        lambda: cr.reshape(X, (5, -1)),
        lambda: cr.reshape(X, (0, -1)),
        lambda: cr.broadcast_to(X, (3, 4)),
        lambda: cr.pad(X, [(1, 1)]),
        lambda: cr.pad(X, [(-1, 1)] * 3),
        lambda: cr.concat([X, X[0]]),
        lambda: cr.stack([X, X[:1]]),
        lambda: cr.matmul(X, X),
        lambda: cr.matmul(X, 2.0),
        lambda: cr.argmax(np.zeros((0, 2)), 0),
        lambda: cr.flip(X, 3),
    ],
)
def test_bad_shapes_and_axes_name_the_line(wrong) -> None:
    with pytest.raises(ShapeError, match=r"where: .*test_functions\.py:\d+: lambda"):
        wrong()

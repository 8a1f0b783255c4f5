import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ShapeError

X = np.random.default_rng(0).normal(size=(6, 2))
Y = np.random.default_rng(1).normal(size=(6, 1))


def net():
    return nn.MLP([2, 4, 1], activation="tanh", seed=0, dtype=cr.float64)


def test_value_and_gradient_are_the_models_own():
    model = net()
    theta, f = nn.flatten_parameters(model), nn.as_function(model)
    np.testing.assert_array_equal(f(theta, X).numpy(), model(X).numpy())
    nn.squared_error(model(X), Y).backward()
    own = np.concatenate([p.grad.numpy().ravel() for p in model.parameters()])
    got = cr.grad(lambda theta: nn.squared_error(f(theta, X), Y))(theta)
    np.testing.assert_allclose(got.numpy(), own, rtol=1e-13)
    cr.check_gradients(lambda theta: f(theta, X), theta)


def test_second_derivatives_agree_with_each_other():
    model = net()
    f, theta = nn.as_function(model), nn.flatten_parameters(model)
    loss = lambda theta: nn.squared_error(f(theta, X), Y)
    v = np.random.default_rng(2).normal(size=theta.shape)
    matrix = cr.hessian(loss)(theta).numpy()
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(cr.hvp(loss, theta, v).numpy(), matrix @ v, rtol=1e-10)


def test_the_model_keeps_its_parameters():
    model = net()
    before, data = model.state_dict(), [p.data for p in model.parameters()]
    f = nn.as_function(model)
    out = f(np.zeros(17), X)
    assert (out.numpy() == 0).all() and not out.requires_grad
    with pytest.raises(ShapeError, match="features"):
        f(np.zeros(17), np.zeros((1, 5)))
    with pytest.raises(ShapeError, match="theta has the wrong length"):
        f(np.zeros(16), X)
    assert all(p.data is d for p, d in zip(model.parameters(), data, strict=True))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    model(X).sum().backward()
    assert all(p.grad is not None and p.requires_grad for p in model.parameters())


def test_compiled():
    model = net()
    f, theta = nn.as_function(model), nn.flatten_parameters(model)
    gradient = cr.grad(lambda theta: nn.squared_error(f(theta, X), Y))
    np.testing.assert_allclose(cr.compile(gradient)(theta).numpy(), gradient(theta).numpy(), rtol=1e-12)

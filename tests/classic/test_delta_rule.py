import numpy as np
import pytest

import chainrule as cr
from chainrule import classic, nn, optim
from chainrule.errors import SettingError, ShapeError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 2)), RNG.integers(0, 2, 30)


def test_every_step_is_the_gradient_step_of_its_row():
    run = classic.delta_rule(X, Y, lr=optim.InverseTime(0.7, decay=0.1), steps=50, seed=3)
    for t in (0, 1, 17, 49):
        x, y = np.r_[1.0, X[run.rows[t]]], float(Y[run.rows[t]])
        f = lambda w, x=x, y=y: 0.5 * (cr.logistic(w @ x) - y) ** 2
        value, gradient = cr.value_and_grad(f)(run.path[t])
        assert run.losses[t] == pytest.approx(value.item(), rel=1e-13)
        lr = optim.InverseTime(0.7, decay=0.1)(t)
        np.testing.assert_allclose(run.path[t + 1], run.path[t] - lr * gradient.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(run.path[-1], [run.bias, *run.weights])


def test_it_is_what_fit_does_with_one_row_a_step():
    model = nn.MLP([2, 1], output_activation="logistic", seed=0, dtype=np.float64)
    start = model.state_dict()
    cr.fit(
        model,
        (X, Y),
        loss=nn.half_squared_error,
        optimizer=optim.SGD(0.2),
        batch_size=1,
        epochs=2,
        shuffle=False,
        progress=False,
    )
    run = classic.delta_rule(
        X, Y, lr=0.2, steps=60, order="cyclic", weights=start["0.weight"][0], bias=float(start["0.bias"][0])
    )
    end = model.state_dict()
    np.testing.assert_allclose(run.weights, end["0.weight"][0], rtol=1e-11)
    assert run.bias == pytest.approx(end["0.bias"][0], rel=1e-11)


def test_a_saturated_neuron_keeps_its_digits():
    (delta,) = classic.delta_rule([[40.0]], [0.0], steps=1, weights=[1.0]).deltas
    assert delta == pytest.approx(4.24835425529e-18, rel=1e-11)


def test_what_it_refuses():
    with pytest.raises(ShapeError, match="do not fit"):
        classic.delta_rule(X, Y[:3])
    with pytest.raises(ShapeError, match="weights"):
        classic.delta_rule(X, Y, weights=[1.0])
    with pytest.raises(SettingError, match="order"):
        classic.delta_rule(X, Y, order="sorted")

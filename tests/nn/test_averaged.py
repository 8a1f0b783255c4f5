"""Averages of parameters: their formulas, compiled as interpreted, and what they stand in for."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X[:, :1] * X[:, 1:2]


def walk(model, steps):
    """Train by hand; the parameters with which each step computed."""
    optimizer = optim.SGD(0.05).attach(model)
    seen = []
    model.train()
    for _ in range(steps):
        seen.append(nn.flatten_parameters(model.model))
        nn.squared_error(model(X), Y).backward()
        optimizer.step()
        optimizer.zero_grad()
    return np.array(seen)


def averages(model):
    return np.concatenate([a.numpy().ravel() for a in model.average.values()])


@pytest.mark.parametrize("start", [0, 4])
@pytest.mark.parametrize("every", [1, 3])
def test_the_plain_mean(start, every):
    model = nn.Averaged(nn.MLP([3, 4, 1], seed=0, dtype=np.float64), None, start=start, every=every)
    seen = walk(model, 20)
    np.testing.assert_allclose(averages(model), seen[start::every].mean(0), rtol=1e-12)


def test_the_moving_mean():
    model = nn.Averaged(nn.MLP([3, 4, 1], seed=0, dtype=np.float64), 0.8)
    seen = walk(model, 30)
    expected = seen[0]
    for i, parameters in enumerate(seen):
        share = max(0.2, 1 / (i + 1))
        expected = (1 - share) * expected + share * parameters
    np.testing.assert_allclose(averages(model), expected, rtol=1e-12)


def test_before_the_start_the_average_is_the_parameters():
    model = nn.Averaged(nn.MLP([3, 4, 1], seed=0, dtype=np.float64), start=100)
    np.testing.assert_array_equal(model.predict(X), model.model.predict(X))
    seen = walk(model, 3)
    np.testing.assert_array_equal(averages(model), seen[-1])


def test_inference_uses_the_average_and_training_does_not():
    model = nn.Averaged(nn.MLP([3, 4, 1], seed=0, dtype=np.float64), 0.9)
    walk(model, 10)
    inner = model.model
    own = nn.flatten_parameters(inner)
    plain = model.result()
    np.testing.assert_allclose(nn.flatten_parameters(plain), averages(model))
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    assert not np.allclose(model.predict(X), inner.predict(X))
    np.testing.assert_array_equal(nn.flatten_parameters(inner), own)
    np.testing.assert_array_equal(model.train()(X).numpy(), inner(X).numpy())


@pytest.mark.parametrize("restarts", [1, 2])
def test_compiled_as_interpreted(restarts):
    found = []
    for executor in ("compiled", "interpreted"):
        model = nn.Averaged(nn.MLP([3, 6, 1], "tanh", batch_norm=True, seed=0), 0.95, start=5, every=2)
        history = cr.fit(
            model,
            (X, Y),
            loss=nn.squared_error,
            optimizer=optim.Adam(0.01),
            epochs=5,
            batch_size=16,
            validation=(X, Y),
            restarts=restarts,
            executor=executor,
        )
        found.append((history.validation_loss, model.predict(X.astype(np.float32))))
        assert model.steps.item() == 20
        loss = nn.squared_error(cr.tensor(model.predict(X)), Y.astype(np.float32)).item()
        assert history.validation_loss[history.best, -1] == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-4)


def test_averages_are_saved_with_the_model():
    model = nn.Averaged(nn.MLP([3, 4, 1], seed=0, dtype=np.float64))
    walk(model, 5)
    other = nn.Averaged(nn.MLP([3, 4, 1], seed=1, dtype=np.float64))
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


def test_settings_out_of_range():
    for settings in ({"decay": 1.0}, {"decay": -0.1}, {"start": -1}, {"every": 0}):
        with pytest.raises(SettingError):
            nn.Averaged(nn.Tanh(), **settings)

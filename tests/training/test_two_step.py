"""Batch normalisation's two-step update: first scale and shift, then the weights (row B25)."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))
EPS = 1e-2


def network(*more):
    return nn.Sequential(
        nn.Linear(3, 2, bias=False, seed=1, dtype=np.float64),
        nn.BatchNorm1d(2, eps=EPS, dtype=np.float64),
        *more,
    )


def train(model, update, executor="compiled", optimizer=None, **settings):
    return cr.fit(
        model,
        (X, Y),
        loss=nn.half_squared_error,
        optimizer=optimizer or optim.SGD(0.3),
        batch_size=settings.pop("batch_size", 12),
        progress=False,
        executor=executor,
        update=update,
        **settings,
    )


def gradients(w, gamma, beta):
    """The lecture's formulas, in NumPy: loss, d w, d gamma, d beta of the mean over rows and outputs."""
    z = X @ w.T
    root = np.sqrt(z.var(0) + EPS)
    tilde = (z - z.mean(0)) / root
    delta = (gamma * tilde + beta - Y) / Y.size
    dz = gamma / root * (delta - delta.mean(0) - tilde * (delta * tilde).mean(0))
    loss = 0.5 * np.mean((gamma * tilde + beta - Y) ** 2)
    return loss, dz.T @ X, (delta * tilde).sum(0), delta.sum(0)


@pytest.mark.parametrize("executor", ["compiled", "interpreted"])
def test_B25_the_weights_move_by_the_gradient_at_the_new_scale(executor):
    model = network()
    w, gamma, beta = model.state_dict()["0.weight"].copy(), np.ones(2), np.zeros(2)
    history = train(model, "two-step", executor, epochs=3, shuffle=False)
    for epoch in range(3):
        loss, _, dgamma, dbeta = gradients(w, gamma, beta)
        assert history.loss[0, epoch] == pytest.approx(loss, rel=1e-12)
        gamma, beta = gamma - 0.3 * dgamma, beta - 0.3 * dbeta
        w = w - 0.3 * gradients(w, gamma, beta)[1]
    state = model.state_dict()
    for name, expected in (("0.weight", w), ("1.weight", gamma), ("1.bias", beta)):
        np.testing.assert_allclose(state[name], expected, rtol=1e-11, err_msg=name)


def test_B25_joint_and_two_step_differ_only_in_what_reads_the_new_scale():
    joint, two_step = network(), network()
    train(joint, "joint", epochs=1)
    train(two_step, "two-step", epochs=1)
    a, b = joint.state_dict(), two_step.state_dict()
    for name in ("1.weight", "1.bias", "1.running_mean", "1.running_var"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-13, err_msg=name)
    assert not np.allclose(a["0.weight"], b["0.weight"], rtol=1e-3)


@pytest.mark.parametrize("optimizer", [optim.Adam(0.01), optim.NAdam(0.01)])
def test_masks_moments_and_step_counts_belong_to_the_step_not_to_its_halves(optimizer):
    models = [network(nn.Dropout(0.5, seed=3), nn.Linear(2, 2, seed=2, dtype=np.float64)) for _ in range(3)]
    settings = {"optimizer": optimizer, "epochs": 4, "batch_size": 5, "clip_norm": 0.5}
    train(models[0], "two-step", "interpreted", **settings)
    history = train(models[1], "two-step", "compiled", **settings)
    train(models[2], "joint", "compiled", **settings)
    states = [model.state_dict() for model in models]
    assert history.steps == 12
    for name, value in states[0].items():
        np.testing.assert_allclose(value, states[1][name], rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(states[1]["2.counter"], states[2]["2.counter"])
    assert not np.allclose(states[1]["0.weight"], states[2]["0.weight"], rtol=1e-6)


def test_what_cannot_be_updated_in_two_steps_is_refused():
    with pytest.raises(SettingError, match="two-step"):
        train(nn.MLP([3, 2], dtype=np.float64), "two-step")
    with pytest.raises(SettingError, match="update must be 'joint' or 'two-step'"):
        train(network(), "sequential")

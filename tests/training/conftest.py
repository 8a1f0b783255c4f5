"""Small problems to train on, and the training loop written by hand."""

from importlib import import_module

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.training.batches import epoch_orders


@pytest.fixture
def regression():
    """50 rows, 3 features, 2 targets, float64; 50 is no multiple of the batch sizes used."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    return x, np.tanh(x @ rng.normal(size=(3, 2))) + 0.1 * rng.normal(size=(50, 2))


@pytest.fixture
def classes():
    """60 rows, 4 features, 3 classes, float64 and int64."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 60)
    return rng.normal(size=(60, 4)) + 2.0 * np.eye(4)[y], y


@pytest.fixture
def many_cores(monkeypatch):
    """As many processors as anybody asks for."""
    monkeypatch.setattr(import_module("chainrule.training.concurrency"), "available_cores", lambda: 64)


@pytest.fixture
def make_model():
    """A fresh model for the regression problem; the same seed gives the same one."""

    def make(seed=0, widths=(3, 6, 2), dtype=np.float64, activation="tanh", **settings):
        return nn.MLP(list(widths), activation=activation, seed=seed, dtype=dtype, **settings)

    return make


@pytest.fixture
def train_by_hand():
    """The loop that fit stands for, as a user would write it: the losses of each epoch's minibatches."""

    def train(model, data, *, loss, optimizer, epochs, batch_size, seed=0, penalty=None, clip_norm=None):
        x, y = data
        optimizer.attach(model)
        losses = []
        for epoch in range(epochs):
            losses.append([])
            model.train()
            key = (seed, 0, epoch)
            parts = epoch_orders(len(x), batch_size, shuffle=True, drop_last=False, key=key)
            for rows in (batch for part in parts for batch in part):
                value = loss(model(x[rows]), y[rows])
                objective = value if penalty is None else value + penalty(model)
                objective.backward()
                if clip_norm is not None:
                    optim.clip_norm(model.parameters(), clip_norm)
                optimizer.step()
                optimizer.zero_grad()
                losses[-1].append(value.item())
        return losses

    return train


@pytest.fixture
def same_state():
    """Asserts that two states, dicts of arrays, agree bit for bit."""

    def check(state, expected):
        assert state.keys() == expected.keys()
        for name, value in expected.items():
            assert state[name].dtype == value.dtype, name
            np.testing.assert_array_equal(state[name], value, err_msg=name)

    return check


@pytest.fixture
def by_interpreter():
    """``cr.fit`` runs NumPy, node by node, as eager code does: the same bits, one replica after the other."""
    with pytest.MonkeyPatch.context() as patch:  # of its own, so that a test may undo what it patched itself
        patch.setitem(cr.fit.__kwdefaults__, "executor", "interpreted")
        yield

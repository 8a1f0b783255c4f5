"""Compiled predictions follow the module, whatever happens to it."""

import copy
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, no_grad
from chainrule.errors import ShapeError
from chainrule.nn import prediction


def eager(model, x):
    model = copy.deepcopy(model).eval()
    with no_grad():
        return model(x).numpy()


def agree(model, x):
    np.testing.assert_allclose(model.predict(x), eager(model, x), rtol=1e-5, atol=1e-6)


@pytest.fixture
def model():
    return nn.MLP([5, 16, 16, 3], dropout=0.3, batch_norm=True, activation="tanh", seed=0)


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(1100, 5)).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 511, 512, 513, 1100])
def test_any_number_of_rows(model, rows, count):
    agree(model, rows[:count])


def test_a_row_is_predicted_the_same_among_few_others_and_many(model, rows):
    whole = model.predict(rows)
    for count in (1, 5, 600):
        np.testing.assert_allclose(model.predict(rows[:count]), whole[:count], rtol=1e-5, atol=1e-6)


def test_any_kind_of_array(model, rows):
    for given in (rows[:4].tolist(), rows[:4].astype(np.float64), np.asfortranarray(rows[:4]), rows[:8:2]):
        agree(model, given)


def test_parameters_are_read_anew(model, rows):
    before = model.predict(rows)
    for p in model.parameters():
        p.data[...] = p.data * 1.5
    agree(model, rows)
    assert not np.allclose(model.predict(rows), before)
    model.load_state_dict(nn.MLP([5, 16, 16, 3], dropout=0.1, batch_norm=True, seed=9).state_dict())
    agree(model, rows)


def test_parts_may_be_replaced_added_and_set(rows):
    model = nn.Sequential(nn.Linear(5, 4, seed=0), nn.Tanh(), nn.Linear(4, 4, seed=1))
    agree(model, rows)
    setattr(model, "1", nn.ReLU())
    agree(model, rows)
    setattr(model, "3", nn.Linear(4, 2, seed=2))
    agree(model, rows)

    class Listed(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(5, 4, seed=0)]

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    listed = Listed()
    agree(listed, rows)
    listed.layers.append(nn.Tanh())
    agree(listed, rows)
    net = nn.BatchNorm1d(5)
    agree(net, rows)
    net.eps = 3.0
    agree(net, rows)


def test_the_mode_is_left_as_it_was(model, rows, monkeypatch):
    model.train()
    agree(model, rows)
    assert model.training
    made = []
    original = prediction.Program
    monkeypatch.setattr(prediction, "Program", lambda *given: (made.append(given), original(*given))[1])
    for mode in (False, True, False):
        model.train(mode)
        agree(model, rows)
    assert not made  # a change of mode makes no new program


def test_copies_predict_for_themselves(model, rows):
    model.predict(rows)
    other = copy.deepcopy(model)
    other.parameters()[0].data[...] = 0
    agree(other, rows)
    agree(model, rows)
    assert not np.allclose(model.predict(rows), other.predict(rows))


def test_threads_do_not_get_in_each_others_way(model, rows):
    expected = model.predict(rows)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: model.predict(rows), range(20)):
            np.testing.assert_array_equal(found, expected)


def test_parameters_of_another_dtype(rows):
    model = nn.Linear(5, 2, seed=0)
    assert model.predict(rows).dtype == np.float32
    other = nn.Linear(5, 2, seed=1, dtype=np.float64)
    model.weight, model.bias = other.weight, other.bias
    assert model.predict(rows.astype(np.float64)).dtype == np.float64
    np.testing.assert_allclose(model.predict(rows.astype(np.float64)), other.predict(rows.astype(np.float64)))


def test_a_number_at_the_address_of_a_former_one(rows):
    """Objects are compared while the former ones are kept, so that none can take another's place in memory."""
    model = nn.BatchNorm1d(5)
    for eps in np.linspace(0.5, 5.0, 10).tolist():
        model.eps = eps
        agree(model, rows[:3])
        model.eps = -eps  # frees what was there
        del model.eps
        model.eps = eps + 0.25
        agree(model, rows[:3])


def test_arrays_and_globals_that_forward_reads(rows):
    table = {"scale": 2.0}

    class Scaled(nn.Module):
        def __init__(self):
            self.linear, self.shift = nn.Linear(5, 5, seed=0), np.zeros(5, np.float32)

        def forward(self, x):
            return self.linear(x) * table["scale"] + self.shift

    model = Scaled()
    agree(model, rows[:2])
    table["scale"] = 3.0
    agree(model, rows[:2])
    model.shift[2] = 7.0
    agree(model, rows[:2])
    agree(model, rows)


def test_nothing_gets_the_identity_of_a_part_by_which_changes_are_noticed():
    model, x = nn.Sequential(nn.Linear(2, 1, seed=0)), np.ones((1, 2), np.float32)
    model.predict(x)
    first = model[0].weight
    alive = weakref.ref(first)
    del first
    model[0].weight = nn.Linear(2, 1, seed=1).weight
    assert alive() is not None  # or another parameter could come to lie where it lay, and pass for it
    np.testing.assert_allclose(model.predict(x), model(x).numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: cr.softmax(x, axis=0),
        lambda x: x - cr.mean(x, axis=0),
        lambda x: cr.flip(x, axis=0),
        lambda x: x * float(x.shape[0]),
        lambda x: cr.max(x, axis=0) + x,
    ],
)
@pytest.mark.parametrize("count", [1, 2, 7, 513])
def test_rows_that_depend_on_each_other(forward, count):
    """They are neither filled up nor cut."""

    class Mixing(nn.Module):
        def forward(self, x):
            return forward(x)

    model, x = Mixing(), np.random.default_rng(0).normal(size=(513, 3)).astype(np.float32)
    for rows in (x[:1], x[:count], x[:3], x[:count]):
        np.testing.assert_allclose(model.predict(rows), model(rows).numpy(), rtol=1e-5, atol=1e-6)


def test_equal_rows_do_not_hide_that_rows_depend_on_each_other():
    class Centred(nn.Module):
        def forward(self, x):
            return x - cr.mean(x, axis=0)

    model, x = Centred(), np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    model.predict(np.zeros((7, 3), np.float32))
    np.testing.assert_allclose(model.predict(x), x - x.mean(0), atol=1e-6)


def test_a_shape_that_does_not_fit_is_said_as_it_is():
    model = nn.MLP([8, 2], seed=0)
    with pytest.raises(ShapeError) as error:
        model.predict(np.ones((600, 3), np.float32))
    assert "[600, 3]" in str(error.value)
    one = model.predict(np.ones(8, np.float32))
    np.testing.assert_allclose(one, model(np.ones(8, np.float32)).numpy(), rtol=1e-6)

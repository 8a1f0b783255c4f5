import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 5))
MASK = RNG.random((4, 5)) < 0.5

OPTIMIZERS = [
    optim.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    optim.RMSprop(0.01),
    optim.Adagrad(0.1),
    optim.Adam(0.01),
    optim.AdamW(0.01),
    optim.NAdam(0.01),
    optim.LBFGS(max_iterations=5),
]


def dense_twin(layer):
    """A dense layer of the same function."""
    twin = nn.Linear(layer.in_features, layer.out_features, dtype=layer.dtype)
    twin.weight.assign(layer.matrix().detach())
    twin.bias.assign(layer.bias.detach())
    return twin


def test_masked_layer_is_a_dense_one_with_zeros():
    layer = nn.MaskedLinear(MASK, bias_initialiser=nn.initialisers.normal(1.0), seed=1, dtype=cr.float64)
    twin = dense_twin(layer)
    np.testing.assert_array_equal(layer.matrix().numpy() != 0, MASK)
    np.testing.assert_allclose(layer(X).numpy(), twin(X).numpy(), rtol=1e-14)
    delta = RNG.normal(size=(9, 4))
    layer(X).backward(delta)
    twin(X).backward(delta)
    np.testing.assert_allclose(layer.weight.grad.numpy(), twin.weight.grad.numpy()[MASK], rtol=1e-13)
    np.testing.assert_allclose(layer.bias.grad.numpy(), twin.bias.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("penalty", [None, nn.l1(0.1), nn.l2(0.1, include_biases=True)], ids=repr)
def test_absent_edges_stay_absent(optimizer, penalty):
    model = nn.Sequential(
        nn.MaskedLinear(MASK, seed=2, dtype=cr.float64), nn.Tanh(), nn.Linear(4, 1, dtype=cr.float64)
    )
    before = model[0].matrix().numpy().copy()
    cr.fit(
        model,
        (X, X.sum(1)),
        loss=nn.squared_error,
        optimizer=optimizer,
        penalty=penalty,
        epochs=3,
        batch_size=4,
        restarts=2,
        progress=False,
    )
    after = model[0].matrix().numpy()
    assert (after[~MASK] == 0).all()
    assert (after[MASK] != before[MASK]).all()


@pytest.mark.parametrize("name", [*nn.initialisers.INITIALISERS, "constant"])
def test_every_initialiser_draws_the_edges_alone(name):
    first = nn.initialisers.constant(2.0) if name == "constant" else name
    layer = nn.MaskedLinear(MASK, weight_initialiser=first, seed=3)
    assert layer.weight.shape == (MASK.sum(),)
    assert (layer.matrix().numpy()[~MASK] == 0).all()
    drawn = layer.weight.numpy().copy()
    layer.initialise(9)
    if name not in ("zeros", "constant"):
        assert (layer.weight.numpy() != drawn).all()
    assert sum(p.size for p in layer.parameters()) == MASK.sum() + 4
    assert nn.flatten_parameters(layer).shape == (MASK.sum() + 4,)


def test_initial_variance_is_that_of_the_edges_there_are():
    # 300 groups of 8 inputs: the fan in is 8, not 2400
    mask = np.kron(np.eye(300, dtype=int), np.ones((4, 8), int))
    he = nn.MaskedLinear(mask, weight_initialiser="he_normal", seed=0, dtype=cr.float64).weight.numpy()
    assert he.var() == pytest.approx(2 / 8, rel=0.05)
    glorot = nn.MaskedLinear(mask, seed=0, dtype=cr.float64).weight.numpy()
    assert glorot.var() == pytest.approx(2 / (8 + 4), rel=0.05)
    # blocks of different fan in, in one layer
    mixed = np.zeros((400, 100), int)
    mixed[:200, :4], mixed[200:, :] = 1, 1
    matrix = (
        nn.MaskedLinear(mixed, weight_initialiser="lecun_normal", seed=0, dtype=cr.float64).matrix().numpy()
    )
    assert matrix[:200, :4].var() == pytest.approx(1 / 4, rel=0.2)
    assert matrix[200:].var() == pytest.approx(1 / 100, rel=0.05)


def test_full_mask_is_a_linear_layer():
    layer = nn.MaskedLinear(np.ones((6, 3)), seed=5)
    assert layer.weight.size == 18
    np.testing.assert_array_equal(layer.weight.numpy().reshape(6, 3), layer.matrix().numpy())


def test_state_and_traces(traced):
    layer = nn.MaskedLinear(MASK, seed=1, dtype=cr.float64)
    np.testing.assert_allclose(traced(layer, X), layer(X).numpy(), rtol=1e-14)
    other = nn.MaskedLinear(MASK, seed=7, dtype=cr.float64)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other(X).numpy(), layer(X).numpy())


def test_groups():
    np.testing.assert_array_equal(
        nn.group_mask([[0, 2], [1]], units=2, in_features=4),
        [[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0]],
    )
    for groups, features in (([[0, 5]], 3), ([[-1]], None), ([], None), ([[]], 2)):
        with pytest.raises(SettingError, match="existing inputs"):
            nn.group_mask(groups, in_features=features)


def test_masks_that_cannot_be_are_refused():
    with pytest.raises(ShapeError, match="matrix"):
        nn.MaskedLinear([1, 0])
    with pytest.raises(SettingError, match="0 and 1 only"):
        nn.MaskedLinear([[0.5, 1.0]])
    with pytest.raises(SettingError, match="no edge"):
        nn.MaskedLinear([[0, 0]])
    with pytest.raises(ShapeError, match="number of features"):
        nn.MaskedLinear([[1, 0]])([[1.0, 2.0, 3.0]])

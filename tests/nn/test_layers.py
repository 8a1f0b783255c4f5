import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import DtypeError, SettingError, ShapeError

X = np.random.default_rng(0).normal(size=(5, 3))


def test_linear_is_affine():
    layer = nn.Linear(3, 2, bias_initialiser=nn.initialisers.normal(1.0), seed=1, dtype=cr.float64)
    expected = X @ layer.weight.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(X).numpy(), expected, rtol=1e-15)
    # row E21: a change of one input moves every output by its weight times the change
    moved = X.copy()
    moved[:, 1] += 0.25
    difference = layer(moved).numpy() - layer(X).numpy()
    np.testing.assert_allclose(difference, np.tile(0.25 * layer.weight.numpy()[:, 1], (5, 1)), rtol=1e-12)


def test_linear_gradients_are_delta_times_input():
    layer = nn.Linear(3, 2, seed=1, dtype=cr.float64)
    delta = np.random.default_rng(1).normal(size=(5, 2))
    layer(X).backward(delta)
    np.testing.assert_allclose(layer.weight.grad.numpy(), delta.T @ X, rtol=1e-12)  # row C5
    np.testing.assert_allclose(layer.bias.grad.numpy(), delta.sum(0), rtol=1e-12)


def test_linear_runs_traced_as_eagerly(traced):
    layer = nn.Linear(3, 2, seed=1, dtype=cr.float64)
    np.testing.assert_array_equal(traced(layer, X), layer(X).numpy())


def test_bias_is_the_weight_of_a_constant_neuron():
    # row A20: column 0 of the wide weight holds the biases
    plain = nn.Linear(3, 2, bias_initialiser=nn.initialisers.normal(1.0), seed=2, dtype=cr.float64)
    wide = nn.Linear(4, 2, bias=False, dtype=cr.float64)
    wide.weight.assign(np.column_stack([plain.bias.numpy(), plain.weight.numpy()]))
    with_one = np.column_stack([np.ones(5), X])
    plain(X).tanh().sum().backward()
    wide(with_one).tanh().sum().backward()
    np.testing.assert_allclose(wide(with_one).numpy(), plain(X).numpy(), rtol=1e-13)
    np.testing.assert_allclose(wide.weight.grad.numpy()[:, 0], plain.bias.grad.numpy(), rtol=1e-13)
    np.testing.assert_allclose(wide.weight.grad.numpy()[:, 1:], plain.weight.grad.numpy(), rtol=1e-13)


def test_weight_memory_stays_transposed():
    layer = nn.Linear(3, 2, seed=0)
    other = nn.Linear(3, 2, seed=1)
    buffer = layer.weight.data
    changes = [
        lambda: layer.weight.assign(other.weight),
        lambda: layer.initialise(4),
        lambda: layer.load_state_dict(other.state_dict()),
        lambda: nn.unflatten_parameters(layer, nn.flatten_parameters(other)),
    ]
    for change in changes:
        change()
        assert layer.weight.data is buffer
        assert layer.weight.data.T.flags.c_contiguous and layer.weight.data.shape == (2, 3)
        assert layer.weight.node.value is buffer
    np.testing.assert_array_equal(layer.weight.numpy(), other.weight.numpy())
    assert layer.state_dict()["weight"].flags.c_contiguous


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows):
    layer = nn.Linear(3, 2, seed=0, dtype=cr.float64)
    out = layer(X[:rows])
    assert out.shape == (rows, 2)
    out.sum().backward()
    np.testing.assert_allclose(layer.bias.grad.numpy(), np.full(2, float(rows)))


def test_another_number_of_features_names_layer_and_line():
    model = nn.Sequential(nn.Linear(3, 2, seed=0), nn.Tanh(), nn.Linear(4, 1, seed=0))
    with pytest.raises(ShapeError) as caught:
        model(X)
    text = str(caught.value)
    assert "Linear(4, 1, glorot_uniform())" in text
    assert "[batch, 4]" in text and "[5, 2]" in text
    assert "test_layers.py" in text and "model(X)" in text
    assert "layer before" in text
    with pytest.raises(ShapeError, match="transpose"):
        nn.Linear(3, 1)(X.T)
    with pytest.raises(ShapeError, match=r"\[batch, 3\]"):
        nn.Linear(3, 1)(1.0)


@pytest.mark.parametrize("widths", [(0, 2), (2, -1), (2.0, 1), (True, 1), ("3", 1)])
def test_widths_are_counts(widths):
    with pytest.raises(SettingError, match="count"):
        nn.Linear(*widths)


def test_parameters_are_floats():
    with pytest.raises(DtypeError, match="floats"):
        nn.Linear(2, 1, dtype=np.int64)
    assert nn.Linear(2, 1, dtype=cr.float64).bias.dtype == np.float64


def test_seeds():
    drawn = [nn.Linear(3, 2, seed=s).weight.numpy() for s in (0, 0, 1, None, None)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[3], drawn[4])
    again = nn.Linear(3, 2, bias_initialiser=nn.initialisers.normal(1.0), seed=7)
    first = again.state_dict()
    again.initialise(7)
    for name, value in again.state_dict().items():
        np.testing.assert_array_equal(value, first[name])


def test_sequential_is_a_list_of_modules():
    layers = [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)]
    model = nn.Sequential(*layers)
    assert len(model) == 3 and list(model) == layers
    assert model[0] is layers[0] and model[-1] is layers[2]
    assert isinstance(model[:2], nn.Sequential) and list(model[:2]) == layers[:2]
    with pytest.raises(IndexError):
        model[3]
    np.testing.assert_array_equal(model(X).numpy(), model[2](model[1](model[0](X))).numpy())
    assert nn.Sequential()(X).shape == (5, 3)


def test_sequential_refuses_what_is_no_module():
    with pytest.raises(SettingError, match=r"position 1[\s\S]*make an instance"):
        nn.Sequential(nn.Linear(3, 4), nn.Tanh)
    with pytest.raises(SettingError, match="position 0"):
        nn.Sequential(np.tanh)


def test_flatten():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(nn.Flatten()(x).numpy(), x.reshape(2, 12))
    assert nn.Flatten()(x[:0]).shape == (0, 12)
    assert nn.Flatten()(np.arange(3.0)).shape == (3, 1)


def test_sum_of_hidden_units_without_biases():
    # row E11: f = sum over k of w_k sigma(v_k^T x)
    model = nn.Sequential(
        nn.Linear(3, 4, bias=False, seed=0, dtype=cr.float64),
        nn.Logistic(),
        nn.Linear(4, 1, bias=False, seed=1, dtype=cr.float64),
    )
    v, w = model[0].weight.numpy(), model[2].weight.numpy()[0]
    expected = sum(w[k] / (1 + np.exp(-X @ v[k])) for k in range(4))
    np.testing.assert_allclose(model(X).numpy()[:, 0], expected, rtol=1e-12)
    assert [repr(layer) for layer in model[::2]] == [
        "Linear(3, 4, bias=False, glorot_uniform())",
        "Linear(4, 1, bias=False, glorot_uniform())",
    ]

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import SettingError

X = np.random.default_rng(0).normal(size=(5, 2))


def count(model):
    return sum(p.size for p in model.parameters())


def test_parameter_counts():
    assert count(nn.MLP([2, 3, 2, 2])) == 23  # row C1
    for d, m, L, k in ((3, 5, 1, 2), (4, 7, 3, 1), (2, 6, 2, 10)):  # row E15
        expected = m * d + m + (L - 1) * (m * m + m) + k * m + k
        assert count(nn.MLP([d, *[m] * L, k], activation="tanh")) == expected
    assert count(nn.MLP([1, 3, 1])) == 10  # row E16
    assert count(nn.MLP([4, 1])) == 5


def test_golden_algorithms_1_and_2(golden):
    # row C5, C10, C15, C20; the loss is C's: squared norm, averaged over rows
    case = golden["C_algorithm1_and_2_multi_output_regression"]
    given, wanted = case["inputs"], case["expected"]
    model = nn.MLP([2, 3, 2, 2], activation=["tanh", "logistic"], output_activation="tanh", dtype=cr.float64)
    model.load_state_dict(
        {f"{2 * i}.{n}": given[f"{'Wb'[n == 'bias']}{i + 1}"] for i in range(3) for n in ("weight", "bias")}
    )
    x = cr.tensor(np.array(given["X"][:1]), requires_grad=True)
    one = nn.squared_error(model(x), given["Y"][:1], "sum")
    one.backward()
    np.testing.assert_allclose(one.item(), wanted["algorithm1_sample0"]["C"], rtol=1e-11)
    np.testing.assert_allclose(x.grad.numpy()[0], wanted["algorithm1_sample0"]["dC_dx"], rtol=1e-9)
    for i in range(3):
        expected = wanted["algorithm1_sample0"][f"dW{i + 1}"]
        np.testing.assert_allclose(model[2 * i].weight.grad.numpy(), expected, rtol=1e-10)
        expected = wanted["algorithm1_sample0"][f"delta{i + 1}"]
        np.testing.assert_allclose(model[2 * i].bias.grad.numpy(), expected, rtol=1e-10)
    model.zero_grad()
    mean = nn.squared_error(model(given["X"]), given["Y"], "batchmean")
    mean.backward()
    np.testing.assert_allclose(mean.item(), wanted["algorithm2"]["loss"], rtol=1e-11)
    for i in range(3):
        got, expected = model[2 * i].weight.grad.numpy(), wanted["algorithm2"][f"dW{i + 1}"]
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_golden_10_parameters(golden):
    # row E16: f = w0 + sum of w_k tanh(v_k x + b_k)
    case = golden["E_mlp_10_parameters"]
    given, wanted = case["inputs"], case["expected"]
    model = nn.MLP([1, 3, 1], activation="tanh", dtype=cr.float64)
    w = given["w0_to_w3"]
    model.load_state_dict(
        {
            "0.weight": np.array(given["v"])[:, None],
            "0.bias": given["b"],
            "2.weight": [w[1:]],
            "2.bias": w[:1],
        }
    )
    x = np.array(given["x"])[:, None]
    out = model(x)
    np.testing.assert_allclose(out.numpy()[:, 0], wanted["f"], rtol=1e-11)
    loss = nn.squared_error(out, x**2)
    loss.backward()
    np.testing.assert_allclose(loss.item(), wanted["loss"], rtol=1e-11)
    np.testing.assert_allclose(model[0].bias.grad.numpy(), wanted["grad_b"], rtol=1e-10)
    np.testing.assert_allclose(model[0].weight.grad.numpy()[:, 0], wanted["grad_v"], rtol=1e-10)
    top = np.append(model[2].bias.grad.numpy(), model[2].weight.grad.numpy())
    np.testing.assert_allclose(top, wanted["grad_w"], rtol=1e-10)


def test_layers_differ_and_the_seed_fixes_them():
    a, b, c = (nn.MLP([4, 4, 4, 4], dropout=0.5, seed=s) for s in (0, 0, 1))
    state, same, other = a.state_dict(), b.state_dict(), c.state_dict()
    for name, value in state.items():
        np.testing.assert_array_equal(value, same[name])
    for name in ("0.weight", "3.weight", "6.weight", "2.seed", "5.seed"):
        assert not np.array_equal(state[name], other[name])
    assert not np.array_equal(state["0.weight"], state["3.weight"])
    assert not np.array_equal(state["2.seed"], state["5.seed"])
    a.initialise(1)
    np.testing.assert_array_equal(nn.flatten_parameters(a), nn.flatten_parameters(c))
    a.initialise(1, replica=1)
    assert not np.array_equal(nn.flatten_parameters(a), nn.flatten_parameters(c))


def test_structure_with_everything():
    model = nn.MLP([4, 8, 6, 3], ["relu", "tanh"], "softmax", dropout=0.2, batch_norm=True, seed=0)
    kinds = [type(layer).__name__ for layer in model]
    hidden = ["Linear", "BatchNorm1d"]
    assert kinds == [*hidden, "ReLU", "Dropout", *hidden, "Tanh", "Dropout", "Linear", "Softmax"]
    assert model[0].bias is None and model[8].bias is not None
    shown = repr(model)
    assert "(0): Linear(4, 8, bias=False, he_uniform())" in shown
    assert "(4): Linear(8, 6, bias=False, glorot_uniform())" in shown
    assert "(3): Dropout(0.2)" in shown


def test_layer_variances_suit_the_activation():
    # He: relu layers keep the second moment of standardised inputs from layer to layer
    model = nn.MLP([200, *[200] * 6, 200], activation="relu", seed=0, dtype=cr.float64)
    x = np.random.default_rng(0).normal(size=(300, 200))
    out = model[:-1](x).numpy()
    assert 0.5 < (out**2).mean() < 2.0


def test_float64_all_the_way():
    model = nn.MLP([2, 3, 1], dropout=0.1, batch_norm=True, dtype=cr.float64)
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float64)}
    assert model(X).dtype == np.float64
    assert nn.MLP([2, 3, 1])(X).dtype == np.float32


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}, {"batch_norm": True}])
def test_traced_equals_eager(traced, settings):
    eager, graph = (nn.MLP([2, 8, 3], "gelu", **settings, seed=0, dtype=cr.float64) for _ in range(2))
    for _ in range(2):
        np.testing.assert_array_equal(traced(graph, X), eager(X).numpy())
    np.testing.assert_array_equal(traced(graph.eval(), X), eager.eval()(X).numpy())


def test_linear_hidden_layers_collapse():
    # row E9
    model = nn.MLP([2, 5, 3], activation="identity", seed=0, dtype=cr.float64)
    collapsed = model[2].weight.numpy() @ model[0].weight.numpy()
    np.testing.assert_allclose(model(X).numpy(), X @ collapsed.T, rtol=1e-12)


def test_staircase_approximates_a_sine(golden):
    # row B4: one logistic hidden layer, a linear output, weights by construction
    case = golden["BE_universal_approximation_staircase"]
    x = np.linspace(0, 1, 2001)[:, None]
    for M, error in zip(case["inputs"]["M"], case["expected"]["sup_error"], strict=True):
        edges = np.sin(2 * np.pi * np.arange(M + 1) / M)
        model = nn.MLP([1, M, 1], activation="logistic", dtype=cr.float64)
        model.load_state_dict(
            {
                "0.weight": np.full((M, 1), 8.0 * M),
                "0.bias": -8.0 * (np.arange(M) + 0.5),
                "2.weight": np.diff(edges)[None],
                "2.bias": edges[:1],
            }
        )
        got = np.abs(model(x).numpy() - np.sin(2 * np.pi * x)).max()
        assert got == pytest.approx(error, rel=1e-10)


def test_bad_settings():
    with pytest.raises(SettingError, match="widths"):
        nn.MLP([3])
    with pytest.raises(SettingError, match="count"):
        nn.MLP([3, 0, 1])
    with pytest.raises(SettingError, match="1 names"):
        nn.MLP([3, 4, 1], activation=["relu", "relu"])
    with pytest.raises(SettingError, match="'logistic'"):
        nn.MLP([3, 4, 1], activation="logistics")
    with pytest.raises(SettingError, match="activation"):
        nn.MLP([3, 4, 1], output_activation="soft")
    with pytest.raises(SettingError, match="must be a number >= 0 and < 1"):
        nn.MLP([3, 4, 1], dropout=1.0)

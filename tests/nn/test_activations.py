import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import SettingError
from chainrule.nn.activations import ACTIVATIONS, find_activation

Z = np.array([-40.0, -10.0, -1.0, 0.0, 1.0, 10.0, 40.0])
DERIVATIVE_AT_ZERO = {"relu": 0.0, "sign": 0.0, "step": 0.0, "leaky_relu": 0.01, "elu": 1.0, "logistic": 0.25}


def derivative(name, z):
    return cr.grad(lambda x: find_activation(name).function(x).sum())(z).numpy()


@pytest.mark.parametrize("name", ["logistic", "tanh"])
def test_saturation_keeps_all_digits(golden, name):
    # row C14, A13, erratum 20
    table = golden["ABCE_activation_tables"]["expected"]
    np.testing.assert_allclose(find_activation(name).function(cr.tensor(Z)).numpy(), table[name], rtol=1e-11)
    np.testing.assert_allclose(derivative(name, Z), table[f"{name}_derivative"], rtol=1e-11)


def test_tables_of_the_lectures(golden):
    table = golden["ABCE_activation_tables"]["expected"]
    z = cr.tensor(Z)
    np.testing.assert_array_equal(nn.Sign()(z).numpy(), table["sign"])
    np.testing.assert_array_equal(nn.Step()(z).numpy(), table["step_ge_0"])
    np.testing.assert_array_equal(nn.ReLU()(z).numpy(), table["relu"])
    np.testing.assert_array_equal(derivative("relu", Z), table["relu_derivative_with_convention_0_at_0"])


def test_step_fires_at_a_tie():
    assert nn.step(cr.tensor([-0.0, 0.0, -1e-30])).tolist() == [1.0, 1.0, 0.0]  # erratum 38
    assert nn.step(np.array([2.0], np.float64)).dtype == np.float64


@pytest.mark.parametrize("name", sorted(DERIVATIVE_AT_ZERO))
def test_derivative_at_zero_is_the_documented_one(name):
    np.testing.assert_allclose(derivative(name, np.array([0.0])), [DERIVATIVE_AT_ZERO[name]])


def test_relu_minus_relu_of_minus_has_derivative_zero_at_zero():
    # erratum 30: the function is x, its true derivative 1
    assert cr.grad(lambda x: cr.relu(x) - cr.relu(-x))(0.0).item() == 0.0


def test_relu_ramp(golden):
    # row A15, erratum 12
    case = golden["A_relu_ramp"]
    a = cr.tensor(np.array(case["inputs"]["a"]))
    ramp = cr.relu(a + 1) - cr.relu(a)
    np.testing.assert_allclose(ramp.numpy(), case["expected"]["relu_a_plus_1_minus_relu_a"])
    np.testing.assert_array_equal(ramp.numpy(), cr.clip(a + 1, 0, 1).numpy())
    centred = cr.relu(a + 0.5) - cr.relu(a - 0.5)
    expected = case["expected"]["centred_version_relu_a_plus_half_minus_relu_a_minus_half"]
    np.testing.assert_allclose(centred.numpy(), expected)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_module_function_and_bounds(name, traced):
    activation = ACTIVATIONS[name]
    z = np.random.default_rng(0).normal(size=(50, 4)) * 5
    out = activation.module()(z).numpy()
    np.testing.assert_array_equal(out, activation.function(cr.tensor(z)).numpy())
    np.testing.assert_array_equal(traced(activation.module(), z), out)
    low, high = activation.bounds
    assert (out >= low).all() and (out <= high).all()
    shown = activation.range
    if shown.startswith("{"):
        assert set(np.unique(out)) <= {float(v) for v in shown[1:-1].split(",")}
    else:
        assert float(shown[1:-1].split(",")[1]) == high
        assert float(shown[1:-1].split(",")[0]) == pytest.approx(low)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_extremes_are_finite(name, dtype):
    z = np.array([[-1e4, -50.0, 0.0, 50.0, 1e4]], dtype)
    out = ACTIVATIONS[name].function(cr.tensor(z))
    assert out.dtype == dtype and np.isfinite(out.numpy()).all()
    slope = derivative(name, z)
    assert slope.dtype == dtype and np.isfinite(slope).all()


def test_settings_of_modules():
    assert nn.LeakyReLU(0.2)(cr.tensor([-1.0])).item() == pytest.approx(-0.2)
    assert nn.ELU(2.0)(cr.tensor([-1.0])).item() == pytest.approx(2 * np.expm1(-1))
    columns = nn.Softmax(axis=0)(cr.tensor([[1.0, 2.0], [1.0, 0.0]])).numpy()
    np.testing.assert_allclose(columns.sum(0), 1.0, rtol=1e-6)
    assert [repr(m) for m in (nn.LeakyReLU(0.2), nn.ELU(2.0), nn.Softmax(0), nn.Tanh())] == [
        "LeakyReLU(0.2)",
        "ELU(2)",
        "Softmax(axis=0)",
        "Tanh()",
    ]
    assert nn.Sigmoid is nn.Logistic


def test_unknown_name_lists_the_nearest():
    with pytest.raises(SettingError, match="leaky_relu"):
        find_activation("leakyrelu")
    with pytest.raises(SettingError, match=r"try: +'relu'"):
        find_activation("ReLU")
    with pytest.raises(SettingError, match="activation None"):
        find_activation(None)

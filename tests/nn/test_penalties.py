import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import SettingError


@pytest.fixture
def model():
    return nn.Sequential(
        nn.Linear(3, 4, bias_initialiser=nn.initialisers.normal(1.0), seed=0, dtype=cr.float64),
        nn.BatchNorm1d(4, dtype=cr.float64),
        nn.Linear(4, 1, bias_initialiser=nn.initialisers.normal(1.0), seed=1, dtype=cr.float64),
    )


@pytest.mark.parametrize(
    "penalty, value, slope",
    [(nn.l2, lambda w: (w**2).sum(), lambda w: 2 * w), (nn.l1, lambda w: np.abs(w).sum(), np.sign)],
)
def test_weights_only(model, penalty, value, slope):
    # row A17, E25: biases are not penalised
    weights = [model[0].weight.numpy(), model[2].weight.numpy()]
    total = penalty(0.3)(model)
    assert total.shape == () and total.item() == pytest.approx(0.3 * sum(value(w) for w in weights))
    total.backward()
    for name, p in model.named_parameters():
        if name in ("0.weight", "2.weight"):
            np.testing.assert_allclose(p.grad.numpy(), 0.3 * slope(p.numpy()), rtol=1e-13)
        else:
            assert p.grad is None


def test_biases_on_request(model):
    everything = sum((p.numpy() ** 2).sum() for p in model.parameters())
    assert nn.l2(2.0, include_biases=True)(model).item() == pytest.approx(2 * everything)


def test_l1_is_flat_at_zero():
    layer = nn.Linear(2, 1, weight_initialiser="zeros", seed=0)
    nn.l1(1.0)(layer).backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[0.0, 0.0]])


def test_golden_ridge(golden):
    # row E25: w feeds two children; dJ/dw = -2 r x + 2 lambda w
    case = golden["E_least_squares_and_ridge_graph"]
    given, wanted = case["inputs"], case["expected"]
    model = nn.Linear(3, 1, dtype=cr.float64)
    model.load_state_dict({"weight": [given["w"]], "bias": [given["b"]]})
    objective = nn.squared_error(model([given["x"]]), [given["y"]]) + nn.l2(given["lam"])(model)
    objective.backward()
    assert objective.item() == pytest.approx(wanted["J"], rel=1e-12)
    np.testing.assert_allclose(model.weight.grad.numpy()[0], wanted["dJ_dw"], rtol=1e-12)
    assert model.bias.grad.item() == pytest.approx(wanted["dJ_db"], rel=1e-12)


def test_nothing_to_penalise_and_settings():
    assert nn.l2(1.0)(nn.ReLU()).item() == 0.0
    assert "l2" in repr(nn.l2(0.5)) and "0.5" in repr(nn.l2(0.5))
    assert nn.l2(0.5) == nn.l2(0.5) != nn.l1(0.5)
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="strength"):
            nn.l1(bad)


def test_traced(model, traced):
    value = traced(lambda x: nn.l2(0.1)(model) + 0 * x, 0.0)
    assert value == pytest.approx(nn.l2(0.1)(model).item(), rel=1e-15)

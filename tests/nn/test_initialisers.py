import numpy as np
import pytest

from chainrule import nn
from chainrule.errors import SettingError, ShapeError
from chainrule.nn import initialisers as init
from chainrule.nn.initialisers import INITIALISERS, find_initialiser
from chainrule.nn.module import generator

SHAPE = (120, 200)  # outputs, inputs
VARIANCE = {
    "glorot_uniform": 2 / 320,
    "glorot_normal": 2 / 320,
    "he_uniform": 2 / 200,
    "he_normal": 2 / 200,
    "lecun_uniform": 1 / 200,
    "lecun_normal": 1 / 200,
}


@pytest.mark.parametrize("name", VARIANCE)
def test_moments(name):
    w = find_initialiser(name)(generator(0), SHAPE)
    assert w.shape == SHAPE
    # 24000 draws: five standard errors of the mean and of the variance
    assert abs(w.mean()) < 5 * np.sqrt(VARIANCE[name] / w.size)
    assert w.var() == pytest.approx(VARIANCE[name], rel=5 * np.sqrt(2 / w.size))
    if name.endswith("uniform"):
        limit = np.sqrt(3 * VARIANCE[name])
        assert 0.999 * limit < np.abs(w).max() <= limit
    else:  # a normal has kurtosis 3, a uniform 1.8
        assert ((w / w.std()) ** 4).mean() == pytest.approx(3.0, abs=0.2)


def test_gain_uniform_normal_constant():
    assert init.glorot_normal(2.0)(generator(0), SHAPE).var() == pytest.approx(4 * 2 / 320, rel=0.05)
    w = init.uniform(-1.0, 3.0)(generator(0), (20000,))
    assert w.min() >= -1 and w.max() < 3 and w.mean() == pytest.approx(1.0, abs=0.05)
    assert init.normal(0.5)(generator(0), (20000,)).std() == pytest.approx(0.5, rel=0.03)
    assert (init.constant(2.5)(generator(0), (3, 2)) == 2.5).all()
    assert (init.zeros()(generator(0), (3,)) == 0).all()


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4)])
def test_orthogonal(shape):
    w = init.orthogonal(2.0)(generator(1), shape)
    product = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-12)


def test_orthogonal_is_uniform_over_signs():
    # without the correction by diag(r) every first entry has the same sign
    corners = [init.orthogonal()(generator(s), (3, 3))[0, 0] for s in range(40)]
    assert 8 < sum(c > 0 for c in corners) < 32


@pytest.mark.parametrize("name", INITIALISERS)
def test_deterministic_and_shown(name):
    first, second = (find_initialiser(name)(generator(3), (4, 5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert repr(find_initialiser(name)) == f"{name}()"


def test_bad_settings():
    with pytest.raises(SettingError, match="glorot_uniform"):
        find_initialiser("glorot")
    with pytest.raises(SettingError, match="low <= high"):
        init.uniform(1.0, 0.0)
    with pytest.raises(SettingError, match="must not be negative"):
        init.normal(-1.0)
    with pytest.raises(ShapeError, match="outputs, inputs"):
        nn.Linear(2, 1, bias_initialiser="he_normal")


def test_a_plain_function_is_an_initialiser():
    layer = nn.Linear(2, 2, weight_initialiser=lambda rng, shape: np.eye(2), bias_initialiser="zeros")
    np.testing.assert_array_equal(layer.weight.numpy(), np.eye(2))

"""Losses for counts, quantiles and rare classes, against scikit-learn's metrics and plain formulas."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss, mean_poisson_deviance

import chainrule as cr
from chainrule.errors import DataError, SettingError
from chainrule.nn.activations import find_activation
from chainrule.nn.focal import binary_focal_cross_entropy, focal_cross_entropy
from chainrule.nn.losses import binary_cross_entropy, cross_entropy
from chainrule.nn.regression_losses import poisson, quantile

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(6, 4))
COUNTS = np.array([0, 1, 3, 0, 7, 2])
LABELS = np.array([0, 3, 1, 2, 2, 0])
logistic = find_activation("logistic").function


def test_poisson_is_half_the_deviance():
    expected = mean_poisson_deviance(COUNTS, np.exp(Z[:, 0])) / 2
    assert poisson(Z[:, 0], COUNTS).item() == pytest.approx(expected, rel=1e-12)
    slope = cr.grad(lambda z: poisson(z, COUNTS, "sum"))(Z[:, 0]).numpy()
    np.testing.assert_allclose(slope, np.exp(Z[:, 0]) - COUNTS, rtol=1e-12)
    with pytest.raises(DataError, match="must not be negative"):
        poisson(Z[:, 0], COUNTS - 1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_quantile_is_the_pinball_loss(share):
    y = RNG.normal(size=6)
    expected = mean_pinball_loss(y, Z[:, 0], alpha=share)
    assert quantile(Z[:, 0], y, quantile=share).item() == pytest.approx(expected, rel=1e-12)
    # the best constant prediction is the quantile itself
    many = np.sort(RNG.normal(size=101))
    losses = [quantile(np.full(101, c), many, quantile=share).item() for c in many]
    assert many[np.argmin(losses)] == pytest.approx(np.quantile(many, share), abs=1e-12)
    with pytest.raises(SettingError, match="0 < quantile < 1"):
        quantile(Z[:, 0], y, quantile=1.0)


@pytest.mark.parametrize("gamma", [0, 0.5, 2, 5.0])
def test_focal_loss(gamma):
    p = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
    mine = p[np.arange(6), LABELS]
    expected = -((1 - mine) ** gamma) * np.log(mine)
    got = focal_cross_entropy(Z, LABELS, "none", gamma=gamma).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    q, y = 1 / (1 + np.exp(-Z)), (LABELS[:, None] > np.arange(4)).astype(int)
    expected = -y * (1 - q) ** gamma * np.log(q) - (1 - y) * q**gamma * np.log(1 - q)
    got = binary_focal_cross_entropy(Z, y, "none", gamma=gamma).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    cr.check_gradients(partial(focal_cross_entropy, target=LABELS, gamma=gamma), Z)
    cr.check_gradients(partial(binary_focal_cross_entropy, target=y, gamma=gamma), Z)


def test_focal_loss_at_the_edges():
    np.testing.assert_allclose(
        focal_cross_entropy(Z, LABELS, gamma=0).item(), cross_entropy(Z, LABELS).item(), rtol=1e-14
    )
    np.testing.assert_allclose(
        binary_focal_cross_entropy(Z[:, 0], LABELS > 1, gamma=0).item(),
        binary_cross_entropy(Z[:, 0], LABELS > 1).item(),
        rtol=1e-14,
    )
    # a row that is certainly right: neither a loss nor a gradient, and no NaN from the power of 0
    sure = np.array([[1000.0, 0.0], [40.0, 0.0]], np.float32)
    for gamma in (0.5, 2.0):
        value, slope = cr.value_and_grad(partial(focal_cross_entropy, target=np.array([0, 0]), gamma=gamma))(
            sure
        )
        assert value.item() == 0.0
        assert (np.abs(slope.numpy()) < 1e-15).all()
    with pytest.raises(SettingError, match="must not be negative"):
        focal_cross_entropy(Z, LABELS, gamma=-1)
    with pytest.raises(DataError, match="out of range"):
        binary_focal_cross_entropy(Z[:, 0], LABELS)


@pytest.mark.peers
def test_poisson_of_torch():
    import torch

    z = torch.tensor(Z[:, 0])
    full = torch.nn.functional.poisson_nll_loss(z, torch.tensor(COUNTS), reduction="none").numpy()
    ours = poisson(Z[:, 0], COUNTS, "none").numpy()
    constant = np.where(COUNTS > 0, COUNTS * np.log(np.maximum(COUNTS, 1)), 0) - COUNTS
    np.testing.assert_allclose(ours - constant, full, rtol=1e-12, atol=1e-12)

"""Last layers that stand between a network and its loss: the reference class, an absorbed loss, probabilities."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import DataError, ShapeError

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(8, 3)), RNG.integers(0, 4, 8)


def test_reference_class_equals_all_classes_less_the_first():
    full = nn.Linear(3, 4, seed=1, dtype=cr.float64)
    reduced = nn.Linear(3, 3, dtype=cr.float64)
    reduced.weight.assign(full.weight.numpy()[1:] - full.weight.numpy()[0])
    model = nn.Sequential(reduced, nn.ReferenceClass())
    np.testing.assert_allclose(cr.softmax(model(X)).numpy(), cr.softmax(full(X)).numpy(), rtol=1e-12)
    nn.cross_entropy(model(X), LABELS).backward()
    nn.cross_entropy(full(X), LABELS).backward()
    np.testing.assert_allclose(
        reduced.weight.grad.numpy(), full.weight.grad.numpy()[1:], rtol=1e-10, atol=1e-14
    )


def test_absorbed_loss_has_the_gradient_of_the_loss():
    net = nn.MLP([3, 5, 4], activation="tanh", seed=2, dtype=cr.float64)
    absorbed = nn.Sequential(net, nn.AbsorbedLoss(nn.cross_entropy, LABELS))
    absorbed(X).backward()
    got = [p.grad.numpy().copy() for p in net.parameters()]
    net.zero_grad()
    nn.cross_entropy(net(X), LABELS).backward()
    for g, p in zip(got, net.parameters(), strict=True):
        np.testing.assert_array_equal(g, p.grad.numpy())
    assert "cross_entropy" in repr(absorbed)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_log_loss_behind_softmax_is_cross_entropy(reduction):
    z = cr.tensor(RNG.normal(size=(8, 4)) * 3)
    through = nn.log_loss(cr.softmax(z), LABELS, reduction)
    np.testing.assert_allclose(through.numpy(), nn.cross_entropy(z, LABELS, reduction).numpy(), rtol=1e-12)
    gradient = lambda loss: cr.grad(lambda z: loss(z).sum())(z).numpy()
    np.testing.assert_allclose(
        gradient(lambda z: nn.log_loss(cr.softmax(z), LABELS, reduction)),
        gradient(lambda z: nn.cross_entropy(z, LABELS, reduction)),
        rtol=1e-11,
        atol=1e-14,
    )


def test_log_loss_of_a_probability_that_rounded_to_zero_is_infinite():
    assert nn.log_loss([[1.0, 0.0]], [1]).item() == np.inf
    assert nn.log_loss([[1.0, 0.0]], [0]).item() == 0.0


def test_log_loss_refuses_what_it_cannot_use():
    with pytest.raises(DataError, match="out of range"):
        nn.log_loss([[0.5, 0.5]], [2])
    with pytest.raises(ShapeError, match="a single class"):
        nn.log_loss([[0.5]], [0])

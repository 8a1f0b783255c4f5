import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import SettingError, ShapeError

RNG = np.random.default_rng(0)
Z = RNG.normal(2.0, 3.0, size=(6, 4))
DELTA = RNG.normal(size=(6, 4))


def layer_with(gamma, beta, eps=1e-2, **settings):
    layer = nn.BatchNorm1d(4, eps=eps, dtype=cr.float64, **settings)
    layer.weight.assign(gamma)
    layer.bias.assign(beta)
    return layer


GAMMA, BETA = RNG.normal(size=4), RNG.normal(size=4)


def standardised(eps):
    return (Z - Z.mean(0)) / np.sqrt(Z.var(0) + eps)


def test_forward_uses_the_biased_variance_with_eps_inside():
    # row B23
    np.testing.assert_allclose(
        layer_with(GAMMA, BETA)(Z).numpy(), GAMMA * standardised(1e-2) + BETA, rtol=1e-12
    )


def test_backward_formulas():
    # row B24
    layer, z = layer_with(GAMMA, BETA), cr.tensor(Z, requires_grad=True)
    layer(z).backward(DELTA)
    tilde = standardised(1e-2)
    expected = GAMMA / np.sqrt(Z.var(0) + 1e-2) * (DELTA - DELTA.mean(0) - tilde * (DELTA * tilde).mean(0))
    np.testing.assert_allclose(z.grad.numpy(), expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(z.grad.numpy().sum(0), 0.0, atol=1e-13)
    np.testing.assert_allclose(layer.weight.grad.numpy(), (DELTA * tilde).sum(0), rtol=1e-12)
    np.testing.assert_allclose(layer.bias.grad.numpy(), DELTA.sum(0), rtol=1e-12)


def test_one_row_has_zero_gradient_and_keeps_the_running_variance():
    layer, z = layer_with(GAMMA, BETA), cr.tensor(Z[:1], requires_grad=True)
    out = layer(z)
    out.backward(DELTA[:1])
    np.testing.assert_array_equal(out.numpy(), BETA[None])
    np.testing.assert_array_equal(z.grad.numpy(), np.zeros((1, 4)))
    np.testing.assert_array_equal(layer.running_var.numpy(), np.ones(4))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * Z[0])


def test_no_rows_change_nothing():
    layer = layer_with(GAMMA, BETA)
    assert layer(Z[:0]).shape == (0, 4)
    np.testing.assert_array_equal(layer.running_mean.numpy(), np.zeros(4))
    np.testing.assert_array_equal(layer.running_var.numpy(), np.ones(4))


def test_running_moments_and_inference():
    layer = layer_with(GAMMA, BETA, momentum=0.3)
    mean, var = np.zeros(4), np.ones(4)
    for shift in (0.0, 1.0, 5.0):
        layer(Z + shift)
        mean = 0.7 * mean + 0.3 * (Z + shift).mean(0)
        var = 0.7 * var + 0.3 * Z.var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-12)
    before = layer.state_dict()
    out = layer.eval()(Z).numpy()
    np.testing.assert_allclose(out, GAMMA * (Z - mean) / np.sqrt(var + 1e-2) + BETA, rtol=1e-12)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_running_moments_have_no_history():
    layer = layer_with(GAMMA, BETA)
    layer(cr.tensor(Z, requires_grad=True)).sum().backward()
    assert not layer.running_mean.requires_grad and not layer.running_var.requires_grad
    assert [name for name, _ in layer.named_buffers()] == ["running_mean", "running_var"]


def test_traced_equals_eager(traced):
    eager, graph = layer_with(GAMMA, BETA), layer_with(GAMMA, BETA)
    for scale in (1.0, 2.0):
        np.testing.assert_array_equal(traced(graph, scale * Z), eager(scale * Z).numpy())
    for name, value in eager.state_dict().items():
        np.testing.assert_array_equal(graph.state_dict()[name], value)


def test_no_gradient_flows_through_running_moments_in_a_trace(traced):
    def gradient(linear, layer):
        def run(x):
            z = linear(x)
            layer.train()(z)
            nn.squared_error(layer.eval()(z), DELTA).backward()
            return linear.weight.grad

        return run

    pairs = [(nn.Linear(4, 4, seed=0, dtype=cr.float64), layer_with(GAMMA, BETA)) for _ in range(2)]
    eager = gradient(*pairs[0])(cr.tensor(Z)).numpy()
    np.testing.assert_allclose(traced(gradient(*pairs[1]), Z), eager, rtol=1e-12)


def test_moments_before_and_after():
    # row B22
    (mean, var), (new_mean, new_var) = layer_with(GAMMA, BETA, eps=0.0).moments(Z)
    np.testing.assert_allclose(mean.numpy(), Z.mean(0))
    np.testing.assert_allclose(var.numpy(), Z.var(0))
    np.testing.assert_allclose(new_mean.numpy(), BETA, rtol=1e-10)
    np.testing.assert_allclose(new_var.numpy(), GAMMA**2, rtol=1e-10)


def test_two_step_update_differs_from_the_joint_one():
    # row B25: gamma and beta first, then the weights from a fresh gradient, against all at once
    def gradients(model):
        model.zero_grad()
        nn.squared_error(model(Z), DELTA).backward()
        return {name: p.grad.numpy() for name, p in model.named_parameters()}

    def step(model, names, gradients):
        for name, p in model.named_parameters():
            if name in names:
                p.assign(p.numpy() - 0.5 * gradients[name])

    def network():
        return nn.Sequential(nn.Linear(4, 4, bias=False, seed=0, dtype=cr.float64), layer_with(GAMMA, BETA))

    joint, split = network(), network()
    step(joint, {"0.weight", "1.weight", "1.bias"}, gradients(joint))
    step(split, {"1.weight", "1.bias"}, gradients(split))
    step(split, {"0.weight"}, gradients(split))
    np.testing.assert_allclose(joint[1].weight.numpy(), split[1].weight.numpy(), rtol=1e-12)
    assert np.abs(joint[0].weight.numpy() - split[0].weight.numpy()).max() > 1e-4


def test_without_affine():
    layer = nn.BatchNorm1d(4, affine=False, eps=0.0, dtype=cr.float64)
    assert layer.parameters() == []
    np.testing.assert_allclose(layer(Z).numpy(), standardised(0.0), rtol=1e-12)
    assert repr(layer) == "BatchNorm1d(4, eps=0, momentum=0.1, affine=False)"


def test_initialise_forgets():
    layer = layer_with(GAMMA, BETA)
    layer(Z)
    layer.initialise(0)
    fresh = nn.BatchNorm1d(4, dtype=cr.float64).state_dict()
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, fresh[name])


def test_bad_input():
    with pytest.raises(ShapeError, match=r"BatchNorm1d\(3[\s\S]*\[batch, 3\]"):
        nn.BatchNorm1d(3)(Z)
    with pytest.raises(ShapeError):
        nn.BatchNorm1d(4)(Z[0])
    with pytest.raises(SettingError):
        nn.BatchNorm1d(4, momentum=2.0)
    with pytest.raises(SettingError):
        nn.BatchNorm1d(0)

"""Layers, activations, losses and penalties against PyTorch in float64: values and gradients."""

import numpy as np
import pytest
import torch

import chainrule as cr
from chainrule import nn

pytestmark = pytest.mark.peers

RNG = np.random.default_rng(0)
Z = np.concatenate([RNG.normal(size=(20, 5)) * 3, [[-30.0, -3.0, 0.0, 3.0, 30.0]]])
F = torch.nn.functional


def close(ours, theirs, rtol=1e-12, atol=1e-14):
    np.testing.assert_allclose(np.asarray(ours), theirs.detach().numpy(), rtol=rtol, atol=atol)


def both(ours, theirs, *arrays, rtol=1e-12, atol=1e-14):
    """Compare values and the gradients of a weighted sum with respect to every array."""
    mine = [cr.tensor(a, requires_grad=True) for a in arrays]
    peers = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, expected = ours(*mine), theirs(*peers)
    close(out, expected, rtol, atol)
    weights = np.random.default_rng(1).normal(size=out.shape)
    out.backward(weights)
    expected.backward(torch.tensor(weights))
    for a, b in zip(mine, peers, strict=True):
        close(a.grad, b.grad, rtol, atol)


ACTIVATIONS = {
    "logistic": (nn.Logistic(), torch.nn.Sigmoid()),
    "tanh": (nn.Tanh(), torch.nn.Tanh()),
    "relu": (nn.ReLU(), torch.nn.ReLU()),
    "leaky_relu": (nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.2)),
    "elu": (nn.ELU(1.5), torch.nn.ELU(1.5)),
    "gelu": (nn.GELU(), torch.nn.GELU()),
    "silu": (nn.SiLU(), torch.nn.SiLU()),
    "softplus": (nn.Softplus(), torch.nn.Softplus(threshold=100)),
    "softmax": (nn.Softmax(axis=0), torch.nn.Softmax(dim=0)),
    "identity": (nn.Identity(), torch.nn.Identity()),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    # PyTorch's tanh and silu derivatives lose digits where they saturate, hence the absolute tolerance
    both(*ACTIVATIONS[name], Z, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["sign", "step"])
def test_steps(name):
    ours, theirs = {"sign": (nn.Sign(), torch.sign), "step": (nn.Step(), lambda z: torch.heaviside(z, ONE))}[
        name
    ]
    close(ours(Z), theirs(torch.tensor(Z)))


ONE = torch.tensor(1.0, dtype=torch.float64)

ELEMENTWISE = {
    "squared_error": (nn.squared_error, F.mse_loss, {}),
    "absolute_error": (nn.absolute_error, F.l1_loss, {}),
    "huber": (nn.huber, F.huber_loss, {"delta": 0.7}),
    "binary_cross_entropy": (nn.binary_cross_entropy, F.binary_cross_entropy_with_logits, {}),
    "half_squared_error": (
        nn.half_squared_error,
        lambda p, t, reduction: 0.5 * F.mse_loss(p, t, reduction=reduction),
        {},
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(6,), (6, 3), (1, 1)])
def test_elementwise_losses(name, reduction, shape):
    ours, theirs, settings = ELEMENTWISE[name]
    target = RNG.random(shape)
    both(
        lambda p: ours(p, target, reduction, **settings),
        lambda p: theirs(p, torch.tensor(target), reduction=reduction, **settings),
        RNG.normal(size=shape) * 2,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy(reduction, smoothing):
    y = RNG.integers(0, 5, len(Z))
    both(
        lambda z: nn.cross_entropy(z, y, reduction, label_smoothing=smoothing),
        lambda z: F.cross_entropy(z, torch.tensor(y), reduction=reduction, label_smoothing=smoothing),
        Z,
        rtol=1e-11,
    )


def test_gradient_reaches_the_target_too():
    both(nn.squared_error, F.mse_loss, Z, Z[::-1].copy())


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    layer = nn.Linear(5, 3, bias, bias_initialiser=nn.initialisers.normal(1.0), seed=0, dtype=cr.float64)
    peer = torch.nn.Linear(5, 3, bias=bias, dtype=torch.float64)
    peer.load_state_dict({name: torch.tensor(value) for name, value in layer.state_dict().items()})
    both(layer, peer, Z)
    for (name, ours), theirs in zip(layer.named_parameters(), peer.parameters(), strict=True):
        assert name in ("weight", "bias")
        close(ours.grad, theirs.grad)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_trains_and_infers_as_there(affine):
    settings = {"eps": 1e-3, "momentum": 0.2, "affine": affine}
    layer = nn.BatchNorm1d(5, **settings, dtype=cr.float64)
    peer = torch.nn.BatchNorm1d(5, **settings, dtype=torch.float64)
    if affine:
        start = {"weight": RNG.normal(size=5), "bias": RNG.normal(size=5)}
        layer.load_state_dict({**layer.state_dict(), **start})
        peer.load_state_dict({k: torch.tensor(v) for k, v in start.items()}, strict=False)
    for rows in (len(Z), 2, 7):
        layer.zero_grad()
        peer.zero_grad()
        both(layer, peer, Z[:rows] + rows, rtol=1e-8, atol=1e-11)
        for ours, theirs in zip(layer.parameters(), peer.parameters(), strict=True):
            close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-11)
        close(layer.running_mean, peer.running_mean)
        close(layer.running_var, peer.running_var)
    both(layer.eval(), peer.eval(), Z)


def test_batch_norm_refuses_one_row_there_and_stays_finite_here():
    with pytest.raises(ValueError, match="more than 1 value"):
        torch.nn.BatchNorm1d(5)(torch.zeros(1, 5))
    layer = nn.BatchNorm1d(5)
    assert np.isfinite(layer(Z[:1]).numpy()).all()
    assert np.isfinite(layer.running_var.numpy()).all()


def peer_of(model):
    """The same network in PyTorch."""
    made = {
        nn.Linear: lambda m: torch.nn.Linear(m.in_features, m.out_features, m.bias is not None),
        nn.BatchNorm1d: lambda m: torch.nn.BatchNorm1d(m.features, m.eps, m.momentum),
        nn.ReLU: lambda m: torch.nn.ReLU(),
        nn.Tanh: lambda m: torch.nn.Tanh(),
        nn.GELU: lambda m: torch.nn.GELU(),
    }
    peer = torch.nn.Sequential(*(made[type(layer)](layer) for layer in model)).double()
    state = {name: torch.tensor(value) for name, value in model.state_dict().items()}
    missing, extra = peer.load_state_dict(state, strict=False)
    assert not extra and all(name.endswith("num_batches_tracked") for name in missing)
    return peer


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_mlp_with_loss_and_penalties(activation, batch_norm):
    # row E31: names and layouts are PyTorch's, so a state goes over as it is
    model = nn.MLP([5, 16, 16, 4], activation, batch_norm=batch_norm, seed=0, dtype=cr.float64)
    peer = peer_of(model)
    y = RNG.integers(0, 4, len(Z))
    objective = nn.cross_entropy(model(Z), y) + nn.l2(1e-2)(model) + nn.l1(1e-3)(model)
    weights = [m.weight for m in peer if isinstance(m, torch.nn.Linear)]
    loss = F.cross_entropy(peer(torch.tensor(Z)), torch.tensor(y))
    loss = loss + sum(1e-2 * (w**2).sum() + 1e-3 * w.abs().sum() for w in weights)
    assert objective.item() == pytest.approx(loss.item(), rel=1e-12)
    objective.backward()
    loss.backward()
    theirs = dict(peer.named_parameters())
    for name, p in model.named_parameters():
        close(p.grad, theirs[name].grad, rtol=1e-9, atol=1e-13)


def test_dropout_scales_as_there():
    x = np.ones((100, 100))
    ours = nn.Dropout(0.3, seed=0)(x).numpy()
    theirs = torch.nn.Dropout(0.3)(torch.tensor(x)).numpy()
    assert set(np.unique(ours)) == {0.0, ours.max()} and ours.max() == pytest.approx(theirs.max(), rel=1e-15)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (nn.initialisers.glorot_uniform(), torch.nn.init.xavier_uniform_),
        (nn.initialisers.glorot_normal(), torch.nn.init.xavier_normal_),
        (nn.initialisers.he_uniform(), torch.nn.init.kaiming_uniform_),
        (nn.initialisers.he_normal(), torch.nn.init.kaiming_normal_),
    ],
    ids=lambda f: getattr(f, "name", ""),
)
def test_initialisers_have_the_same_spread(ours, theirs):
    shape = (150, 300)
    w = ours(np.random.default_rng(0), shape)
    peer = theirs(torch.empty(shape, dtype=torch.float64), generator=torch.Generator().manual_seed(0))
    assert w.std() == pytest.approx(peer.std().item(), rel=0.02)
    if "uniform" in repr(ours):
        assert np.abs(w).max() == pytest.approx(peer.abs().max().item(), rel=1e-3)


def test_embedding_of_codes():
    codes = np.random.default_rng(2).integers(0, 7, (9, 2))
    ours, theirs = nn.Embedding(7, 3, seed=0, dtype=np.float64), torch.nn.Embedding(7, 3).double()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(ours.weight.numpy()))
    out, expected = ours(codes), theirs(torch.tensor(codes))
    close(out, expected)
    weights = np.random.default_rng(1).normal(size=out.shape)
    out.backward(weights)
    expected.backward(torch.tensor(weights))
    close(ours.weight.grad, theirs.weight.grad)


def peer_codes(layer, x):
    """As one would write it in PyTorch; returns the parameters as well."""
    values = {name: torch.tensor(p.numpy(), requires_grad=True) for name, p in layer.named_parameters()}
    if layer.kind == "periodic":
        return torch.cos(x[:, :, None] * values["frequency"] + values["phase"]), values
    edges = torch.tensor(layer.edges.numpy())
    return torch.clamp((x[:, :, None] - edges[:, :-1]) / (edges[:, 1:] - edges[:, :-1]), 0, 1), values


@pytest.mark.parametrize("kind", ["periodic", "piecewise"])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_embedding_of_numbers(kind, activation):
    edges = {"edges": [[-4.1, -1.3, 0.2, 2.5, 9.7]] * 5} if kind == "piecewise" else {}
    layer = nn.NumberEmbedding(5, kind, size=2, activation=activation, seed=0, dtype=np.float64, **edges)
    a, b = cr.tensor(Z, requires_grad=True), torch.tensor(Z, requires_grad=True)
    codes, values = peer_codes(layer, b)
    vectors = torch.einsum("nch,chd->ncd", codes, values["weight"]) + values["bias"]
    vectors = torch.relu(vectors) if activation else vectors
    out, expected = layer(a), torch.cat([b, vectors.flatten(1)], 1)
    close(out, expected)
    weights = np.random.default_rng(1).normal(size=out.shape)
    out.backward(weights)
    expected.backward(torch.tensor(weights))
    for name, parameter in layer.named_parameters():
        close(parameter.grad, values[name].grad, rtol=1e-10, atol=1e-12)
    close(a.grad, b.grad, rtol=1e-10, atol=1e-12)

"""Networks that cross over from PyTorch and to it: the same predictions and gradients in inference and training."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ExchangeError

pytestmark = pytest.mark.peers


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


def agree(torch, own, theirs, shape, dtype):
    """Predictions, gradients of every parameter and of the input."""
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    a, b = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    result, expected = own(a), theirs(b)
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(result.numpy(), expected.detach().numpy(), **tolerance)
    weights = np.linspace(1, 2, result.size).reshape(result.shape).astype(dtype)
    (result * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), **tolerance)
    parameters = dict(theirs.named_parameters())
    for name, parameter in own.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), parameters[name].grad.numpy(), **tolerance)
    for name, buffer in own.named_buffers():
        if "running" in name:
            np.testing.assert_allclose(buffer.numpy(), theirs.get_buffer(name).numpy(), **tolerance)


def both(torch):
    """One of each layer, in PyTorch's terms."""
    t = torch.nn
    return t.Sequential(
        t.Flatten(),
        t.Linear(6, 8),
        t.BatchNorm1d(8, momentum=0.3),
        t.ReLU(),
        t.Sequential(
            t.Linear(8, 7, bias=False), t.BatchNorm1d(7, affine=False), t.LeakyReLU(0.2), t.ELU(0.5)
        ),
        t.Linear(7, 6),
        t.GELU(),
        t.Linear(6, 6),
        t.SiLU(),
        t.Softplus(),
        t.Dropout(0.0),
        t.Linear(6, 5),
        t.Tanh(),
        t.Sigmoid(),
        t.Identity(),
        t.Softmax(dim=-1),
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_there_and_back(torch, dtype, training):
    theirs = both(torch).to(getattr(torch, dtype)).train(training)
    own = cr.from_torch(theirs)
    assert own.training == training and own.dtype == np.dtype(dtype)
    agree(torch, own, theirs, (9, 2, 3), dtype)
    again = cr.to_torch(own)
    assert [n for n, _ in again.named_parameters()] == [n for n, _ in own.named_parameters()]
    own.zero_grad()
    agree(torch, own, again, (9, 2, 3), dtype)


@pytest.mark.parametrize("activation", ["relu", "gelu", "logistic", "softplus", "softmax", "identity"])
def test_an_mlp_goes_to_torch(torch, activation):
    own = nn.MLP([3, 5, 2], activation, dropout=0.5, batch_norm=True, seed=0, dtype=np.float64).eval()
    agree(torch, own, cr.to_torch(own), (4, 3), "float64")


def test_a_network_trained_in_torch(torch):
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    x = torch.rand(200, 2) * 2 - 1
    y = x[:, :1] * x[:, 1:]
    optimizer = torch.optim.Adam(theirs.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(theirs(x), y).backward()
        optimizer.step()
    own = cr.from_torch(theirs)
    np.testing.assert_allclose(own.predict(x.numpy()), theirs(x).detach().numpy(), atol=1e-6)
    before = float(np.mean((own.predict(x.numpy()) - y.numpy()) ** 2))
    cr.fit(own, (x.numpy(), y.numpy()), loss=nn.squared_error, optimizer=cr.optim.Adam(1e-3), epochs=20)
    assert np.mean((own.predict(x.numpy()) - y.numpy()) ** 2) < before  # it goes on training here


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embeddings_there_and_back(torch, dtype):
    theirs = torch.nn.Sequential(torch.nn.Embedding(7, 3), torch.nn.Flatten(), torch.nn.Linear(6, 2))
    theirs = theirs.to(getattr(torch, dtype))
    codes = np.random.default_rng(0).integers(0, 7, (20, 2))
    own = cr.from_torch(theirs)
    for ours, peer in ((own, theirs), (own, cr.to_torch(own))):
        ours.zero_grad()
        result, expected = ours(codes), peer(torch.tensor(codes))
        np.testing.assert_allclose(result.numpy(), expected.detach().numpy(), rtol=1e-6)
        peer.zero_grad()
        (result * result).sum().backward()
        (expected * expected).sum().backward()
        np.testing.assert_allclose(own[0].weight.grad.numpy(), peer[0].weight.grad.numpy(), rtol=1e-5)


def test_what_is_copied_is_not_shared_with_the_original_but_within(torch):
    layer = torch.nn.Linear(3, 3)
    tied = torch.nn.Linear(3, 3)
    tied.weight = layer.weight
    theirs = torch.nn.Sequential(layer, torch.nn.Tanh(), layer, tied)
    own = cr.from_torch(theirs)
    assert own[0] is own[2] and own[0].weight is own[3].weight and len(own.parameters()) == 3
    back = cr.to_torch(own)
    assert back[0] is back[2] and back[0].weight is back[3].weight
    with torch.no_grad():
        layer.weight.zero_()
    assert own[0].weight.numpy().any() and back[0].weight.any()


def test_what_has_no_counterpart_is_named(torch):
    t = torch.nn

    class Own(t.Linear):
        pass

    for bad, named in (
        (t.Sequential(t.Linear(2, 2), t.Sequential(t.Tanh(), t.LSTM(2, 2))), r"1\.1.*"),
        (t.GELU(approximate="tanh"), "approximate"),
        (t.BatchNorm1d(2, track_running_stats=False), "track_running_stats"),
        (t.BatchNorm1d(2, momentum=None), "means over all"),
        (t.Linear(2, 2).half(), "float16"),
        (t.Embedding(3, 2, padding_idx=0), "padding_idx"),
        (t.Embedding(3, 2, max_norm=1.0), "max_norm"),
        (Own(2, 2), "Own"),
        (3, "3"),
    ):
        with pytest.raises(ExchangeError) as caught:
            cr.from_torch(bad)
        caught.match("no counterpart")
        assert named.replace("\\", "").replace(".*", "") in str(caught.value)
    with pytest.raises(ExchangeError, match=r"PyTorch has no counterpart of the layer 1"):
        cr.to_torch(nn.Sequential(nn.Linear(2, 2), nn.Sign()))
    with pytest.raises(ExchangeError, match="unseen codes"):
        cr.to_torch(nn.Embedding(3, 2, unseen="mean"))


def test_memory_is_shared_by_dlpack(torch):
    theirs = torch.arange(6.0).reshape(2, 3)
    own = cr.from_dlpack(theirs.T)
    assert own.shape == (3, 2) and own.tolist() == theirs.T.tolist()
    theirs[0, 0] = 7
    assert own[0, 0].item() == 7
    back = torch.from_dlpack(own)
    back[2, 1] = -1
    assert theirs[1, 2] == -1 and own[2, 1].item() == -1
    assert (own @ np.ones((2, 1), np.float32)).tolist() == [[10.0], [5.0], [1.0]]

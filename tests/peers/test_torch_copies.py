"""Copies follow PyTorch's rules: what is shared stays shared, and what has a history is refused."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import GradientError

pytestmark = pytest.mark.peers


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}


def test_a_deep_copy_of_a_computed_tensor_is_refused_as_there(torch):
    ours, theirs = cr.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError):
        copy.deepcopy(theirs * theirs)
    with pytest.raises(GradientError):
        copy.deepcopy(ours * ours)
    for y in (ours * ours, theirs * theirs):
        assert copy.deepcopy(y.detach()).tolist() == [1.0, 4.0]


def test_memory_and_gradients_are_shared_and_kept_as_there(torch):
    found = []
    for w in (cr.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)):
        (w * w).sum().backward()
        twin = copy.deepcopy({"w": w, "again": w, "value": w.detach()})
        other = twin["w"]
        seen = [twin["again"] is other, other.requires_grad, other.grad.tolist(), w.grad is other.grad]
        if isinstance(other, cr.Tensor):
            other.assign([5.0, 6.0])
        else:
            with torch.no_grad():
                other.copy_(torch.tensor([5.0, 6.0]))
        found.append([*seen, twin["value"].tolist(), w.tolist()])
    assert found[0] == found[1]


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_came_from_there_travels(torch, way):
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 1)
    )
    ours = cr.from_torch(theirs.eval()).eval()
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    twin = WAYS[way](ours)
    np.testing.assert_array_equal(twin.predict(x), ours.predict(x))
    np.testing.assert_allclose(
        twin.predict(x), WAYS[way](theirs)(torch.tensor(x)).detach().numpy(), atol=1e-6
    )
    assert isinstance(twin[0], nn.Linear)

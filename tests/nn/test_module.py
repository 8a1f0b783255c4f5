import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ModelFileError, ShapeError

X = np.random.default_rng(0).normal(size=(9, 3))


def everything(seed):
    return nn.MLP([3, 6, 2], dropout=0.3, batch_norm=True, seed=seed)


def test_state_dict_round_trip():
    a, b = everything(0), everything(1)
    a(X)
    saved = a.state_dict()
    assert list(saved) == [
        *("0.weight", "1.weight", "1.bias", "4.weight", "4.bias"),
        *("1.running_mean", "1.running_var", "3.seed", "3.counter"),
    ]
    b.load_state_dict(saved)
    np.testing.assert_array_equal(b(X).numpy(), a(X).numpy())  # the same dropout mask, too
    np.testing.assert_array_equal(b.predict(X), a.predict(X))
    saved["0.weight"][:] = 0  # copies: the model is not touched
    assert np.abs(a[0].weight.numpy()).min() > 0
    for name, part in b.named_state():
        assert part.dtype == a.state_dict()[name].dtype


def test_load_errors_change_nothing():
    model = everything(0)
    before = model.state_dict()
    missing = {k: v for k, v in before.items() if k != "0.weight"}
    with pytest.raises(ModelFileError, match=r"missing '0\.weight'; extra 'other'"):
        model.load_state_dict({**missing, "other": np.zeros(1)})
    changed = {name: value + 1 for name, value in before.items()}
    with pytest.raises(ShapeError, match=r"4.bias[\s\S]*\(2,\)[\s\S]*\(3,\)"):
        model.load_state_dict({**changed, "4.bias": np.zeros(3)})
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_modes_reach_every_module_and_predict_restores_them():
    model = everything(0)
    model[3].eval()
    before = model.state_dict()
    first = model.predict(X)
    np.testing.assert_allclose(first, np.concatenate([model.predict(X[:2]), model.predict(X[2:])]), rtol=1e-5)
    assert model.training and not model[3].training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert not model.eval()[2].training and model.train()[2].training
    assert model.predict(X[:0]).shape == (0, 2)


def test_shared_modules_count_once():
    layer = nn.Linear(3, 3, seed=0)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    model(X).sum().backward()
    assert layer.weight.grad.shape == (3, 3)


def test_flatten_and_back():
    model = nn.MLP([2, 3, 2, 2], seed=0)
    theta = nn.flatten_parameters(model)
    np.testing.assert_array_equal(theta[:6].reshape(3, 2), model[0].weight.numpy())
    nn.unflatten_parameters(model, np.arange(23.0))
    np.testing.assert_array_equal(model[0].weight.numpy(), [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(nn.flatten_parameters(model), np.arange(23))
    with pytest.raises(ShapeError):
        nn.unflatten_parameters(model, np.zeros(22))


def test_arrays_follow_the_parameters_and_tensors_are_left_alone():
    layer = nn.Linear(3, 1, seed=0)
    assert layer(X).dtype == np.float32
    assert layer(cr.tensor(X)).dtype == np.float64
    assert layer([[1, 2, 3]]).dtype == np.float32
    assert nn.Tanh()(X).dtype == np.float64
    double = nn.Linear(1, 1, bias=False, weight_initialiser=nn.initialisers.constant(1.0), dtype=cr.float64)
    assert double([[0.1]]).item() == 0.1  # not 0.1 rounded to float32 on the way


def test_gradients_accumulate_until_forgotten():
    layer = nn.Linear(3, 1, seed=0, dtype=cr.float64)
    layer(X).sum().backward()
    once = layer.weight.grad.numpy().copy()
    layer(X).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), 2 * once)
    layer.zero_grad()
    assert layer.weight.grad is None and layer.bias.grad is None


def test_a_module_of_ones_own():
    class Residual(nn.Module):
        def __init__(self):
            self.blocks = [nn.Linear(3, 3, seed=0), nn.Dropout(0.5, seed=0)]
            self.heads = {"a": nn.Linear(3, 1, seed=1)}
            self.scale = nn.Parameter.drawn((1,), nn.initialisers.constant(2.0), 0)

        def forward(self, x):
            for block in self.blocks:
                x = x + block(x)
            return self.scale * self.heads["a"](x)

    model = Residual()
    assert [name for name, _ in model.named_parameters()] == [
        *("scale", "blocks.0.weight", "blocks.0.bias", "heads.a.weight", "heads.a.bias"),
    ]
    model(X).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert "(heads.a): Linear(3, 1, glorot_uniform())" in repr(model)


def test_a_deep_copy_has_its_own_memory_in_the_same_order_and_trains():
    import copy

    model = nn.MLP([3, 5, 2], seed=0, dropout=0.5)
    copied = copy.deepcopy(model)
    x = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(model.eval()(x).numpy(), copied.eval()(x).numpy())
    for (name, a), (other, b) in zip(model.named_state(), copied.named_state(), strict=True):
        assert name == other
        assert type(a) is type(b)
        assert not np.shares_memory(a.numpy(), b.numpy())
        assert a.numpy().strides == b.numpy().strides
    copied(x).sum().backward()
    assert all(p.grad is not None for p in copied.parameters())
    assert all(p.grad is None for p in model.parameters())
    copied.initialise(7)


def test_an_attribute_changes_the_module_alone():
    """No counter of the class or of others: what has read a module looks at that module."""
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
    kinds = [*nn.Linear.__mro__[:-1]]
    before = [dict(vars(kind)) for kind in kinds], dict(vars(other))
    layer.remark = "new"
    layer.training = False
    layer.weight = nn.Parameter(np.zeros((1, 2), np.float32))
    assert [dict(vars(kind)) for kind in kinds] == before[0]
    assert vars(other).keys() == before[1].keys()
    assert all(vars(other)[name] is value for name, value in before[1].items())


def test_a_buffer_that_is_data_stays_when_initial_values_are_drawn():
    class Holder(nn.Module):
        def __init__(self):
            self.data, self.state = nn.Buffer.made(np.zeros(2), redrawn=False), nn.Buffer.made(np.zeros(2))
            self.weight = nn.Linear(2, 1).weight

    model = Holder()
    for buffer in model.buffers():
        buffer.assign(cr.tensor(np.ones(2)))
    model.initialise(0)
    assert model.data.tolist() == [1, 1] and model.state.tolist() == [0, 0]
    assert sorted(model.state_dict()) == ["data", "state", "weight"]
    assert [name for _, name, _ in model.drawn_parts()] == ["weight", "state"]

"""Every setting of every layer that PyTorch and chainrule both have: carried over, or refused by name."""

import inspect
import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ExchangeError
from chainrule.exchange.torch_modules import PAIRS

pytestmark = pytest.mark.peers

FEATURES, ROWS = 4, 7
NAMES = [pair.torch for pair in PAIRS]
REQUIRED = {
    "Linear": {"in_features": FEATURES, "out_features": 3},
    "BatchNorm1d": {"num_features": FEATURES},
    "Embedding": {"num_embeddings": 9, "embedding_dim": 3},
}
#: values of each argument besides its default; a new argument of PyTorch's fails the test until it is here
VALUES = {
    "bias": [False],
    "device": ["cpu", "meta"],
    "dtype": ["float32", "float64", "float16", "bfloat16", "complex64", "complex128"],
    "eps": [0.3, 1e-12],
    "momentum": [0.0, 0.5, 1.0, None],
    "affine": [False],
    "track_running_stats": [False],
    "p": [0.0, 0.5, 1.0],
    "inplace": [True],
    "start_dim": [0, 2],
    "end_dim": [1, -2],
    "negative_slope": [0.0, 0.3],
    "alpha": [0.0, 0.3, 2.0],
    "approximate": ["tanh"],
    "beta": [0.2, 3.0],
    "threshold": [0.0, 1.0, 40.0],
    "dim": [0, 1, -1, -2, None],
    "padding_idx": [0, 3, -1],
    "max_norm": [0.5],
    "norm_type": [1.0],
    "scale_grad_by_freq": [True],
    "sparse": [True],
    "_weight": [],
    "_freeze": [],
    "args": [],
    "kwargs": [],
}


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


def arguments(torch, name):
    """The constructor's arguments, each at each of its values alone, then by twos."""
    kind = getattr(torch.nn, name)
    names = [n for n in inspect.signature(kind).parameters if n not in REQUIRED.get(name, {})]
    single = [{n: v} for n in names for v in VALUES[n]]
    pairs = [a | b for a, b in itertools.combinations(single, 2) if a.keys() != b.keys()]
    return [{}, *single, *pairs[:: max(1, len(pairs) // 40)]]


def made(torch, name, settings):
    settings = {k: getattr(torch, v) if k == "dtype" else v for k, v in settings.items()}
    layer = getattr(torch.nn, name)(**REQUIRED.get(name, {}), **settings)
    for tensor in (*layer.parameters(), *layer.buffers()):
        if tensor.is_floating_point() and not tensor.is_meta:
            with torch.no_grad():
                tensor.copy_(torch.rand(tensor.shape) + 0.5)  # not the numbers that every layer starts from
    return layer


def agree(torch, own, theirs, dtype, training):
    """Outputs, gradients and what they leave in the buffers."""
    own.train(training)
    theirs.train(training)
    rng, has_codes = np.random.default_rng(0), isinstance(theirs, torch.nn.Embedding)
    x = rng.normal(size=(ROWS, FEATURES)).astype(dtype) * 8
    if has_codes:
        x = rng.integers(0, 9, (ROWS, FEATURES))
    a, b = cr.tensor(x, requires_grad=not has_codes), torch.tensor(x, requires_grad=not has_codes)
    y, expected = own(a), theirs(b.clone())  # what works in place may not have a leaf
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), **tolerance)
    assert str(y.dtype) == str(expected.dtype).removeprefix("torch.")
    weights = np.linspace(1, 2, y.size).reshape(y.shape).astype(dtype)
    (y * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    if not has_codes:
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), **tolerance)
    others = dict(theirs.named_parameters())
    for name, parameter in own.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), others[name].grad.numpy(), **tolerance)
    for name, buffer in own.named_buffers():
        if name in dict(theirs.named_buffers()):
            np.testing.assert_allclose(buffer.numpy(), theirs.get_buffer(name).numpy(), **tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_carried_over_or_refused_by_name(torch, name):
    outcomes = {"equal": 0, "refused": 0}
    for settings in arguments(torch, name):
        for training in (True, False):
            theirs = made(torch, name, settings).train(training)
            try:
                own = cr.from_torch(theirs)
            except ExchangeError as error:
                outcomes["refused"] += 1
                told = str(error)
                shown = [str(v) for v in settings.values()] + list(inspect.signature(type(theirs)).parameters)
                assert name in told and any(word in told for word in (*shown, "moments", "leaves nothing")), (
                    told
                )
                continue
            outcomes["equal"] += 1
            assert own.training == training
            dtype = settings.get("dtype", "float32")
            wide = made(torch, name, settings | ({"dtype": "float64"} if name in REQUIRED else {}))
            cases = [(cr.from_torch(wide), wide, "float64"), (own, theirs, dtype)]
            for own, theirs, dtype in cases:
                if name == "Dropout" and settings.get("p", 0.5) == 0.5 and training:
                    continue  # masks are drawn in other ways
                agree(torch, own, theirs, dtype, training)
                own.zero_grad()
                back = cr.to_torch(own)
                agree(torch, own, back, dtype, training)
                own.zero_grad()
    assert outcomes["equal"]


@pytest.mark.parametrize("beyond", [19.0, 21.0, 50.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_around_its_threshold(torch, beyond, dtype):
    x = np.array([[-beyond, 0.0, beyond]], dtype)
    for layer in (torch.nn.Softplus(), torch.nn.Softplus(threshold=3), torch.nn.Softplus(0.5, 2.0)):
        expected = layer(torch.tensor(x)).numpy()
        rounding = 1e-15 if dtype == "float64" else 1e-6
        np.testing.assert_allclose(cr.from_torch(layer)(x).numpy(), expected, rtol=rounding)


def test_parameters_that_do_not_train_stay_so(torch):
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    theirs[0].weight.requires_grad = False
    theirs[1].bias.requires_grad = False
    own = cr.from_torch(theirs)
    back = cr.to_torch(own)
    expected = {n: p.requires_grad for n, p in theirs.named_parameters()}
    assert {n: p.requires_grad for n, p in own.named_parameters()} == expected
    assert {n: p.requires_grad for n, p in back.named_parameters()} == expected
    own(np.ones((4, 2), np.float32)).sum().backward()
    assert {n: p.grad is not None for n, p in own.named_parameters()} == expected


def touched(torch):
    """Layers that compute what their class does not say."""
    t = torch.nn

    def linear(change):
        layer = t.Linear(2, 2)
        change(layer)
        return layer

    def give(name, value):
        return lambda layer: setattr(layer, name, value)

    class Own(t.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    class OwnSequence(t.Sequential):
        pass

    Linear = type("Linear", (t.Linear,), {"forward": lambda self, x: x})
    cast = linear(lambda layer: None)
    cast.bias.data = cast.bias.data.double()
    shared = t.Linear(2, 2, bias=False)
    other = t.Linear(2, 2, bias=False)
    other.weight = t.Parameter(shared.weight.data)
    resized = linear(lambda layer: None)
    resized.weight = t.Parameter(torch.zeros(5, 2))
    return {
        "forward hooks": linear(lambda layer: layer.register_forward_hook(lambda m, x, y: y + 1)),
        "forward pre hooks": linear(lambda layer: layer.register_forward_pre_hook(lambda m, x: x)),
        "backward hooks": linear(lambda layer: layer.register_full_backward_hook(lambda m, a, b: None)),
        "backward pre hooks": linear(lambda layer: layer.register_full_backward_pre_hook(lambda m, a: None)),
        "hooks on weight": linear(lambda layer: layer.weight.register_hook(lambda g: 2 * g)),
        "hooks on bias": linear(lambda layer: layer.bias.register_post_accumulate_grad_hook(lambda p: None)),
        "ParametrizedLinear": t.utils.parametrizations.weight_norm(t.Linear(2, 2)),
        "Parametrized": t.utils.parametrizations.spectral_norm(t.Linear(2, 2)),
        "forward": linear(give("forward", lambda x: x)),
        "scale": linear(give("scale", 3.0)),
        "mask": linear(lambda layer: layer.register_buffer("mask", torch.ones(2))),
        "extra": linear(lambda layer: layer.register_parameter("extra", t.Parameter(torch.ones(2)))),
        "head": linear(lambda layer: layer.add_module("head", t.Linear(2, 2))),
        "Own": Own(2, 2),
        "OwnSequence": OwnSequence(t.Linear(2, 2)),
        "in_features=2": Linear(2, 2),
        "float32 and float64": cast,
        "shares memory": t.Sequential(shared, other),
        "weight is [5, 2]": resized,
        "gate": t.Sequential(give("gate", 1)(s := t.Sequential(t.Tanh())) or s),
    }


def test_what_was_done_to_a_layer_is_refused_by_name(torch):
    for named, layer in touched(torch).items():
        for module in (layer, torch.nn.Sequential(torch.nn.Tanh(), layer)):
            with pytest.raises(ExchangeError, match="no counterpart") as caught:
                cr.from_torch(module)
            assert named in str(caught.value), named


def test_hooks_on_the_outer_sequence_and_on_all_modules(torch):
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2))
    handle = layers.register_forward_hook(lambda m, x, y: y + 1)
    with pytest.raises(ExchangeError, match="forward hooks"):
        cr.from_torch(layers)
    handle.remove()
    cr.from_torch(layers)
    handle = torch.nn.modules.module.register_module_forward_hook(lambda m, x, y: y + 1)
    try:
        with pytest.raises(ExchangeError, match="forward hooks"):
            cr.from_torch(layers)
    finally:
        handle.remove()


def test_modes_of_the_parts_are_kept(torch):
    theirs = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Sequential(torch.nn.Dropout(0.5))).train()
    theirs[0].eval()
    own = cr.from_torch(theirs)
    assert [own.training, own[0].training, own[1].training, own[1][0].training] == [True, False, True, True]
    back = cr.to_torch(own)
    assert [back.training, back[0].training, back[1].training, back[1][0].training] == [
        True,
        False,
        True,
        True,
    ]


def test_what_was_done_to_a_layer_of_ours_is_refused_by_name(torch):
    def given(name, value):
        layer = nn.Linear(2, 2)
        setattr(layer, name, value)
        return layer

    class Own(nn.Linear):
        pass

    for named, layer in {
        "forward": given("forward", lambda x: x),
        "gate": given("gate", nn.Parameter.drawn((2,), nn.initialisers.constant(1.0), 0)),
        "head": given("head", nn.Linear(2, 2)),
        "Own": Own(2, 2),
        "each replica": nn.Dropout([0.1, 0.2]),
    }.items():
        for model in (layer, nn.Sequential(nn.Tanh(), layer)):
            with pytest.raises(ExchangeError, match="PyTorch has no counterpart") as caught:
                cr.to_torch(model)
            assert named in str(caught.value), named

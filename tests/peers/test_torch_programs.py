"""The same random programs, run by PyTorch: values and gradients of what is eager here, which all else is held to."""

import types

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from tests.fuzz.checks import MismatchError, compare, trace
from tests.fuzz.programs import build, choices

import chainrule as cr

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:The use of `x.T`")]
SEARCHES, PROGRAMS = 6, 100


class NotThereError(Exception):
    """PyTorch has nothing that means the same."""


def axes(axis, ndim):
    return tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def torch_functions(torch):
    """What a program calls ``cr``, made of PyTorch's functions."""

    def over(function):
        def reduced(x, axis=None, keepdims=False, **settings):
            if axis is None and x.ndim == 0:
                return function(x.reshape(1), (0,), keepdims, **settings).reshape(())
            return function(x, axes(axis, x.ndim), keepdims, **settings)

        return reduced

    def prod(x, axis=None):
        for a in sorted(axes(axis, x.ndim), reverse=True):
            x = torch.prod(x, a)
        return x

    def take(x, indices, axis=0):
        index = torch.as_tensor(np.asarray(indices)).reshape(-1)
        return torch.index_select(x, axis, torch.where(index < 0, index + x.shape[axis], index))

    def pad(x, widths, value=0.0):
        flat = [n for pair in reversed(widths) for n in pair]
        return torch.nn.functional.pad(x, flat, value=float(value))

    def clip(
        x, low, high
    ):  # at a bound PyTorch's gradient is 1, ours is half: both are right, so neither is compared
        if bool(((x == low) | (x == high)).any()):
            raise NotThereError
        return torch.clip(x, low, high)

    def astype(x, dtype):
        return x.to({"float32": torch.float32, "float64": torch.float64}[np.dtype(dtype).name])

    table = {
        "sum": over(lambda x, dim, keep: torch.sum(x, dim=dim, keepdim=keep)),
        "mean": over(lambda x, dim, keep: torch.mean(x, dim=dim, keepdim=keep)),
        "max": over(lambda x, dim, keep: torch.amax(x, dim=dim, keepdim=keep)),
        "min": over(lambda x, dim, keep: torch.amin(x, dim=dim, keepdim=keep)),
        "var": over(lambda x, dim, keep: torch.var(x, dim=dim, keepdim=keep, correction=0)),
        "logsumexp": over(lambda x, dim, keep: torch.logsumexp(x, dim=dim, keepdim=keep)),
        "norm": over(lambda x, dim, keep: torch.linalg.vector_norm(x, dim=dim, keepdim=keep)),
        "softmax": lambda x, axis=-1: torch.softmax(x, axis),
        "log_softmax": lambda x, axis=-1: torch.log_softmax(x, axis),
        "prod": prod,
        "take": take,
        "pad": pad,
        "clip": clip,
        "astype": astype,
        "where": torch.where,
        "reshape": torch.reshape,
        "transpose": lambda x, order: x.permute(*order),
        "flip": lambda x, axis: torch.flip(x, (axis,)),
        "concat": lambda xs, axis=0: torch.cat(xs, axis),
        "stack": lambda xs, axis=0: torch.stack(xs, axis),
        "expand_dims": torch.unsqueeze,
        "broadcast_to": torch.broadcast_to,
        "logistic": torch.sigmoid,
        "softplus": lambda x: torch.logaddexp(x, torch.zeros((), dtype=x.dtype)),
        "square": torch.square,
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        **{
            name: getattr(torch, name)
            for name in ("sin", "cos", "tanh", "exp", "expm1", "log", "log1p", "sqrt", "erf")
        },
        **{n: getattr(torch, n) for n in ("abs", "sign", "floor", "relu")},
    }
    f = torch.nn.functional

    def loss(name):
        def call(x, y, reduction="mean"):
            return name(x, y, reduction=reduction)

        return call

    half = lambda x, y, reduction: 0.5 * f.mse_loss(x, y, reduction=reduction)
    layers = {
        "silu": f.silu,
        "gelu": f.gelu,
        "elu": f.elu,
        "leaky_relu": lambda x: f.leaky_relu(x, 0.01),
        "squared_error": loss(f.mse_loss),
        "half_squared_error": loss(half),
        "absolute_error": loss(f.l1_loss),
        "huber": loss(f.huber_loss),
        "cross_entropy": lambda x, y: f.cross_entropy(x, torch.as_tensor(np.asarray(y))),
        "Linear": lambda *args, **kwargs: linear(torch, cr.nn.Linear(*args, **kwargs)),
        "BatchNorm1d": lambda n, dtype: torch.nn.BatchNorm1d(n, dtype=getattr(torch, np.dtype(dtype).name)),
    }
    return Names(table), Names(layers)


def linear(torch, layer):
    weight, bias = (torch.as_tensor(p.numpy()) for p in (layer.weight, layer.bias))
    return lambda x: torch.nn.functional.linear(x, weight, bias)


class Names(types.SimpleNamespace):
    """Functions by name; what is missing has no counterpart."""

    def __init__(self, table):
        super().__init__(**table)

    def __getattr__(self, name):
        raise NotThereError(name)


def by_torch(torch, program, arrays):
    """What the program returns, and the gradient of a weighted sum of it, as PyTorch computes them."""
    names, layers = torch_functions(torch)
    body = str(program).split("rng = np.random.default_rng", 1)[1]
    environment = {"np": np, "cr": names, "nn": layers, "rng": np.random.default_rng}
    environment["as_tensor"] = lambda a: a if isinstance(a, torch.Tensor) else torch.as_tensor(np.array(a))
    arrays_as_tensors = "\n".join(
        f"{line.split(' = ')[0]} = as_tensor({line.split(' = ')[0]})"
        for line in program.preparation
        if line[0] in "xa"
    )
    head, function = body.split("\ndef f(", 1)
    exec(f"{head}\n{arrays_as_tensors}\ndef f({function}", environment)
    inputs = [torch.as_tensor(np.array(a)).requires_grad_() for a in arrays]
    outputs = [out for out in environment["f"](*inputs) if out.is_floating_point()]
    total = sum(
        (out * torch.as_tensor(weights(number, out.shape))).sum() for number, out in enumerate(outputs)
    )
    if not isinstance(total, torch.Tensor) or not total.requires_grad:
        raise NotThereError
    gradients = torch.autograd.grad(total, inputs, allow_unused=True)
    zeros = [torch.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs, strict=True)]
    return [x.detach().numpy() for x in (*outputs, *zeros)]


def weights(number, shape):
    size = int(np.prod(shape, dtype=np.int64))
    return np.cos(1.0 + number + np.arange(size)).reshape(shape)


@pytest.mark.filterwarnings("ignore:Tensor.T is deprecated:UserWarning")  # of a number: PyTorch says so once
@pytest.mark.parametrize("number", range(SEARCHES))
def test_values_and_gradients_agree_with_torch(number):
    import torch

    compared = 0

    @seed(number)
    @settings(max_examples=PROGRAMS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(choices())
    def all_agree(drawn):
        nonlocal compared
        program = build(only_doubles(drawn))
        assume(program is not None and ".assign(" not in str(program))
        f, arrays = program.load()
        assume(all(a.dtype == np.float64 for a in arrays))
        try:
            theirs = by_torch(torch, program, arrays)
        except (NotThereError, ValueError, RuntimeError, TypeError, KeyError, IndexError):
            return  # PyTorch has no negative steps, mixes dtypes otherwise, and has no such function
        compared += 1

        def ours(*x):
            values = [out for out in f(*x) if out.dtype.kind == "f"]
            total = sum((out * weights(n, out.shape)).sum() for n, out in enumerate(values))
            return total, values

        def all_of_it(*x):
            gradients = cr.grad(lambda *y: ours(*y)[0], tuple(range(len(x))))(*x)
            return [*ours(*x)[1], *gradients]

        found = [x.numpy() for x in all_of_it(*map(cr.tensor, arrays))]
        graph = trace(all_of_it, arrays)
        try:
            for place, (got, wanted) in enumerate(zip(found, theirs, strict=True)):
                compare(got, wanted, lambda place=place: graph.cloud(arrays, place, {}))
        except MismatchError as error:
            error.__notes__ = [str(program)]
            raise

    all_agree()
    assert compared > PROGRAMS / 5


def only_doubles(drawn):
    """The program with all inputs float64: PyTorch promotes otherwise."""
    return drawn._replace(inputs=[given._replace(dtype=1) for given in drawn.inputs])

"""``cr.from_torch`` and ``cr.to_torch``: the layers that both libraries have, with their parameters and modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.errors import ExchangeError
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

Memo = dict[int, Any]  # what was made of each module and parameter, so that what is shared stays shared


@dataclass(frozen=True)
class Pair:
    """A layer of both libraries: how each is made from the other, before parameters are copied."""

    torch: str
    own: type[Module]
    from_torch: Callable[[Any], Module]
    to_torch: Callable[[Any, Any], Any]  # (torch.nn, layer)
    parameters: tuple[str, ...] = ()
    #: what a layer of PyTorch must not be, as (attribute, the only value that it may have)
    only: tuple[tuple[str, Any], ...] = ()


def _plain(torch: str, own: type[Module]) -> Pair:
    """A layer without settings."""
    return Pair(torch, own, lambda layer: own(), lambda library, layer: getattr(library, torch)())


PAIRS = (
    Pair(
        "Linear",
        nn.Linear,
        lambda t: nn.Linear(t.in_features, t.out_features, t.bias is not None, seed=0, dtype=_dtype(t)),
        lambda library, m: library.Linear(m.in_features, m.out_features, m.bias is not None),
        ("weight", "bias"),
    ),
    Pair(
        "BatchNorm1d",
        nn.BatchNorm1d,
        lambda t: nn.BatchNorm1d(t.num_features, t.eps, t.momentum, t.affine, dtype=_dtype(t)),
        lambda library, m: library.BatchNorm1d(m.features, m.eps, m.momentum, m.weight is not None),
        ("weight", "bias", "running_mean", "running_var"),
        (("track_running_stats", True),),
    ),
    Pair("Dropout", nn.Dropout, lambda t: nn.Dropout(t.p), lambda library, m: library.Dropout(m.p)),
    Pair(
        "Flatten",
        nn.Flatten,
        lambda t: nn.Flatten(),
        lambda library, m: library.Flatten(),
        only=(("start_dim", 1), ("end_dim", -1)),
    ),
    Pair(
        "LeakyReLU",
        nn.LeakyReLU,
        lambda t: nn.LeakyReLU(t.negative_slope),
        lambda library, m: library.LeakyReLU(m.slope),
    ),
    Pair("ELU", nn.ELU, lambda t: nn.ELU(t.alpha), lambda library, m: library.ELU(m.alpha)),
    Pair(
        "GELU",
        nn.GELU,
        lambda t: nn.GELU(),
        lambda library, m: library.GELU(),
        only=(("approximate", "none"),),
    ),
    Pair(
        "Softplus",
        nn.Softplus,
        lambda t: nn.Softplus(),
        lambda library, m: library.Softplus(threshold=40),  # beyond it float64 has no digit left for the rest
        only=(("beta", 1.0),),
    ),
    Pair("Softmax", nn.Softmax, lambda t: nn.Softmax(t.dim), lambda library, m: library.Softmax(m.axis)),
    _plain("ReLU", nn.ReLU),
    _plain("Tanh", nn.Tanh),
    _plain("Sigmoid", nn.Logistic),
    _plain("SiLU", nn.SiLU),
    _plain("Identity", nn.Identity),
)


def _dtype(layer: Any) -> np.dtype[Any]:
    """The dtype of a layer's floats; float32 where it has none."""
    tensors = [*layer.parameters(), *layer.buffers()]
    return next((np.dtype(_name(x)) for x in tensors if x.is_floating_point()), np.dtype(np.float32))


def _name(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def from_torch(module: Any) -> Module:
    """A network of chainrule that computes what a ``torch.nn.Module`` does, with copies of its parameters.

    For ``Sequential`` of the layers that both have: Linear, BatchNorm1d, Dropout, Flatten, ReLU, LeakyReLU, ELU,
    GELU, SiLU, Softplus, Sigmoid, Tanh, Softmax, Identity; float32 and float64. Predictions and gradients are
    equal, what is shared stays shared, and each layer keeps its mode. Raises ExchangeError that names the layer
    for anything else. Fresh initial values (restarts) are drawn as chainrule's layers draw them.

    For example, where PyTorch is installed::

        layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
        model = cr.from_torch(layers)
        model(np.ones((4, 2), np.float32)).shape  # (4, 1)
    """
    return _from_torch(module, "", {})


def _from_torch(module: Any, where: str, memo: Memo) -> Module:
    if id(module) in memo:
        found: Module = memo[id(module)]
        return found
    if _kind(module) == "Sequential":
        parts = [_from_torch(part, _inside(where, name), memo) for name, part in module._modules.items()]
        made: Module = nn.Sequential(*parts)
    else:
        pair = next((pair for pair in PAIRS if pair.torch == _kind(module)), None)
        if pair is None:
            raise _unknown("chainrule", repr(module), where)
        _check(pair, module, where)
        made = pair.from_torch(module)
        for name in pair.parameters:
            _copy_here(made, module, name, memo)
    made.training = module.training
    memo[id(module)] = made
    return made


def _kind(module: Any) -> str:
    """The class's name if it is one of PyTorch's own; a subclass may compute anything."""
    return type(module).__name__ if type(module).__module__.startswith("torch.nn") else ""


def _check(pair: Pair, module: Any, where: str) -> None:
    for name, only in pair.only:
        if getattr(module, name) != only:
            raise _unknown("chainrule", f"{module!r}, whose {name} is not {only!r}", where)
    if pair.torch == "BatchNorm1d" and module.momentum is None:
        raise _unknown("chainrule", f"{module!r}, whose moments are means over all minibatches", where)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point() and _name(tensor) not in ("float32", "float64"):
            raise _unknown("chainrule", f"{module!r} in {_name(tensor)}", where)


def _copy_here(made: Module, module: Any, name: str, memo: Memo) -> None:
    """Copy a parameter or buffer of PyTorch's; one that several layers share becomes one that they share."""
    theirs = getattr(module, name)
    if theirs is None:
        return
    if id(theirs) in memo:
        setattr(made, name, memo[id(theirs)])
        return
    own: Tensor = getattr(made, name)
    own.assign(Tensor.leaf(theirs.detach().cpu().numpy()))
    memo[id(theirs)] = own


def to_torch(model: Module) -> Any:
    """A ``torch.nn`` module that computes what the model does, with copies of its parameters.

    The opposite of :func:`from_torch`, for the same layers; an ``nn.MLP`` becomes a ``Sequential``, and the names
    in ``state_dict()`` are the same. Raises ExchangeError that names the layer for anything else, and where
    PyTorch is not installed.

    For example, where PyTorch is installed::

        layers = cr.to_torch(nn.MLP([2, 3, 1], "tanh", seed=0))
        layers(torch.ones(4, 2)).shape  # torch.Size([4, 1])
    """
    try:
        import torch
    except ImportError:
        raise ExchangeError("to_torch needs PyTorch", hint="pip install torch") from None
    return _to_torch(torch, model, "", {})


def _to_torch(torch: Any, model: Module, where: str, memo: Memo) -> Any:
    if id(model) in memo:
        return memo[id(model)]
    if type(model) in (nn.Sequential, nn.MLP):
        names = [name for name in vars(model) if name.isdigit()]
        parts = [_to_torch(torch, getattr(model, name), _inside(where, name), memo) for name in names]
        made = torch.nn.Sequential(*parts)
    else:
        pair = next((pair for pair in PAIRS if pair.own is type(model)), None)
        if pair is None:
            raise _unknown("PyTorch", repr(model), where)
        made = pair.to_torch(torch.nn, model).to(getattr(torch, _own_dtype(model)))
        for name in pair.parameters:
            _copy_there(torch, made, model, name, memo)
    made.train(model.training)
    memo[id(model)] = made
    return made


def _own_dtype(model: Module) -> str:
    floats = (tensor.dtype.name for _, tensor in model.named_state() if tensor.dtype.kind == "f")
    return next(floats, "float32")


def _copy_there(torch: Any, made: Any, model: Module, name: str, memo: Memo) -> None:
    own: Tensor | None = getattr(model, name)
    if own is None:
        return
    if id(own) in memo:
        setattr(made, name, memo[id(own)])
        return
    theirs = getattr(made, name)
    with torch.no_grad():
        theirs.copy_(torch.from_numpy(own.numpy()))
    memo[id(own)] = theirs


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _unknown(library: str, layer: str, where: str) -> ExchangeError:
    return ExchangeError(
        f"{library} has no counterpart of the layer {where or 'given'}",
        expected=f"Sequential of {', '.join(pair.torch for pair in PAIRS)} (chainrule's Logistic is Sigmoid)",
        got=layer[:300],
        hint="move the layers around it, and write this one by hand",
    )

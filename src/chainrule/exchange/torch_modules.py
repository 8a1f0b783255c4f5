"""``cr.from_torch`` and ``cr.to_torch``: convert layers that both libraries have, with their parameters and modes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from chainrule import nn
from chainrule.errors import ExchangeError
from chainrule.nn.module import Buffer, Module, Parameter
from chainrule.ops.operand import Dtype
from chainrule.tensor import Tensor

Memo = dict[object, Any]  # the counterpart of each module and parameter, so that sharing is preserved


class TorchTensor(Protocol):
    """What is read of a ``torch.Tensor``."""

    dtype: object
    is_meta: bool

    def is_floating_point(self) -> bool:
        """Whether its elements are floats."""
        ...


@dataclass(frozen=True)
class Pair:
    """A layer that both libraries have, and how to make either from the other, before parameters are copied."""

    torch: str
    own: type[Module]
    from_torch: Callable[[Any], Module]
    to_torch: Callable[[Any, Any], Any]  # (torch.nn, layer)
    parameters: tuple[str, ...] = ()
    #: (attribute, value): settings that a layer of PyTorch must have to be converted
    only: tuple[tuple[str, object], ...] = ()
    #: settings and buffers of PyTorch's that make no difference here
    ignored: tuple[str, ...] = ("inplace",)


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
        ("num_batches_tracked",),  # counts what only a mean over all minibatches needs
    ),
    Pair(
        "Embedding",
        nn.Embedding,
        lambda t: nn.Embedding(t.num_embeddings, t.embedding_dim, seed=0, dtype=_dtype(t)),
        lambda library, m: library.Embedding(m.count, m.size),
        ("weight",),
        (("padding_idx", None), ("max_norm", None), ("scale_grad_by_freq", False), ("sparse", False)),
        ("norm_type",),  # of max_norm
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
        lambda t: nn.Softplus(t.beta, t.threshold),
        # beyond 40 float64 has no digit left for the rest
        lambda library, m: library.Softplus(m.beta, 40.0 if m.threshold is None else m.threshold),
    ),
    Pair("Softmax", nn.Softmax, lambda t: nn.Softmax(t.dim), lambda library, m: library.Softmax(m.axis)),
    _plain("ReLU", nn.ReLU),
    _plain("Tanh", nn.Tanh),
    _plain("Sigmoid", nn.Logistic),
    _plain("SiLU", nn.SiLU),
    _plain("Identity", nn.Identity),
)


def _dtype(layer: Any) -> Dtype:
    """The dtype of a layer's floats; float32 if it has none."""
    tensors = [*layer.parameters(), *layer.buffers()]
    return next((np.dtype(_name(x)) for x in tensors if x.is_floating_point()), np.dtype(np.float32))


def _name(tensor: TorchTensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def from_torch(module: Any) -> Module:
    """Convert a ``torch.nn.Module`` to a chainrule network that computes the same, with copies of its parameters.

    Supports ``Sequential`` of the layers that both libraries have, in float32 and float64: Linear, BatchNorm1d,
    Embedding, Dropout, Flatten, ReLU, LeakyReLU, ELU, GELU, SiLU, Softplus, Sigmoid, Tanh, Softmax, Identity.
    Predictions and gradients are equal, shared layers and parameters stay shared, each layer keeps its mode and each
    parameter its ``requires_grad``. Gradients are not copied, in-place layers do not modify their input, and restarts
    draw initial values with chainrule's initialisers. Raises ExchangeError, naming the layer, for anything else: other
    layers and settings, hooks, parametrisations, subclasses, and methods or attributes added to a layer.

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
        _check_untouched(module, where, set(module._modules))
        parts = [_from_torch(part, _inside(where, name), memo) for name, part in module._modules.items()]
        made: Module = nn.Sequential(*parts)
    else:
        pair = next((pair for pair in PAIRS if pair.torch == _kind(module)), None)
        if pair is None:
            raise _unknown("chainrule", repr(module), where)
        _check(pair, module, where)
        made = pair.from_torch(module)
        for name in pair.parameters:
            _copy_here(made, module, name, memo, where)
    made.training = module.training
    memo[id(module)] = made
    return made


def _kind(module: object) -> str:
    """The class's name if it is PyTorch's own, else empty: a subclass may compute anything."""
    kind = type(module)
    library = sys.modules.get("torch")
    known = library is not None and getattr(library.nn, kind.__name__, None) is kind
    return kind.__name__ if known else ""


def _check(pair: Pair, module: Any, where: str) -> None:
    for name, only in pair.only:
        if getattr(module, name) != only:
            raise _unknown("chainrule", f"{module!r}, whose {name} is not {only!r}", where)
    if pair.torch == "BatchNorm1d" and module.momentum is None:
        raise _unknown("chainrule", f"{module!r}, whose moments are means over all minibatches", where)
    if pair.torch == "BatchNorm1d" and (module.weight is None) != (module.bias is None):
        raise _unknown("chainrule", f"{module!r}, which has a weight and no bias", where)
    if pair.torch == "Softmax" and module.dim is None:
        raise _unknown("chainrule", f"{module!r}, whose dim depends on the input", where)
    if pair.torch == "Dropout" and module.p == 1.0:
        raise _unknown("chainrule", f"{module!r}, which leaves nothing", where)
    settings = set(inspect.signature(type(module)).parameters)
    _check_untouched(module, where, settings | set(pair.parameters) | set(pair.ignored))
    floats = [t for name, t in _tensors_of(module) if name not in pair.ignored]
    dtypes = sorted({_name(tensor) for tensor in floats})
    if len(dtypes) > 1 or not {"float32", "float64"}.issuperset(dtypes):
        raise _unknown("chainrule", f"{module!r} in {' and '.join(dtypes)}", where)
    if any(tensor.is_meta for tensor in floats):
        raise _unknown("chainrule", f"{module!r} on the device meta, without values", where)


def _tensors_of(module: Any) -> list[tuple[str, TorchTensor]]:
    """A layer's own parameters and buffers."""
    own = [*module._parameters.items(), *module._buffers.items()]
    return [(name, tensor) for name, tensor in own if tensor is not None]


def _check_untouched(module: Any, where: str, known: set[str]) -> None:
    """Raise ExchangeError if a layer has hooks, or attributes that its class did not give it."""
    library = sys.modules["torch"]
    shared = library.nn.modules.module
    hooked = [
        name.strip("_").replace("_", " ")
        for holder, prefix in ((module, ""), (shared, "_global"))
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        if getattr(holder, prefix + name)
    ]
    for name, tensor in _tensors_of(module):
        if getattr(tensor, "_backward_hooks", None) or getattr(tensor, "_post_accumulate_grad_hooks", None):
            hooked.append(f"hooks on {name}")
    if hooked:
        raise _unknown("chainrule", f"{module!r}, which has {', '.join(hooked)}", where)
    held = {**vars(module), **module._parameters, **module._buffers, **module._modules}
    added = sorted(held.keys() - vars(library.nn.Module()).keys() - known)
    if added:
        raise _unknown("chainrule", f"{module!r}, which was given {', '.join(added)}", where)


def _copy_here(made: Module, module: Any, name: str, memo: Memo, where: str) -> None:
    """Copy a parameter or buffer of PyTorch's; one that several layers share stays shared."""
    theirs = getattr(module, name)
    if theirs is None:
        return
    if id(theirs) in memo:
        setattr(made, name, memo[id(theirs)])
        return
    own: Tensor = getattr(made, name)
    if tuple(theirs.shape) != own.shape:
        raise _unknown("chainrule", f"{module!r}, whose {name} is {list(theirs.shape)}", where)
    memory = "memory", theirs.untyped_storage().data_ptr()
    if memory in memo and theirs.numel():
        raise _unknown("chainrule", f"{module!r}, whose {name} shares memory with another one's", where)
    own.assign(Tensor.leaf(theirs.detach().cpu().numpy()))
    if isinstance(own, Parameter):
        own.requires_grad = theirs.requires_grad
    memo[id(theirs)], memo[memory] = own, theirs


def to_torch(model: Module) -> Any:
    """Convert a network to a ``torch.nn`` module that computes the same, with copies of its parameters.

    The inverse of :func:`from_torch`, for the same layers. An ``nn.MLP`` becomes a ``Sequential``, and the names in
    ``state_dict()`` are the same. Raises ExchangeError, naming the layer, for anything else, and if PyTorch is not
    installed.

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
        _check_own(model, where, set(names))
        parts = [_to_torch(torch, getattr(model, name), _inside(where, name), memo) for name in names]
        made = torch.nn.Sequential(*parts)
    else:
        pair = next((pair for pair in PAIRS if pair.own is type(model)), None)
        if pair is None:
            raise _unknown("PyTorch", repr(model), where)
        _check_own(
            model, where, {*pair.parameters, "seed", "counter"} if pair.own is nn.Dropout else pair.parameters
        )
        made = pair.to_torch(torch.nn, model).to(getattr(torch, _own_dtype(model)))
        for name in pair.parameters:
            _copy_there(torch, made, model, name, memo)
    made.training = model.training  # only its own mode: its parts have theirs
    memo[id(model)] = made
    return made


def _check_own(model: Module, where: str, known: Collection[str]) -> None:
    """Raise ExchangeError for added methods, tensors and layers, and for a dropout with several probabilities."""
    held = vars(model)
    added = [
        name
        for name, value in held.items()
        if (isinstance(value, Parameter | Buffer | Module) and name not in known)
        or (callable(getattr(type(model), name, None)) and not isinstance(value, Module))
    ]
    if added:
        raise _unknown("PyTorch", f"{model!r}, which was given {', '.join(added)}", where)
    if isinstance(model, nn.Dropout) and not isinstance(model.p, float):
        raise _unknown("PyTorch", f"{model!r}, which has a probability for each replica", where)
    if isinstance(model, nn.Embedding) and model.unseen != "error":
        raise _unknown("PyTorch", f"{model!r}, which has a vector for unseen codes", where)


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
    if isinstance(own, Parameter):
        theirs.requires_grad_(own.requires_grad)
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

"""PyTorch's names for what has another name here, or is done in another way: said where such a name is asked for.

In the table ``x`` is a tensor. Every name of ours in it is looked up by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

_NEW = "cr.tensor(np.{0}(shape, np.float32))"
_NO_DEVICE = "nothing: tensors live in the processor's memory"

INSTEAD: Mapping[str, Mapping[str, str]] = {
    "chainrule": {
        "arange": "cr.tensor(np.arange(n))",
        "cat": "cr.concat",
        "clamp": "cr.clip",
        "cuda": _NO_DEVICE,
        "einsum": "cr.matmul with cr.transpose and cr.reshape",
        "empty": _NEW.format("empty"),
        "eye": "cr.tensor(np.eye(n, dtype=np.float32))",
        "from_numpy": "cr.tensor",
        "full": "cr.tensor(np.full(shape, value, np.float32))",
        "linspace": "cr.tensor(np.linspace(start, stop, n))",
        "load": "cr.load_model, or model.load_state_dict",
        "manual_seed": "the seed of a module, nn.Linear(2, 1, seed=0), and of cr.fit(..., seed=0)",
        "mm": "cr.matmul, or a @ b",
        "bmm": "cr.matmul, or a @ b",
        "ones": _NEW.format("ones"),
        "permute": "cr.transpose",
        "pow": "x ** exponent",
        "rand": "cr.tensor(np.random.default_rng(0).random(shape))",
        "randn": "cr.tensor(np.random.default_rng(0).normal(size=shape))",
        "save": "model.save of a table's model, or numpy.savez with model.state_dict()",
        "sigmoid": "cr.logistic",
        "unsqueeze": "cr.expand_dims",
        "zeros": _NEW.format("zeros"),
        "zeros_like": "cr.tensor(np.zeros(x.shape, x.dtype))",
        "ones_like": "cr.tensor(np.ones(x.shape, x.dtype))",
    },
    "chainrule.nn": {
        "BCELoss": "nn.binary_cross_entropy, which takes logits",
        "BCEWithLogitsLoss": "nn.binary_cross_entropy, which takes logits",
        "CrossEntropyLoss": "nn.cross_entropy, a function of (logits, labels)",
        "HuberLoss": "nn.huber",
        "L1Loss": "nn.absolute_error",
        "MSELoss": "nn.squared_error",
        "NLLLoss": "nn.cross_entropy, which takes logits",
        "PoissonNLLLoss": "nn.poisson",
        "SmoothL1Loss": "nn.huber",
        "functional": "the functions themselves: cr.relu, cr.softmax, nn.cross_entropy",
        "init": "nn.initialisers",
        "utils": "optim.clip_norm, nn.flatten_parameters",
    },
    "chainrule.optim": {
        "lr_scheduler": "a schedule in place of the number: optim.SGD(optim.CosineDecay(0.1, steps))",
    },
    "Tensor": {
        "add": "x + y",
        "argsort": "np.argsort(x.numpy())",
        "bmm": "x @ y",
        "bool": "x != 0",
        "clamp": "x.clip",
        "clone": "cr.tensor(x)",
        "contiguous": "nothing: x can be used as it is",
        "cpu": _NO_DEVICE,
        "cuda": _NO_DEVICE,
        "device": _NO_DEVICE,
        "dim": "x.ndim",
        "div": "x / y",
        "double": "x.astype(cr.float64)",
        "eq": "x == y",
        "expand": "x.broadcast_to",
        "flatten": "x.reshape",
        "float": "x.astype(cr.float32)",
        "int": "x.astype(cr.int32)",
        "is_leaf": "x.node",
        "long": "x.astype(cr.int64)",
        "masked_fill": "cr.where",
        "mm": "x @ y",
        "mul": "x * y",
        "numel": "x.size",
        "permute": "x.transpose",
        "pow": "x ** exponent",
        "sigmoid": "x.logistic",
        "sub": "x - y",
        "t": "x.T",
        "to": "x.astype",
        "type": "x.astype",
        "unsqueeze": "x.expand_dims",
        "view": "x.reshape",
        "zero_": "x.assign(0 * x)",
    },
}
KEYWORDS = {
    "dim": "axis",
    "keepdim": "keepdims",
    "unbiased": "correction",
}


def missing(owner: str, name: str) -> AttributeError:
    """The error for a name that ``owner`` (a module, or "Tensor") does not have, with ours if it is PyTorch's.

    >>> print(missing("chainrule.nn", "MSELoss"))
    module 'chainrule.nn' has no attribute 'MSELoss'; instead of PyTorch's MSELoss use nn.squared_error
    """
    who = "'Tensor' object" if owner == "Tensor" else f"module {owner!r}"
    instead = INSTEAD[owner].get(name)
    hint = f"; instead of PyTorch's {name} use {instead}" if instead else ""
    return AttributeError(f"{who} has no attribute {name!r}{hint}")


def hinting(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose TypeError for one of PyTorch's keywords names ours; itself if it has no ``axis``."""
    code = function.__code__
    if "axis" not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        return function

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            raise error if not kwargs else _with_hint(error, kwargs) from None

    return call


def _with_hint(error: TypeError, given: Mapping[str, Any]) -> TypeError:
    for name in given:
        if name in KEYWORDS and str(error).endswith(f"an unexpected keyword argument {name!r}"):
            return TypeError(f"{error}; what PyTorch calls {name}= is {KEYWORDS[name]}= here")
    return error

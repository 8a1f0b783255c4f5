"""The layers that networks are stacked from: affine, sequence, flattening."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.errors import SettingError, ShapeError, describe_line, user_line
from chainrule.nn.initialisers import Initialiser, find_initialiser
from chainrule.nn.module import Module, Parameter, Seed, seed_key
from chainrule.tensor import Tensor


def need_count(what: str, value: Any) -> int:
    """A number of features or units: an integer of at least 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{what} is not a count", expected="an integer of at least 1", got=repr(value))
    return int(value)


def need_features(layer: Module, x: Tensor, features: int) -> None:
    """A ShapeError that names the layer unless the last axis of ``x`` has ``features`` elements."""
    if not x.shape or x.shape[-1] != features:
        transposed = len(x.shape) == 2 and x.shape[0] == features
        raise ShapeError(
            f"{layer!r}: the input has another number of features",
            expected=f"[batch, {features}]",
            got=list(x.shape),
            where=describe_line(user_line()),
            hint="transpose the input: one row for each sample"
            if transposed
            else "check the width of the layer before, or the columns of the data",
        )


class Linear(Module):
    """The affine map x W^T + b (row C5, E18).

    ``x`` is [batch, in_features], ``weight`` [out_features, in_features] (to, from; erratum 25), ``bias``
    [out_features]. The weight's memory is laid out as [in_features, out_features]. Initialisers are names
    or functions (see ``nn.initialisers``); ``seed`` makes the draw repeatable, and ``initialise(seed)``
    repeats it. Raises ShapeError for an input with another number of features.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.Linear(3, 2, seed=0)
    >>> layer(cr.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_initialiser: str | Initialiser = "glorot_uniform",
        bias_initialiser: str | Initialiser = "zeros",
        seed: Seed = None,
        dtype: Any = np.float32,
    ) -> None:
        self.in_features = need_count("in_features", in_features)
        self.out_features = need_count("out_features", out_features)
        key = seed_key(seed)
        self.weight = Parameter.drawn(
            (out_features, in_features),
            find_initialiser(weight_initialiser),
            (*key, 0),
            dtype=dtype,
            order="F",
        )
        self.bias: Parameter | None = None
        if bias:
            first = find_initialiser(bias_initialiser)
            self.bias = Parameter.drawn((out_features,), first, (*key, 1), dtype=dtype, penalised=False)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, in_features] -> [batch, out_features]."""
        need_features(self, x, self.in_features)
        product = x @ self.weight.T
        return product if self.bias is None else product + self.bias

    def describe(self) -> str:
        """Widths, and how the weight is drawn."""
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}, {self.weight.initialiser!r}"


class Sequential(Module):
    """Modules applied one after the other; indexed, sliced and iterated like a list.

    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> len(model), [name for name, _ in model.named_parameters()]
    (3, ['0.weight', '0.bias', '2.weight', '2.bias'])
    """

    def __init__(self, *modules: Module) -> None:
        self._extend(modules)

    def _extend(self, modules: tuple[Module, ...] | list[Module]) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise SettingError(
                    f"position {i} of Sequential is not a module",
                    expected="a layer such as nn.Tanh()",
                    got=repr(module),
                    hint="make an instance: nn.Tanh(), not nn.Tanh" if isinstance(module, type) else "",
                )
            setattr(self, str(i), module)

    def __iter__(self) -> Iterator[Module]:
        return (module for name, module in vars(self).items() if name.isdigit())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: Any) -> Any:
        chosen = list(self)[index]
        return Sequential(*chosen) if isinstance(index, slice) else chosen

    def forward(self, x: Tensor) -> Tensor:
        """The output of the last module."""
        for module in self:
            x = module.forward(x)
        return x


class Flatten(Module):
    """[batch, ...] -> [batch, features], in row-major order.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Flatten()(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[1., 2., 3., 4.]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """All axes but the first become one."""
        return x.reshape((x.shape[0], int(np.prod(x.shape[1:], dtype=np.int64))))

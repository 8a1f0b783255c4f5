"""The basic layers: Linear, Sequential, Flatten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

import numpy as np
from numpy.typing import DTypeLike

from chainrule.errors import SettingError, ShapeError, caller_line
from chainrule.foreign_text import quoted
from chainrule.nn.initialisers import Initialiser, find_initialiser
from chainrule.nn.module import Module, Parameter, Seed, seed_key
from chainrule.tensor import Tensor


def need_count(what: str, value: object) -> int:
    """Return ``value`` as an int; raise SettingError unless it is an integer of at least 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{what} must be a count", expected="an integer >= 1", got=quoted(value))
    return int(value)


def need_features(layer: Module, x: Tensor, features: int) -> None:
    """Raise ShapeError, naming the layer, unless the last axis of ``x`` has ``features`` elements."""
    if not x.shape or x.shape[-1] != features:
        transposed = len(x.shape) == 2 and x.shape[0] == features
        raise ShapeError(
            f"{layer!r}: the input has the wrong number of features",
            expected=f"[batch, {features}]",
            got=list(x.shape),
            where=caller_line(),
            hint="transpose the input: it needs one row per sample"
            if transposed
            else "check the width of the layer before, or the columns of the data",
        )


def bias_parameter(
    features: int, wanted: bool, initialiser: str | Initialiser, key: tuple[int, ...], dtype: DTypeLike
) -> Parameter | None:
    """Draw the bias [features] of a layer, which penalties spare; None if it has none."""
    if not wanted:
        return None
    first = find_initialiser(initialiser)
    return Parameter.drawn((features,), first, (*key, 1), dtype=dtype, penalised=False)


class Linear(Module):
    """The affine map x W^T + b.

    ``x`` is [batch, in_features], ``weight`` [out_features, in_features], ``bias`` [out_features]. In memory the
    weight is stored transposed, [in_features, out_features], the order in which the product reads it. Initialisers
    are names or functions (see ``nn.initialisers``). ``seed`` makes the initial values reproducible;
    ``initialise(seed)`` draws the same values again. Raises SettingError for counts below 1, ShapeError for an
    input with another number of features.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.Linear(3, 2, seed=0)
    >>> layer(cr.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)

    Lectures: C5, E18; erratum 25.
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
        dtype: DTypeLike = np.float32,
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
        self.bias = bias_parameter(self.out_features, bias, bias_initialiser, key, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, in_features] -> [batch, out_features]."""
        need_features(self, x, self.in_features)
        product = x @ self.weight.T
        return product if self.bias is None else product + self.bias

    def describe(self) -> str:
        """The widths and the initialiser of the weight."""
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}, {self.weight.initialiser!r}"


class Sequential(Module):
    """Applies modules one after the other. Can be indexed, sliced and iterated like a list.

    Raises SettingError for anything that is not a module.

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
                    got=quoted(module),
                    hint="make an instance: nn.Tanh(), not nn.Tanh" if isinstance(module, type) else "",
                )
            setattr(self, str(i), module)

    def __iter__(self) -> Iterator[Module]:
        return (module for name, module in vars(self).items() if name.isdigit())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self)
        return Sequential(*modules[index]) if isinstance(index, slice) else modules[index]

    def forward(self, x: Tensor) -> Tensor:
        """The output of the last module."""
        for module in self:
            x = module.forward(x)
        return x


class Flatten(Module):
    """Flattens all axes but the first, in row-major order: [batch, ...] -> [batch, features].

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Flatten()(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    tensor([[1., 2., 3., 4.]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """[batch, ...] -> [batch, features]."""
        return x.reshape((x.shape[0], int(np.prod(x.shape[1:], dtype=np.int64))))

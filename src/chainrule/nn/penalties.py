"""Penalties on the size of weights: functions of a model that are added to the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.nn.module import Module
from chainrule.per_replica import Numbers, PerReplica, as_numbers, is_number
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class Penalty:
    """``strength`` times the sum of a function of every weight; made by :func:`l2` and :func:`l1`.

    Of several strengths each replica has one.

    >>> from chainrule import nn
    >>> model = nn.Linear(2, 1)
    >>> nn.unflatten_parameters(model, [1.0, 2.0, 3.0])
    >>> nn.l2(0.1)(model)
    tensor(0.5, requires_grad=True)
    """

    name: str
    strength: Numbers
    include_biases: bool
    of: Callable[[Tensor], Tensor] = field(repr=False, compare=False)
    value: PerReplica = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", PerReplica(f"nn.{self.name}", self.strength))

    def __call__(self, model: Module) -> Tensor:
        """The penalty of a model, a scalar tensor."""
        chosen = [p for p in model.parameters() if p.penalised or self.include_biases]
        if not chosen:
            return Tensor.leaf(np.zeros((), model.dtype))
        total = reduce(add, [f.sum(self.of(p)) for p in chosen])
        return self.value.read().astype(total.dtype) * total


def l2(lambda_: float | Sequence[float], include_biases: bool = False) -> Penalty:
    """lambda times the sum of w^2, with gradient 2 lambda w: no 1/2 (row A17, E25).

    Biases and the parameters of batch normalisation are left out unless ``include_biases``. A sequence of R
    numbers gives each of the R replicas of ``cr.fit(restarts=R)`` its own.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.Linear(2, 1, weight_initialiser=nn.initialisers.constant(3.0))
    >>> penalty = nn.l2(0.5)(layer)
    >>> penalty.backward()
    >>> penalty.item(), layer.weight.grad.tolist()
    (9.0, [[3.0, 3.0]])
    """
    return Penalty("l2", as_numbers("nn.l2", lambda_, _need_strength), include_biases, f.square)


def l1(lambda_: float | Sequence[float], include_biases: bool = False) -> Penalty:
    """lambda times the sum of |w|, with gradient lambda sign(w), 0 at 0 (row A17).

    Biases and the parameters of batch normalisation are left out unless ``include_biases``. A sequence of R
    numbers gives each of the R replicas of ``cr.fit(restarts=R)`` its own.

    >>> from chainrule import nn
    >>> nn.l1(0.5)(nn.Linear(2, 1, weight_initialiser=nn.initialisers.constant(-3.0))).item()
    3.0
    """
    return Penalty("l1", as_numbers("nn.l1", lambda_, _need_strength), include_biases, f.abs)


def _need_strength(lambda_: Any) -> float:
    if not (is_number(lambda_) and 0 <= lambda_ < np.inf):
        raise SettingError("a penalty's strength is not negative", expected=">= 0", got=lambda_)
    return float(lambda_)

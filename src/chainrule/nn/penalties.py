"""Penalties on the size of weights: functions of a model, added to the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.nn.module import Module
from chainrule.per_replica import Numbers, PerReplica, as_numbers, is_number
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class Penalty:
    """``strength`` times the sum of a function of every weight. Create one with :func:`l2` or :func:`l1`.

    ``strength`` is one number, or one per replica.

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
        """The penalty of a model, as a scalar tensor."""
        chosen = [p for p in model.parameters() if p.penalised or self.include_biases]
        if not chosen:
            return Tensor.leaf(np.zeros((), model.dtype))
        total = reduce(add, [f.sum(self.of(p)) for p in chosen])
        return self.value.read().astype(total.dtype) * total


def l2(lambda_: float | Sequence[float], include_biases: bool = False) -> Penalty:
    """The penalty lambda times the sum of w^2, without a factor 1/2: its gradient is 2 lambda w.

    Biases and the parameters of batch normalisation are left out unless ``include_biases`` is set. A sequence of R
    numbers gives each of the R replicas of ``cr.fit(restarts=R)`` its own. Raises SettingError for a negative lambda.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.Linear(2, 1, weight_initialiser=nn.initialisers.constant(3.0))
    >>> penalty = nn.l2(0.5)(layer)
    >>> penalty.backward()
    >>> penalty.item(), layer.weight.grad.tolist()
    (9.0, [[3.0, 3.0]])

    Lectures: A17, E25.
    """
    return Penalty("l2", as_numbers("nn.l2", lambda_, _need_strength), include_biases, f.square)


def l1(lambda_: float | Sequence[float], include_biases: bool = False) -> Penalty:
    """The penalty lambda times the sum of |w|: its gradient is lambda sign(w), which is 0 at 0.

    Biases and the parameters of batch normalisation are left out unless ``include_biases`` is set. A sequence of R
    numbers gives each of the R replicas of ``cr.fit(restarts=R)`` its own. Raises SettingError for a negative lambda.

    >>> from chainrule import nn
    >>> nn.l1(0.5)(nn.Linear(2, 1, weight_initialiser=nn.initialisers.constant(-3.0))).item()
    3.0

    Lectures: A17.
    """
    return Penalty("l1", as_numbers("nn.l1", lambda_, _need_strength), include_biases, f.abs)


def _need_strength(lambda_: object) -> float:
    if not (is_number(lambda_) and 0 <= lambda_ < np.inf):
        raise SettingError(
            "lambda_, the strength of a penalty, must be a number >= 0",
            got=quoted(lambda_),
            hint="nn.l2(1e-4)",
        )
    return float(lambda_)

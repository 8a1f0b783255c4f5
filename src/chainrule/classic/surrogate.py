"""The 0-1 loss, its surrogate, and Claim 16.1 of lecture A in the form in which it holds."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import DataError
from chainrule.nn.losses import squared_error, zero_one
from chainrule.nn.module import Module
from chainrule.optim.settings import check_number
from chainrule.tensor import Tensor

M = TypeVar("M", bound=Module)


def scaled(model: M, factor: float) -> M:
    """A copy of the model with every parameter multiplied by ``factor`` (row A7).

    As the factor grows, a network of logistic neurons tends to the network of threshold neurons with the same
    weights, wherever no pre-activation is 0 (errata 3, 4).

    >>> from chainrule import classic, nn
    >>> model = nn.Linear(1, 1, seed=0)
    >>> classic.scaled(model, 4.0).weight.item() / model.weight.item()
    4.0
    """
    twin = copy.deepcopy(model)
    for p in twin.parameters():
        p.assign(p.detach() * check_number("factor", factor))
    return twin


@dataclass(frozen=True)
class SurrogateBound:
    """Claim 16.1, part 2, on a sample: ``zero_one`` <= ``constant`` * ``surrogate`` (erratum 1).

    Both losses are sums over the rows. ``printed_holds`` says whether the lecture's constant 1 happens to do.

    >>> from chainrule import classic
    >>> classic.surrogate_bound([0.4, 0.9], [1, 1])
    SurrogateBound(zero_one=1.0, surrogate=0.37, constant=4.0)
    """

    zero_one: float
    surrogate: float
    constant: float

    @property
    def holds(self) -> bool:
        """Whether the bound holds; it does for every network and sample."""
        return self.zero_one <= self.constant * self.surrogate

    @property
    def printed_holds(self) -> bool:
        """Whether the bound as printed, with the constant 1, holds here."""
        return self.zero_one <= self.surrogate


def surrogate_bound(outputs: Any, y: Any, *, signed: bool = False) -> SurrogateBound:
    """0-1 loss and surrogate sum (a - y)^2 of outputs ``a`` against labels (row A2, A6, A8).

    ``outputs`` [rows] or [rows, 1]; ``y`` [rows] of 0 and 1 (threshold 1/2, constant 4) or, ``signed``, of -1
    and 1 (threshold 0, constant 1). Raises DataError for other labels.

    >>> from chainrule import classic
    >>> bound = classic.surrogate_bound([0.4], [1])
    >>> bound.zero_one, round(bound.surrogate, 2), bound.holds, bound.printed_holds
    (1.0, 0.36, True, False)
    """
    labels = np.asarray(y, np.float64)
    allowed = (-1.0, 1.0) if signed else (0.0, 1.0)
    if not np.isin(labels, allowed).all():
        raise DataError(
            "surrogate_bound: labels of another kind", expected="0 and 1, or -1 and 1", got=labels
        )
    if isinstance(outputs, Tensor):
        outputs = outputs.detach()
    values = np.asarray(outputs, np.float64)
    misses = zero_one(values, labels, "sum", threshold=0.0 if signed else 0.5)
    return SurrogateBound(misses.item(), squared_error(values, labels, "sum").item(), 1.0 if signed else 4.0)

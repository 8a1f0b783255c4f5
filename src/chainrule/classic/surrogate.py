"""The 0-1 loss, its surrogate, and Claim 16.1 of lecture A in the form in which it holds."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from chainrule.errors import DataError
from chainrule.missing import as_array
from chainrule.nn.losses import squared_error, zero_one
from chainrule.nn.module import Module
from chainrule.optim.settings import check_number
from chainrule.tensor import Tensor

M = TypeVar("M", bound=Module)


def scaled(model: M, factor: float) -> M:
    """Copy the model with every parameter multiplied by ``factor``.

    As the factor grows, a network of logistic neurons approaches the network of threshold neurons with the same
    weights, at every input where no pre-activation is 0.

    >>> from chainrule import classic, nn
    >>> model = nn.Linear(1, 1, seed=0)
    >>> classic.scaled(model, 4.0).weight.item() / model.weight.item()
    4.0

    Lectures: A7; errata 3, 4.
    """
    twin = copy.deepcopy(model)
    for p in twin.parameters():
        p.assign(p.detach() * check_number("factor", factor))
    return twin


@dataclass(frozen=True)
class SurrogateBound:
    """Claim 16.1, part 2, on a sample: ``zero_one`` <= ``constant`` * ``surrogate``.

    Both losses are sums over the rows. ``printed_holds`` tells whether the bound holds with the lecture's constant, 1.

    >>> from chainrule import classic
    >>> classic.surrogate_bound([0.4, 0.9], [1, 1])
    SurrogateBound(zero_one=1.0, surrogate=0.37, constant=4.0)

    Lectures: erratum 1.
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


def surrogate_bound(outputs: ArrayLike | Tensor, y: ArrayLike, *, signed: bool = False) -> SurrogateBound:
    """Compare the 0-1 loss of outputs a with their surrogate loss, the sum of (a - y)^2.

    ``outputs`` [rows] or [rows, 1]; ``y`` [rows] of 0 and 1 (threshold 1/2, constant 4) or, ``signed``, of -1
    and 1 (threshold 0, constant 1). Raises DataError for other labels.

    >>> from chainrule import classic
    >>> bound = classic.surrogate_bound([0.4], [1])
    >>> bound.zero_one, round(bound.surrogate, 2), bound.holds, bound.printed_holds
    (1.0, 0.36, True, False)

    Lectures: A2, A6, A8.
    """
    labels = as_array(y, np.float64, "y")
    allowed = (-1.0, 1.0) if signed else (0.0, 1.0)
    if not np.isin(labels, allowed).all():
        raise DataError(
            "surrogate_bound: labels out of range", expected="-1 and 1" if signed else "0 and 1", got=labels
        )
    given = outputs.detach() if isinstance(outputs, Tensor) else outputs
    values = as_array(given, np.float64, "outputs")
    misses = zero_one(values, labels, "sum", threshold=0.0 if signed else 0.5)
    return SurrogateBound(misses.item(), squared_error(values, labels, "sum").item(), 1.0 if signed else 4.0)

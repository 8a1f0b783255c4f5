"""Feature maps: what makes a linear model of a non-linear one; and their kernel."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError, describe_line, user_line
from chainrule.nn.layers import need_count
from chainrule.nn.module import Module
from chainrule.tensor import Tensor, as_tensor

Monomial = tuple[int, ...]


class PolynomialFeatures(Module):
    """All products of up to ``degree`` inputs: x [batch, features] -> phi(x) [batch, len(monomials)] (SPEC E1, E2).

    ``monomials`` names them: (0, 1, 1) is x_0 x_1^2, the empty one is the constant 1, which ``constant=False``
    leaves out. They are ordered by degree, then by the inputs' numbers. With ``interactions_only`` no input
    appears twice in one. With ``kernel=True`` each is scaled by the root of how often it appears in
    (1 + x.x')^degree multiplied out, so that phi(x).phi(x') = ``polynomial_kernel(x, x', degree)``.

    There is nothing to learn in it. ``nn.Sequential(nn.PolynomialFeatures(2), nn.Linear(6, 1))`` is linear in
    the features and not in the inputs; ``count(features)`` is the width that the next layer needs.
    Raises SettingError for a degree below 1 and for more than a million features.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> phi = nn.PolynomialFeatures(2)
    >>> phi(cr.tensor([[2.0, 3.0]])), phi.monomials(2)
    (tensor([[1., 2., 3., 4., 6., 9.]]), [(), (0,), (1,), (0, 0), (0, 1), (1, 1)])
    """

    def __init__(
        self, degree: int, *, constant: bool = True, interactions_only: bool = False, kernel: bool = False
    ) -> None:
        self.degree = need_count("degree", degree)
        self.constant, self.interactions_only = bool(constant), bool(interactions_only)
        self.kernel = bool(kernel)
        if self.kernel and (self.interactions_only or not self.constant):
            raise SettingError(
                "PolynomialFeatures: the kernel needs every monomial",
                expected="constant=True and interactions_only=False with kernel=True",
                got=f"constant={constant}, interactions_only={interactions_only}",
            )

    def monomials(self, features: int) -> list[Monomial]:
        """The inputs that each output multiplies, for rows of this many features."""
        self._need_few(features)
        every = (
            inputs
            for degree in range(0 if self.constant else 1, self.degree + 1)
            for inputs in combinations_with_replacement(range(features), degree)
        )
        return [m for m in every if not self.interactions_only or len(set(m)) == len(m)]

    def count(self, features: int) -> int:
        """How many outputs there are for rows of this many features."""
        if self.interactions_only:
            total = sum(math.comb(features, degree) for degree in range(self.degree + 1))
        else:
            total = math.comb(features + self.degree, self.degree)
        return total - (not self.constant)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, features] -> [batch, monomials]: each level multiplies the one before by one more input."""
        need_rows("PolynomialFeatures", x)
        monomials = self.monomials(x.shape[1])
        ones = f.broadcast_to(as_tensor(np.ones((1, 1), x.dtype)), (x.shape[0], 1))
        parts = [ones] if self.constant else []
        level: dict[Monomial, int] = {(): 0}
        values = ones
        for degree in range(1, self.degree + 1):
            chosen = [m for m in monomials if len(m) == degree]
            if not chosen:
                break
            last = f.take(x, np.array([m[-1] for m in chosen]), 1)
            values = (
                last if degree == 1 else f.take(values, np.array([level[m[:-1]] for m in chosen]), 1) * last
            )
            parts.append(values)
            level = {m: i for i, m in enumerate(chosen)}
        products = f.concat(parts, 1)
        if not self.kernel:
            return products
        scale = [math.sqrt(_appearances(m, self.degree)) for m in monomials]
        return products * np.array(scale, x.dtype)

    def _need_few(self, features: int) -> None:
        if self.count(features) > 1_000_000:
            raise SettingError(
                "PolynomialFeatures: there are too many features",
                expected="at most a million",
                got=f"{self.count(features)} of degree {self.degree} in {features} inputs",
                where=describe_line(user_line()),
                hint="lower the degree, or work with nn.polynomial_kernel",
            )

    def describe(self) -> str:
        """Degree and options."""
        options = {
            "constant=False": not self.constant,
            "interactions_only=True": self.interactions_only,
            "kernel=True": self.kernel,
        }
        return ", ".join([str(self.degree), *(text for text, chosen in options.items() if chosen)])


def _appearances(monomial: Monomial, degree: int) -> int:
    """How often a monomial appears in (1 + x_0 + x_1 + ...)^degree multiplied out."""
    factors = [degree - len(monomial), *Counter(monomial).values()]
    return math.factorial(degree) // math.prod(map(math.factorial, factors))


def need_rows(what: str, x: Tensor) -> None:
    """A ShapeError unless ``x`` is [batch, features]."""
    if len(x.shape) != 2:
        raise ShapeError(
            f"{what}: the input is not a table of rows",
            expected="[batch, features]",
            got=list(x.shape),
            where=describe_line(user_line()),
        )


def polynomial_kernel(x: Any, other: Any, degree: int = 2, constant: float = 1.0) -> Tensor:
    """(constant + x.x')^degree for all pairs of rows: x [n, features], other [m, features] -> [n, m] (SPEC E2).

    For ``constant=1`` it is the inner product of ``PolynomialFeatures(degree, kernel=True)`` of both rows,
    at the cost of one product of ``features`` numbers however many monomials there are. Raises ShapeError
    for rows of different widths.

    >>> polynomial_kernel([[1.0, 2.0]], [[3.0, 0.5], [0.0, 0.0]])
    tensor([[25.,  1.]])
    """
    x, other = as_tensor(x), as_tensor(other)
    for rows in (x, other):
        need_rows("polynomial_kernel", rows)
    if x.shape[1] != other.shape[1]:
        raise ShapeError(
            "polynomial_kernel: the rows have different widths",
            expected=f"[rows, {x.shape[1]}]",
            got=list(other.shape),
            where=describe_line(user_line()),
        )
    return (x @ other.T + constant) ** need_count("degree", degree)

"""Polynomial feature maps, with which a linear model fits nonlinear functions, and their kernel."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations, combinations_with_replacement

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError, caller_line
from chainrule.nn.layers import need_count, need_features
from chainrule.nn.module import Module
from chainrule.ops.operand import Dtype
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, TensorLike, as_tensor

Monomial = tuple[int, ...]

_MOST = 1_000_000  # features: 8 MB for a row of float64


class PolynomialFeatures(Module):
    """Every monomial of the inputs up to ``degree``: [batch, in_features] -> [batch, out_features].

    ``monomials`` lists them by the inputs they multiply: (0, 1, 1) is x_0 x_1^2, and the empty tuple is the
    constant 1, which ``constant=False`` omits. They are ordered by degree, then by input. With
    ``interactions_only`` no input appears twice in a monomial. With ``kernel=True`` each is scaled by the square
    root of its coefficient in the expansion of (1 + x.x')^degree, so that phi(x).phi(x') =
    ``polynomial_kernel(x, x', degree)``.

    The layer has no parameters. ``nn.Sequential(nn.PolynomialFeatures(2, 2), nn.Linear(6, 1))`` is linear in the
    features but not in the inputs. Raises SettingError for counts below 1 and for more than a million features,
    ShapeError for an input with another number of features.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> phi = nn.PolynomialFeatures(2, degree=2)
    >>> phi(cr.tensor([[2.0, 3.0]])), phi.monomials
    (tensor([[1., 2., 3., 4., 6., 9.]]), [(), (0,), (1,), (0, 0), (0, 1), (1, 1)])

    Lectures: E1, E2.
    """

    def __init__(
        self,
        in_features: int,
        degree: int = 2,
        *,
        constant: bool = True,
        interactions_only: bool = False,
        kernel: bool = False,
    ) -> None:
        self.in_features, self.degree = need_count("in_features", in_features), need_count("degree", degree)
        self.constant, self.interactions_only = bool(constant), bool(interactions_only)
        self.kernel = bool(kernel)
        if self.kernel and (self.interactions_only or not self.constant):
            raise SettingError(
                "PolynomialFeatures: kernel=True needs every monomial",
                expected="constant=True and interactions_only=False with kernel=True",
                got=f"constant={constant}, interactions_only={interactions_only}",
            )
        self.out_features = self._count()
        if self.out_features > _MOST:
            raise SettingError(
                "PolynomialFeatures: there are too many features",
                expected=f"at most {_MOST}",
                got=f"{self.out_features} of degree {self.degree} in {self.in_features} inputs",
                where=caller_line(),
                hint="lower the degree, or work with nn.polynomial_kernel",
            )

    @property
    def monomials(self) -> list[Monomial]:
        """For each output, the indices of the inputs that it multiplies."""
        return [m for degree in range(not self.constant, self.degree + 1) for m in self._of_degree(degree)]

    def _of_degree(self, degree: int) -> list[Monomial]:
        choose = combinations if self.interactions_only else combinations_with_replacement
        return list(choose(range(self.in_features), degree))

    def _count(self) -> int:
        if self.interactions_only:
            total = sum(math.comb(self.in_features, degree) for degree in range(self.degree + 1))
        else:
            total = math.comb(self.in_features + self.degree, self.degree)
        return total - (not self.constant)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, in_features] -> [batch, out_features]. Each degree is built from the one below, times one input."""
        need_features(self, x, self.in_features)
        parts = [x]
        before = {m: i for i, m in enumerate(self._of_degree(1))}
        for degree in range(2, self.degree + 1):
            chosen = self._of_degree(degree)
            if not chosen:  # interactions_only, and the degree exceeds the number of inputs
                break
            rest = f.take(parts[-1], np.array([before[m[:-1]] for m in chosen]), -1)
            parts.append(rest * f.take(x, np.array([m[-1] for m in chosen]), -1))
            before = {m: i for i, m in enumerate(chosen)}
        if self.constant:
            ones = as_tensor(np.ones((1,) * len(x.shape), x.dtype))
            parts.insert(0, f.broadcast_to(ones, (*x.shape[:-1], 1)))
        products = f.concat(parts, -1)
        return products * self._scale(x.dtype) if self.kernel else products

    def _scale(self, dtype: Dtype) -> Array:
        return np.array([math.sqrt(_appearances(m, self.degree)) for m in self.monomials], dtype)

    def describe(self) -> str:
        """The number of inputs, the degree, and the options that are set."""
        options = {
            "constant=False": not self.constant,
            "interactions_only=True": self.interactions_only,
            "kernel=True": self.kernel,
        }
        chosen = [text for text, wanted in options.items() if wanted]
        return ", ".join([str(self.in_features), f"degree={self.degree}", *chosen])


def _appearances(monomial: Monomial, degree: int) -> int:
    """The multinomial coefficient of a monomial in the expansion of (1 + x_0 + x_1 + ...)^degree."""
    factors = [degree - len(monomial), *Counter(monomial).values()]
    return math.factorial(degree) // math.prod(map(math.factorial, factors))


def polynomial_kernel(x: TensorLike, other: TensorLike, degree: int = 2, constant: float = 1.0) -> Tensor:
    """(constant + x.x')^degree for every pair of rows: [n, features] and [m, features] -> [n, m].

    For ``constant=1`` this is the inner product of the two rows' features under
    ``PolynomialFeatures(features, degree, kernel=True)``, at the cost of one inner product of ``features`` numbers,
    however many monomials there are. Raises ShapeError for rows of different widths.

    >>> polynomial_kernel([[1.0, 2.0]], [[3.0, 0.5], [0.0, 0.0]])
    tensor([[25.,  1.]])

    Lectures: E2.
    """
    x, other = as_tensor(x), as_tensor(other)
    if not (len(x.shape) == len(other.shape) == 2 and x.shape[1] == other.shape[1]):
        raise ShapeError(
            "polynomial_kernel: both arguments must be matrices with rows of equal width",
            expected="[n, features] and [m, features]",
            got=f"{list(x.shape)} and {list(other.shape)}",
            where=caller_line(),
        )
    return (x @ other.T + constant) ** need_count("degree", degree)

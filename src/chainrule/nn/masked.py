"""Affine layers with a sparse weight: some inputs and outputs have no connection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError
from chainrule.missing import as_array
from chainrule.nn.initialisers import Initialiser, Named, find_initialiser
from chainrule.nn.layers import bias_parameter, need_count, need_features
from chainrule.nn.module import Module, Parameter, Seed, seed_key
from chainrule.ops import indexing
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, TensorLike, as_tensor


class MaskedLinear(Module):
    """The affine map x W^T + b, where W is zero wherever ``mask`` is false.

    ``x`` is [batch, in_features], ``mask`` [out_features, in_features], booleans or 0 and 1; ``nn.group_mask``
    makes one from groups of inputs. The parameter ``weight`` [edges] holds only the entries that exist, in the
    order of the mask's rows; ``bias`` is [out_features]. Entries outside the mask are not parameters, so nothing
    can make them nonzero. ``matrix()`` is the full W.

    An initialiser gets the number of a unit's edges as its fan in, and the mean number of edges that leave an
    input as its fan out. Raises ShapeError for a mask that is not a matrix and for an input with another number
    of features, SettingError for a mask without edges or with values other than 0 and 1.

    >>> from chainrule import nn
    >>> layer = nn.MaskedLinear([[1, 1, 0], [0, 0, 1]], weight_initialiser=nn.initialisers.constant(2.0))
    >>> layer.matrix().tolist()
    [[2.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    >>> sum(p.size for p in layer.parameters())
    5

    Lectures: E3, A1.
    """

    def __init__(
        self,
        mask: TensorLike,
        bias: bool = True,
        *,
        weight_initialiser: str | Initialiser = "glorot_uniform",
        bias_initialiser: str | Initialiser = "zeros",
        seed: Seed = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.mask = _as_mask(mask)
        self.out_features, self.in_features = self.mask.shape
        to, source = np.nonzero(self.mask)
        # the position of each edge in the transposed matrix, the order in which x @ W^T reads it
        self._places = source * self.out_features + to
        key = seed_key(seed)
        per_unit = find_initialiser(weight_initialiser)
        first = Named(repr(per_unit), partial(_draw_per_unit, per_unit, self.mask))
        self.weight = Parameter.drawn((len(to),), first, (*key, 0), dtype=dtype)
        self.bias = bias_parameter(self.out_features, bias, bias_initialiser, key, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, in_features] -> [batch, out_features]."""
        need_features(self, x, self.in_features)
        product = x @ self._transposed()
        return product if self.bias is None else product + self.bias

    def matrix(self) -> Tensor:
        """W [out_features, in_features], with zeros where there is no edge."""
        return self._transposed().T

    def _transposed(self) -> Tensor:
        size = self.in_features * self.out_features
        flat = indexing.scatter_add(self.weight, as_tensor(self._places), axis=0, size=size, unique=True)
        return f.reshape(flat, (self.in_features, self.out_features))

    def describe(self) -> str:
        """The widths, the number of edges and the initialiser of the weights."""
        bias = "" if self.bias is not None else ", bias=False"
        edges = f"{self.weight.size} of {self.mask.size} edges"
        return f"{self.in_features}, {self.out_features}{bias}, {edges}, {self.weight.initialiser!r}"


def group_mask(groups: Sequence[Sequence[int]], units: int = 1, in_features: int | None = None) -> Array:
    """A mask [len(groups) * units, in_features] that connects ``units`` units to each group of inputs.

    Inputs are numbered from 0. ``in_features`` defaults to one more than the largest number. Groups may overlap,
    and an input may be in none. Raises SettingError for numbers out of range and for empty groups only.

    >>> group_mask([[0, 1, 2], [3], [4, 5]]).astype(int).tolist()
    [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1]]

    Lectures: E3.
    """
    need_count("units", units)
    named = [number for group in groups for number in group]
    if in_features is None:
        in_features = max(named, default=-1) + 1
    if not named or min(named) < 0 or max(named) >= in_features:
        raise SettingError(
            "group_mask: groups must consist of existing inputs",
            expected=f"numbers from 0 to {in_features - 1}" if named else "at least one group with inputs",
            got=[list(group) for group in groups],
        )
    mask = np.zeros((len(groups) * units, in_features), bool)
    for row, group in enumerate(groups):
        mask[row * units : (row + 1) * units, list(group)] = True
    return mask


def _as_mask(given: TensorLike) -> Array:
    mask = as_array(given, name="mask")
    if mask.ndim != 2:
        raise ShapeError(
            "MaskedLinear: the mask must be a matrix",
            expected="[out_features, in_features]",
            got=list(mask.shape),
        )
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise SettingError(
            "MaskedLinear: the mask must hold 0 and 1 only", expected="0 or 1", got=repr(given)
        )
    if not mask.any():
        raise SettingError("MaskedLinear: the mask leaves no edge", expected="a 1 somewhere", got=repr(given))
    return mask.astype(bool)


def _draw_per_unit(
    initialiser: Initialiser, mask: Array, rng: np.random.Generator, shape: tuple[int, ...]
) -> Array:
    """Draw the weights of all units of equal fan in together, as those of a small dense layer."""
    fan_in, fan_out = mask.sum(1), mask.sum(0)
    leaving = max(round(float(fan_out[fan_out > 0].mean())), 1)
    dense = np.zeros(mask.shape)
    for size in np.unique(fan_in[fan_in > 0]):
        rows = np.flatnonzero(fan_in == size)
        blocks = [initialiser(rng, (leaving, int(size))) for _ in range(-(-len(rows) // leaving))]
        picked = np.zeros((len(rows), mask.shape[1]))
        picked[mask[rows]] = np.concatenate(blocks)[: len(rows)].ravel()
        dense[rows] = picked
    return dense[mask]

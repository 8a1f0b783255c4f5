"""``NumberEmbedding``: a vector for each number of a table, so that a network can follow jumps in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from chainrule import functions as f
from chainrule.errors import SettingError, caller_line
from chainrule.foreign_text import quoted
from chainrule.nn.activations import find_activation
from chainrule.nn.choices import choose
from chainrule.nn.initialisers import normal, uniform, zeros
from chainrule.nn.layers import need_count, need_features
from chainrule.nn.module import Buffer, Module, Parameter, Seed, seed_key
from chainrule.nn.places import describe_places, need_places, others, over_rows, pick
from chainrule.nn.quantile_edges import given_edges, need_columns, quantile_edges
from chainrule.ops.operand import Dtype
from chainrule.per_replica import is_number
from chainrule.tensor import Tensor, TensorLike

KINDS = {"periodic": "frequencies", "piecewise": "bins"}


class NumberEmbedding(Module):
    """Embed numbers: [rows, in_features] -> [rows, out_features], a vector of ``size`` for each of ``columns``.

    ``columns`` is a count, the first features, or a list of their places. The other features of ``in_features`` are
    passed on. The output begins with the input as it is, in the same places, and goes on with the vectors, column by
    column; with ``keep=False`` it begins with the other features alone.

    - ``kind="periodic"``: cos(frequency x + phase) for each of ``frequencies`` (16), then an affine map of each
      column's own to ``size`` numbers. Frequencies are drawn from a normal distribution whose standard deviation is
      ``frequency_scale`` periods per unit of x (0.1); they and the phases are trained. Numbers should be scaled to
      about 1 before.
    - ``kind="piecewise"``: a code for each bin between ``edges``: 0 below the bin, 1 above it, linear inside; then
      the same affine map. ``fit_edges(x)`` puts edges at quantiles of the training rows, ``bins`` (24) of them at
      most in each column; or give ``edges``, a list of increasing numbers for each column. Beyond the outermost edges
      codes stay at 0 and 1, where the paper goes on in a straight line. Edges are a buffer: saved with the model, not
      trained, and the same for all restarts.

    ``size=None`` leaves out the affine map; the vectors are then the cosines or the codes. ``activation`` is applied to
    the vectors. Weight decay and penalties spare all parameters; with ``penalised=True`` they apply to ``weight``.
    Parameters: ``frequency`` [columns, frequencies] in radians per unit, ``phase`` of the same shape, ``weight``
    [columns, frequencies or bins, size], ``bias`` [columns, size]. Raises SettingError for settings out of range and
    for edges that are not known yet, ShapeError for an input with another number of features.

    Sources: Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning" (2022); the periodic
    form with phases and the number beside it is PBLD of RealMLP (Holzmueller et al., 2024).

    >>> import numpy as np
    >>> from chainrule import nn
    >>> x = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    >>> embedding = nn.NumberEmbedding(2, in_features=5, size=3, seed=0)
    >>> embedding(x).shape, embedding.out_features
    ((100, 11), 11)
    >>> model = nn.Sequential(embedding, nn.MLP([embedding.out_features, 16, 1], seed=0))
    >>> codes = nn.NumberEmbedding([0, 4], "piecewise", bins=4, size=None, keep=False, in_features=5).fit_edges(x)
    >>> codes(x[:1]).shape  # 3 features as they are, and 2 x 4 codes
    (1, 11)
    """

    def __init__(
        self,
        columns: int | Sequence[int],
        kind: str = "periodic",
        *,
        in_features: int | None = None,
        size: int | None = 3,
        keep: bool = True,
        activation: str | None = None,
        frequencies: int | None = None,
        frequency_scale: float | None = None,
        bins: int | None = None,
        edges: Sequence[Any] | None = None,
        penalised: bool = False,
        seed: Seed = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.places, self.in_features = need_places("NumberEmbedding", columns, in_features)
        choose("kind of NumberEmbedding", kind, KINDS)
        _check_settings(
            kind, frequencies=frequencies, frequency_scale=frequency_scale, bins=bins, edges=edges
        )
        find_activation(activation or "identity")
        self.kind, self.keep, self.activation = kind, bool(keep), activation
        self.size = None if size is None else need_count("size", size)
        key, dtype = seed_key(seed), np.dtype(dtype)
        self.frequency: Parameter | None = None
        self.phase: Parameter | None = None
        self.edges: Buffer | None = None
        if kind == "periodic":
            codes = self._draw_frequencies(
                16 if frequencies is None else frequencies, frequency_scale, key, dtype
            )
        else:
            codes = self._set_edges(24 if bins is None else bins, edges, dtype)
        self._draw_weight(codes, penalised, key, dtype)
        count = len(self.places)
        rest = self.in_features if self.keep else self.in_features - count
        self.out_features = rest + count * (codes if self.size is None else self.size)

    def _draw_frequencies(
        self, frequencies: int, frequency_scale: float | None, key: tuple[int, ...], dtype: Dtype
    ) -> int:
        scale = 0.1 if frequency_scale is None else frequency_scale
        if not (is_number(scale) and 0 <= scale < np.inf):
            raise SettingError(
                "NumberEmbedding: frequency_scale is out of range",
                expected="a number >= 0",
                got=quoted(scale),
            )
        shape = (len(self.places), need_count("frequencies", frequencies))
        first, phase = normal(2 * np.pi * scale), uniform(-np.pi, np.pi)
        self.frequency = Parameter.drawn(shape, first, (*key, 0), dtype=dtype, penalised=False)
        self.phase = Parameter.drawn(shape, phase, (*key, 1), dtype=dtype, penalised=False)
        return shape[1]

    def _set_edges(self, bins: int, edges: Sequence[Any] | None, dtype: Dtype) -> int:
        if edges is None:
            first = np.full((len(self.places), need_count("bins", bins) + 1), np.nan, dtype)
        else:
            first = given_edges(edges, len(self.places), dtype)
        self.edges = Buffer.made(first, redrawn=False)
        return first.shape[1] - 1

    def _draw_weight(self, codes: int, penalised: bool, key: tuple[int, ...], dtype: Dtype) -> None:
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if self.size is None:
            return
        count, first = len(self.places), uniform(-1 / np.sqrt(codes), 1 / np.sqrt(codes))
        shape, index = (count, codes, self.size), len(self.parameters())
        self.weight = Parameter.drawn(shape, first, (*key, index), dtype=dtype, penalised=penalised)
        self.bias = Parameter.drawn(
            (count, self.size), zeros(), (*key, index + 1), dtype=dtype, penalised=False
        )

    def fit_edges(self, x: TensorLike) -> Self:
        """Put the edges at quantiles of each embedded column of x [rows, in_features], and return the layer.

        The rows should be those that are trained on. A column with few different values has fewer bins, and the codes
        that are left over stay at 0. Raises SettingError for the periodic kind, ShapeError for another number of
        features, DataError for values that are not finite and for no rows.
        """
        if self.edges is None:
            raise SettingError(
                "fit_edges: the embedding has no edges", expected='kind="piecewise"', got=repr(self)
            )
        array = need_columns(x, self.in_features, self.edges.dtype)
        bins = self.edges.shape[1] - 1
        self.edges.assign(Tensor.leaf(quantile_edges(array[:, list(self.places)], bins)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        need_features(self, x, self.in_features)
        return over_rows(self._embed, x)

    def _embed(self, x: Tensor) -> Tensor:
        # columns first, the order in which the product for each column reads its codes
        codes = self._codes(f.expand_dims(f.transpose(pick(x, self.places)), -1))
        if self.weight is not None and self.bias is not None:
            codes = f.matmul(codes, self.weight) + f.expand_dims(self.bias, 1)
        if self.activation is not None:
            codes = find_activation(self.activation).function(codes)
        vectors = f.reshape(f.transpose(codes, (1, 0, 2)), (x.shape[0], codes.shape[0] * codes.shape[2]))
        rest = others((), self.in_features) if self.keep else others(self.places, self.in_features)
        return f.concat([pick(x, rest), vectors], 1) if rest else vectors

    def _codes(self, x: Tensor) -> Tensor:
        """[columns, rows, 1] -> [columns, rows, frequencies or bins]."""
        if self.frequency is not None and self.phase is not None:
            return f.cos(x * f.expand_dims(self.frequency, 1) + f.expand_dims(self.phase, 1))
        left, width = self._bins()
        # bins of no width fill up a column with fewer; their codes are 0, and nothing is divided by a denormal number
        wide = width >= float(np.finfo(width.dtype).tiny)
        slope = f.where(wide, 1.0, 0.0) / f.where(wide, width, 1.0)
        return f.clip((x - f.expand_dims(left, 1)) * f.expand_dims(slope, 1), 0.0, 1.0)

    def _bins(self) -> tuple[Tensor, Tensor]:
        """The left edges and the widths of the bins, each [columns, bins]."""
        assert self.edges is not None
        value = self.edges._data  # looked at without making graphs depend on it
        if value is not None and value.size and np.isnan(value.flat[0]):
            raise SettingError(
                f"{self!r} has no edges yet",
                expected="fit_edges(x) with the training rows, or edges=",
                got="no call of fit_edges",
                where=caller_line(),
                hint="embedding.fit_edges(X)",
            )
        left = self.edges[:, :-1]
        return left, self.edges[:, 1:] - left

    def describe(self) -> str:
        """The columns, the kind, and the settings that change what is computed."""
        inner = self.frequency if self.frequency is not None else self.edges
        assert inner is not None
        codes = inner.shape[1] - (self.kind == "piecewise")
        parts = [describe_places(self.places, self.in_features), repr(self.kind)]
        parts += [f"{KINDS[self.kind]}={codes}", f"size={self.size}"]
        parts += ["keep=False"] if not self.keep else []
        parts += [f"activation={self.activation!r}"] if self.activation else []
        return ", ".join(parts)


def _check_settings(kind: str, **given: object) -> None:
    """Raise SettingError for a setting that belongs to the other kind."""
    own = {"frequencies", "frequency_scale"} if kind == "periodic" else {"bins", "edges"}
    strange = [name for name, value in given.items() if value is not None and name not in own]
    both = [name for name in own if given[name] is not None] if kind == "piecewise" else []
    if strange or len(both) > 1:
        raise SettingError(
            f"NumberEmbedding: {strange[0]} has no meaning with kind={kind!r}"
            if strange
            else "NumberEmbedding: bins and edges were both given",
            expected="frequencies, frequency_scale with 'periodic'; bins or edges with 'piecewise'",
            got=", ".join(strange or sorted(both)),
        )

"""Dropout: sets random units, or random weights, to 0 during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.nn.layers import Linear, need_features
from chainrule.nn.module import Buffer, Module, Seed, generator, seed_key
from chainrule.ops.random import random_bits
from chainrule.per_replica import Numbers, PerReplica, as_numbers, as_tuple, is_number
from chainrule.tensor import Tensor

_ALL_BITS = np.uint32(2**32 - 1)


class _Mask(Module):
    """Draws masks from a seed and a counter; both are buffers, so they are saved, loaded and re-initialised."""

    def __init__(self, p: float | Sequence[float], seed: Seed) -> None:
        self.p = p
        self.seed = Buffer.made(_draw_seed(generator(*seed_key(seed), 0), (2,)), _draw_seed)
        self.counter = Buffer.made(np.zeros((), np.uint32))

    @property
    def p(self) -> Numbers:
        """The probability of being dropped, or one per replica. It may be changed at any time."""
        return self._p

    @p.setter
    def p(self, p: float | Sequence[float]) -> None:
        self._p = as_numbers("dropout", p, _check_probability)
        self._last_kept = PerReplica("dropout", self._p, _last_kept)
        self._scale = PerReplica("dropout", self._p, _scale)

    def drop(self, x: Tensor) -> Tensor:
        """Zero ``x`` where the mask drops it, and divide the rest by 1 - p. Advances the counter."""
        if all(last == _ALL_BITS for last in self._last_kept.values):
            return x
        last, scale = self._last_kept.read(), self._scale.read()
        bits = random_bits(self.seed, self.counter, shape=x.shape)
        # replicas that drop nothing do not advance their counter, as a single run would not
        draws = 1 if isinstance(self._p, float) else (last < _ALL_BITS).astype(np.uint32)
        self.counter.assign(self.counter + draws)
        return f.where(bits <= last, x * scale.astype(x.dtype), 0)


def _check_probability(p: object) -> float:
    if not (is_number(p) and 0.0 <= p < 1.0):
        raise SettingError(
            "p, the probability of being dropped, must be a number >= 0 and < 1", got=quoted(p), hint="p=0.5"
        )
    return float(p)


def _last_kept(p: float) -> np.uint32:
    """The largest of the 2^32 equally likely integers for which a unit is kept; at least one keeps it."""
    return np.uint32(max(round((1.0 - p) * 2**32), 1) - 1)


def _scale(p: float) -> float:
    """1 / (1 - p), at most 2^32, since at least one of the 2^32 integers keeps a unit."""
    return 1.0 / max(1.0 - p, 2.0**-32)


def _draw_seed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2**32, shape, dtype=np.uint32)


class Dropout(_Mask):
    """In training mode, set each unit to 0 with probability ``p`` and divide the others by 1 - p.

    This is inverted dropout, the usual form (Srivastava et al., 2014); at inference it is the identity. Accepts any
    shape. A mask depends only on ``seed`` and on the number of masks drawn before it. A sequence of R probabilities
    gives each of the R replicas of ``cr.fit(restarts=R)`` its own. Raises SettingError unless 0 <= p < 1.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.Dropout(0.5, seed=0)
    >>> sorted(set(layer(cr.tensor([1.0] * 100)).tolist())), layer.eval()(cr.tensor([1.0])).item()
    ([0.0, 2.0], 1.0)

    Lectures: A18; erratum 13.
    """

    def __init__(self, p: float | Sequence[float] = 0.5, *, seed: Seed = None) -> None:
        super().__init__(p, seed)

    def forward(self, x: Tensor) -> Tensor:
        """The masked input, of the same shape; at inference the input itself."""
        return self.drop(x) if self.training else x

    def describe(self) -> str:
        """The probability, or one per replica."""
        shown = [f"{p:g}" for p in as_tuple(self.p)]
        return shown[0] if isinstance(self.p, float) else f"[{', '.join(shown)}]"


class WeightDropout(_Mask):
    """A linear layer that drops weights instead of units, with one mask per minibatch, as in lecture A.

    A dropped weight counts as 0 in that forward pass, so its gradient is 0 and the step leaves it unchanged.
    Biases are not dropped. Raises SettingError unless 0 <= p < 1.

    >>> from chainrule import nn
    >>> [name for name, _ in nn.WeightDropout(nn.Linear(2, 1), 0.2).named_state()]
    ['linear.weight', 'linear.bias', 'seed', 'counter']

    Lectures: erratum 13.
    """

    def __init__(self, linear: Linear, p: float | Sequence[float] = 0.5, *, seed: Seed = None) -> None:
        super().__init__(p, seed)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """[batch, in_features] -> [batch, out_features]."""
        linear = self.linear
        if not self.training:
            return linear.forward(x)
        need_features(linear, x, linear.in_features)
        product = x @ self.drop(linear.weight).T
        return product if linear.bias is None else product + linear.bias

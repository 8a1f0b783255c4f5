"""Dropout: units, or weights, that are absent at random while training."""

from __future__ import annotations

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.nn.layers import Linear, need_features
from chainrule.nn.module import Buffer, Module, Seed, generator, seed_key
from chainrule.ops.random import random_bits
from chainrule.tensor import Tensor


class _Mask(Module):
    """Draws masks from a seed and a counter: state, saved, loaded and drawn anew by ``initialise``."""

    def __init__(self, p: float, seed: Seed) -> None:
        if not 0.0 <= p < 1.0:
            raise SettingError("dropout: p is the probability of being dropped", expected="0 <= p < 1", got=p)
        self.p = float(p)
        self.seed = Buffer.made(_draw_seed(generator(*seed_key(seed), 0), (2,)), _draw_seed)
        self.counter = Buffer.made(np.zeros((), np.uint32))

    def drop(self, x: Tensor) -> Tensor:
        """``x`` where it is kept, divided by the probability of that; 0 elsewhere. Counts on by one."""
        threshold = round((1.0 - self.p) * 2**32)
        if threshold == 2**32:
            return x
        bits = random_bits(self.seed, self.counter, shape=x.shape)
        self.counter.assign(self.counter + 1)
        return f.where(bits < np.uint32(threshold), x * (1.0 / (1.0 - self.p)), 0)


def _draw_seed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2**32, shape, dtype=np.uint32)


class Dropout(_Mask):
    """Drops every unit with probability ``p`` while training, and divides the others by 1 - p (SPEC A18).

    This is the standard, inverted form: units, in the forward pass (erratum 13; Srivastava et al., 2014). At
    inference it is the identity. Masks depend on ``seed`` and on how many there were before, nothing else.
    Any shape. Raises SettingError unless 0 <= p < 1.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layer = nn.Dropout(0.5, seed=0)
    >>> sorted(set(layer(cr.tensor([1.0] * 100)).tolist())), layer.eval()(cr.tensor([1.0])).item()
    ([0.0, 2.0], 1.0)
    """

    def __init__(self, p: float = 0.5, *, seed: Seed = None) -> None:
        super().__init__(p, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        return self.drop(x) if self.training else x

    def describe(self) -> str:
        """The probability."""
        return f"{self.p:g}"


class WeightDropout(_Mask):
    """A linear layer whose weights are dropped, one mask a minibatch: the form of lecture A (erratum 13).

    A dropped weight is 0 in the forward pass, so its gradient is 0 and the step leaves it as it was.
    Biases are not dropped.

    >>> from chainrule import nn
    >>> [name for name, _ in nn.WeightDropout(nn.Linear(2, 1), 0.2).named_state()]
    ['linear.weight', 'linear.bias', 'seed', 'counter']
    """

    def __init__(self, linear: Linear, p: float = 0.5, *, seed: Seed = None) -> None:
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

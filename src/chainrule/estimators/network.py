"""The network inside an estimator: how it is built, where its arrays are, how they are first drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import add
from typing import Any, Protocol

import numpy as np

from chainrule import functions as f
from chainrule import nn
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, no_grad
from chainrule.training.sparse_rows import CELLS_AT_ONCE, is_sparse, written_out

ROWS_AT_ONCE = 4096  # of a prediction
PREFIX = "model."  # of a network's tensors among those of a trainer


class Network(nn.Module):
    """A model and the strength of its penalty, which is a number in memory and not in machine code."""

    def __init__(self, body: nn.Module, alpha: float = 0.0) -> None:
        self.body = body
        self.alpha = nn.Buffer.made(np.array(alpha, np.float64))

    def forward(self, x: Tensor) -> Tensor:
        """The model's outputs for a minibatch [batch, features]."""
        return self.body.forward(x)

    def outputs(self, x: Any) -> Array:
        """Outputs [rows, outputs] for rows in the network's dtype; at inference, where the network must be."""
        count = min(ROWS_AT_ONCE, max(1, CELLS_AT_ONCE // x.shape[1])) if is_sparse(x) else ROWS_AT_ONCE
        with no_grad():
            starts = range(0, max(x.shape[0], 1), count)
            parts = [self.forward(Tensor.leaf(written_out(x[a : a + count]))).numpy() for a in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def penalty(self) -> Tensor:
        """alpha / 2 times the sum of all squared weights, biases left out."""
        squares = [f.sum(f.square(p)) for p in self.parameters() if p.penalised]
        total = reduce(add, squares)
        return (0.5 * self.alpha).astype(total.dtype) * total


class Recipe(Protocol):
    """Everything that a network's graph depends on; equal recipes share their machine code."""

    def __hash__(self) -> int: ...

    @property
    def dtype(self) -> str:
        """Of the parameters."""

    def build(self, alpha: float = 0.0) -> Network:
        """A network with any first values."""

    def draw(self, rng: np.random.RandomState) -> dict[str, Array]:
        """First values of all parameters and buffers but alpha, by name."""


@dataclass(frozen=True)
class MLPRecipe:
    """A multilayer perceptron of these widths, with one activation for each hidden layer."""

    widths: tuple[int, ...]
    activations: tuple[str, ...]
    dropout: float
    batch_norm: bool
    dtype: str

    def build(self, alpha: float = 0.0) -> Network:
        """A network with any first values."""
        body = nn.MLP(
            self.widths,
            list(self.activations),
            dropout=self.dropout,
            batch_norm=self.batch_norm,
            seed=0,
            dtype=np.dtype(self.dtype),
        )
        return Network(body, alpha)

    @property
    def layers(self) -> tuple[tuple[str, str], ...]:
        """Names of the weights, and of what is added after them (before the activation), layer by layer."""
        return _layers(self)

    def draw(self, rng: np.random.RandomState) -> dict[str, Array]:
        """As scikit-learn draws: uniform for weights and biases, in the same order, from the same numbers.

        Masks of dropout are seeded after that.
        """
        values: dict[str, Array] = {}
        for i, (weight, bias) in enumerate(self.layers):
            fan_in, fan_out = self.widths[i], self.widths[i + 1]
            # the output layer follows the last hidden layer's activation; without one, relu's bound
            name = self.activations[min(i, len(self.activations) - 1)] if self.activations else "relu"
            bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (fan_in + fan_out))
            values[weight] = rng.uniform(-bound, bound, (fan_in, fan_out)).T
            first = rng.uniform(-bound, bound, fan_out)
            values[bias] = np.zeros(fan_out) if self._normalised(i) else first
        return values | dict(first_buffers(self, values, rng))

    def _normalised(self, i: int) -> bool:
        return self.batch_norm and i < len(self.activations)


@lru_cache(maxsize=64)
def _template(recipe: Recipe) -> Network:
    """A network of this kind to look at, never to train."""
    return recipe.build()


@lru_cache(maxsize=64)
def _layers(recipe: MLPRecipe) -> tuple[tuple[str, str], ...]:
    names: list[tuple[str, str]] = []
    body = _template(recipe).body
    assert isinstance(body, nn.MLP)
    for i, module in enumerate(body):
        if isinstance(module, nn.Linear):
            names.append((f"body.{i}.weight", f"body.{i}.bias"))
        elif isinstance(module, nn.BatchNorm1d):
            names[-1] = (names[-1][0], f"body.{i}.bias")
    return tuple(names)


def first_buffers(
    recipe: Recipe, drawn: dict[str, Array], rng: np.random.RandomState
) -> Iterator[tuple[str, Array]]:
    """First values of whatever else a network has, from the initialisers of its parameters and buffers."""
    left = [(n, t) for n, t in _template(recipe).named_state() if n not in drawn and n != "alpha"]
    if left:
        generator = np.random.default_rng(rng.randint(0, 2**31 - 1, size=4))
        for name, tensor in left:
            yield name, np.asarray(tensor.initialiser(generator, tensor.shape), tensor.dtype)


def as_dtype(values: dict[str, Array], dtype: Any) -> dict[str, Array]:
    """Floats in the network's dtype; seeds and counters as they are."""
    return {n: v.astype(dtype) if v.dtype.kind == "f" else v for n, v in values.items()}

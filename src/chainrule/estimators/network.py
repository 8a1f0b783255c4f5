"""The network inside an estimator: how it is built, what its arrays are called, how they are initialised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import add
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from chainrule import functions as f
from chainrule import nn
from chainrule.estimators.inputs import Features
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, no_grad
from chainrule.training.sparse_rows import CELLS_AT_ONCE, is_sparse, written_out

ROWS_AT_ONCE = 4096  # of a prediction
PREFIX = "model."  # of a network's tensors among those of a trainer


class Network(nn.Module):
    """A model with the strength of its penalty, a buffer, so that another alpha needs no other machine code."""

    def __init__(self, body: nn.Module, alpha: float = 0.0) -> None:
        self.body = body
        self.alpha = nn.Buffer.made(np.array(alpha, np.float64))

    def forward(self, x: Tensor) -> Tensor:
        """The model's outputs for a minibatch [batch, features]."""
        return self.body.forward(x)

    def outputs(self, x: Features) -> Array:
        """Outputs [rows, outputs] for rows in the network's dtype; the network must be in inference mode."""
        count = min(ROWS_AT_ONCE, max(1, CELLS_AT_ONCE // x.shape[1])) if is_sparse(x) else ROWS_AT_ONCE
        with no_grad():
            starts = range(0, max(x.shape[0], 1), count)
            parts = [self.forward(Tensor.leaf(written_out(x[a : a + count]))).numpy() for a in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def penalty(self) -> Tensor:
        """alpha / 2 times the sum of all squared weights, without the biases."""
        squares = [f.sum(f.square(p)) for p in self.parameters() if p.penalised]
        total = reduce(add, squares)
        return (0.5 * self.alpha).astype(total.dtype) * total


class Recipe(Protocol):
    """Everything that a network's graph depends on; networks of equal recipes share machine code."""

    def __hash__(self) -> int: ...

    @property
    def dtype(self) -> str:
        """Of the parameters."""

    def build(self, alpha: float = 0.0) -> Network:
        """A network of this kind; its values are arbitrary."""

    def draw(self, rng: np.random.RandomState) -> dict[str, Array]:
        """Draw the initial values of all parameters and buffers but alpha, by name."""


@dataclass(frozen=True)
class MLPRecipe:
    """A multilayer perceptron of these widths, with one activation for each hidden layer."""

    widths: tuple[int, ...]
    activations: tuple[str, ...]
    dropout: float
    batch_norm: bool
    dtype: str

    def build(self, alpha: float = 0.0) -> Network:
        """A network of this kind; its values are arbitrary."""
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
        """For each layer the names of its weights and of the bias or shift added before the activation."""
        return _layers(self)

    def draw(self, rng: np.random.RandomState) -> dict[str, Array]:
        """Draw as scikit-learn does: uniformly, weights and biases in the same order from the same generator.

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
    """Draw all other initial values by the initialisers of the network's parameters and buffers."""
    left = [(n, t) for n, t in _template(recipe).named_state() if n not in drawn and n != "alpha"]
    if left:
        generator = np.random.default_rng(rng.randint(0, 2**31 - 1, size=4))
        for name, tensor in left:
            yield name, np.asarray(tensor.initialiser(generator, tensor.shape), tensor.dtype)


def as_dtype(values: dict[str, Array], dtype: DTypeLike) -> dict[str, Array]:
    """Convert floats to the network's dtype; seeds and counters keep theirs."""
    return {n: v.astype(dtype) if v.dtype.kind == "f" else v for n, v in values.items()}

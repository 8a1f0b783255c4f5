"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.activations import find_activation
from chainrule.nn.dropout import Dropout
from chainrule.nn.layers import Linear, Sequential, need_count
from chainrule.nn.module import Module, fresh_seed
from chainrule.nn.normalisation import BatchNorm1d


class MLP(Sequential):
    """Affine layers of the given widths with activations between them and an affine top (row B5, E15).

    ``widths`` are those of the input, of each hidden layer and of the output. ``activation`` is one name for
    all hidden layers or a list of one name each; ``output_activation`` is None for logits and for regression.
    A hidden layer is Linear, BatchNorm1d (if ``batch_norm``; the Linear then has no bias, as the
    normalisation would subtract it again), the activation, Dropout (if ``dropout`` > 0).

    Weights are drawn for the activation behind them: He (variance 2 / fan in) for relu, leaky_relu, elu,
    gelu, silu and softplus; Glorot (2 / (fan in + fan out)) for logistic, tanh and softmax; LeCun
    (1 / fan in) for identity, sign and step, and for a top without activation. Biases start at 0. All of it
    depends on ``seed`` alone, and every layer draws its own numbers. Raises SettingError for widths or names
    that cannot be.

    >>> from chainrule import nn
    >>> model = nn.MLP([2, 3, 2, 2], activation="tanh", seed=0)
    >>> sum(p.size for p in model.parameters())
    23
    >>> model
    MLP(
      (0): Linear(2, 3, glorot_uniform())
      (1): Tanh()
      (2): Linear(3, 2, glorot_uniform())
      (3): Tanh()
      (4): Linear(2, 2, lecun_uniform())
    )
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str | Sequence[str] = "relu",
        output_activation: str | None = None,
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        *,
        seed: int | None = None,
        dtype: Any = np.float32,
    ) -> None:
        self.widths = tuple(need_count("a width", width) for width in widths)
        if len(self.widths) < 2:
            raise SettingError(
                "MLP: widths name at least the input and the output",
                expected="[inputs, hidden, ..., outputs]",
                got=list(widths),
            )
        hidden = len(self.widths) - 2
        self.activations = (activation,) * hidden if isinstance(activation, str) else tuple(activation)
        if len(self.activations) != hidden:
            raise SettingError(
                "MLP: one activation for each hidden layer",
                expected=f"{hidden} names, or one name for all",
                got=list(self.activations),
            )
        self.output_activation = output_activation
        self.dropout, self.batch_norm = dropout, bool(batch_norm)
        self._extend(self._layers(dtype))
        self.initialise(fresh_seed() if seed is None else seed)

    def _layers(self, dtype: Any) -> list[Module]:
        layers: list[Module] = []
        for i, name in enumerate(self.activations):
            activation = find_activation(name)
            layers.append(self._affine(i, not self.batch_norm, activation.initialiser, dtype))
            if self.batch_norm:
                layers.append(BatchNorm1d(self.widths[i + 1], dtype=dtype))
            layers.append(activation.module())
            if np.any(self.dropout):
                layers.append(Dropout(self.dropout))
        top = find_activation(self.output_activation or "identity")
        layers.append(self._affine(len(self.widths) - 2, True, top.initialiser, dtype))
        if self.output_activation is not None:
            layers.append(top.module())
        return layers

    def _affine(self, i: int, bias: bool, initialiser: str, dtype: Any) -> Linear:
        # drawn for good, with a key of its own, by initialise()
        return Linear(
            self.widths[i], self.widths[i + 1], bias, weight_initialiser=initialiser, seed=0, dtype=dtype
        )

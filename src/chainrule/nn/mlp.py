"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from chainrule.errors import SettingError
from chainrule.nn.activations import find_activation
from chainrule.nn.dropout import Dropout
from chainrule.nn.layers import Linear, Sequential, need_count
from chainrule.nn.module import Module, Seed, fresh_seed
from chainrule.nn.normalisation import BatchNorm1d


class MLP(Sequential):
    """A multilayer perceptron: affine layers of the given widths with activations in between.

    ``widths`` lists the width of the input, of each hidden layer and of the output. ``activation`` is one name for
    all hidden layers, or a list with one name per layer; leave ``output_activation`` at None for logits and for
    regression. A hidden layer consists of Linear, BatchNorm1d (if ``batch_norm``; Linear then has no bias, since
    the normalisation would cancel it), the activation, and Dropout (if ``dropout`` > 0).

    The initialiser of a weight depends on the activation after it: He (variance 2 / fan in) for relu, leaky_relu,
    elu, gelu, silu and softplus; Glorot (2 / (fan in + fan out)) for logistic, tanh and softmax; LeCun
    (1 / fan in) for identity, sign, step and an output without activation. Biases start at 0. Initial values
    depend only on ``seed``. Raises SettingError for fewer than two widths, widths below 1, unknown names, and a
    list of activations of the wrong length.

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

    Lectures: B5, E15.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str | Sequence[str] = "relu",
        output_activation: str | None = None,
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        *,
        seed: Seed = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.widths = tuple(need_count("a width", width) for width in widths)
        if len(self.widths) < 2:
            raise SettingError(
                "MLP: widths needs at least the input's and the output's",
                expected="[inputs, hidden, ..., outputs]",
                got=list(widths),
            )
        hidden = len(self.widths) - 2
        self.activations = (activation,) * hidden if isinstance(activation, str) else tuple(activation)
        if len(self.activations) != hidden:
            raise SettingError(
                "MLP: the number of activations differs from the number of hidden layers",
                expected=f"{hidden} names, or one name for all",
                got=list(self.activations),
            )
        self.output_activation = output_activation
        self.dropout, self.batch_norm = dropout, bool(batch_norm)
        self._extend(self._layers(dtype))
        self.initialise(fresh_seed() if seed is None else seed)

    def _layers(self, dtype: DTypeLike) -> list[Module]:
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

    def _affine(self, i: int, bias: bool, initialiser: str, dtype: DTypeLike) -> Linear:
        # these values are replaced by initialise(), which gives each layer a key of its own
        return Linear(
            self.widths[i], self.widths[i + 1], bias, weight_initialiser=initialiser, seed=0, dtype=dtype
        )

"""The network of a table model as plain settings, from which it can be built again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chainrule.nn import MLP
from chainrule.nn.layers import Sequential
from chainrule.nn.module import Module
from chainrule.nn.number_embedding import NumberEmbedding
from chainrule.tables.mixture import Mixture
from chainrule.tables.scaling import RobustScaling


@dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron, or several: ``widths`` are those of the input, of each hidden layer and of the output.

    ``activation`` follows each hidden layer, ``dropout`` is the probability with which a hidden unit is
    dropped in training. ``members`` networks answer together, whose outputs are logits if ``classes``. With ``scaling``
    "robust" each begins with a layer that scales ``numbers``, the inputs that are numbers, by their median and
    quartiles; with ``embedding`` "periodic" a vector of cosines joins each of these numbers.

    >>> from chainrule import tables
    >>> tables.Architecture((4, 8, 3), "relu", dropout=0.0, batch_norm=False).weights
    56
    """

    widths: tuple[int, ...]
    activation: str
    dropout: float
    batch_norm: bool
    members: int = 1
    scaling: str = "standard"
    embedding: str = "none"
    numbers: tuple[int, ...] = ()
    classes: bool = False

    def member(self, seed: int = 0, features: NDArray[np.float32] | None = None) -> Module:
        """One of the networks, with fresh parameters that depend on ``seed``; scaled to training ``features``."""
        layers: list[Module] = []
        width = self.widths[0]
        if self.scaling == "robust":
            blank = RobustScaling.blank(width)
            layers.append(blank if features is None else RobustScaling.fitted(features, self.numbers))
        if self.embedding == "periodic" and self.numbers:
            embedding = NumberEmbedding(self.numbers, in_features=width, seed=(seed, 1))
            layers.append(embedding)
            width = embedding.out_features
        mlp = MLP(
            (width, *self.widths[1:]),
            self.activation,
            dropout=self.dropout,
            batch_norm=self.batch_norm,
            seed=seed,
        )
        return Sequential(*layers, mlp) if layers else mlp

    def build(self, seed: int = 0) -> Module:
        """The network with fresh parameters that depend on ``seed`` alone; SettingError for bad settings.

        >>> Architecture((2, 3, 1), "tanh", dropout=0.0, batch_norm=False).build().widths
        (2, 3, 1)
        """
        if self.members == 1:
            return self.member(seed)
        return Mixture([self.member(seed) for _ in range(self.members)], classes=self.classes)

    @property
    def weights(self) -> int:
        """How many weights the affine layers of a network have, biases not counted."""
        return sum(inputs * outputs for inputs, outputs in pairwise(self.widths))

    def describe(self) -> str:
        """The widths and what is not the default.

        >>> Architecture((4, 8, 3), "relu", dropout=0.5, batch_norm=True).describe()
        '4-8-3, relu, batch normalisation, dropout 0.5'
        >>> Architecture((4, 8, 3), "relu", dropout=0.0, batch_norm=False, members=8).describe()
        '8 networks of 4-8-3, relu'
        """
        several = f"{self.members} networks of " if self.members > 1 else ""
        parts = [several + "-".join(map(str, self.widths))]
        if len(self.widths) > 2:
            parts += [self.activation] + ["batch normalisation"] * self.batch_norm
            parts += [f"dropout {self.dropout:g}"] if self.dropout else []
        return ", ".join(parts)

"""The network of a table model as plain settings, from which it can be built again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chainrule.nn import MLP
from chainrule.nn.layers import Linear, Sequential
from chainrule.nn.module import Module, Seed, seed_key
from chainrule.nn.number_embedding import NumberEmbedding
from chainrule.tables.mixture import Mixture, SideBySide
from chainrule.tables.scaling import RobustScaling

MOST_EMBEDDED = 64  # numbers; of more, a mixture embeds none
MOST_CODES = 400  # of all bins of a network in a mixture


@dataclass(frozen=True)
class Kind:
    """What one of the networks is that answer together: its embedding of numbers, hidden layers and dropout."""

    embedding: str
    bins: int = 24
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0


LINEAR = Kind("none")  # of the features as they are, fitted without steps


@dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron, or several: ``widths`` are those of the input, of each hidden layer and of the output.

    ``activation`` follows each hidden layer, ``dropout`` is the probability with which a hidden unit is
    dropped in training. ``members`` networks answer together, whose outputs are logits if ``classes``. With ``scaling``
    "robust" each begins with a layer that scales ``numbers``, the inputs that are numbers, by their median and
    quartiles; with ``embedding`` "periodic" a vector of cosines joins each of these numbers, with "bins" codes of the
    bins between its quantiles, and with "mixed" there are ``members`` networks of each of three ``kinds``. ``shares``
    say how much each kind counts, and last a linear model; without them the kinds count the same, and there is none;
    with them it is an ensemble even of one network.

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
    shares: tuple[float, ...] = ()

    def member(self, seed: int = 0, features: NDArray[np.float32] | None = None) -> Module:
        """One of the networks, with fresh parameters that depend on ``seed``; scaled to training ``features``.

        With several kinds it is ``SideBySide``, one network of each kind.
        """
        seeds = (seed, (seed, 2), (seed, 3))
        networks = [self._network(kind, seeds[i], features) for i, kind in enumerate(self.kinds)]
        return SideBySide(networks) if len(networks) > 1 else networks[0]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What the networks of one fold are: one kind, or with embedding "mixed" the three of ``MIXED``."""
        own = Kind(self.embedding, hidden=self.widths[1:-1], dropout=self.dropout)
        if self.embedding != "mixed":
            return (own,)
        wide = Kind("none", hidden=(sum(own.hidden),) if own.hidden else (), dropout=2 * own.dropout)
        if not 0 < len(self.numbers) <= MOST_EMBEDDED:
            return replace(own, embedding="none"), wide
        bins = min(Kind.bins, MOST_CODES // len(self.numbers))
        fine, coarse = (
            replace(own, embedding="bins", bins=bins),
            replace(wide, embedding="bins", bins=bins // 3),
        )
        return replace(own, embedding="periodic"), fine, coarse

    @property
    def usual_shares(self) -> tuple[float, ...]:
        """The shares of the kinds, and last of a linear model, where nothing better is found."""
        kinds = len(self.kinds)
        return (1 / kinds,) * kinds + (0.0,)

    @property
    def answering(self) -> tuple[tuple[Kind, float], ...]:
        """The kinds of network that answer, each with its share."""
        shares = self.shares or self.usual_shares
        return tuple(
            (kind, share) for kind, share in zip((*self.kinds, LINEAR), shares, strict=True) if share > 0
        )

    def linear(self) -> Linear:
        """The network of a linear model, to be filled with its weights."""
        return Linear(self.widths[0], self.widths[-1], seed=0)

    def _network(self, kind: Kind, seed: Seed, features: NDArray[np.float32] | None) -> Module:
        if kind == LINEAR:
            return self.linear()
        layers: list[Module] = []
        width = self.widths[0]
        if self.scaling == "robust":
            blank = RobustScaling.blank(width)
            layers.append(blank if features is None else RobustScaling.fitted(features, self.numbers))
        if kind.embedding != "none" and self.numbers:
            embedding = self._embedding(kind, width, (*seed_key(seed), 1))
            if features is not None and kind.embedding == "bins":
                embedding.fit_edges(layers[0].predict(features) if layers else features)
            layers.append(embedding)
            width = embedding.out_features
        mlp = MLP(
            (width, *kind.hidden, self.widths[-1]),
            self.activation,
            dropout=kind.dropout,
            batch_norm=self.batch_norm,
            seed=seed,
        )
        return Sequential(*layers, mlp) if layers else mlp

    def _embedding(self, kind: Kind, width: int, seed: Seed) -> NumberEmbedding:
        if kind.embedding == "periodic":
            return NumberEmbedding(self.numbers, in_features=width, seed=seed)
        return NumberEmbedding(
            self.numbers, "piecewise", bins=kind.bins, size=None, in_features=width, seed=seed
        )

    def build(self, seed: int = 0) -> Module:
        """The network with fresh parameters that depend on ``seed`` alone; SettingError for bad settings.

        >>> Architecture((2, 3, 1), "tanh", dropout=0.0, batch_norm=False).build().widths
        (2, 3, 1)
        """
        if self.networks == 1 and not self.shares:
            return self.member(seed)
        answering = self.answering
        networks = [self._network(kind, seed, None) for _ in range(self.members) for kind, _ in answering]
        shares = [share / self.members for _ in range(self.members) for _, share in answering]
        return Mixture(networks, shares=shares, classes=self.classes)

    @property
    def networks(self) -> int:
        """How many networks answer together: ``members`` of each kind that counts."""
        return self.members * len(self.answering)

    @property
    def weights(self) -> int:
        """How many weights the affine layers of the networks of one fold have, without embeddings and biases."""
        return sum(
            inputs * outputs
            for kind, _ in self.answering
            for inputs, outputs in pairwise(self._widths_of(kind))
        )

    def _widths_of(self, kind: Kind) -> tuple[int, ...]:
        return (self.widths[0], *kind.hidden, self.widths[-1])

    def describe(self) -> str:
        """The widths and what is not the default.

        >>> Architecture((4, 8, 3), "relu", dropout=0.5, batch_norm=True).describe()
        '4-8-3, relu, batch normalisation, dropout 0.5'
        >>> Architecture((4, 8, 3), "relu", dropout=0.0, batch_norm=False, members=8).describe()
        '8 networks of 4-8-3, relu'
        >>> mixed = Architecture((4, 8, 8, 3), "relu", 0.1, False, members=8, embedding="mixed", numbers=(0, 1))
        >>> mixed.describe()
        '16 networks of 4-8-8-3 and 8 of 4-16-3, relu, dropout 0.1 and 0.2'
        """
        kinds = [kind for kind, _ in self.answering]
        widths = ["-".join(map(str, self._widths_of(kind))) for kind in kinds]
        each = {one: self.members * widths.count(one) for one in widths}
        (first, count), *others = each.items()
        parts = [(f"{count} networks of " if self.networks > 1 else "") + first]
        parts[0] += "".join(f" and {count} of {one}" for one, count in others)
        if any(kind.hidden for kind in kinds):
            parts += [self.activation] + ["batch normalisation"] * self.batch_norm
            dropouts = dict.fromkeys(f"{kind.dropout:g}" for kind in kinds if kind.hidden)
            parts += [f"dropout {' and '.join(dropouts)}"] if self.dropout else []
        return ", ".join(parts)

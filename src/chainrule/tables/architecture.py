"""The network of a table model as plain settings, from which it can be built again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from chainrule.nn import MLP


@dataclass(frozen=True)
class Architecture:
    """A multilayer perceptron: ``widths`` are those of the input, of each hidden layer and of the output.

    ``activation`` follows each hidden layer, ``dropout`` is the probability with which a hidden unit is
    dropped in training.

    >>> from chainrule import tables
    >>> tables.Architecture((4, 8, 3), "relu", dropout=0.0, batch_norm=False).weights
    56
    """

    widths: tuple[int, ...]
    activation: str
    dropout: float
    batch_norm: bool

    def build(self, seed: int = 0) -> MLP:
        """The network with fresh parameters that depend on ``seed`` alone; SettingError for bad settings.

        >>> Architecture((2, 3, 1), "tanh", dropout=0.0, batch_norm=False).build().widths
        (2, 3, 1)
        """
        return MLP(self.widths, self.activation, dropout=self.dropout, batch_norm=self.batch_norm, seed=seed)

    @property
    def weights(self) -> int:
        """How many weights the affine layers have, biases not counted."""
        return sum(inputs * outputs for inputs, outputs in pairwise(self.widths))

    def describe(self) -> str:
        """The widths and what is not the default.

        >>> Architecture((4, 8, 3), "relu", dropout=0.5, batch_norm=True).describe()
        '4-8-3, relu, batch normalisation, dropout 0.5'
        """
        parts = ["-".join(map(str, self.widths))]
        if len(self.widths) > 2:
            parts += [self.activation] + ["batch normalisation"] * self.batch_norm
            parts += [f"dropout {self.dropout:g}"] if self.dropout else []
        return ", ".join(parts)

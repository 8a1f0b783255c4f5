"""Several networks that answer together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule import functions as f
from chainrule.nn.module import Buffer, Module
from chainrule.ops.record import Array
from chainrule.tensor import Tensor


class Mixture(Module):
    """The mean of several networks: of their log-probabilities for classes, of their outputs for numbers.

    ``shares`` say how much each counts; they add up to 1. For classes the output is divided by ``temperature``:
    softmax turns it into probabilities, as it does the logits of a single network. A temperature above 1 makes them
    less sure. [batch, features] -> [batch, outputs].
    """

    def __init__(
        self, members: Sequence[Module], *, shares: Sequence[float], classes: bool, temperature: float = 1.0
    ) -> None:
        self.members, self.shares, self.classes = list(members), tuple(shares), classes
        self.temperature = Buffer.made(np.array(temperature, np.float32))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """What they say together of a minibatch ``x`` [batch, features]."""
        outputs = [member.forward(x) for member in self.members]
        if not self.classes:
            return self._mean(outputs)
        return self._mean([f.log_softmax(output, -1) for output in outputs]) / self.temperature

    def _mean(self, outputs: Sequence[Tensor]) -> Tensor:
        shares = np.array(self.shares, np.float32).reshape(-1, 1, 1)
        return f.sum(f.stack(outputs) * shares, 0)

    def describe(self) -> str:
        """How many there are, and what is averaged."""
        what = "log-probabilities" if self.classes else "outputs"
        return f"{len(self.members)} networks, mean of their {what}"


class SideBySide(Module):
    """Networks that are trained in the same steps, each by its own loss.

    [batch, features] -> [batch, networks, outputs].
    """

    def __init__(self, networks: Sequence[Module]) -> None:
        self.networks = list(networks)

    def forward(self, x: Tensor) -> Tensor:
        """What each says of a minibatch ``x`` [batch, features]."""
        return f.stack([network.forward(x) for network in self.networks], 1)


def names_side_by_side(networks: int) -> tuple[str, ...]:
    """With what the names of each network's parameters begin in ``SideBySide``."""
    return tuple(f"networks.{i}." for i in range(networks))


def log_probabilities(outputs: Array) -> Array:
    """The logarithms of the probabilities that logits [..., classes] stand for, float64."""
    shifted = outputs - outputs.max(-1, keepdims=True).astype(np.float64)
    found: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found

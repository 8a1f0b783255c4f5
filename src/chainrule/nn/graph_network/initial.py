"""First values of the weights on edges: the named initialisers, with fans that differ from edge to edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.nn.choices import choose
from chainrule.nn.initialisers import Initialiser
from chainrule.ops.record import Array

#: variance of a weight from the edges that enter its upper neuron and those that leave its lower one
VARIANCES: dict[str, Callable[[Array, Array], Array]] = {
    "glorot": lambda enter, leave: 2.0 / (enter + leave),
    "he": lambda enter, leave: 2.0 / enter,
    "lecun": lambda enter, leave: 1.0 / enter,
    "zeros": lambda enter, leave: 0.0 * enter,
}
NAMES = {
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "zeros",
}


@dataclass(frozen=True, eq=False)
class Spread:
    """Draws each number with a standard deviation of its own."""

    name: str
    std: Array

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Draw an array."""
        if self.name.endswith("normal"):
            return rng.normal(size=shape) * self.std
        return rng.uniform(-1.0, 1.0, shape) * (np.sqrt(3.0) * self.std)

    def __repr__(self) -> str:
        return f"{self.name}()"

    def __deepcopy__(self, memo: Any) -> Spread:
        """Nothing in it changes."""
        return self


def variance(name: str, enter: Array, leave: Array) -> Array:
    """The variance that an initialiser of this name gives to edges with these fans."""
    choose("initialiser for edges", name, dict.fromkeys(sorted(NAMES)))
    return VARIANCES[name.partition("_")[0]](enter, leave)


def spread(
    given: str | Initialiser | None, by_activation: list[str], which: Array, enter: Array, leave: Array
) -> Initialiser:
    """The initialiser of weights [weights]: the one that was given, or that of the upper neuron's activation.

    ``which`` [weights] says which of ``by_activation`` that is; the fans are [weights], too.
    """
    if given is not None and not isinstance(given, str):
        return given
    names = [given] if given is not None else by_activation
    rows = [variance(name, enter, leave) for name in names]
    found = rows[0] if len(rows) == 1 else np.choose(which, rows)
    kinds = {name for name in names if name != "zeros"}
    return Spread(kinds.pop() if len(kinds) == 1 else "uniform", np.sqrt(found))

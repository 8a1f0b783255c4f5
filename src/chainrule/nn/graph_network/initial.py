"""Initial values of edge weights: the named initialisers, with a fan in and fan out for each edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chainrule.nn.choices import choose
from chainrule.nn.initialisers import Initialiser
from chainrule.ops.record import Array

#: variance of a weight, from the number of edges that enter its upper neuron and that leave its lower one
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
    """An initialiser with a standard deviation for each weight."""

    name: str
    std: Array

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return initial values of this shape."""
        if self.name.endswith("normal"):
            return rng.normal(size=shape) * self.std
        return rng.uniform(-1.0, 1.0, shape) * (np.sqrt(3.0) * self.std)

    def __repr__(self) -> str:
        return f"{self.name}()"

    def __deepcopy__(self, memo: dict[int, object]) -> Spread:
        """Return the object itself: it is immutable."""
        return self


def variance(name: str, enter: Array, leave: Array) -> Array:
    """The variance of an initialiser of this name, for edges with these fans."""
    choose("initialiser for edges", name, dict.fromkeys(sorted(NAMES)))
    return VARIANCES[name.partition("_")[0]](enter, leave)


def spread(
    given: str | Initialiser | None, by_activation: list[str], which: Array, enter: Array, leave: Array
) -> Initialiser:
    """Return the initialiser given, or one that follows the activation of each edge's upper neuron.

    ``which`` [weights] holds that activation's index in ``by_activation``; ``enter`` and ``leave`` [weights] are the
    fans.
    """
    if given is not None and not isinstance(given, str):
        return given
    names = [given] if given is not None else by_activation
    rows = [variance(name, enter, leave) for name in names]
    found = rows[0] if len(rows) == 1 else np.choose(which, rows)
    kinds = {name for name in names if name != "zeros"}
    return Spread(kinds.pop() if len(kinds) == 1 else "uniform", np.sqrt(found))

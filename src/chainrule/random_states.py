"""Where the sources of random numbers stand, so that it shows whether a trace has drawn from one."""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Mapping

import numpy as np


class RandomStates:
    """Where the sources of random numbers stand: Python's and NumPy's own, and those that a function reaches."""

    def __init__(self, generators: Mapping[str, object]) -> None:
        numpy_own = getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)
        torch = sys.modules.get("torch")  # only where somebody else has imported it
        shared = {
            "random": random._inst,
            "np.random": numpy_own,
            "torch": getattr(torch, "default_generator", None),
        }
        self._generators = {name: x for name, x in {**shared, **generators}.items() if x is not None}
        self._before = self._states()

    def _states(self) -> dict[str, bytes]:
        return {name: pickle.dumps(_state(x)) for name, x in self._generators.items()}

    def moved(self) -> str:
        """The first source from which numbers were drawn; "" where there is none."""
        return next((name for name, now in self._states().items() if now != self._before[name]), "")


def _state(generator: object) -> object:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    if hasattr(generator, "get_state"):  # PyTorch's
        return generator.get_state().numpy().tobytes()
    return getattr(getattr(generator, "bit_generator", generator), "state")  # noqa: B009 - of NumPy's

"""The network that an estimator predicts with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from chainrule.estimators.network import Recipe
from chainrule.nn.module import Module
from chainrule.ops.record import Array


class Predictor:
    """A network at inference that takes on any values of its parameters; threads take turns."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._network = recipe.build()
        self._network.eval()
        self._arrays = {name: tensor.numpy() for name, tensor in self._network.named_state()}
        self._lock = Lock()

    def outputs(self, values: Mapping[str, Array], x: Any) -> Array:
        """Outputs [rows, outputs] for rows in the network's dtype."""
        with self._lock:
            self._take(values)
            return self._network.outputs(x)

    def module(self, values: Mapping[str, Array]) -> Module:
        """A copy of the network with these values."""
        with self._lock:
            self._take(values)
            return copy.deepcopy(self._network.body)

    def _take(self, values: Mapping[str, Array]) -> None:
        for name, value in values.items():
            np.copyto(self._arrays[name], value)


#: made when an estimator first predicts; of no meaning beyond that
_PREDICTORS: WeakKeyDictionary[Any, Predictor] = WeakKeyDictionary()


def predictor_of(estimator: Any, recipe: Recipe) -> Predictor:
    """The estimator's predictor."""
    held = _PREDICTORS.get(estimator)
    if held is None or held.recipe != recipe:
        held = _PREDICTORS[estimator] = Predictor(recipe)
    return held

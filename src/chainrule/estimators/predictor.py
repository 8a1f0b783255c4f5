"""The network that an estimator predicts with, kept from call to call."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.base import BaseEstimator

from chainrule.estimators.inputs import Features
from chainrule.estimators.network import Recipe
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.system.forks import free_in_children


class Predictor:
    """A network in inference mode that computes with any given values; a lock lets one thread in at a time."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._network = recipe.build()
        self._network.eval()
        self._arrays = {name: tensor.numpy() for name, tensor in self._network.named_state()}
        self._lock = free_in_children(threading.Lock())

    def outputs(self, values: Mapping[str, Array], x: Features) -> Array:
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
_PREDICTORS: WeakKeyDictionary[BaseEstimator, Predictor] = WeakKeyDictionary()


def predictor_of(estimator: BaseEstimator, recipe: Recipe) -> Predictor:
    """The estimator's predictor."""
    held = _PREDICTORS.get(estimator)
    if held is None or held.recipe != recipe:
        held = _PREDICTORS[estimator] = Predictor(recipe)
    return held

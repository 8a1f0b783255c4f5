"""The record of parameters, the signatures and the docstrings of the network estimators say the same."""

import inspect
import re
from typing import get_type_hints

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.base import clone

from chainrule import estimators
from chainrule.estimators import parameters
from chainrule.estimators.base import NetworkEstimator

NETWORKS = {
    "MLPClassifier": parameters.MLP | parameters.CLASSIFIER,
    "MLPRegressor": parameters.MLP | parameters.REGRESSOR,
    "GraphNetworkClassifier": parameters.GRAPH | parameters.CLASSIFIER,
    "GraphNetworkRegressor": parameters.GRAPH | parameters.REGRESSOR,
}
RECORDS = NETWORKS | {"TableClassifier": parameters.TABLES, "TableRegressor": parameters.TABLES}


def defaults(cls):
    return {name: given.default for name, given in inspect.signature(cls).parameters.items()}


@pytest.mark.parametrize("name", RECORDS)
def test_signature_record_and_constraints_name_the_same(name):
    cls = getattr(estimators, name)
    assert set(defaults(cls)) == set(RECORDS[name]) == set(cls._parameter_constraints)
    assert cls().get_params() == defaults(cls)


@pytest.mark.parametrize("name", RECORDS)
def test_the_docstring_has_every_parameter_with_its_default(name):
    cls = getattr(estimators, name)
    listed = cls.__doc__.split("Parameters:")[1]
    found = dict(re.findall(r"- ``(\w+)`` \(default (.*?)\): ", " ".join(listed.split())))
    assert found == {parameter: repr(default) for parameter, default in defaults(cls).items()}
    assert list(found) == list(defaults(cls))
    words = " ".join(listed.split())
    for parameter, entry in RECORDS[name].items():
        assert " ".join(entry.text.split()) in words, parameter
    assert max(map(len, cls.__doc__.splitlines())) <= 120


def test_no_entry_is_unused():
    used = set().union(*(defaults(getattr(estimators, name)) for name in RECORDS))
    every = [parameters.MLP, parameters.GRAPH, parameters.CLASSIFIER, parameters.REGRESSOR, parameters.TABLES]
    assert used == set().union(*every)


def test_shared_parameters_have_the_same_default_and_type_in_every_class():
    for parameter in parameters.TRAINING:
        given = [inspect.signature(getattr(estimators, name)).parameters[parameter] for name in NETWORKS]
        assert len({repr(one.default) for one in given}) == 1, parameter
        assert len({one.annotation for one in given}) == 1, parameter


@pytest.mark.parametrize("name", RECORDS)
def test_arguments_and_attributes_have_the_same_types(name):
    cls = getattr(estimators, name)
    taken, attributes = get_type_hints(cls.__init__), get_type_hints(cls)
    for parameter in defaults(cls):
        assert taken[parameter] == attributes[parameter], parameter


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_defaults_are_those_of_scikit_learn(name):
    ours, theirs = defaults(getattr(estimators, name)), defaults(getattr(sklearn.neural_network, name))
    assert {parameter: ours[parameter] for parameter in theirs} == theirs
    positional = [
        p for p, given in inspect.signature(getattr(sklearn.neural_network, name)).parameters.items()
    ]
    assert list(ours)[:2] == positional[:2]


def test_constraints_accept_the_defaults_and_refuse_the_rest():
    for name in NETWORKS:
        cls = getattr(estimators, name)
        if name.startswith("MLP"):
            cls()._validate_params()
        for parameter, wrong in {
            "alpha": -1.0, "solver": "rmsprop", "max_iter": 0, "momentum": 1.5, "tol": -1, "beta_1": 1.0,
            "n_iter_no_change": 0, "clip_norm": 0.0, "dtype": "float16", "threads": 0, "batch_size": "all",
        }.items():  # fmt: skip
            with pytest.raises(ValueError, match=parameter):
                cls(**{parameter: wrong})._validate_params()


def test_a_subclass_may_have_parameters_of_its_own():
    class Deeper(estimators.MLPClassifier):
        def __init__(self, depth=2, *, random_state=None):
            super().__init__((8,) * depth, random_state=random_state, max_iter=3)
            self.depth = depth

    model = Deeper(depth=3, random_state=0)
    assert clone(model).get_params() == {"depth": 3, "random_state": 0}
    assert issubclass(Deeper, NetworkEstimator) and model.hidden_layer_sizes == (8, 8, 8)
    assert len(model.fit(np.eye(4), [0, 1, 0, 1]).coefs_) == 4

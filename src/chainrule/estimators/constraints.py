"""What the settings of network estimators may be, in scikit-learn's terms."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, Options, StrOptions

Method = TypeVar("Method", bound=Callable[..., Any])


def checked(method: Method) -> Method:
    """A fit method that first checks the settings against ``_parameter_constraints``."""
    return cast(Method, _fit_context(prefer_skip_nested_validation=True)(method))


POSITIVE = Interval(Integral, 1, None, closed="left")
SHARE = Interval(Real, 0, 1, closed="left")

TRAINING: dict[str, Any] = {
    "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), POSITIVE],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", "cosine"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [POSITIVE],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [SHARE],
    "beta_1": [SHARE],
    "beta_2": [SHARE],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [POSITIVE, Options(Real, {np.inf})],
    "max_fun": [POSITIVE],
    # beyond scikit-learn
    "loss": [str, callable],
    "scoring": [str, callable, None],
    "restarts": "no_validation",  # a count, or a plan such as cr.Halving: cr.fit checks it
    "ensemble": ["boolean"],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "dtype": [StrOptions({"auto", "float32", "float64"})],
    "threads": [POSITIVE, None],
}

MLP: dict[str, Any] = TRAINING | {
    "hidden_layer_sizes": ["array-like", POSITIVE],
    "activation": [str, "array-like"],
    "dropout": [SHARE],
    "batch_norm": ["boolean"],
}
GRAPH: dict[str, Any] = TRAINING | {
    # nn.GraphNetwork checks these
    "edges": "no_validation",
    "inputs": "no_validation",
    "outputs": "no_validation",
    "activation": [str, dict],
    "bias": ["boolean", StrOptions({"constant"})],
}
CLASSIFIER: dict[str, Any] = {
    "class_weight": [dict, list, StrOptions({"balanced"}), None],
    "label_smoothing": [SHARE],
}
REGRESSOR: dict[str, Any] = {"quantile": [Interval(Real, 0, 1, closed="neither")]}

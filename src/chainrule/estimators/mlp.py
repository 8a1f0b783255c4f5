"""Multilayer perceptrons with scikit-learn's names and meanings, and more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.estimators import parameters
from chainrule.estimators.base import NetworkEstimator
from chainrule.estimators.network import MLPRecipe
from chainrule.estimators.parameters import (
    ClassWeight,
    Constraint,
    LossSetting,
    Schedule,
    Scoring,
    Seed,
    Solver,
    constraints,
    documented,
)
from chainrule.estimators.trainable import TrainableClassifier, TrainableRegressor
from chainrule.nn.activations import find_activation
from chainrule.ops.record import Array
from chainrule.training.halving import Halving


class _MLP(NetworkEstimator):
    """The part that both tasks share: widths, and arrays shown as ``coefs_`` and ``intercepts_``."""

    hidden_layer_sizes: int | Sequence[int]
    activation: str | Sequence[str]
    coefs_: list[Array]
    intercepts_: list[Array]
    _network_recipe: MLPRecipe

    def _is_trained(self) -> bool:
        return hasattr(self, "coefs_")

    def _recipe(self, features: int, outputs: int, dtype: str) -> MLPRecipe:
        sizes = self.hidden_layer_sizes
        hidden = [int(width) for width in (sizes if isinstance(sizes, Iterable) else [sizes])]
        if any(width <= 0 for width in hidden):
            raise SettingError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        given = self.activation
        names = (given,) * len(hidden) if isinstance(given, str) else tuple(given)
        if len(names) != len(hidden):
            raise SettingError(
                "activation must be one name, or a list with one for each hidden layer",
                expected=f"{len(hidden)} names",
                got=list(names),
            )
        for name in names:
            find_activation(name)
        self.n_layers_ = len(hidden) + 2
        widths = (features, *hidden, outputs)
        if self._is_trained() and not self._drawn_anew and [c.shape for c in self.coefs_] != _shapes(widths):
            raise ShapeError(
                "the network has other layers than before",
                expected=_shapes(widths),
                got=[c.shape for c in self.coefs_],
                hint="fit with warm_start=False",
            )
        return MLPRecipe(widths, names, float(self.dropout), bool(self.batch_norm), dtype)

    def _publish(self, values: Mapping[str, Array]) -> None:
        recipe = self._network_recipe
        self.coefs_ = [values[weight].T for weight, _ in recipe.layers]
        self.intercepts_ = [values[bias] for _, bias in recipe.layers]
        shown = {name for names in recipe.layers for name in names}
        self._other_values = {name: value for name, value in values.items() if name not in shown}

    def _values(self) -> dict[str, Array]:
        recipe = self._network_recipe
        values = dict(getattr(self, "_other_values", {}))
        for (weight, bias), coef, intercept in zip(recipe.layers, self.coefs_, self.intercepts_, strict=True):
            values[weight] = np.asarray(coef).T
            values[bias] = np.asarray(intercept)
        return values


def _shapes(widths: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(pairwise(widths))


@documented(parameters.MLP | parameters.CLASSIFIER)
class MLPClassifier(TrainableClassifier, _MLP):
    """A multilayer perceptron that predicts classes: ``sklearn.neural_network.MLPClassifier`` and more.

    scikit-learn's parameters mean what they mean there, and the same ``random_state`` gives the same numbers up to
    the rounding of float32, in which training computes whatever X is (``dtype="float64"`` for more digits). With
    ``restarts`` several networks train at the same time and the best one, or their mean, predicts. A large sparse X
    is written out a few minibatches at a time, with solver="lbfgs" all at once.

    Attributes are scikit-learn's: ``classes_``, ``coefs_`` (list of [inputs, outputs]), ``intercepts_``,
    ``loss_``, ``loss_curve_``, ``best_loss_``, ``validation_scores_``, ``best_validation_score_``, ``n_iter_``,
    ``t_``, ``n_layers_``, ``n_outputs_``, ``out_activation_``, ``n_features_in_``, ``feature_names_in_``; also
    ``network_`` (a module) and, with restarts, ``history_`` (a ``History`` with the curves and parameters of every
    replica) and ``replica_seeds_``. With ``batch_norm`` an intercept is what is added after the normalisation.

    Weights of rows or classes whose largest is above 2**64 or below 2**-64, too large or too small for sums in
    float32, are divided by their mean, with a DataWarning. Targets are stored as class numbers, not one column per
    class, and predictions are computed in pieces, so 100,000 rows of 100,000 classes need the memory of a minibatch.

    Raises DataError and SettingError, both ValueErrors, and what scikit-learn's validation raises.

    >>> from sklearn.datasets import load_iris
    >>> from chainrule.estimators import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(16, learning_rate="cosine", learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = constraints(
        parameters.MLP | parameters.CLASSIFIER
    )

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: Solver = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Seed = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: LossSetting = "log_loss",
        class_weight: ClassWeight = None,
        label_smoothing: float = 0.0,
        scoring: Scoring = None,
        restarts: int | Halving = 1,
        ensemble: bool = False,
        dropout: float = 0.0,
        batch_norm: bool = False,
        clip_norm: float | None = None,
        dtype: Literal["auto", "float32", "float64"] = "auto",
        threads: int | None = None,
    ) -> None:
        self._set_parameters(locals())


@documented(parameters.MLP | parameters.REGRESSOR)
class MLPRegressor(TrainableRegressor, _MLP):
    """A multilayer perceptron that predicts numbers: ``sklearn.neural_network.MLPRegressor`` and more.

    Dtypes, attributes and errors are those of :class:`MLPClassifier`, without ``classes_``.

    >>> import numpy as np
    >>> from chainrule.estimators import MLPRegressor
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> settings = dict(activation="tanh", learning_rate="cosine", learning_rate_init=0.01, batch_size=20)
    >>> model = MLPRegressor(hidden_layer_sizes=16, random_state=0, **settings).fit(X, X[:, 0] ** 2)
    >>> model.score(X, X[:, 0] ** 2) > 0.98
    True
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = constraints(
        parameters.MLP | parameters.REGRESSOR
    )

    def __init__(
        self,
        loss: LossSetting = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: Solver = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Seed = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        quantile: float = 0.5,
        scoring: Scoring = None,
        restarts: int | Halving = 1,
        ensemble: bool = False,
        dropout: float = 0.0,
        batch_norm: bool = False,
        clip_norm: float | None = None,
        dtype: Literal["auto", "float32", "float64"] = "auto",
        threads: int | None = None,
    ) -> None:
        self._set_parameters(locals())

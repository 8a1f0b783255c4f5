"""Multilayer perceptrons with scikit-learn's names and meanings, and more."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.estimators import constraints
from chainrule.estimators.base import NetworkEstimator, stochastic_only
from chainrule.estimators.network import MLPRecipe
from chainrule.estimators.tasks import ClassificationTask, RegressionTask
from chainrule.nn.activations import find_activation
from chainrule.ops.record import Array


class _MLP(NetworkEstimator):
    """The part that both tasks share: widths, and arrays shown as ``coefs_`` and ``intercepts_``."""

    coefs_: list[Array]
    intercepts_: list[Array]
    _network_recipe: MLPRecipe

    def _is_trained(self) -> bool:
        return hasattr(self, "coefs_")

    def _recipe(self, features: int, outputs: int, dtype: str) -> MLPRecipe:
        sizes = self.hidden_layer_sizes
        hidden = [int(width) for width in (sizes if hasattr(sizes, "__iter__") else [sizes])]
        if any(width <= 0 for width in hidden):
            raise SettingError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        given = self.activation
        names = (given,) * len(hidden) if isinstance(given, str) else tuple(given)
        if len(names) != len(hidden):
            raise SettingError(
                "activation: one name, or one for each hidden layer",
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


class MLPClassifier(ClassificationTask, _MLP):
    """A multilayer perceptron that predicts classes: ``sklearn.neural_network.MLPClassifier`` and more.

    Every setting of scikit-learn's has its meaning, and with the same ``random_state`` the same numbers come
    out, up to the rounding of float32: training computes in float32 whatever X is (``dtype="float64"`` for
    more digits; solver="lbfgs" follows X unless told otherwise). A large sparse X is written out a few minibatches
    at a time, with solver="lbfgs" whole.

    Parameters beyond scikit-learn's:

    - ``activation``: any name of ``nn.activations``, or a list with one for each hidden layer;
    - ``learning_rate="cosine"``: from ``learning_rate_init`` to 0 over ``max_iter`` epochs, with any solver but
      lbfgs; all of them are run, unless early stopping ends it, and none is warned of;
    - ``loss``: "log_loss", "focal", or a function of (logits, target, reduction);
    - ``class_weight``: a dict, or "balanced"; ``label_smoothing``: 0 to 1;
    - ``dropout`` behind, ``batch_norm`` before every hidden activation;
    - ``scoring``: what early stopping watches, instead of accuracy: the name of a scorer, a scorer, or "loss";
    - ``restarts``: so many networks from starting points of their own, the one with the lowest validation loss
      (without validation rows: training loss) is kept; with ``ensemble`` all predict together. The last, smaller
      minibatch of an epoch is left out where there are ten others or more;
    - ``clip_norm``: the longest gradient; ``dtype``: "auto", "float32" or "float64"; ``threads``: for restarts.

    Attributes are scikit-learn's: ``classes_``, ``coefs_`` (list of [inputs, outputs]), ``intercepts_``,
    ``loss_``, ``loss_curve_``, ``best_loss_``, ``validation_scores_``, ``best_validation_score_``, ``n_iter_``,
    ``t_``, ``n_layers_``, ``n_outputs_``, ``out_activation_``, ``n_features_in_``, ``feature_names_in_``; also
    ``network_`` (a module) and, with restarts, ``history_``. With ``batch_norm`` an intercept is what is added
    after the normalisation.

    Raises DataError and SettingError, both ValueErrors, and what scikit-learn's validation raises.

    >>> from sklearn.datasets import load_iris
    >>> from chainrule.estimators import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(16, learning_rate="cosine", learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints.MLP | constraints.CLASSIFIER

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
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
        loss: Any = "log_loss",
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        scoring: Any = None,
        restarts: Any = 1,
        ensemble: bool = False,
        dropout: float = 0.0,
        batch_norm: bool = False,
        clip_norm: float | None = None,
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.scoring = scoring
        self.restarts = restarts
        self.ensemble = ensemble
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.clip_norm = clip_norm
        self.dtype = dtype
        self.threads = threads

    @constraints.checked
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPClassifier:
        """Train on X [rows, features] and classes y [rows], or 0 and 1 for each label y [rows, labels].

        ``X_val``, ``y_val``: rows that do not train but are scored after every epoch; early stopping then
        uses them instead of ``validation_fraction`` of the rows.
        """
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    @stochastic_only
    @constraints.checked
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch more, on these rows; the first call must be told all ``classes`` to come."""
        self._first_classes(y, classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self


class MLPRegressor(RegressionTask, _MLP):
    """A multilayer perceptron that predicts numbers: ``sklearn.neural_network.MLPRegressor`` and more.

    Settings, attributes and dtypes are as :class:`MLPClassifier` describes them, ``class_weight`` and
    ``label_smoothing`` apart. ``loss`` is "squared_error", "poisson", "huber", "absolute_error", "quantile" (of
    ``quantile``), or a function of (prediction, target, reduction) such as
    ``functools.partial(nn.huber, delta=2.0)``. As in scikit-learn, "squared_error" is half the squared error,
    and "poisson" predicts through an exponential.

    >>> import numpy as np
    >>> from chainrule.estimators import MLPRegressor
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> settings = dict(activation="tanh", learning_rate="cosine", learning_rate_init=0.01, batch_size=20)
    >>> model = MLPRegressor(hidden_layer_sizes=16, random_state=0, **settings).fit(X, X[:, 0] ** 2)
    >>> model.score(X, X[:, 0] ** 2) > 0.98
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints.MLP | constraints.REGRESSOR

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
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
        scoring: Any = None,
        restarts: Any = 1,
        ensemble: bool = False,
        dropout: float = 0.0,
        batch_norm: bool = False,
        clip_norm: float | None = None,
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.quantile = quantile
        self.scoring = scoring
        self.restarts = restarts
        self.ensemble = ensemble
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.clip_norm = clip_norm
        self.dtype = dtype
        self.threads = threads

    @constraints.checked
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPRegressor:
        """Train on X [rows, features] and targets y [rows] or [rows, outputs].

        ``X_val``, ``y_val``: rows that do not train but are scored after every epoch; early stopping then
        uses them instead of ``validation_fraction`` of the rows.
        """
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    @stochastic_only
    @constraints.checked
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch more, on these rows."""
        self._fit(X, y, sample_weight, incremental=True)
        return self

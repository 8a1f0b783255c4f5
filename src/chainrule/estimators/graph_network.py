"""Networks on any directed acyclic graph, as estimators."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from chainrule import nn
from chainrule.errors import DataError, SettingError
from chainrule.estimators import constraints
from chainrule.estimators.base import NetworkEstimator, stochastic_only
from chainrule.estimators.network import Network, first_buffers
from chainrule.estimators.tasks import ClassificationTask, RegressionTask
from chainrule.ops.record import Array

HIDDEN = 100  # neurons between inputs and outputs where no edges are given


@dataclass(frozen=True)
class GraphRecipe:
    """A network on a graph, in hashable parts."""

    edges: tuple[tuple[Any, Any], ...]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    activation: str | tuple[tuple[Any, str], ...]
    bias: bool | str
    dtype: str

    def build(self, alpha: float = 0.0) -> Network:
        """A network with any first values."""
        activation = self.activation if isinstance(self.activation, str) else dict(self.activation)
        body = nn.GraphNetwork(
            self.edges,
            self.inputs,
            self.outputs,
            activation,
            self.bias,
            np.dtype(self.dtype),
            output_activation="identity",
            seed=0,
        )
        return Network(body, alpha)

    def draw(self, rng: np.random.RandomState) -> dict[str, Array]:
        """As the network draws them itself."""
        return dict(first_buffers(self, {}, rng))


class _Graph(NetworkEstimator):
    """The part that both tasks share."""

    # what a multilayer perceptron may be set to, and this is not
    dropout, batch_norm = 0.0, False

    def _recipe(self, features: int, outputs: int, dtype: str) -> GraphRecipe:
        edges, inputs, outs = self._graph(features, outputs)
        for what, nodes, count in (("inputs", inputs, features), ("outputs", outs, outputs)):
            if len(nodes) != count:
                raise DataError(
                    f"the graph has another number of {what} than the data needs",
                    expected=f"{count} {what}",
                    got=f"{len(nodes)}: {', '.join(map(str, nodes[:5]))}",
                    hint="one input for each column; one output for each target or class (two classes: one)",
                )
        given = self.activation
        activation = given if isinstance(given, str) else tuple(given.items())
        return GraphRecipe(edges, inputs, outs, activation, self.bias, dtype)

    def _graph(
        self, features: int, outputs: int
    ) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...], tuple[Any, ...]]:
        """Edges, inputs and outputs: the user's, or one layer of hidden neurons."""
        if self.edges is None:
            widths = zip("xhy", (features, HIDDEN, outputs), strict=True)
            names = [[f"{kind}{i}" for i in range(width)] for kind, width in widths]
            between = [(a, b) for left, right in pairwise(names) for a in left for b in right]
            return tuple(between), tuple(names[0]), tuple(names[-1])
        if self.inputs is None or self.outputs is None:
            raise SettingError(
                "edges need to be told which neurons are inputs and outputs",
                expected="inputs=[...] in the order of the columns, outputs=[...] in that of the targets",
            )
        network = nn.GraphNetwork(self.edges, self.inputs, self.outputs, seed=0)
        pairs = tuple((a, b) for a, b in network.edges)
        return pairs, tuple(self.inputs), tuple(self.outputs)

    @property
    def weight_(self) -> Array:
        """The weights [edges], in the order of ``network_.edges``."""
        return self.parameters_["body.weight"]

    @property
    def bias_(self) -> Array | None:
        """The biases [neurons], in the order of ``network_.neurons``; None without."""
        return self.parameters_.get("body.bias")


class GraphNetworkClassifier(ClassificationTask, _Graph):
    """A network on a directed acyclic graph that predicts classes (``nn.GraphNetwork``).

    ``edges`` are (from, to) pairs, a networkx.DiGraph or a scipy.sparse adjacency matrix; ``inputs`` names a
    neuron for each column of X, ``outputs`` one for each class (for two classes: one, for the second).
    ``activation`` is a name or a mapping {neuron: name}; outputs are linear, followed by softmax or the
    logistic function. First weights are always drawn, also where edges carry some. Without ``edges``: 100 hidden
    neurons, each joined to all inputs and outputs. All other settings are :class:`MLPClassifier`'s.

    Attributes: ``weight_`` [edges], ``bias_`` [neurons], in the order of ``network_.edges`` and
    ``network_.neurons``; ``parameters_``, ``classes_``, ``loss_curve_`` and the rest as of MLPClassifier.

    >>> from chainrule.estimators import GraphNetworkClassifier
    >>> edges = [("a", "h"), ("b", "h"), ("h", "o"), ("a", "o"), ("b", "o")]  # XOR with one hidden neuron
    >>> model = GraphNetworkClassifier(
    ...     edges, ["a", "b"], ["o"], activation="tanh", solver="lbfgs", alpha=1e-6, random_state=1, max_iter=500
    ... )
    >>> model.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]).predict([[0, 1], [1, 1]])
    array([1, 0])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints.GRAPH | constraints.CLASSIFIER

    def __init__(
        self,
        edges: Any = None,
        inputs: Any = None,
        outputs: Any = None,
        activation: Any = "relu",
        bias: Any = True,
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
        clip_norm: float | None = None,
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.edges = edges
        self.inputs = inputs
        self.outputs = outputs
        self.activation = activation
        self.bias = bias
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
    ) -> GraphNetworkClassifier:
        """Train on X [rows, inputs] and classes y [rows]; ``X_val``, ``y_val`` as of MLPClassifier."""
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    @stochastic_only
    @constraints.checked
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> GraphNetworkClassifier:
        """Train for one epoch more, on these rows; the first call must be told all ``classes`` to come."""
        self._first_classes(y, classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self


class GraphNetworkRegressor(RegressionTask, _Graph):
    """A network on a directed acyclic graph that predicts numbers (``nn.GraphNetwork``).

    Graph and attributes as of :class:`GraphNetworkClassifier`, with an output for each target; losses as of
    :class:`MLPRegressor`.

    >>> import numpy as np
    >>> from chainrule.estimators import GraphNetworkRegressor
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> model = GraphNetworkRegressor([("x", "h"), ("h", "y"), ("x", "y")], ["x"], ["y"], solver="lbfgs")
    >>> model.set_params(activation="tanh", random_state=0).fit(X, X[:, 0] + np.tanh(3 * X[:, 0])).score(
    ...     X, X[:, 0] + np.tanh(3 * X[:, 0])
    ... ) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = constraints.GRAPH | constraints.REGRESSOR

    def __init__(
        self,
        edges: Any = None,
        inputs: Any = None,
        outputs: Any = None,
        activation: Any = "relu",
        bias: Any = True,
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
        loss: Any = "squared_error",
        quantile: float = 0.5,
        scoring: Any = None,
        restarts: Any = 1,
        ensemble: bool = False,
        clip_norm: float | None = None,
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.edges = edges
        self.inputs = inputs
        self.outputs = outputs
        self.activation = activation
        self.bias = bias
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
        self.quantile = quantile
        self.scoring = scoring
        self.restarts = restarts
        self.ensemble = ensemble
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
    ) -> GraphNetworkRegressor:
        """Train on X [rows, inputs] and targets y [rows] or [rows, outputs]; the rest as of MLPRegressor."""
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    @stochastic_only
    @constraints.checked
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> GraphNetworkRegressor:
        """Train for one epoch more, on these rows."""
        self._fit(X, y, sample_weight, incremental=True)
        return self

"""Networks on any directed acyclic graph, as estimators."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from chainrule import nn
from chainrule.data.describe import list_some
from chainrule.errors import DataError, SettingError
from chainrule.estimators import parameters
from chainrule.estimators.base import NetworkEstimator
from chainrule.estimators.network import Network, first_buffers
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
from chainrule.nn.graph_network.reading import Edges
from chainrule.ops.record import Array
from chainrule.training.halving import Halving

Pair: TypeAlias = tuple[Hashable, Hashable]
HIDDEN = 100  # neurons between inputs and outputs where no edges are given


@dataclass(frozen=True)
class GraphRecipe:
    """A network on a graph, in hashable parts."""

    edges: tuple[Pair, ...]
    inputs: tuple[Hashable, ...]
    outputs: tuple[Hashable, ...]
    activation: str | tuple[tuple[Hashable, str], ...]
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

    edges: Edges | None
    inputs: Sequence[Hashable] | None
    outputs: Sequence[Hashable] | None
    activation: str | Mapping[Hashable, str]
    bias: bool | Literal["constant"]
    # what a multilayer perceptron may be set to, and this is not
    dropout, batch_norm = 0.0, False

    def _recipe(self, features: int, outputs: int, dtype: str) -> GraphRecipe:
        edges, inputs, outs = self._graph(features, outputs)
        for what, nodes, count in (("inputs", inputs, features), ("outputs", outs, outputs)):
            if len(nodes) != count:
                raise DataError(
                    f"the number of {what} of the graph does not fit the data",
                    expected=f"{count} {what}",
                    got=f"{len(nodes)}: {list_some(nodes)}",
                    hint="one input for each column; one output for each target or class (two classes: one)",
                )
        given = self.activation
        activation = given if isinstance(given, str) else tuple(given.items())
        return GraphRecipe(edges, inputs, outs, activation, self.bias, dtype)

    def _graph(
        self, features: int, outputs: int
    ) -> tuple[tuple[Pair, ...], tuple[Hashable, ...], tuple[Hashable, ...]]:
        """Edges, inputs and outputs: the user's, or one layer of hidden neurons."""
        if self.edges is None:
            widths = zip("xhy", (features, HIDDEN, outputs), strict=True)
            names = [[f"{kind}{i}" for i in range(width)] for kind, width in widths]
            between = [(a, b) for left, right in pairwise(names) for a in left for b in right]
            return tuple(between), tuple(names[0]), tuple(names[-1])
        if self.inputs is None or self.outputs is None:
            raise SettingError(
                "with edges, inputs and outputs must name the neurons that are inputs and outputs",
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


@documented(parameters.GRAPH | parameters.CLASSIFIER)
class GraphNetworkClassifier(TrainableClassifier, _Graph):
    """A network on a directed acyclic graph that predicts classes (``nn.GraphNetwork``).

    The outputs of the graph are followed by softmax, or for two classes by the logistic function. The first weights
    are always drawn, also where the edges carry some.

    Attributes: ``weight_`` [edges], ``bias_`` [neurons], in the order of ``network_.edges`` and
    ``network_.neurons``; ``parameters_`` (all arrays by name); the others, and the errors, are those of
    :class:`MLPClassifier`.

    >>> from chainrule.estimators import GraphNetworkClassifier
    >>> edges = [("a", "h"), ("b", "h"), ("h", "o"), ("a", "o"), ("b", "o")]  # XOR with one hidden neuron
    >>> model = GraphNetworkClassifier(
    ...     edges, ["a", "b"], ["o"], activation="tanh", solver="lbfgs", alpha=1e-6, random_state=1, max_iter=500
    ... )
    >>> model.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]).predict([[0, 1], [1, 1]])
    array([1, 0])
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = constraints(
        parameters.GRAPH | parameters.CLASSIFIER
    )

    def __init__(
        self,
        edges: Edges | None = None,
        inputs: Sequence[Hashable] | None = None,
        outputs: Sequence[Hashable] | None = None,
        activation: str | Mapping[Hashable, str] = "relu",
        bias: bool | Literal["constant"] = True,
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
        clip_norm: float | None = None,
        dtype: Literal["auto", "float32", "float64"] = "auto",
        threads: int | None = None,
    ) -> None:
        self._set_parameters(locals())


@documented(parameters.GRAPH | parameters.REGRESSOR)
class GraphNetworkRegressor(TrainableRegressor, _Graph):
    """A network on a directed acyclic graph that predicts numbers (``nn.GraphNetwork``).

    Attributes and errors are those of :class:`GraphNetworkClassifier`, without ``classes_``.

    >>> import numpy as np
    >>> from chainrule.estimators import GraphNetworkRegressor
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> model = GraphNetworkRegressor([("x", "h"), ("h", "y"), ("x", "y")], ["x"], ["y"], solver="lbfgs")
    >>> model.set_params(activation="tanh", random_state=0).fit(X, X[:, 0] + np.tanh(3 * X[:, 0])).score(
    ...     X, X[:, 0] + np.tanh(3 * X[:, 0])
    ... ) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = constraints(
        parameters.GRAPH | parameters.REGRESSOR
    )

    def __init__(
        self,
        edges: Edges | None = None,
        inputs: Sequence[Hashable] | None = None,
        outputs: Sequence[Hashable] | None = None,
        activation: str | Mapping[Hashable, str] = "relu",
        bias: bool | Literal["constant"] = True,
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
        loss: LossSetting = "squared_error",
        quantile: float = 0.5,
        scoring: Scoring = None,
        restarts: int | Halving = 1,
        ensemble: bool = False,
        clip_norm: float | None = None,
        dtype: Literal["auto", "float32", "float64"] = "auto",
        threads: int | None = None,
    ) -> None:
        self._set_parameters(locals())

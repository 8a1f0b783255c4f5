"""The lectures' linear models as estimators: ridge regression, multinomial logistic regression, the perceptron."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from chainrule.classic.perceptron import perceptron
from chainrule.errors import DataError
from chainrule.estimators import parameters
from chainrule.estimators.checked import checked
from chainrule.estimators.inputs import (
    LARGEST_WEIGHT,
    Table,
    dense,
    features_and_targets,
    features_of,
    row_weights,
)
from chainrule.estimators.network import MLPRecipe, Recipe
from chainrule.estimators.parameters import ClassWeight, Constraint, Seed
from chainrule.estimators.tasks import ClassificationTask
from chainrule.estimators.versioned import Versioned
from chainrule.ops.record import Array


class Ridge(RegressorMixin, Versioned):  # type: ignore[misc]
    """Least squares with a penalty, solved exactly: sum of (y - w x - b)^2 plus alpha times the sum of w^2.

    The intercept is not penalised. ``alpha`` 0 is ordinary least squares; where columns depend on each other it
    takes the smallest weights. Computes in float64. X [rows, features], y [rows] or [rows, outputs].
    Attributes: ``coef_`` [features] or [outputs, features], ``intercept_``.

    >>> from chainrule.estimators import Ridge
    >>> model = Ridge(alpha=0.0).fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(6), round(float(model.intercept_), 6)
    (array([2.]), 1.0)

    Lectures: A17.
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
    }

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    @checked
    def fit(self, X: Table, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Ridge:
        """Solve for the weights; ``sample_weight`` [rows] weighs the rows' squared errors."""
        given, targets = features_and_targets(self, X, y, reset=True, multi_output=True, y_numeric=True)
        weight = row_weights(sample_weight, given)
        x = dense(given).astype(np.float64)
        columns = targets.astype(np.float64).reshape(len(targets), -1)
        alpha = self.alpha
        if weight is None:
            weight = np.ones(len(x))
        elif not 1 / LARGEST_WEIGHT <= weight.max() <= LARGEST_WEIGHT:  # the same minimum, within float64
            alpha = min(alpha / weight.max(), np.finfo(np.float64).max)
            weight = weight / weight.max()
        x_mean, y_mean = np.zeros(x.shape[1]), np.zeros(columns.shape[1])
        if self.fit_intercept:
            x_mean, y_mean = np.average(x, 0, weight), np.average(columns, 0, weight)
        # the penalty as rows of their own: no squared condition number
        root = np.sqrt(weight)[:, None]
        rows = np.vstack([root * (x - x_mean), np.sqrt(alpha) * np.eye(x.shape[1])])
        wanted = np.vstack([root * (columns - y_mean), np.zeros((x.shape[1], columns.shape[1]))])
        coef = np.linalg.lstsq(rows, wanted, rcond=None)[0].T
        intercept = y_mean - coef @ x_mean
        self.coef_, self.intercept_ = (coef, intercept) if targets.ndim == 2 else (coef[0], intercept[0])
        return self

    def predict(self, X: Table) -> Array:
        """Predicted targets, float64."""
        check_is_fitted(self)
        return np.asarray(features_of(self, X, reset=False) @ self.coef_.T + self.intercept_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags


class MultinomialLogisticRegression(ClassificationTask):
    """Softmax regression: a network without a hidden layer, trained with L-BFGS from 0.

    Minimises the mean log loss plus alpha/2 times the sum of squared weights over the number of rows; with two
    classes there is one score, for the second. float64 for float64 X. X [rows, features], y [rows] (or 0 and 1
    for each label). Attributes: ``classes_``, ``coef_`` [classes, features] ([1, features] for two classes),
    ``intercept_``, ``loss_``, ``n_iter_``, ``network_``.

    >>> from sklearn.datasets import load_iris
    >>> from chainrule.estimators import MultinomialLogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> MultinomialLogisticRegression().fit(X, y).score(X, y) > 0.95
    True

    Lectures: C16 to C19.
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = {
        name: (parameters.MLP | parameters.CLASSIFIER)[name].constraint
        for name in (
            "alpha",
            "max_iter",
            "tol",
            "max_fun",
            "verbose",
            "class_weight",
            "label_smoothing",
            "dtype",
        )
    }
    _search_ftol: ClassVar[float] = 64 * float(np.finfo(np.float64).eps)
    # what a network estimator may be set to, and this one is not
    solver, loss, restarts, ensemble, warm_start, early_stopping = "lbfgs", "log_loss", 1, False, False, False
    dropout, batch_norm, clip_norm, scoring, random_state = 0.0, False, None, None, None

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        max_iter: int = 1000,
        tol: float = 1e-5,
        max_fun: int = 15000,
        verbose: bool | int = False,
        class_weight: ClassWeight = None,
        label_smoothing: float = 0.0,
        dtype: Literal["auto", "float32", "float64"] = "auto",
    ) -> None:
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.max_fun = max_fun
        self.verbose = verbose
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.dtype = dtype

    def _is_trained(self) -> bool:
        return hasattr(self, "coef_")

    def _recipe(self, features: int, outputs: int, dtype: str) -> MLPRecipe:
        return MLPRecipe((features, outputs), (), 0.0, False, dtype)

    def _first_values(self, recipe: Recipe, rng: np.random.RandomState) -> dict[str, Array]:
        """0, for the loss is convex."""
        outputs, features = self.n_outputs_, self.n_features_in_
        dtype = np.dtype(recipe.dtype)
        return {
            "body.0.weight": np.zeros((outputs, features), dtype),
            "body.0.bias": np.zeros(outputs, dtype),
        }

    def _publish(self, values: Mapping[str, Array]) -> None:
        self.coef_, self.intercept_ = values["body.0.weight"], values["body.0.bias"]

    def _values(self) -> dict[str, Array]:
        return {"body.0.weight": self.coef_, "body.0.bias": self.intercept_}

    @checked
    def fit(
        self, X: Table, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MultinomialLogisticRegression:
        """Search for the minimum."""
        self._fit(X, y, sample_weight)
        return self

    def decision_function(self, X: Table) -> Array:
        """Scores before softmax or logistic function: [rows, classes], or [rows] for two classes."""
        check_is_fitted(self)
        scores = features_of(self, X, reset=False) @ self.coef_.T + self.intercept_
        return np.asarray(scores.ravel() if scores.shape[1] == 1 else scores)


class Perceptron(ClassifierMixin, Versioned):  # type: ignore[misc]
    """Rosenblatt's rule: at each mistake, add the row to the weights. ``cr.classic.perceptron``.

    With several classes one neuron is trained for each of them against the rest, and the largest score wins.
    ``order`` is "cyclic", or "random": rows in an order drawn from ``random_state``. Ends after an epoch without
    a mistake, or with a ConvergenceWarning after ``max_iter`` epochs, as where classes cannot be separated by a
    hyperplane. Rows have no weights. X [rows, features], y [rows]. Attributes: ``classes_``, ``coef_`` [neurons,
    features], ``intercept_``, ``n_iter_`` (epochs of the slowest neuron), ``mistakes_`` (of each neuron, per epoch).

    >>> from chainrule.estimators import Perceptron
    >>> Perceptron().fit([[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "no", "no", "yes"]).predict([[1, 1]])
    array(['yes'], dtype='<U3')

    Lectures: B8.
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = {
        "order": [StrOptions({"cyclic", "random"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        order: str = "cyclic",
        learning_rate: float = 1.0,
        max_iter: int = 100,
        random_state: Seed = None,
    ) -> None:
        self.order = order
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.random_state = random_state

    @checked
    def fit(self, X: Table, y: ArrayLike) -> Perceptron:
        """Train one neuron, or one for each class where there are more than two."""
        given, labels = features_and_targets(self, X, y, reset=True)
        x = dense(given)
        check_classification_targets(labels)
        self.classes_, index = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                "the perceptron separates classes: y contains only one class", expected="at least 2", got=1
            )
        positive = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        seed = int(check_random_state(self.random_state).randint(0, 2**31 - 1))
        found = [
            perceptron(
                x,
                np.where(index == c, 1.0, -1.0),
                self.order,
                lr=self.learning_rate,
                epochs=self.max_iter,
                seed=seed,
            )
            for c in positive
        ]
        self.coef_ = np.stack([one.weights for one in found])
        self.intercept_ = np.array([one.bias for one in found])
        self.mistakes_ = [one.mistakes for one in found]
        self.n_iter_ = max(map(len, self.mistakes_))
        if not all(one.converged for one in found):
            warnings.warn(
                f"Perceptron: still mistakes after {self.max_iter} epochs; the classes may not be separable.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def decision_function(self, X: Table) -> Array:
        """w x + b: [rows, classes], or [rows] for two classes, positive for the second."""
        check_is_fitted(self)
        scores = features_of(self, X, reset=False) @ self.coef_.T + self.intercept_
        return np.asarray(scores.ravel() if len(self.classes_) == 2 else scores)

    def predict(self, X: Table) -> Array:
        """The class [rows] with the largest score."""
        scores = self.decision_function(X)
        return np.asarray(self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

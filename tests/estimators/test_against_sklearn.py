"""The same settings and the same random_state give scikit-learn's numbers, up to the rounding of float32."""

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge

from chainrule import estimators

SETTINGS = [
    {},
    {"solver": "sgd"},
    {"solver": "sgd", "momentum": 0},
    {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.02},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2, "max_iter": 200, "learning_rate_init": 0.1},
    {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "power_t": 0.3},
    {"batch_size": 32, "shuffle": False, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-4},
    {"batch_size": 32, "alpha": 1.0},
    {"activation": "logistic", "hidden_layer_sizes": (8, 5)},
    {"activation": "tanh", "batch_size": 64, "hidden_layer_sizes": [7, 7]},
    {"activation": "identity"},
    {"early_stopping": True, "n_iter_no_change": 3, "tol": 1e-3},
    {"early_stopping": True, "validation_fraction": 0.3, "batch_size": 16, "max_iter": 10},
]


def fitted(name, settings, X, y, **given):
    both = []
    for room in (neural_network, estimators):
        model = getattr(room, name)(
            **({"max_iter": 30, "hidden_layer_sizes": 12, "random_state": 3} | settings)
        )
        both.append(model.fit(X, y, **given))
    return both


def assert_same(theirs, ours, X, tolerance=2e-4):
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=tolerance)
    for name in ("coefs_", "intercepts_"):
        for mine, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(mine, other, atol=5 * tolerance)
    for name in ("validation_scores_", "best_validation_score_", "best_loss_"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine is None) == (other is None)
        if other is not None:
            np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "_no_improvement_count"):
        assert getattr(ours, name) == getattr(theirs, name)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-2, atol=5 * tolerance)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_classifier(settings, iris):
    theirs, ours = fitted("MLPClassifier", settings, *iris)
    assert_same(theirs, ours, iris[0])
    np.testing.assert_allclose(ours.predict_proba(iris[0]), theirs.predict_proba(iris[0]), atol=1e-3)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)


@pytest.mark.parametrize("settings", SETTINGS[::3], ids=str)
def test_regressor(settings, diabetes):
    assert_same(*fitted("MLPRegressor", settings, *diabetes), diabetes[0])


def test_several_outputs_are_reported_as_a_mean_and_trained_as_a_sum(diabetes):
    X, y = diabetes
    assert_same(*fitted("MLPRegressor", {}, X, np.column_stack([y, X[:, 0] - y, 2 * X[:, 1]])), X)


def test_two_classes_and_several_labels(iris):
    X, y = iris
    for target in ((y > 0).astype(int), np.column_stack([y > 0, y > 1]).astype(int)):
        theirs, ours = fitted("MLPClassifier", {}, X, target)
        assert_same(theirs, ours, X)
        np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), atol=1e-3)


def test_poisson(diabetes):
    X, y = diabetes
    assert_same(*fitted("MLPRegressor", {"loss": "poisson", "batch_size": 50}, X, np.floor(np.exp(y))), X)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("settings", [{}, {"batch_size": 20}, {"early_stopping": True}], ids=str)
def test_sample_weight(name, settings, iris):
    X, y = iris
    weight = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    assert_same(*fitted(name, settings, X, y, sample_weight=weight), X)


def test_lbfgs_reaches_the_same_minimum(diabetes):
    # a network without curvature to lose one's way in
    settings = {"solver": "lbfgs", "activation": "identity", "alpha": 1.0, "max_iter": 2000, "tol": 1e-7}
    theirs, ours = fitted("MLPRegressor", settings, *diabetes)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-4)
    np.testing.assert_allclose(ours.predict(diabetes[0]), theirs.predict(diabetes[0]), atol=2e-2)
    assert ours.coefs_[0].dtype == np.float64
    single = estimators.MLPRegressor(**settings, dtype="float32").fit(*diabetes)
    assert single.coefs_[0].dtype == np.float32


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_and_warm_start(solver, iris):
    X, y = iris
    pairs = []
    for room in (neural_network, estimators):
        stream = room.MLPClassifier(
            12, solver=solver, random_state=0, batch_size=32, learning_rate="adaptive"
        )
        for start in (0, 50, 25, 100, 50, 0):
            part = slice(start, start + 50)
            stream.partial_fit(X[part], y[part], classes=[0, 1, 2])
        warm = room.MLPClassifier(12, solver=solver, random_state=0, warm_start=True, max_iter=5)
        warm.fit(X, y).fit(X, y)
        pairs.append((stream, warm))
    for theirs, ours in zip(*pairs, strict=True):
        assert_same(theirs, ours, X)


def test_multinomial_logistic_regression_is_scikit_learns(iris):
    X, y = iris
    for target in (y, y > 0):
        theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(X, target)
        ours = estimators.MultinomialLogisticRegression(alpha=2.0, tol=1e-8).fit(X, target)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
        np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-5)
    weight = np.where(y == 1, 3.0, 1.0)
    theirs = LogisticRegression(tol=1e-8, max_iter=1000).fit(X, y, weight)
    ours = estimators.MultinomialLogisticRegression(tol=1e-8, class_weight={1: 3.0}).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)


@pytest.mark.parametrize("intercept", [True, False])
def test_ridge_is_scikit_learns(intercept, diabetes):
    X, y = diabetes
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    for target in (y, np.column_stack([y, X[:, 0]])):
        theirs = SklearnRidge(3.0, fit_intercept=intercept).fit(X, target, weight)
        ours = estimators.Ridge(3.0, fit_intercept=intercept).fit(X, target, weight)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-10)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-10)


def test_ridge_without_penalty_takes_the_smallest_weights():
    X = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    np.testing.assert_allclose(estimators.Ridge(0.0).fit(X, [2.0, 4.0, 6.0]).coef_, [1.0, 1.0])

"""Probabilities: in float64 from the scores, whatever the network's dtype, as scikit-learn computes them."""

import copy

import numpy as np
import pytest
import sklearn.neural_network as theirs
from scipy.special import log_expit, log_softmax
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from chainrule import nn
from chainrule.errors import SettingError
from chainrule.estimators import MLPClassifier, MLPRegressor, MultinomialLogisticRegression

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(0)) / X.std(0)
TASKS = {
    "binary": (Y > 0).astype(int),
    "binary text": np.where(Y > 0, "yes", "no"),
    "classes": Y,
    "labels": np.column_stack([Y > 0, Y > 1]).astype(int),
}


def fitted(task, scale=1.0, **settings):
    """A classifier whose scores are stretched: sure of everything, right or wrong."""
    settings = {
        "hidden_layer_sizes": 8,
        "max_iter": 30,
        "random_state": 0,
        "learning_rate": "cosine",
    } | settings
    model = MLPClassifier(**settings).fit(X, TASKS[task])
    if scale != 1.0:
        model.coefs_[-1] *= scale
        model.intercepts_[-1] *= scale
    return model


def scores(model):
    """Those of the network, in its dtype."""
    return np.asarray(model.network_(X).numpy(), np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 30.0, 3000.0])
@pytest.mark.parametrize("task", TASKS)
def test_they_are_those_of_the_scores(task, scale, dtype):
    model = fitted(task, scale, dtype=dtype)
    z, found, logs = scores(model), model.predict_proba(X), model.predict_log_proba(X)
    both = z if task == "labels" else np.hstack([-z, z])
    expected = log_softmax(z, 1) if task == "classes" else log_expit(both)
    assert found.dtype == logs.dtype == np.float64
    if task == "labels":
        expected = np.where(expected > np.log(0.5), np.log(np.exp(np.maximum(expected, -1.0))), expected)
    np.testing.assert_allclose(logs, expected, rtol=1e-12)
    np.testing.assert_allclose(found, np.exp(expected), rtol=1e-12)
    assert np.isfinite(logs).all()
    if task != "labels":
        np.testing.assert_allclose(found.sum(1), 1.0, rtol=4e-16)
        np.testing.assert_array_equal(model.predict(X), model.classes_[found.argmax(1)])
    else:
        np.testing.assert_array_equal(model.predict(X), found > 0.5)


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("task", TASKS)
def test_scikit_learn_says_the_same_of_the_same_network(task, scale):
    ours = fitted(task, scale)
    other = theirs.MLPClassifier(8, max_iter=1, random_state=0).fit(X, TASKS[task])
    other.coefs_ = [np.asarray(c, np.float64) for c in ours.coefs_]
    other.intercepts_ = [np.asarray(b, np.float64) for b in ours.intercepts_]
    np.testing.assert_allclose(
        ours.predict_proba(X), other.predict_proba(X), rtol=scale * 3e-5, atol=1e-7 * scale
    )
    if task != "labels":
        mine, others = (log_loss(TASKS[task], m.predict_proba(X)) for m in (ours, other))
        assert mine == pytest.approx(others, rel=1e-3)
        assert np.isfinite(ours.predict_log_proba(X)).all()


def test_no_probability_is_lost_that_float32_rounds_away():
    """1 - p in float32 is 0 from a score of 17 on."""
    model = fitted("binary", 1.0)
    z = scores(model).ravel()
    model.coefs_[-1] *= 60 / np.abs(z).max()
    model.intercepts_[-1] *= 60 / np.abs(z).max()
    assert model.predict_proba(X).min() > 1e-27 and (model.predict_proba(X) > 0).all()


def test_an_ensemble_gives_the_mean():
    model = MLPClassifier(4, max_iter=3, restarts=3, ensemble=True, random_state=0).fit(X, Y)
    parts = []
    for member in model._members:
        single = copy.copy(model)
        single._members = [member]
        parts.append(single.predict_proba(X))
    np.testing.assert_allclose(model.predict_proba(X), np.mean(parts, 0), rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-12)


def test_the_exponential_of_counts_does_not_overflow_early():
    y = np.round(np.exp(X[:, 0]))
    model = MLPRegressor("poisson", 4, max_iter=3, random_state=0).fit(X, y)
    model.intercepts_[-1][:] = 100  # exp(100) is beyond float32
    assert np.isfinite(model.predict(X)).all() and model.predict(X).dtype == np.float64


def test_tables_give_probabilities_in_float64():
    import polars as pl

    from chainrule import tables

    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": [f"k{k}" for k in Y]})
    model = tables.train_table(frame, "kind", tables.TrainingSettings(epochs=3)).model
    found = model.predict(frame)
    assert found.probabilities.dtype == np.float64
    np.testing.assert_allclose(found.probabilities.sum(1), 1.0, rtol=4e-16)
    assert found.values.to_list() == [model.classes[i] for i in found.probabilities.argmax(1)]


@pytest.mark.parametrize("kind", [MLPClassifier, MultinomialLogisticRegression])
@pytest.mark.parametrize(
    "weights",
    [
        {0: 2.0},
        {0: 2.0, 1: 1.0, 2: 0.5},
        {0: 2.0, 1: 1.0, 2: 0.5, 7: 3.0},  # a class that no row has
        {0: 2.0, 7: 3.0},  # and some are left out
        {7: 3.0},
    ],
)
def test_class_weights_are_taken_where_scikit_learn_takes_them(kind, weights):
    try:
        expected = compute_class_weight(weights, classes=np.arange(3), y=Y)
    except ValueError:
        with pytest.raises(SettingError, match="class_weight"):
            kind(class_weight=weights).fit(X, Y)
        return
    settings = {"max_iter": 5} if kind is MLPClassifier else {}
    settings |= {"random_state": 0} if kind is MLPClassifier else {}
    found = kind(class_weight=weights, **settings).fit(X, Y).predict_proba(X)
    by_row = kind(**settings).fit(X, Y, sample_weight=expected[Y]).predict_proba(X)
    np.testing.assert_allclose(found, by_row, rtol=1e-5)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("reduction", ["sum", "mean", "batchmean"])
def test_a_reduction_of_ones_own_is_refused_by_name(reduction, class_weight):
    from functools import partial

    loss = partial(nn.cross_entropy, reduction=reduction)
    with pytest.raises(SettingError, match=rf"reduction='{reduction}'"):
        MLPClassifier(loss=loss, class_weight=class_weight).fit(X, Y)


def test_the_loss_of_many_weighted_validation_rows_is_their_weighted_mean():
    """Weights differ from part to part of the rows."""
    rng = np.random.default_rng(0)
    rows, wide = 3000, rng.normal(size=(3000, 2))
    y, weight = wide[:, 0], np.linspace(1e-3, 1, 3000) ** 3
    for restarts in (1, 2):
        model = MLPRegressor(
            hidden_layer_sizes=3,
            max_iter=2,
            random_state=0,
            early_stopping=True,
            scoring="loss",
            restarts=restarts,
        )
        model.fit(wide[:100], y[:100], X_val=wide, y_val=y + np.arange(rows) / rows, sample_weight_val=weight)
        residual = model.predict(wide) - (y + np.arange(rows) / rows)
        expected = 0.5 * np.average(residual**2, weights=weight)
        assert -model.best_validation_score_ == pytest.approx(expected, rel=1e-5)

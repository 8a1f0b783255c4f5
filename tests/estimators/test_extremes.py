"""Weights, classes and numbers far outside what a float32 network has room for: learnt from all the same, or said."""

import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import Ridge as SklearnRidge

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ChainruleError, DataError
from chainrule.estimators import (
    GraphNetworkClassifier,
    GraphNetworkRegressor,
    MLPClassifier,
    MLPRegressor,
    MultinomialLogisticRegression,
    Ridge,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = X @ [1.0, -2.0, 0.5]
LABELS = np.digitize(Y, [-1.0, 1.0])
SHARES = RNG.uniform(0.5, 2.0, len(X))
SETTINGS = {"random_state": 0, "max_iter": 30, "learning_rate_init": 0.01}

WAYS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.001},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
    "loss watched": {"early_stopping": True, "scoring": "loss"},
    "restarts": {"restarts": 2},
    "float64": {"dtype": "float64"},
}
SCALES = [5e-324, 1e-300, 1e-38, 1e38, 1e300, 1.7e308]


def predicted(model):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [MLPRegressor, MLPClassifier])
def test_weights_of_any_size_teach_what_their_ratios_do(kind, way, scale):
    y = Y if kind is MLPRegressor else LABELS
    settings = {"hidden_layer_sizes": (8,)} | SETTINGS | WAYS[way]
    shares = np.ones(len(X)) if scale == 5e-324 else SHARES / SHARES.max()
    found = kind(**settings).fit(X, y, scale * shares)
    wanted = kind(**settings).fit(X, y, shares / shares.mean())
    np.testing.assert_allclose(predicted(found), predicted(wanted), rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_that_weights_were_divided_is_said_and_others_are_left_as_they_are():
    model = MLPRegressor(hidden_layer_sizes=(4,), **SETTINGS)
    with pytest.warns(cr.DataWarning, match="sample_weight: weights up to 1e-300 are divided by their mean"):
        model.fit(X, Y, np.full(len(X), 1e-300))
    with warnings.catch_warnings():
        warnings.simplefilter("error", cr.DataWarning)
        model.fit(X, Y, np.full(len(X), 1e6))
        model.partial_fit(X, Y, np.full(len(X), 1e-6))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [GraphNetworkRegressor, MultinomialLogisticRegression])
def test_the_other_networks_too(kind):
    y = Y if kind is GraphNetworkRegressor else LABELS
    for scale in (1e-300, 1e300):
        found, wanted = (
            kind().set_params(max_iter=5).fit(X, y, weight) for weight in (scale * SHARES, SHARES)
        )
        assert all(np.isfinite(predicted(model)).all() for model in (found, wanted))


@pytest.mark.filterwarnings("ignore")
def test_partial_fit_and_class_weights():
    for scale in SCALES[1:-1]:  # sums of the last are outside of float64 for scikit-learn's check
        model = MLPClassifier((4,), **SETTINGS)
        model.partial_fit(X, LABELS, classes=[0, 1, 2], sample_weight=scale * np.ones(len(X)))
        assert np.isfinite(model.loss_)
        found = MLPClassifier((4,), class_weight={0: scale, 1: scale / 2, 2: scale / 4}, **SETTINGS)
        wanted = MLPClassifier((4,), class_weight={0: 1.0, 1: 0.5, 2: 0.25}, **SETTINGS)
        a, b = found.fit(X, LABELS).predict_proba(X), wanted.fit(X, LABELS).predict_proba(X)
        np.testing.assert_allclose(a, b, atol=0.05)
        both = found.fit(X, LABELS, scale * SHARES).predict_proba(X)  # the product is outside of float64
        assert np.isfinite(both).all()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [MLPRegressor, MLPClassifier, GraphNetworkClassifier, Ridge])
def test_weights_that_are_none(kind, bad):
    y = LABELS if kind in (MLPClassifier, GraphNetworkClassifier) else Y
    weight = np.ones(len(X))
    weight[5] = bad
    with pytest.raises(DataError, match="weight"):
        kind().fit(X, y, weight)
    with pytest.raises(DataError, match=r"sum to 0|non-zero"):
        kind().fit(X, y, np.zeros(len(X)))
    if kind is MLPClassifier:
        with pytest.raises(ChainruleError, match="class_weight"):
            kind(class_weight={0: bad, 1: 1.0, 2: 1.0}).fit(X, y)
        with pytest.raises(ChainruleError, match="class_weight"):
            kind(class_weight={0: 0.0, 1: 0.0, 2: 0.0}).fit(X, y)


@pytest.mark.parametrize("scale", [1e-300, 1e-38, 1e38, 1e300])
def test_ridge_is_exact_with_weights_of_any_size(scale):
    found = Ridge(alpha=2.0 * scale).fit(X, Y, scale * SHARES)
    wanted = SklearnRidge(alpha=2.0, tol=1e-10).fit(X, Y, SHARES)
    np.testing.assert_allclose(found.coef_, wanted.coef_, rtol=1e-9)
    np.testing.assert_allclose(found.intercept_, wanted.intercept_, rtol=1e-9)
    assert np.isfinite(Ridge().fit(X, Y, np.full(len(X), 1e308)).coef_).all()


# Many classes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings",
    [{}, {"early_stopping": True}, {"class_weight": "balanced"}, {"restarts": 2}, {"loss": "focal"}],
)
def test_many_classes_take_no_column_for_each_row_and_class(settings):
    classes = 10_000
    x = np.linspace(-1, 1, 3 * classes)[:, None]
    y = np.arange(3 * classes) % classes
    few = slice(0, 3 * classes, 300)
    validation = {"X_val": x[few], "y_val": y[few]} if settings.get("early_stopping") else {}
    model = MLPClassifier((1,), max_iter=1, batch_size=100, random_state=0, **settings)
    tracemalloc.start()
    try:
        model.fit(x, y, **validation)
        fitted = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert model.predict(x[few]).shape == (100,)
        predicting = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fitted < 200e6  # one-hot rows of bool would be 300 MB
    assert predicting < 120e6


@pytest.mark.filterwarnings("ignore")
def test_partial_fit_with_many_classes():
    classes = 10_000
    model = MLPClassifier((1,), random_state=0)
    tracemalloc.start()
    try:
        model.partial_fit(np.zeros((classes, 1)), np.arange(classes), classes=np.arange(classes))
        assert tracemalloc.get_traced_memory()[1] < 80e6
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore")
def test_pieces_are_the_whole(monkeypatch):
    from chainrule.estimators import base

    models = [
        MLPClassifier((4,), **SETTINGS).fit(X, LABELS),
        MLPClassifier((4,), **SETTINGS).fit(X, LABELS == 1),
        MLPClassifier((4,), restarts=2, ensemble=True, **SETTINGS).fit(X, LABELS),
        MLPClassifier((4,), **SETTINGS).fit(X, np.stack([LABELS == 1, LABELS == 2], 1)),
        MLPClassifier((4,), **SETTINGS).fit(X, np.zeros(len(X))),
    ]
    whole = [(m.predict(X), m.predict_proba(X), m.predict_log_proba(X)) for m in models]
    monkeypatch.setattr(base, "OUTPUTS_AT_ONCE", 21)
    for model, wanted in zip(models, whole, strict=True):
        for one, other in zip(
            (model.predict(X), model.predict_proba(X), model.predict_log_proba(X)), wanted, strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6)
            assert one.dtype == other.dtype


# Large and small numbers


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_numbers_too_large_for_float32():
    model = MLPRegressor(hidden_layer_sizes=(4,), **SETTINGS).fit(X, Y)
    with pytest.raises(DataError, match=r"X: numbers too large for float32(.|\n)*1e\+300 at \[0, 0\]"):
        model.predict(np.full((2, 3), 1e300))
    assert np.isfinite(
        MLPRegressor(hidden_layer_sizes=(4,), dtype="float64", **SETTINGS).fit(X, Y).predict(1e30 * X)
    ).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("settings", [{}, {"restarts": 2}, {"solver": "lbfgs", "dtype": "float32"}])
def test_numbers_too_small_for_float32_are_said(settings):
    model = MLPRegressor(hidden_layer_sizes=(4,), **SETTINGS | settings)
    with pytest.warns(cr.DataWarning, match="X: column 0"):
        model.fit(1e-300 * X, Y)
    with pytest.warns(cr.DataWarning, match="y: column 0"):
        model.fit(X, 1e-300 * Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_so_they_are_row_by_row_and_of_sparse_rows():
    with pytest.warns(cr.DataWarning, match="X: column 0"):
        MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(1e-300 * X, Y)
    wide = sp.random(50, 100_000, 1e-4, format="csr", random_state=0) * 1e-300
    with pytest.warns(cr.DataWarning, match="X: column 0 goes from 0 to"):
        MLPRegressor(hidden_layer_sizes=(1,), max_iter=1).fit(wide, Y[:50])
    settings = {"loss": nn.squared_error, "optimizer": optim.SGD(0.1), "epochs": 1, "progress": False}
    with pytest.warns(cr.DataWarning, match=r"X\.data: column 0 goes from 0 to"):
        cr.fit(nn.Linear(100_000, 1), (wide, Y[:50, None]), **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error", cr.DataWarning)
        cr.fit(nn.Linear(100_000, 1), (wide * 1e300, Y[:50, None]), **settings)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings", [{}, {"restarts": 2}, {"solver": "lbfgs", "dtype": "float32"}, {"early_stopping": True}]
)
@pytest.mark.parametrize("which", ["X", "y"])
def test_training_on_numbers_too_large_never_ends_in_silence(settings, which):
    x, y = (1e300 * X, Y) if which == "X" else (X, 1e300 * Y)
    with pytest.raises(DataError):
        MLPRegressor(hidden_layer_sizes=(4,), **SETTINGS | settings).fit(x, y)

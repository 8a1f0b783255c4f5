"""A fit that ends badly says so, by a warning or an error, in every way in which estimators train."""

import contextlib
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import DataError
from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.training import TrainingWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = X @ [1.0, 2.0, -1.0]

#: steps that are far too large: numbers overflow, or grow without end, or stay at a bad place
WAYS = {
    "sgd": {"solver": "sgd", "learning_rate_init": 10.0, "momentum": 0.0},
    "sgd, momentum": {"solver": "sgd", "learning_rate_init": 1.0},
    "adam": {"solver": "adam", "learning_rate_init": 1e4},
    "relu": {
        "solver": "sgd",
        "learning_rate_init": 1.0,
        "activation": "relu",
        "hidden_layer_sizes": (20, 20),
    },
    "huge targets": {"solver": "sgd", "learning_rate_init": 0.01, "scale": 1e18},
    "first epoch": {"solver": "sgd", "learning_rate_init": 1e30},
    "adaptive": {"solver": "sgd", "learning_rate_init": 10.0, "learning_rate": "adaptive"},
    "cosine": {"solver": "sgd", "learning_rate_init": 10.0, "learning_rate": "cosine"},
}
MODES = {
    "plain": {},
    "early_stopping": {"early_stopping": True},
    "score": {"early_stopping": True, "scoring": "loss"},
    "restarts": {"restarts": 2},
    "restarts, early_stopping": {"restarts": 2, "early_stopping": True},
    "ensemble": {"restarts": 2, "ensemble": True, "early_stopping": True},
}
BAD = (ConvergenceWarning, TrainingWarning)


def fit_of(way, mode):
    settings = {"activation": "identity", "hidden_layer_sizes": 8, "max_iter": 40, "random_state": 0}
    settings |= WAYS[way] | MODES[mode]
    scale = settings.pop("scale", 1.0)
    return MLPRegressor(**settings), scale * Y


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_a_regressor_that_diverges_warns_or_raises(way, mode):
    model, y = fit_of(way, mode)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            model.fit(X, y)
        except DataError:
            return
    texts = [str(w.message) for w in told if issubclass(w.category, BAD)]
    assert any("diverged" in text or "rose" in text for text in texts), texts
    # without early stopping the last parameters are kept, whatever they are
    assert not model.early_stopping or np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("way", ["sgd", "first epoch", "relu"])
def test_partial_fit_raises(way):
    model, y = fit_of(way, "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="non-finite parameter weights"):
            for _ in range(60):
                model.partial_fit(X, y)


def test_training_ends_where_it_diverges():
    model, y = fit_of("sgd", "early_stopping")
    noted = pytest.warns(ConvergenceWarning, match="Training diverged: .* in epoch")
    with noted as told, contextlib.suppress(DataError):
        model.set_params(max_iter=500).fit(X, y)
    assert len([w for w in told if "diverged" in str(w.message)]) == 1
    assert model.n_iter_ < 100


def test_a_score_that_is_never_a_number():
    def scorer(estimator, X, y):
        return float("nan")

    model = MLPRegressor(
        hidden_layer_sizes=4, early_stopping=True, scoring=scorer, max_iter=50, random_state=0
    )
    with pytest.raises(DataError, match="no epoch had a validation score"):
        model.fit(X, Y)
    assert model.n_iter_ < 50  # what is not a number is no improvement


@pytest.mark.parametrize("mode", MODES)
def test_a_good_fit_says_nothing(mode):
    settings = {"hidden_layer_sizes": 8, "max_iter": 60, "random_state": 0, "learning_rate": "cosine"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPRegressor(**settings | MODES[mode], learning_rate_init=0.01).fit(X, Y)
        MLPClassifier(**settings | MODES[mode], learning_rate_init=0.01).fit(X, Y > 0)


def test_lbfgs_without_a_finite_loss():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError):
            MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", random_state=0, dtype="float32").fit(
                X, 1e30 * Y
            )

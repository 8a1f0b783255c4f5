"""Epochs that nobody looks at run many at a time: the same bits as one by one, whatever happens among them."""

import threading

import numpy as np
import pytest
import scipy.sparse
from sklearn import config_context, get_config

from chainrule.estimators import MLPClassifier, MLPRegressor, stochastic
from chainrule.estimators.session import Session

QUICK = {"hidden_layer_sizes": 5, "learning_rate_init": 0.01, "batch_size": 32, "max_iter": 60}
SETTINGS = {
    "constant": {},
    "sgd": {"solver": "sgd"},
    "cosine": {"learning_rate": "cosine"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.03, "n_iter_no_change": 2},
    "adaptive to its end": {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
    "plateau": {"tol": 0.02, "n_iter_no_change": 3},
    "diverges": {"solver": "sgd", "learning_rate_init": 1e9, "early_stopping": False, "momentum": 0.0},
    "dropout": {"dropout": 0.3, "batch_norm": True},
    "one minibatch": {"batch_size": 150},
    "no remainder": {"batch_size": 50},
    "in order": {"shuffle": False},
}


def fitted(settings, X, y, monkeypatch, seconds):
    """The estimator, what it printed and the state of its generator; and how many epochs ran at once at most."""
    monkeypatch.setattr(stochastic, "BLOCK_SECONDS", seconds)
    most, run = [], Session.run_epochs
    monkeypatch.setattr(
        Session,
        "run_epochs",
        lambda self, orders, *rest: most.append(len(orders)) or run(self, orders, *rest),
    )
    model = MLPClassifier(**QUICK | settings, random_state=np.random.RandomState(1), verbose=True)
    try:
        model.fit(X, y)
    except ValueError as error:
        model.error_ = str(error)
    monkeypatch.undo()
    return model, max(most)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_bits(name, iris, monkeypatch, capsys):
    X, y = iris
    one, single = fitted(SETTINGS[name], X, y, monkeypatch, 0.0)
    said = capsys.readouterr().out
    many, several = fitted(SETTINGS[name], X, y, monkeypatch, 1e9)
    assert capsys.readouterr().out == said
    assert single == 1 and (several > 8 or name == "diverges")
    assert getattr(one, "error_", "") == getattr(many, "error_", "")
    np.testing.assert_array_equal(one.loss_curve_, many.loss_curve_)
    for a, b in zip(one.coefs_ + one.intercepts_, many.coefs_ + many.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.random_state.randint(2**31) == many.random_state.randint(2**31)
    assert one._state.learning_rate == many._state.learning_rate
    for model in (one, many):
        model.set_params(random_state=0, verbose=False)
    if not hasattr(one, "error_"):
        np.testing.assert_array_equal(one.partial_fit(X, y).coefs_[0], many.partial_fit(X, y).coefs_[0])


def test_the_same_bits_on_sparse_rows(monkeypatch):
    X = scipy.sparse.random(3000, 1500, 0.01, "csr", random_state=0)
    y = np.asarray(X.sum(1)).ravel() > 7.5
    settings = {"batch_size": 200, "max_iter": 12, "learning_rate": "cosine"}
    one, _ = fitted(settings, X, y, monkeypatch, 0.0)
    many, several = fitted(settings, X, y, monkeypatch, 1e9)
    assert several > 1 and one.loss_curve_ == many.loss_curve_
    np.testing.assert_array_equal(one.coefs_[0], many.coefs_[0])


def test_an_interruption_goes_back_to_the_last_finished_epoch(iris, monkeypatch):
    monkeypatch.setattr(stochastic, "BLOCK_SECONDS", 1e9)
    run = Session.run_epochs

    def interrupted(self, orders, *rest):
        found = run(self, orders, *rest)
        if len(orders) > 1:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Session, "run_epochs", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        model = MLPClassifier(**QUICK, random_state=0).fit(*iris)
    monkeypatch.undo()
    assert model.n_iter_ == 1
    alone = MLPClassifier(**QUICK | {"max_iter": 1}, random_state=0).fit(*iris)
    np.testing.assert_array_equal(model.coefs_[0], alone.coefs_[0])


# Replicas in threads


def test_a_users_scorer_is_called_in_the_thread_that_called_fit(iris):
    threads, configs = set(), set()

    def score(estimator, X, y):
        threads.add(threading.get_ident())
        configs.add(get_config()["assume_finite"])  # which is the thread's own
        return estimator.score(X, y)

    settings = QUICK | {"max_iter": 5, "early_stopping": True, "scoring": score}
    with config_context(assume_finite=True):
        MLPClassifier(**settings, restarts=4, threads=2, random_state=0).fit(*iris)
    assert threads == {threading.get_ident()} and configs == {True}


@pytest.mark.parametrize("error", [ZeroDivisionError, TimeoutError, StopIteration])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_users_scorer_is_the_fits(threads, error, iris):
    calls = []

    def score(estimator, X, y):
        calls.append(estimator.n_iter_)
        if len(calls) == 7:
            raise error("of mine")
        return 0.5

    settings = QUICK | {"early_stopping": True, "scoring": score}
    with pytest.raises(error, match="of mine"):
        MLPClassifier(**settings, restarts=5, threads=threads, random_state=0).fit(*iris)
    assert len(calls) == 7


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_users_loss_is_the_fits(threads, diabetes):
    def loss(prediction, target):
        raise ZeroDivisionError("of mine")

    with pytest.raises(ZeroDivisionError, match="of mine"):
        MLPRegressor(**QUICK, loss=loss, restarts=5, threads=threads).fit(*diabetes)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interruption_keeps_the_replicas_that_had_begun(threads, iris):
    calls = []

    def score(estimator, X, y):
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return float(len(calls))

    settings = QUICK | {"scoring": score, "max_iter": 4}
    with pytest.warns(UserWarning, match="interrupted"):
        model = MLPClassifier(**settings, restarts=6, threads=threads, random_state=0).fit(
            *iris, X_val=iris[0], y_val=iris[1]
        )
    history = model.history_
    assert history.interrupted and 2 <= len(history.replicas) < 6
    assert history.not_begun == 6 - len(history.replicas)
    assert any("interrupted after epoch" in reason for reason in history.stopped)
    assert model.predict(iris[0]).shape == (150,)


def test_what_the_history_of_replicas_holds(iris):
    X, y = iris
    model = MLPClassifier(
        **QUICK | {"max_iter": 6, "learning_rate": "cosine"}, restarts=3, random_state=0
    ).fit(X, y)
    history = model.history_
    assert history.loss.shape == history.lr.shape == history.gradient_norm.shape == (3, 6)
    np.testing.assert_allclose(history.lr[0], 0.005 * (1 + np.cos(np.pi * np.arange(6) / 6)))
    assert history.optimizer == {
        "name": "Adam", "betas": (0.9, 0.999), "eps": 1e-8, "lr": {"name": "cosine", "lr": 0.01}
    }  # fmt: skip
    assert history.batch_size == 32 and history.steps == 3 * 6 * 5
    assert history.stopped == ["all epochs done"] * 3
    assert not history.interrupted and history.not_begun == 0

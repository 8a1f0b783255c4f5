"""Restarts, ensembles, halving, and how many threads they take."""

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

import chainrule as cr
from chainrule.compiler.host import available_cores
from chainrule.errors import SettingError
from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.estimators.threads import threads_here

QUICK = {
    "hidden_layer_sizes": 8,
    "learning_rate_init": 0.01,
    "max_iter": 30,
    "random_state": 0,
    "batch_size": 32,
}


def test_the_best_of_several(iris):
    X, y = iris
    model = MLPClassifier(**QUICK, restarts=4).fit(X, y)
    assert model.history_.loss.shape == (4, 30)
    best = model.history_.best
    assert model.loss_curve_ == model.history_.replicas[best].loss
    losses = [replica.kept_loss for replica in model.history_.replicas]  # of all rows, after training
    assert best == np.argmin(losses)
    assert log_loss(y, model.predict_proba(X)) == pytest.approx(losses[best], rel=1e-4)
    again = MLPClassifier(**QUICK, restarts=4, threads=1).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    other = MLPClassifier(**(QUICK | {"random_state": 1}), restarts=4).fit(X, y)
    assert not np.array_equal(model.predict_proba(X), other.predict_proba(X))


def test_an_ensemble_predicts_the_mean_of_all(iris, diabetes):
    for kind, (X, y) in ((MLPClassifier, iris), (MLPRegressor, diabetes)):
        model = kind(**QUICK, restarts=3, ensemble=True).fit(X, y)
        predict = "predict_proba" if kind is MLPClassifier else "predict"
        alone = []
        for member in model._members:
            single = kind(**QUICK, restarts=3).fit(X, y)
            single._publish(member)
            alone.append(getattr(single, predict)(X))
        np.testing.assert_allclose(getattr(model, predict)(X), np.mean(alone, 0), atol=1e-6)
        assert np.ptp(alone, axis=0).max() > 0.01


def test_an_ensemble_is_better_than_its_members(iris):
    X, y = iris
    train, test = np.arange(0, 150, 2), np.arange(1, 150, 2)
    model = MLPClassifier(**QUICK, restarts=8, ensemble=True).fit(X[train], y[train])
    losses = []
    for member in model._members:
        single = MLPClassifier(**QUICK, restarts=8).fit(X[train], y[train])
        single._publish(member)
        losses.append(log_loss(y[test], single.predict_proba(X[test])))
    assert log_loss(y[test], model.predict_proba(X[test])) < np.mean(losses)


def test_early_stopping_of_each(iris):
    X, y = iris
    settings = QUICK | {"max_iter": 300, "early_stopping": True, "n_iter_no_change": 4, "restarts": 3}
    model = MLPClassifier(**settings).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert all("no improvement" in reason for reason in model.history_.stopped)
    assert len(model.validation_scores_) == model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(X[1::2], y[1::2]) == model.best_validation_score_
    kept = model.history_.replicas[
        model.history_.best
    ]  # accuracy ends training, the loss decides between replicas
    assert kept.kept_loss == min(replica.kept_loss for replica in model.history_.replicas)
    assert log_loss(y[1::2], model.predict_proba(X[1::2])) == pytest.approx(kept.kept_loss, rel=1e-4)
    scored = MLPClassifier(**settings, scoring="balanced_accuracy").fit(
        X[::2], y[::2], X_val=X[1::2], y_val=y[1::2]
    )
    assert scored.score(X[1::2], y[1::2]) == pytest.approx(scored.best_validation_score_)
    assert len(scored.validation_scores_) == scored.n_iter_ < 300


def test_halving(iris):
    X, y = iris
    model = MLPClassifier(**QUICK, restarts=cr.Halving(8), ensemble=True).fit(X, y)
    assert len(model.history_.replicas) == 8
    assert len({len(r.loss) for r in model.history_.replicas}) > 1
    assert model.score(X, y) > 0.8


def test_what_restarts_do_not_go_with(iris):
    for settings, text in (
        ({"solver": "lbfgs"}, "minibatches"),
        ({"warm_start": True}, "warm_start"),
    ):
        with pytest.raises(SettingError, match=text):
            MLPClassifier(**(QUICK | settings), restarts=2).fit(*iris)
    with pytest.raises(SettingError, match="several networks"):
        MLPClassifier(**QUICK, ensemble=True).fit(*iris)
    with pytest.raises(SettingError, match="restarts"):
        MLPClassifier(**QUICK, restarts=0).fit(*iris)
    with pytest.raises(SettingError, match="partial_fit does not support restarts"):
        MLPClassifier(**QUICK, restarts=2).partial_fit(*iris, classes=[0, 1, 2])


def test_later_fits_forget_the_replicas(iris):
    model = MLPClassifier(**QUICK, restarts=2, ensemble=True).fit(*iris)
    model.set_params(restarts=1, ensemble=False).fit(*iris)
    assert not hasattr(model, "history_")
    np.testing.assert_array_equal(
        model.predict_proba(iris[0]), MLPClassifier(**QUICK).fit(*iris).predict_proba(iris[0])
    )


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_fit_inside_a_parallel_search_takes_its_share_of_the_cores(backend):
    assert threads_here(None) == available_cores()
    assert threads_here(3) == 3
    shares = Parallel(n_jobs=2, backend=backend)(delayed(threads_here)(None) for _ in range(4))
    assert all(2 * share <= max(2, available_cores()) for share in shares)


def test_grid_search(iris):
    grid = {"alpha": [1e-4, 10.0], "learning_rate_init": [1e-4, 0.03]}
    search = GridSearchCV(MLPClassifier(**QUICK, restarts=2), grid, n_jobs=2, cv=3).fit(*iris)
    assert search.best_params_["learning_rate_init"] == 0.03
    assert search.best_score_ > 0.9


def test_threads_do_not_get_into_each_others_way(iris):
    # networks of one kind share their machine code, and an estimator its network for prediction
    X, y = iris

    def fitted(seed):
        return MLPClassifier(**(QUICK | {"random_state": seed})).fit(X, y).predict_proba(X)

    together = Parallel(n_jobs=4, backend="threading")(delayed(fitted)(seed % 5) for seed in range(20))
    alone = [fitted(seed) for seed in range(5)]
    for seed, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[seed % 5])
    model = MLPClassifier(**QUICK, restarts=3, ensemble=True).fit(X, y)
    expected = model.predict_proba(X)
    for found in Parallel(n_jobs=4, backend="threading")(delayed(model.predict_proba)(X) for _ in range(40)):
        np.testing.assert_array_equal(found, expected)

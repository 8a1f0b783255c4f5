"""What scikit-learn's classes do not have."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import get_scorer, mean_pinball_loss

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError
from chainrule.estimators import MLPClassifier, MLPRegressor

QUICK = {"hidden_layer_sizes": 16, "learning_rate_init": 0.01, "max_iter": 40, "random_state": 0}


def classifier(**settings):
    return MLPClassifier(**(QUICK | settings))


def regressor(**settings):
    return MLPRegressor(**(QUICK | settings))


def test_an_estimator_is_cr_fit(iris):
    # the same first values, full batch, no penalty: the same curve as the trainer's own
    X, y = iris
    model = classifier(alpha=0.0, max_iter=5, solver="sgd", nesterovs_momentum=False).fit(X, y)
    network = nn.MLP([4, 16, 3], seed=0)
    start = classifier(alpha=0.0, max_iter=1, learning_rate_init=1e-30).fit(X, y)
    for layer, coef, intercept in zip((network[0], network[2]), start.coefs_, start.intercepts_, strict=True):
        layer.weight.data[...], layer.bias.data[...] = coef.T, intercept
    fitted = cr.fit(
        network,
        (X, y),
        loss=nn.cross_entropy,
        optimizer=optim.SGD(0.01, momentum=0.9),
        epochs=5,
        batch_size=150,
        progress=False,
    )
    np.testing.assert_allclose(model.loss_curve_, fitted.loss[0], rtol=1e-5)
    np.testing.assert_allclose(model.network_.predict(X), network.predict(X), atol=1e-5)


@pytest.mark.parametrize(
    "more", [{"dropout": 0.2}, {"batch_norm": True}, {"dropout": 0.1, "batch_norm": True}]
)
def test_dropout_and_batch_norm_learn_and_go_on(more, iris):
    X, y = iris
    model = classifier(batch_size=32, **more).fit(X, y)
    assert model.score(X, y) > 0.93
    again = classifier(batch_size=32, **more).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    # prediction is at inference: it changes nothing, and rows do not depend on each other
    np.testing.assert_allclose(model.predict_proba(X[:7]), model.predict_proba(X)[:7], rtol=1e-5)
    before = model.predict_proba(X)
    model.partial_fit(X, y)
    assert not np.array_equal(before, model.predict_proba(X))
    np.testing.assert_allclose(
        nn.activations.Softmax()(model.network_(X)).numpy(), model.predict_proba(X), atol=1e-6
    )


def test_an_activation_for_each_layer(iris):
    X, y = iris
    model = classifier(hidden_layer_sizes=(8, 6), activation=["gelu", "tanh"], max_iter=80).fit(X, y)
    assert [type(layer).__name__ for layer in model.network_] == [
        "Linear",
        "GELU",
        "Linear",
        "Tanh",
        "Linear",
    ]
    assert model.score(X, y) > 0.9


def test_class_weight_is_a_weight_for_each_row(iris):
    X, y = iris[0][:120], iris[1][:120]
    by_class = classifier(class_weight={0: 1.0, 1: 1.0, 2: 5.0}, batch_size=30).fit(X, y)
    by_row = classifier(batch_size=30).fit(X, y, sample_weight=np.where(y == 2, 5.0, 1.0))
    np.testing.assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    # "balanced": every class weighs the same in sum, whatever the rows weigh
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    sums = np.bincount(y, weight)
    wanted = weight * (sums.sum() / (3 * sums))[y]
    balanced = classifier(class_weight="balanced").fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(
        balanced.predict_proba(X), classifier().fit(X, y, sample_weight=wanted).predict_proba(X), atol=1e-5
    )
    labels = np.column_stack([y == 2, y > 0]).astype(int)
    assert classifier(class_weight="balanced").fit(X, labels).predict(X).shape == labels.shape


@pytest.mark.parametrize("two", [False, True])
def test_label_smoothing_keeps_probabilities_from_the_edge(two, iris):
    X, y = iris[0], iris[1] > 0 if two else iris[1]
    sharp, smooth = (classifier(label_smoothing=s, max_iter=300).fit(X, y) for s in (0.0, 0.3))
    # the best that training can do is 1 - s + s / classes for the true class
    best = 1 - 0.3 + 0.3 / (2 if two else 3)
    assert smooth.predict_proba(X).max(1).mean() == pytest.approx(best, abs=0.05)
    assert sharp.predict_proba(X).max(1).mean() > 0.95
    assert smooth.score(X, y) > 0.93


@pytest.mark.parametrize("loss", ["huber", "absolute_error", "quantile", "squared_error"])
def test_regression_losses(loss, diabetes):
    model = regressor(loss=loss, alpha=0.0, batch_size=50).fit(*diabetes)
    assert model.score(*diabetes) > 0.45
    # the reported loss is that of the last epoch's networks: near the final one's
    r = model.predict(diabetes[0]) - diabetes[1]
    final = {
        "huber": np.where(np.abs(r) <= 1, r**2 / 2, np.abs(r) - 0.5),
        "absolute_error": np.abs(r),
        "quantile": np.abs(r) / 2,
        "squared_error": r**2 / 2,
    }
    assert model.loss_ == pytest.approx(final[loss].mean(), rel=0.1)


def test_quantile_covers_its_share(diabetes):
    X, y = diabetes
    for share in (0.1, 0.9):
        model = regressor(loss="quantile", quantile=share, max_iter=200).fit(X, y)
        assert np.mean(y < model.predict(X)) == pytest.approx(share, abs=0.06)
        median = regressor(loss="quantile", max_iter=200).fit(X, y)
        assert mean_pinball_loss(y, model.predict(X), alpha=share) < mean_pinball_loss(
            y, median.predict(X), alpha=share
        )


def test_losses_as_functions(diabetes, iris):
    named = regressor(loss="poisson").fit(diabetes[0], np.exp(diabetes[1]))
    given = regressor(loss=nn.poisson).fit(diabetes[0], np.exp(diabetes[1]))
    np.testing.assert_array_equal(named.predict(diabetes[0]), given.predict(diabetes[0]))
    assert given.out_activation_ == "exp"
    sharp, wide = (regressor(loss=partial(nn.huber, delta=d)).fit(*diabetes) for d in (0.1, 100.0))
    square = regressor().fit(*diabetes)
    np.testing.assert_allclose(wide.predict(diabetes[0]), square.predict(diabetes[0]), atol=1e-4)
    assert np.abs(sharp.predict(diabetes[0]) - square.predict(diabetes[0])).max() > 0.01

    def own(prediction, target):
        return cr.mean(cr.abs(prediction.reshape((-1,)) - target.reshape((-1,))) ** 1.5)

    assert regressor(loss=own).fit(*diabetes).score(*diabetes) > 0.4
    with pytest.raises(SettingError, match="cannot weigh rows"):
        regressor(loss=own).fit(*diabetes, sample_weight=np.ones(442))
    focal = classifier(loss=partial(nn.focal_cross_entropy, gamma=0.0)).fit(*iris)
    np.testing.assert_allclose(
        focal.predict_proba(iris[0]), classifier().fit(*iris).predict_proba(iris[0]), atol=1e-4
    )
    assert classifier(loss="focal").fit(iris[0], iris[1] > 0).score(iris[0], iris[1] > 0) > 0.95


def test_a_validation_set_of_ones_own(iris):
    X, y = iris
    train, held_out = np.arange(0, 150, 2), np.arange(1, 150, 2)
    model = classifier(early_stopping=True, n_iter_no_change=5, max_iter=200, tol=0)
    model.fit(X[train], y[train], X_val=X[held_out], y_val=y[held_out])
    assert model.n_iter_ < 200
    assert (
        model.best_validation_score_ == model.score(X[held_out], y[held_out]) == max(model.validation_scores_)
    )
    # without early stopping the curve is kept, and the rows do not decide anything
    watched = classifier().fit(X[train], y[train], X_val=X[held_out], y_val=y[held_out])
    assert len(watched.validation_scores_) == watched.n_iter_
    assert watched.validation_scores_[-1] == watched.score(X[held_out], y[held_out])
    np.testing.assert_array_equal(watched.coefs_[0], classifier().fit(X[train], y[train]).coefs_[0])
    # weights of either part alone
    weight = np.linspace(0, 1, 75)
    for given in ({"sample_weight": weight}, {"sample_weight_val": weight}):
        both = classifier(scoring="loss").fit(
            X[train], y[train], X_val=X[held_out], y_val=y[held_out], **given
        )
        loss = -np.log(both.predict_proba(X[held_out])[np.arange(75), y[held_out]])
        wanted = np.average(loss, weights=given.get("sample_weight_val"))
        assert -both.validation_scores_[-1] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc_ovr", "f1_macro", "loss"])
def test_early_stopping_on_any_scorer(scoring, iris):
    X, y = iris
    model = classifier(early_stopping=True, scoring=scoring, n_iter_no_change=3, max_iter=300, batch_size=32)
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert model.n_iter_ < 300
    assert len(model.validation_scores_) == model.n_iter_
    scorer = get_scorer("neg_log_loss" if scoring == "loss" else scoring)
    best = scorer(model, X[1::2], y[1::2])
    assert best == pytest.approx(model.best_validation_score_, rel=1e-4)
    assert best == pytest.approx(max(model.validation_scores_), rel=1e-4)


def test_a_cosine_schedule_runs_to_its_end(iris, recwarn):
    model = classifier(learning_rate="cosine", tol=10.0).fit(*iris)
    assert model.n_iter_ == 40
    assert not recwarn.list
    assert model._optimizer.learning_rate < 0.01 * 0.01


def test_partial_fit_with_all_of_it(iris):
    X, y = iris
    settings = {"dropout": 0.05, "batch_norm": True, "class_weight": {2: 2.0}, "label_smoothing": 0.05}
    model = classifier(**settings, batch_size=25)
    order = np.random.default_rng(0).permutation(150)
    for _ in range(30):
        for part in np.split(order, 3):
            model.partial_fit(X[part], y[part], classes=[0, 1, 2], sample_weight=np.ones(50))
    assert model.score(X, y) > 0.93
    assert len(model.loss_curve_) == 90
    assert model.t_ == 90 * 50


def test_clip_norm_limits_a_step(iris):
    X, y = iris
    steps = []
    for limit in (None, 1e-3):
        start = classifier(solver="sgd", momentum=0, learning_rate_init=1e-30, max_iter=1).fit(X, y)
        moved = classifier(solver="sgd", momentum=0, learning_rate_init=1.0, max_iter=1, clip_norm=limit).fit(
            X, y
        )
        pairs = zip(moved.coefs_ + moved.intercepts_, start.coefs_ + start.intercepts_, strict=True)
        steps.append(np.sqrt(sum(((a - b) ** 2).sum() for a, b in pairs)))
    assert steps[0] > 1e-2
    assert steps[1] == pytest.approx(1e-3, rel=1e-3)


def test_equal_rows_are_rows_of_more_weight(iris):
    # to the last bit, where one minibatch holds them all
    X, y = iris[0][:60], iris[1][:60]
    count = np.random.default_rng(0).integers(0, 4, 60)
    for settings in ({}, {"solver": "lbfgs"}, {"solver": "sgd", "activation": "tanh"}):
        weighted = classifier(**settings).fit(X, y, sample_weight=count.astype(float))
        repeated = classifier(**settings).fit(X.repeat(count, 0), y.repeat(count))
        np.testing.assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))


def test_float32_unless_told_otherwise(iris):
    X, y = iris
    for given, dtype, expected in (
        (np.float32, "auto", np.float32),
        (np.float64, "auto", np.float32),
        (np.float64, "float64", np.float64),
        (np.float32, "float64", np.float64),
    ):
        model = classifier(dtype=dtype, max_iter=3).fit(X.astype(given), y)
        assert model.coefs_[0].dtype == expected and model.predict_proba(X).dtype == np.float64
    for given in (np.float32, np.float64):
        assert classifier(solver="lbfgs", max_iter=3).fit(X.astype(given), y).coefs_[0].dtype == given


def test_values_put_in_place_are_used(iris):
    X, y = iris
    model = classifier().fit(X, y)
    model.coefs_ = [np.zeros_like(c) for c in model.coefs_]
    model.intercepts_[1] = np.array([0.0, 5.0, 0.0])
    assert (model.predict(X) == 1).all()
    model.partial_fit(X, y)
    assert np.abs(model.coefs_[1]).max() < 0.02  # one step from 0
    assert np.shares_memory(model.coefs_[0], model._values()["body.0.weight"])

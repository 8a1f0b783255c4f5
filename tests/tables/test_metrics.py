"""Measures agree with scikit-learn's, the baselines are what they are said to be, and importance tells noise apart."""

import tracemalloc

import numpy as np
import polars as pl
import pytest
from sklearn import linear_model, metrics
from sklearn.calibration import calibration_curve

from chainrule.data import load_bundled
from chainrule.tables import TrainingSettings, train_table
from chainrule.tables.copies import _counts
from chainrule.tables.linear import linear_predictions
from chainrule.tables.metrics import _quantile, class_metrics, number_metrics


def labels_and_probabilities(classes, rows, kind, seed=0):
    """Labels and probabilities with, by kind, a class that does not occur, equal probabilities, or neither."""
    rng = np.random.default_rng([classes, rows, seed])
    present = np.arange(classes - 1 if kind == "one absent" else classes)
    actual = rng.permutation(np.concatenate([present, rng.choice(present, max(rows - len(present), 0))]))
    near = rng.permutation(actual) if kind == "ties" else np.where(rng.random(len(actual)) < 0.6, actual, 0)
    p = rng.dirichlet(np.ones(classes), len(actual)) * 0.5 + 0.5 * np.eye(classes)[near]
    if kind == "ties":  # of which the first one counts as predicted
        p = (1 + np.round(3 * p)) / (1 + np.round(3 * p)).sum(1, keepdims=True)
    return actual, p


KINDS = ["plain", "one absent", "ties"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("rows", [20, 500])
def test_measures_of_classes_are_those_of_scikit_learn(classes, rows, kind):
    actual, p = labels_and_probabilities(classes, rows, kind)
    found, predicted, known = class_metrics(p, actual), p.argmax(1), np.unique(actual)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(actual, predicted))
    recalls = metrics.recall_score(actual, predicted, labels=known, average="macro")
    assert found["balanced accuracy"] == pytest.approx(recalls)
    assert found["log loss"] == pytest.approx(metrics.log_loss(actual, p, labels=range(classes)))
    assert found["macro F1"] == pytest.approx(
        metrics.f1_score(actual, predicted, labels=known, average="macro")
    )
    if len(known) > 1:
        each = [metrics.roc_auc_score(actual == c, p[:, c]) for c in known]
        assert found["AUC"] == pytest.approx(np.mean(each))
    told = {"average": "binary"} if classes == 2 else {"average": "macro", "labels": known}
    assert found["precision"] == pytest.approx(
        metrics.precision_score(actual, predicted, **told, zero_division=0)
    )
    if classes == 2 and kind == "one absent":
        assert found["recall"] is None
    else:
        assert found["recall"] == pytest.approx(metrics.recall_score(actual, predicted, **told))
    squares = np.square(p - np.eye(classes)[actual]).sum(1).mean()
    expected = metrics.brier_score_loss(actual, p[:, 1], pos_label=1) if classes == 2 else squares
    assert found["Brier score"] == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 5, 3000])
@pytest.mark.parametrize("kind", KINDS)
def test_the_calibration_error_is_that_of_scikit_learns_curve(classes, kind):
    actual, p = labels_and_probabilities(classes, 3200 if classes > 5 else 400, kind)
    sure, right = p.max(1), p.argmax(1) == actual
    above = (sure - 1 / classes) / (1 - 1 / classes)  # a bin of it is one of equal width above 1 / classes
    above = np.where(np.isclose(above * 10, np.round(above * 10)), above + 1e-9, above).clip(0, 1)
    share, mean = calibration_curve(right, above, n_bins=10)
    counts = np.histogram(above, np.linspace(0, 1, 11))[0]
    mean = mean * (1 - 1 / classes) + 1 / classes
    expected = (np.abs(share - mean) * counts[counts > 0]).sum() / counts.sum()
    assert class_metrics(p, actual)["calibration error"] == pytest.approx(expected, abs=1e-7)


def test_thousands_of_classes_need_no_matrix_of_them():
    """Of 20,000 classes a matrix would have 3 GB; numbers of ours are a hundredth of it."""
    rng = np.random.default_rng(0)
    actual = rng.integers(0, 20_000, 200)
    p = np.full((200, 20_000), 0.5 / 20_000, np.float64)
    p[np.arange(200), np.where(rng.random(200) < 0.5, actual, 7)] += 0.5
    tracemalloc.start()
    found = class_metrics(p, actual)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
    known = np.unique(actual)
    for name, score in (("precision", metrics.precision_score), ("recall", metrics.recall_score)):
        expected = score(actual, p.argmax(1), labels=known, average="macro", zero_division=0)
        assert found[name] == pytest.approx(expected)
    assert found["AUC"] is None


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_measures_of_numbers_are_those_of_scikit_learn(scale):
    rng = np.random.default_rng(0)
    actual = rng.normal(size=101)
    predicted = actual + 0.3 * rng.normal(size=101)
    found = number_metrics(predicted * scale, actual * scale)
    assert found["RMSE"] / scale == pytest.approx(metrics.root_mean_squared_error(actual, predicted))
    assert found["MAE"] / scale == pytest.approx(metrics.mean_absolute_error(actual, predicted))
    assert found["median error"] / scale == pytest.approx(metrics.median_absolute_error(actual, predicted))
    assert found["R2"] == pytest.approx(metrics.r2_score(actual, predicted))
    reach = np.quantile(np.abs(actual - predicted), 0.8, method="inverted_cdf")
    ends = [(predicted - reach, 0.1), (predicted + reach, 0.9)]
    losses = [metrics.mean_pinball_loss(actual, end, alpha=share) for end, share in ends]
    assert found["pinball loss"] / scale == pytest.approx(np.mean(losses))


def test_what_is_not_defined_is_none():
    assert class_metrics(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([1, 1]))["AUC"] is None
    assert number_metrics(np.ones(3), np.ones(3))["R2"] is None


def test_a_classs_probability_of_zero_is_no_infinite_loss():
    assert np.isfinite(class_metrics(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 0]))["log loss"])


@pytest.mark.parametrize("name", ["wine", "digits", "breast-cancer"])
def test_the_network_stands_beside_a_constant_and_a_linear_model_of_the_same_rows(name):
    problem = load_bundled(name)
    trained = train_table(problem.frame, problem.target, TrainingSettings(epochs=5))
    found = {metric.name: metric for metric in trained.metrics}
    (x, y), scored, actual = (
        trained.prepared.training,
        trained.prepared.scored.features,
        trained.scored.actual,
    )
    shares = np.bincount(y) / len(y)
    assert found["log loss"].baseline == pytest.approx(-np.log(shares[actual]).mean())
    assert found["AUC"].baseline == pytest.approx(0.5)
    assert found["accuracy"].value == pytest.approx(trained.score.value)
    assert found["accuracy"].baseline == pytest.approx(trained.score.baseline)
    peer = linear_model.LogisticRegression(max_iter=2000).fit(x, y).predict_proba(scored)
    assert found["log loss"].linear == pytest.approx(metrics.log_loss(actual, peer), rel=0.1)


def test_numbers_stand_in_the_targets_units():
    problem = load_bundled("diabetes")
    trained = train_table(problem.frame, problem.target, TrainingSettings(epochs=5))
    found = {metric.name: metric for metric in trained.metrics}
    assert found["RMSE"].value == pytest.approx(trained.score.value, rel=1e-6)
    assert found["RMSE"].baseline == pytest.approx(trained.score.baseline, rel=1e-6)
    assert (found["RMSE"].unit, found["R2"].unit, found["R2"].better) == ("target", "", "higher")
    x, y = trained.prepared.training
    peer = linear_model.Ridge().fit(x.astype(float), y[:, 0]).predict(trained.prepared.scored.features)
    off = trained.model.preprocessor.target.standard_deviation * (peer - trained.scored.encoded[:, 0])
    assert found["RMSE"].linear == pytest.approx(np.sqrt(np.mean(off**2)), rel=1e-4)


@pytest.mark.parametrize("columns", [3, 40, 200])  # more rows than columns, and fewer
def test_the_linear_model_of_numbers_is_that_of_scikit_learn(columns):
    rng = np.random.default_rng(columns)
    x, scored = (rng.normal(1, 2, (rows, columns)).astype(np.float32) for rows in (60, 20))
    y = (x[:, :1] + rng.normal(3, 1, (60, 1))).astype(np.float32)
    peer = linear_model.Ridge().fit(x.astype(float), y[:, 0]).predict(scored)
    np.testing.assert_allclose(linear_predictions(x, y, scored, 0), peer, atol=1e-5)


@pytest.mark.parametrize("products", [0, 10**12])  # by L-BFGS, and by Newton's method
@pytest.mark.parametrize("columns", [3, 50])
@pytest.mark.parametrize("labels", [[0, 1], [1, 3], [0, 1, 2], [0, 2, 3, 5, 6]])  # of seven classes
def test_the_linear_model_of_classes_is_that_of_scikit_learn(columns, labels, products, monkeypatch):
    monkeypatch.setattr("chainrule.tables.linear.PRODUCTS", products)
    rng = np.random.default_rng(columns)
    x, scored = (rng.normal(1, 2, (rows, columns)).astype(np.float32) for rows in (90, 20))
    y = np.array(labels)[(x[:, 0] + x[:, 1] ** 2 + rng.normal(size=90)).astype(int) % len(labels)]
    peer = linear_model.LogisticRegression(tol=1e-8, max_iter=10_000).fit(x.astype(float), y)
    found = linear_predictions(x, y, scored, 7)
    np.testing.assert_allclose(found[:, labels], peer.predict_proba(scored), atol=0.02)
    assert found.sum(1) == pytest.approx(1)
    assert np.delete(found, labels, 1).max() < 1e-12  # as a network has it, whose outputs are finite


def test_a_single_class_has_no_linear_model():
    x = np.zeros((5, 2), np.float32)
    assert linear_predictions(x, np.zeros(5, np.int64), x, classes=2) is None


def test_importance_is_the_loss_gained_and_tells_noise_from_signal():
    """Accuracy would be that of a constant: the rare class is never the likeliest one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 4))
    is_claim = rng.random(6000) < 1 / (1 + np.exp(3.3 - 1.2 * x[:, 0]))
    frame = pl.DataFrame(
        {f"x{i}": x[:, i] for i in range(4)} | {"y": np.where(is_claim, "claim", "none").tolist()}
    )
    trained = train_table(frame, "y", TrainingSettings(epochs=5))
    first, *others = trained.importances.columns
    assert (first.name, first.is_noise) == ("x0", False)
    assert first.loss > 2 * first.spread > 0
    assert all(column.is_noise for column in others)
    losses = [column.loss for column in trained.importances.columns]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.9, 1.0])
def test_a_quantile_is_that_of_rows_that_weigh_the_same(share):
    """Without weights nothing is sorted; the size is the same as by sorting."""
    rng = np.random.default_rng(0)
    for rows in (*range(1, 40), 1000, 1001):
        sizes = rng.choice(rng.normal(size=rows // 2 + 1), rows)
        assert _quantile(sizes, share, None) == _quantile(sizes, share, np.ones(rows))


@pytest.mark.parametrize(("rows", "others"), [(0, 5), (5, 0), (1, 1), (100, 50), (1000, 300)])
def test_how_often_each_occurs_is_counted(rows, others):
    rng = np.random.default_rng(0)
    among, of = rng.integers(0, 40, rows).astype(np.uint64), rng.integers(0, 60, others).astype(np.uint64)
    assert _counts(among, of).tolist() == [int((among == one).sum()) for one in of]

"""Copies, pickles, frames, pipelines, metadata routing, callbacks."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from chainrule import estimators
from chainrule.estimators import GraphNetworkRegressor, MLPClassifier, MLPRegressor, Perceptron

QUICK = {"hidden_layer_sizes": 6, "max_iter": 5, "random_state": 0}
TABLE = {"hidden": 4, "epochs": 2, "folds": 2, "random_state": 0}


@pytest.mark.parametrize(
    "copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "deepcopy"]
)
@pytest.mark.parametrize(
    "settings", [{}, {"dropout": 0.2, "batch_norm": True}, {"restarts": 3, "ensemble": True}], ids=str
)
def test_a_copy_predicts_and_goes_on_alike(copied, settings, iris):
    X, y = iris
    model = MLPClassifier(**QUICK, **settings).fit(X, y)
    other = copied(model)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    model.set_params(restarts=1, ensemble=False).partial_fit(X, y)
    other.set_params(restarts=1, ensemble=False)
    assert not np.array_equal(other.coefs_[0], model.coefs_[0])  # no memory in common
    other.partial_fit(X, y)
    np.testing.assert_array_equal(other.coefs_[0], model.coefs_[0])


def test_a_pickle_is_small(iris):
    big = np.tile(iris[0], (100, 1))
    model = MLPClassifier(**QUICK).fit(big, np.tile(iris[1], 100))
    assert len(pickle.dumps(model)) < 20_000  # nothing of the rows
    assert model._session.trainer.rows.x.size == 0


def test_clones_have_the_settings_alone(iris):
    model = MLPClassifier(**QUICK, restarts=2, class_weight={0: 2.0}).fit(*iris)
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    assert not hasattr(fresh, "coefs_")
    assert "restarts=2" in repr(model)


FRAMES = {
    "pandas": lambda X: pd.DataFrame(X, columns=list("abcd")),
    "polars": lambda X: pl.DataFrame(X, schema=list("abcd")),
    "arrow": lambda X: pa.table({name: X[:, i] for i, name in enumerate("abcd")}),
}


@pytest.mark.parametrize("name", [n for n in estimators.__all__ if not n.startswith("Graph")])
@pytest.mark.parametrize("frame", FRAMES)
def test_frames(frame, name, iris):
    X, y = FRAMES[frame](iris[0]), iris[1]
    settings = QUICK if name.startswith("MLP") else TABLE if name.startswith("Table") else {}
    model = getattr(estimators, name)(**settings).fit(X, y)
    assert list(model.feature_names_in_) == list("abcd")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = model.predict(X)
    plain = getattr(estimators, name)(**settings).fit(*iris).predict(iris[0])
    np.testing.assert_allclose(predicted, plain, atol=1e-12)


def test_early_stopping_on_a_frame_with_a_scorer(iris):
    X = FRAMES["pandas"](iris[0])
    settings = QUICK | {"early_stopping": True, "scoring": "neg_log_loss"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that the scorer's rows have no feature names
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        model = MLPClassifier(**settings).fit(X, iris[1], sample_weight=np.ones(150))
    assert len(model.validation_scores_) == 5


def test_sparse_rows_are_written_out(iris):
    dense = MLPClassifier(**QUICK).fit(*iris)
    sparse = MLPClassifier(**QUICK).fit(scipy.sparse.csr_array(iris[0]), iris[1])
    np.testing.assert_array_equal(
        dense.predict_proba(iris[0]), sparse.predict_proba(scipy.sparse.csc_array(iris[0]))
    )


def test_in_a_pipeline_with_categories(iris):
    X = pd.DataFrame(iris[0], columns=list("abcd")).assign(colour=np.array(["red", "blue"])[iris[1] % 2])
    columns = make_column_transformer((OneHotEncoder(), ["colour"]), (StandardScaler(), list("abcd")))
    model = make_pipeline(
        columns.set_output(transform="pandas").set_params(sparse_threshold=0), MLPClassifier(**QUICK)
    )
    with pytest.raises(ValueError, match="Pandas output does not support sparse"):
        model.fit(X, iris[1])
    model[0].set_params(onehotencoder__sparse_output=False)
    assert model.fit(X, iris[1]).predict(X).shape == (150,)
    assert "onehotencoder__colour_red" in model[-1].feature_names_in_


def test_metadata_routing(iris):
    weight = np.linspace(0.1, 1, 150)
    with sklearn.config_context(enable_metadata_routing=True):
        model = (
            MLPClassifier(**QUICK).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        )
        found = cross_validate(model, *iris, params={"sample_weight": weight}, cv=2, return_estimator=True)
    half = np.concatenate([np.flatnonzero(iris[1] == c)[25:] for c in range(3)])
    half.sort()
    alone = MLPClassifier(**QUICK).fit(iris[0][half], iris[1][half], sample_weight=weight[half])
    np.testing.assert_array_equal(found["estimator"][0].coefs_[0], alone.coefs_[0])


def test_callbacks_of_scikit_learn(iris):
    from sklearn import callback

    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**QUICK).set_callbacks(monitor).fit(*iris)
    log = monitor.get_logs()
    scores = [row["accuracy"] for row in log.data if row["task_name"] == "epoch"]
    assert len(scores) == model.n_iter_ == 5
    assert scores[-1] == model.score(*iris)
    before = model.loss_curve_

    class Stop:
        def __init__(self):
            self.epochs = 0

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            self.epochs += context.task_name == "epoch"
            return self.epochs >= 2

    stopped = MLPClassifier(**QUICK).set_callbacks(Stop()).fit(*iris)
    assert stopped.loss_curve_ == before[:2]
    several = MLPClassifier(**QUICK, restarts=2).set_callbacks(monitor).fit(*iris)
    assert monitor.get_logs().data[-1]["accuracy"] == several.score(*iris)


def test_verbose_prints_and_quiet_does_not(iris, capsys):
    MLPClassifier(**QUICK).fit(*iris)
    MLPClassifier(**QUICK, restarts=2).fit(*iris)
    assert capsys.readouterr() == ("", "")
    MLPClassifier(**QUICK, verbose=True, early_stopping=True).fit(*iris)
    text = capsys.readouterr().out
    assert "Iteration 5, loss = " in text
    assert "Validation score: " in text


def test_an_interruption_leaves_a_trained_network(iris):
    calls = []

    def interrupting(estimator, X, y):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0.5

    model = MLPClassifier(**QUICK, scoring=interrupting)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(*iris, X_val=iris[0], y_val=iris[1])
    assert model.n_iter_ == 3
    assert model.predict(iris[0]).shape == (150,)


def test_import_chainrule_loads_no_scikit_learn():
    import subprocess
    import sys

    code = "import chainrule, sys; print([m for m in sys.modules if m.split('.')[0] in ('sklearn', 'scipy', 'pandas')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_graph_estimators_take_any_graph(diabetes):
    import networkx

    X, y = diabetes[0][:, :3], diabetes[1]
    pairs = [*((i, h) for i in "abc" for h in "uv"), ("u", "v"), ("u", "y"), ("v", "y"), ("a", "y")]
    settings = {"inputs": list("abc"), "outputs": ["y"], "activation": {"u": "tanh", "v": "relu"}}
    training = {"max_iter": 60, "learning_rate_init": 0.02, "random_state": 0, "batch_size": 64}
    model = GraphNetworkRegressor(pairs, **settings, **training).fit(X, y)
    assert model.weight_.shape == (10,)
    assert model.bias_.shape == (3,)
    assert model.network_.edges == pairs or list(map(tuple, model.network_.edges)) == pairs
    other = GraphNetworkRegressor(networkx.DiGraph(pairs), **settings, **training).fit(X, y)
    assert other.score(X, y) == pytest.approx(model.score(X, y), abs=0.1)
    assert model.score(X, y) > np.corrcoef(X[:, 2], y)[0, 1] ** 2 - 0.05
    np.testing.assert_allclose(
        model.network_.predict(X.astype(np.float32)).ravel(), model.predict(X), atol=1e-6
    )
    several = GraphNetworkRegressor(pairs, **settings, **training, restarts=3, ensemble=True).fit(X, y)
    assert len(several._members) == 3
    before = model.predict(X)
    assert not np.array_equal(model.partial_fit(X, y).predict(X), before)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_perceptron(iris):
    X, y = iris
    model = Perceptron(order="random", random_state=0).fit(X, y == 0)  # these can be separated
    assert model.score(X, y == 0) == 1.0
    assert model.mistakes_[0][-1] == 0
    assert model.decision_function(X).shape == (150,)
    with pytest.warns(sklearn.exceptions.ConvergenceWarning, match="not be separable"):
        three = Perceptron(max_iter=20).fit(X, y)
    assert three.coef_.shape == (3, 4)
    assert three.decision_function(X).shape == (150, 3)
    assert three.score(X, y) > 0.7


def test_several_outputs_of_a_regressor(diabetes):
    X, y = diabetes
    targets = np.column_stack([y, -y, X[:, 0]])
    model = MLPRegressor(hidden_layer_sizes=20, max_iter=60, random_state=0, learning_rate_init=0.01).fit(
        X, targets
    )
    assert model.predict(X).shape == targets.shape
    assert model.score(X, targets) > 0.5

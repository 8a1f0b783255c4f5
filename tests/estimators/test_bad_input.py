"""What cannot be trained on is refused with words that help, or does what is stated here."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from chainrule.errors import DataError, SettingError, ShapeError
from chainrule.estimators import (
    GraphNetworkClassifier,
    MLPClassifier,
    MLPRegressor,
    MultinomialLogisticRegression,
    Perceptron,
    Ridge,
)

QUICK = {"hidden_layer_sizes": 6, "max_iter": 3, "random_state": 0}


def classifier(**settings):
    return MLPClassifier(**(QUICK | settings))


@pytest.mark.parametrize("kind", [MLPClassifier, MultinomialLogisticRegression, Perceptron, Ridge])
def test_two_columns_of_one_name(kind, iris):
    X = pd.DataFrame(iris[0], columns=["a", "b", "c", "b"])
    with pytest.raises(DataError, match=r"same name[\s\S]*'b'"):
        kind().fit(X, iris[1])


TEXT = {"a": [1.0, 2.0, 3.0], "b": [1.0, "red", 2.0]}


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame(TEXT),
        pl.DataFrame({"a": TEXT["a"], "b": ["1", "red", "2"]}),
        pa.table({"a": TEXT["a"], "b": ["1", "red", "2"]}),
    ],
    ids=["pandas", "polars", "arrow"],
)
def test_text_and_mixed_types(X):
    with pytest.raises(
        DataError, match=r"column 'b' is not numeric[\s\S]*'red' in row 1[\s\S]*OneHotEncoder"
    ):
        classifier().fit(X, [0, 1, 0])


def test_text_in_an_array_and_dates():
    with pytest.raises(DataError, match=r"column 0 is not numeric[\s\S]*'x' in row 0"):
        classifier().fit(np.array([["x", "1"], ["y", "2"]]), [0, 1])
    with pytest.raises(DataError, match="mixes float, str"):
        classifier().fit(pd.DataFrame(TEXT), [0, 1, 0])
    dates = pd.DataFrame({"a": [1.0, 2.0], "when": pd.to_datetime(["2020-01-01", "2021-01-01"])})
    with pytest.raises(DataError, match=r"column 'when' is not numeric[\s\S]*Timestamp"):
        classifier().fit(dates, [0, 1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(value, iris):
    X = iris[0].copy()
    X[3, 2] = value
    where = f"{value}".replace("-", "\\-")
    with pytest.raises(DataError, match=rf"Input X contains[\s\S]*{where} in column 2, row 3"):
        classifier().fit(X, iris[1])
    model = classifier().fit(*iris)
    with pytest.raises(DataError, match="in column 'c', row 3"):
        model.set_params().fit(pd.DataFrame(iris[0], columns=list("abcd")), iris[1]).predict(
            pd.DataFrame(X, columns=list("abcd"))
        )
    with pytest.raises(ValueError, match="Input y contains"):
        MLPRegressor(**QUICK).fit(iris[0], X[:, 2])


def test_missing_values_of_pandas_and_numbers_too_large(iris):
    X = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match=r"column 'a', row 1[\s\S]*SimpleImputer"):
        classifier().fit(X, [0, 1, 0])
    with pytest.raises(DataError, match=r"non-finite parameter weights[\s\S]*float32[\s\S]*StandardScaler"):
        classifier().fit(iris[0] * 1e300, iris[1])


def test_booleans_and_integers_are_numbers():
    X = pd.DataFrame({"a": [True, False, True], "b": [1, 2, 3]})
    assert classifier().fit(X, ["u", "v", "u"]).predict(X).shape == (3,)


def test_a_class_that_appears_once(iris):
    X, y = iris[0], np.r_[iris[1][:-1], 7]
    assert list(classifier().fit(X, y).classes_) == [0, 1, 2, 7]
    # several classes are not stratified, as in scikit-learn; two are, which one row does not allow
    assert list(classifier(early_stopping=True).fit(X, y).classes_) == [0, 1, 2, 7]
    with pytest.raises(ValueError, match="only 1 member"):
        classifier(early_stopping=True).fit(X[:51], iris[1][:51])
    alone = classifier().fit(X[:9], iris[1][:9])
    assert alone.predict(X[:3]).tolist() == [0, 0, 0]
    assert alone.predict_proba(X[:3]).tolist() == [[1.0]] * 3


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor, MultinomialLogisticRegression, Ridge])
def test_weights(kind, iris):
    weight = np.ones(150)
    weight[4] = -1
    with pytest.raises(DataError, match=r"negative weights[\s\S]*-1 in row 4"):
        kind().fit(*iris, sample_weight=weight)
    with pytest.raises(ValueError, match=r"sum to 0|non-zero"):
        kind().fit(*iris, sample_weight=np.zeros(150))
    with pytest.raises(ValueError, match="NaN"):
        kind().fit(*iris, sample_weight=np.full(150, np.nan))
    with pytest.raises(ValueError, match="sample_weight"):
        kind().fit(*iris, sample_weight=np.ones(3))


def test_a_minibatch_without_weight_changes_nothing(iris):
    weight = np.r_[np.ones(50), np.zeros(100)]
    settings = QUICK | {"batch_size": 50, "shuffle": False, "max_iter": 1, "solver": "sgd", "momentum": 0}
    whole = MLPRegressor(**settings).fit(iris[0], iris[0][:, 0], sample_weight=weight)
    first = MLPRegressor(**settings).fit(iris[0][:50], iris[0][:50, 0])
    np.testing.assert_allclose(whole.coefs_[0], first.coefs_[0], rtol=1e-5)
    assert np.isfinite(whole.loss_)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ({9: 1.0}, "classes that y does not have"),
        ({0: -1.0}, "negative"),
        ({0: 0.0, 1: 0.0, 2: 0.0}, "not all"),
    ],
)
def test_class_weights(weights, text, iris):
    with pytest.raises(SettingError, match=text):
        classifier(class_weight=weights).fit(*iris)
    with pytest.raises(ValueError, match="partial_fit does not have"):
        classifier(class_weight="balanced").partial_fit(*iris, classes=[0, 1, 2])


def test_a_validation_set_that_does_not_fit(iris):
    X, y = pd.DataFrame(iris[0], columns=list("abcd")), iris[1]
    model = classifier(early_stopping=True)
    with pytest.raises(ValueError, match="feature names should match"):
        model.fit(X, y, X_val=X[["a", "b", "d", "c"]], y_val=y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.fit(X, y, X_val=X.rename(columns={"a": "z"}), y_val=y)
    with pytest.raises(ValueError, match="3 features, but MLPClassifier is expecting 4"):
        model.fit(iris[0], y, X_val=iris[0][:, :3], y_val=y)
    with pytest.raises(ValueError, match="classes not in"):
        model.fit(X, y, X_val=X, y_val=y + 1)
    with pytest.raises(DataError, match="both X_val and y_val"):
        model.fit(X, y, X_val=X)
    with pytest.raises(DataError, match="a different number of outputs"):
        MLPRegressor(**QUICK).fit(X, iris[0][:, 0], X_val=X, y_val=iris[0][:, :2])


def test_partial_fit_with_other_features_or_classes(iris):
    model = classifier().partial_fit(*iris, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="3 features, but MLPClassifier is expecting 4"):
        model.partial_fit(iris[0][:, :3], iris[1])
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(iris[0], iris[1] + 1)
    named = classifier().partial_fit(pd.DataFrame(iris[0], columns=list("abcd")), iris[1], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="feature names should match"):
        named.partial_fit(pd.DataFrame(iris[0], columns=list("abce")), iris[1])
    assert model.n_iter_ == 1
    assert np.isfinite(model.predict_proba(iris[0])).all()
    with pytest.raises(ShapeError, match="other layers"):
        model.set_params(hidden_layer_sizes=7).partial_fit(*iris)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"activation": "rely"}, "'relu'"),
        ({"activation": ["relu", "tanh"]}, "one for each hidden layer"),
        ({"hidden_layer_sizes": (8, 0)}, "must be > 0"),
        ({"loss": "log_los"}, "'log_loss'"),
        ({"loss": 3}, "'loss' parameter"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"scoring": "acuracy", "early_stopping": True}, "not a valid scoring value"),
        ({"solver": "lbfgs", "batch_norm": True}, "no dropout, no batch_norm"),
        ({"dtype": "float16"}, "'dtype' parameter"),
        ({"loss": "focal", "label_smoothing": 0.1}, "log loss"),
    ],
)
def test_settings(settings, text, iris):
    with pytest.raises(ValueError, match=text):
        classifier(**settings).fit(*iris)


def test_targets(iris):
    with pytest.raises(DataError, match=r">= 0[\s\S]*-2"):
        MLPRegressor(**QUICK, loss="poisson").fit(iris[0], -iris[1])
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier().fit(iris[0], iris[0][:, 0])
    with pytest.raises(ValueError, match="could not convert"):
        MLPRegressor(**QUICK).fit(iris[0], ["a"] * 150)
    with pytest.raises(DataError, match="only one class"):
        Perceptron().fit(iris[0], np.zeros(150, int))


def test_graphs_that_do_not_fit(iris):
    with pytest.raises(DataError, match=r"4 inputs[\s\S]*1: a"):
        GraphNetworkClassifier([("a", "b")], ["a"], ["b"]).fit(*iris)
    with pytest.raises(DataError, match="3 outputs"):
        GraphNetworkClassifier([(i, "o") for i in range(4)], range(4), ["o"]).fit(*iris)
    with pytest.raises(SettingError, match="inputs and outputs"):
        GraphNetworkClassifier([("a", "b")]).fit(*iris)
    with pytest.raises(SettingError, match="b -> c -> b"):
        edges = [("a", "b"), ("b", "c"), ("c", "b")]
        GraphNetworkClassifier(edges, ["a"], ["c"]).fit(iris[0][:, :1], iris[1] > 0)

"""The estimators for raw tables: predictions, scores out of fold, settings, the habits of scikit-learn."""

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPRegressor as TheirMLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tests.estimators.raw_table import NUMBERS, PLACES, ROWS, SMALL, TWO, X, made

import chainrule as cr
from chainrule import tables
from chainrule.errors import DataError
from chainrule.estimators import MLPClassifier, TableClassifier, TableRegressor


@pytest.fixture(scope="module")
def fitted():
    return TableClassifier(**SMALL).fit(X, PLACES)


@pytest.fixture(scope="module")
def probabilities(fitted):
    return fitted.predict_proba(X)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (X[X.columns[::-1]], "same order"),
        (X.drop(columns="flag"), "now missing"),
        (X.assign(z=1), "unseen"),
        (X.assign(num=-np.inf), "contains infinity"),
        (X[:0], "no rows"),
    ],
)
def test_predictions_that_are_refused(fitted, other, message):
    with pytest.raises(ValueError, match=message):
        fitted.predict(other)


def test_cells_of_arrays_go_by_position(fitted, probabilities):
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert np.array_equal(fitted.predict_proba(X.to_numpy(object)), probabilities)
    unnamed = TableClassifier(**SMALL).fit(X.to_numpy(object), PLACES)
    with pytest.warns(UserWarning, match="X has feature names"):
        assert np.array_equal(unnamed.predict_proba(X), probabilities)


def test_a_row_is_predicted_alike_whatever_comes_with_it(fitted, probabilities):
    order = np.random.default_rng(1).permutation(ROWS)[:77]
    assert np.array_equal(fitted.predict_proba(X.iloc[order]), probabilities[order])
    assert np.array_equal(
        np.vstack([fitted.predict_proba(X[i : i + 1]) for i in range(9)]), probabilities[:9]
    )
    assert np.array_equal(fitted.predict_proba(pd.concat([X] * 5)), np.vstack([probabilities] * 5))
    assert np.allclose(fitted.trained_.predict(X).probabilities, probabilities, atol=1e-6)


def test_unknown_categories_and_gaps_are_predicted_and_odd_cells_are_told(fitted):
    new = X.assign(town="Ulm", num=np.nan)
    assert np.isfinite(fitted.predict_proba(new)).all()
    odd = X.assign(num=X["num"].astype(object))
    odd.loc[3, "num"] = "abc"
    with pytest.warns(cr.DataWarning, match=r"'num' has cells that are not numbers, such as 'abc' \(row 4\)"):
        fitted.predict(odd)
    with pytest.warns(cr.DataWarning, match="'when' cannot be used"):
        TableClassifier(**SMALL).fit(X.assign(when=X["when"].diff()), PLACES)


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_out_of_fold_is_what_the_networks_say_of_rows_that_they_did_not_see(task):
    Estimator, y = (
        (TableClassifier, np.array(["a", "a ", "b"])[PLACES])
        if task == "classes"
        else (TableRegressor, NUMBERS)
    )
    model = Estimator(**SMALL | {"folds": 3, "restarts": 2}).fit(X, y)
    prepared, judged = model.trained_.prepared, model.trained_.out_of_fold
    features, rows = prepared.training.features, prepared.split.training
    total, weight = 0.0, np.zeros((ROWS, 1))
    for member, unseen, share in zip(judged.members, judged.unseen, judged.shares, strict=True):
        said = member.predict(features[unseen]).astype(float)
        part = np.zeros((ROWS, said.shape[1]))
        part[unseen] = log_softmax(said, 1) if task == "classes" else said
        total, weight = total + share * part, weight + share * np.isin(np.arange(ROWS), unseen)[:, None]
    mean = (total / weight / judged.temperature)[np.argsort(rows)]
    if task == "classes":
        expected = model.trained_.model.probabilities(mean.astype(np.float32))
        assert np.allclose(model.out_of_fold_, expected, atol=1e-5)
        assert model.out_of_fold_score_ == np.mean(model.classes_[model.out_of_fold_.argmax(1)] == y)
    else:
        mean = mean.ravel() * NUMBERS.std() + NUMBERS.mean()
        assert np.allclose(model.out_of_fold_, mean, atol=1e-5)
        off = ((model.out_of_fold_ - NUMBERS) ** 2).sum() / ((NUMBERS - NUMBERS.mean()) ** 2).sum()
        assert model.out_of_fold_score_ == pytest.approx(1 - off)


def test_single_networks_and_very_few_rows_have_no_score_out_of_fold():
    model = TableClassifier(**SMALL).fit(X, PLACES).set_params(ensemble=False).fit(X, PLACES)
    assert len(model.trained_.history.loss) == 1 and model.predict(X).shape == (ROWS,)
    few = TableClassifier(**SMALL).fit(X[:7], [0, 1, 0, 1, 0, 1, 0])
    assert not any(
        hasattr(one, name) for one in (model, few) for name in ("out_of_fold_", "out_of_fold_score_")
    )


def test_settings_are_those_of_tables_and_follow_from_the_rows_if_none():
    said = {
        "hidden": np.array([4, 6]), "dropout": np.float64(0.2), "epochs": np.int64(2), "batch_size": 16, "lr": 0.01,
        "weight_decay": 0.1, "folds": 3, "restarts": 2, "scaling": "standard", "embedding": "periodic",
    }  # fmt: skip
    plain = said | {"hidden": (4, 6), "seed": 5, "task": "regression"}
    asked = TableRegressor(**said, random_state=5)._settings_for_tables({})
    assert asked == tables.Recipe(plain) and set(map(type, asked.changes.values())) == {
        tuple,
        int,
        float,
        str,
    }
    single = TableRegressor(**said, random_state=5, ensemble=False)._settings_for_tables({})
    assert single == tables.TrainingSettings(**plain, held_out=0.0)
    nothing = TableRegressor(random_state=0)._settings_for_tables({})
    assert nothing == tables.Recipe({"task": "regression", "seed": 0, "restarts": 1})
    for wrong in (
        {"hidden": (1.5,)},
        {"scaling": "x"},
        {"embedding": "y"},
        {"columns": {"a": 1}},
        {"lr": -1},
        {"folds": 1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong)) if "hidden" not in wrong else "width"):
            TableRegressor(**SMALL | wrong).fit(X, NUMBERS)


def test_columns_are_said_and_groups_stay_together():
    columns = tables.Columns(types={"int": "category"}, ignore=("when",))
    model = clone(TableClassifier(**SMALL, columns=columns, group="town")).fit(X, PLACES)
    kinds = {column.name: column.kind for column in model.trained_.model.preprocessor.columns}
    assert kinds == {
        "num": "numeric",
        "int": "categorical",
        "town": "ignored",
        "flag": "boolean",
        "when": "ignored",
    }
    towns = X["town"].fillna("").to_numpy()[model.trained_.prepared.split.training]
    for unseen in model.trained_.out_of_fold.unseen:
        others = np.setdiff1d(np.arange(ROWS), unseen)
        assert not set(towns[unseen]) & set(towns[others])
    with pytest.raises(DataError, match="no column 'zz'"):
        TableClassifier(columns=tables.Columns(ignore=("zz",))).fit(X, PLACES)
    assert copy.deepcopy(columns) == pickle.loads(pickle.dumps(columns)) == columns


@pytest.mark.parametrize(("Estimator", "y"), [(TableClassifier, PLACES), (TableRegressor, NUMBERS)])
def test_rows_of_weight_0_are_as_if_they_were_not_there(Estimator, y):
    weight = np.random.default_rng(0).integers(0, 3, ROWS)
    kept = weight > 0
    all_rows = Estimator(**SMALL).fit(X, y, sample_weight=weight)
    fewer = Estimator(**SMALL).fit(X[kept], y[kept], weight[kept])
    assert np.array_equal(all_rows.predict(X), fewer.predict(X))
    assert np.array_equal(all_rows.out_of_fold_[kept], fewer.out_of_fold_)
    assert np.isnan(all_rows.out_of_fold_[~kept]).all()
    alike = Estimator(**SMALL).fit(X, y, np.full(ROWS, 0.5))
    assert np.allclose(alike.predict(X), Estimator(**SMALL).fit(X, y).predict(X), atol=1e-5)


def test_weights_shift_probabilities_and_the_score_out_of_fold():
    group, y = np.arange(200) % 2, np.arange(200) % 4 < 2
    weight = np.where(group == 0, np.where(y, 9.0, 1.0), np.where(y, 1.0, 4.0))
    model = TableClassifier((), epochs=60, folds=2, embedding="none", random_state=0, lr=0.05, weight_decay=0)
    model.fit(group[:, None].astype(bool), y, weight)
    assert np.allclose(model.predict_proba([[False], [True]])[:, 1], [0.9, 0.2], atol=0.05)
    best = model.classes_[model.out_of_fold_.argmax(1)]
    assert (
        model.out_of_fold_score_
        == pytest.approx(np.average(best == y, weights=weight))
        == pytest.approx(13 / 15)
    )


REFUSED_WEIGHTS = {
    "negative weights": -np.ones(ROWS),
    "at least one non-zero": np.zeros(ROWS),
    "expected .120,": np.ones(ROWS - 1),
    "contains NaN": [np.nan] * ROWS,
    "one class only": TWO.astype(float),
}


@pytest.mark.parametrize("message", REFUSED_WEIGHTS)
def test_weights_that_are_refused(message):
    with pytest.raises(DataError, match=message):
        TableClassifier(**SMALL).fit(X, TWO, REFUSED_WEIGHTS[message])


def test_copies_and_pickles_predict_the_same_bits(fitted, probabilities):
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    for other in (joblib.load(file), copy.deepcopy(fitted)):
        assert np.array_equal(other.predict_proba(X), probabilities)
        assert repr(other.trained_.score) == repr(fitted.trained_.score)


def test_seeds_and_threads():
    def bits(**changes):
        return TableClassifier(**SMALL | changes).fit(X, PLACES).predict_proba(X)

    first = bits()
    for same in ({"threads": 1}, {"threads": 2}, {"random_state": np.int64(0)}):
        assert np.array_equal(bits(**same), first)
    drawn = [bits(random_state=np.random.RandomState(3)) for _ in range(2)]
    assert np.array_equal(*drawn) and not np.array_equal(drawn[0], first)
    assert not np.array_equal(bits(random_state=1), first)


def test_fits_and_predictions_in_threads(fitted, probabilities):
    models = [TableClassifier(**SMALL) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        fits = list(pool.map(lambda model: model.fit(X, PLACES).predict_proba(X), models))
        found = list(pool.map(lambda start: fitted.predict_proba(X[start:]), range(30)))
    assert all(np.array_equal(one, probabilities) for one in fits)
    assert all(np.array_equal(one, probabilities[start:]) for start, one in enumerate(found))


def test_searches_pipelines_and_cross_validation(probabilities):
    search = GridSearchCV(TableClassifier(**SMALL), {"hidden": [8, ()], "epochs": [4, 8]}, cv=2)
    search.fit(X, np.array(["01", "02", "10"])[PLACES])
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    with joblib.parallel_backend("threading"):
        threads = cross_val_score(TableClassifier(**SMALL), X, PLACES, cv=2, n_jobs=2)
    assert np.array_equal(threads, cross_val_score(TableClassifier(**SMALL), X, PLACES, cv=2))
    chosen = make_column_transformer(("passthrough", ["num", "int", "town", "flag", "when"])).set_output(
        transform="pandas"
    )
    chosen.set_params(verbose_feature_names_out=False)
    piped = make_pipeline(chosen, TableClassifier(**SMALL)).fit(X, PLACES)
    assert np.array_equal(piped.predict_proba(X), probabilities)


def test_as_good_as_scikit_learns_network_on_columns_prepared_by_hand():
    (train, y), (test, truth) = made(600, 1), made(400, 2)
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    by_hand = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), ["town", "flag"]),
    )
    theirs = make_pipeline(
        by_hand,
        TheirMLPRegressor(hidden_layer_sizes=32, learning_rate_init=0.01, max_iter=60, random_state=0),
    ).fit(train, y)
    ours = TableRegressor(32, epochs=60, folds=2, embedding="none", dropout=0, random_state=0).fit(train, y)
    assert ours.score(test, truth) > theirs.score(test, truth) - 0.01 > 0.9
    assert ours.out_of_fold_score_ == pytest.approx(ours.score(test, truth), abs=0.03)


def test_columns_of_arrow_with_the_same_cells_have_different_names():
    y = [0, 1] * 20
    twice = pa.table({"a": np.arange(40.0), "b": np.arange(40.0)})
    assert MLPClassifier(4, max_iter=1).fit(twice, y).feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(DataError, match="same name"):
        MLPClassifier(4, max_iter=1).fit(
            pa.table([pa.array([0.0, 1.0]), pa.array([1.0, 0.0])], names=["a", "a"]), [0, 1]
        )

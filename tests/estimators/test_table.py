"""The estimators for raw tables: any container, any labels, the habits of scikit-learn."""

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import joblib
import numpy as np
import pandas as pd
import polars as pl
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

import chainrule as cr
from chainrule import tables
from chainrule.errors import DataError
from chainrule.estimators import MLPClassifier, TableClassifier, TableRegressor
from chainrule.estimators.frames import training_frame

ROWS = 120
SMALL = {"hidden": 8, "epochs": 8, "folds": 2, "embedding": "none", "random_state": 0}


def made(rows, seed=0):
    """A frame with numbers, text, truth values, dates and gaps, and what depends on it."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "num": rng.normal(size=rows),
            "int": rng.integers(0, 50, rows),
            "town": rng.choice(["Oslo", "Rome", "Bern"], rows),
            "flag": rng.random(rows) > 0.5,
            "when": pd.Timestamp(2020, 1, 1) + pd.to_timedelta(rng.integers(0, 900 * 86400, rows), unit="s"),
        }
    )
    X.loc[::7, "num"], X.loc[::11, "town"] = np.nan, None
    y = X["num"].fillna(0) + 1.5 * (X["town"] == "Rome") - (X["town"] == "Oslo") + 0.5 * X["flag"]
    return X, y.to_numpy()


X, NUMBERS = made(ROWS)
PLACES = np.digitize(NUMBERS, [-0.5, 0.8])
CONTAINERS = {
    "polars": pl.from_pandas,
    "lazy": lambda X: pl.from_pandas(X).lazy(),
    "arrow": pa.Table.from_pandas,
    "batch": pa.RecordBatch.from_pandas,
    "index": lambda X: X.set_axis(np.arange(ROWS)[::-1] + 50),
    "objects": lambda X: X.to_numpy(dtype=object),
    "lists": lambda X: X.to_numpy(dtype=object).tolist(),
    "nullable": lambda X: X.convert_dtypes(),
    "pyarrow dtypes": lambda X: X.convert_dtypes(dtype_backend="pyarrow"),
    "unused levels": lambda X: X.assign(town=pd.Categorical(X["town"], ["Ulm", "Oslo", "Rome", "Bern"])),
    "zone": lambda X: X.assign(when=X["when"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")),
    "dates as text": lambda X: X.assign(when=X["when"].astype(str)),
    "numbers as names": lambda X: X.set_axis(range(5), axis=1),
}


@pytest.fixture(scope="module")
def fitted():
    return TableClassifier(**SMALL).fit(X, PLACES)


@pytest.fixture(scope="module")
def probabilities(fitted):
    return fitted.predict_proba(X)


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_same_table_in_any_container_gives_the_same_bits(name, probabilities):
    given = CONTAINERS[name](X)
    model = TableClassifier(**SMALL).fit(given, pd.Series(PLACES, index=range(7, 7 + ROWS)))
    assert np.array_equal(model.predict_proba(given), probabilities)
    assert model.n_features_in_ == 5
    named = name not in {"objects", "lists", "numbers as names"}
    assert hasattr(model, "feature_names_in_") == named
    columns = list(X.columns) if named else [f"column_{i}" for i in range(1, 6)]
    assert model.trained_.prepared.frame.columns == [*columns, "y"]


def test_masked_numbers_are_missing_and_lists_keep_their_kinds():
    numbers = np.random.default_rng(0).normal(size=(60, 2))
    mask, y = np.zeros((60, 2), bool), (numbers[:, 0] > 0).astype(int)
    mask[::4, 1] = True
    masked = TableClassifier(**SMALL).fit(np.ma.masked_array(np.where(mask, 9e9, numbers), mask), y)
    nan = TableClassifier(**SMALL).fit(np.where(mask, np.nan, numbers), y)
    assert np.array_equal(masked.predict_proba(numbers), nan.predict_proba(numbers))
    mixed = training_frame(
        TableClassifier(), [["a", 1.5, None], ["b", 2.5, float("nan")], ["a", 3.5, "z"]], y
    )
    assert [str(kind) for kind in mixed.dtypes] == ["String", "Float64", "String"]
    assert mixed["column_3"].to_list() == [None, None, "z"]


LABELS = {
    "texts of numbers": np.array(["1", "2", "3"]),
    "codes": np.array(["01", "02", "10"]),
    "floats": np.array([0.0, 1.0, 2.0]),
    "small": np.array([1, 2, 3], np.int8),
    "negative": np.array([-5, 0, 7]),
    "beyond int64": np.array([1, 2, 2**63 + 5], np.uint64),
    "dates in digits": np.array([20200101, 20200102, 20210101]),
    "objects": np.array(["a", "b", "c"], object),
    "words for missing": np.array(["NA", "NaN", "none"], object),
    "nothing and spaces": np.array(["", " ", "a"], object),
    "told apart by spaces": np.array(["a", "a ", "b"]),
    "words for true": np.array(["maybe", "no", "yes"]),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_any_kind_come_back_as_they_were(name, probabilities):
    labels = LABELS[name]
    model = TableClassifier(**SMALL).fit(X, labels[PLACES])
    assert np.array_equal(model.predict_proba(X), probabilities)
    predicted = model.predict(X)
    assert predicted.dtype == model.classes_.dtype == labels.dtype
    assert np.array_equal(model.classes_, labels)
    assert np.array_equal(predicted, labels[probabilities.argmax(1)])
    assert model.score(X, labels[PLACES]) == np.mean(probabilities.argmax(1) == PLACES)


TWO = PLACES > 0
SERIES = {
    "bool": TWO,
    "0.0 and 1.0": TWO.astype(float),
    "nullable": pd.Series(TWO).astype("boolean"),
    "Int64": pd.Series(TWO.astype(int)).astype("Int64"),
    "string": pd.Series(np.where(TWO, "b", "a"), dtype="string"),
    "unused level": pd.Series(pd.Categorical(np.where(TWO, "b", "a"), ["c", "b", "a"])),
    "polars": pl.Series(np.where(TWO, "b", "a")).cast(pl.Categorical),
    "arrow": pa.chunked_array([pa.array(TWO)]),
    "dictionary": pa.array(np.where(TWO, "b", "a")).dictionary_encode(),
    "pyarrow dtype": pd.Series(TWO.astype(int), dtype=pd.ArrowDtype(pa.int64())),
    "list": TWO.tolist(),
}


def test_two_classes_of_any_series_are_the_same_two():
    found = {name: TableClassifier(**SMALL).fit(X, y) for name, y in SERIES.items()}
    assert {len(model.classes_) for model in found.values()} == {2}
    first, *others = (model.predict(X) == model.classes_[1] for model in found.values())
    assert all(np.array_equal(first, other) for other in others)
    kinds = {name: found[name].classes_.dtype.kind for name in ("bool", "0.0 and 1.0", "Int64", "arrow")}
    assert kinds == {"bool": "b", "0.0 and 1.0": "f", "Int64": "i", "arrow": "b"}


REFUSED_LABELS = {
    "1 value is missing": np.ma.masked_array(TWO.astype(int), np.arange(ROWS) == 3),
    "60 values are missing": [None, "a"] * 60,
    "Input y contains NaN": np.array(["a", np.nan] * 60, object),
    "y contains NaN": np.where(TWO, np.nan, 1.0),
    "y contains infinity": np.where(TWO, np.inf, 1.0),
    "Unknown label type: continuous": NUMBERS,
    "Unknown label type: y has objects": TWO.astype(object),
    "y has texts and other objects": [1, "a"] * 60,
    "one class only": ["a"] * ROWS,
    "almost as many classes as rows": [f"r{i}" for i in range(ROWS)],
    "inconsistent numbers of samples": TWO[1:],
    "1d array": np.c_[TWO, TWO],
    "ends with NUL": ["a", "a\0"] * 60,
}


@pytest.mark.filterwarnings("ignore:The number of unique classes")
@pytest.mark.parametrize("message", REFUSED_LABELS)
def test_labels_that_are_refused(message):
    with pytest.raises(ValueError, match=message):
        TableClassifier(**SMALL).fit(X, REFUSED_LABELS[message])


def test_numbers_of_any_kind_are_the_same_numbers():
    fit = TableRegressor(**SMALL).fit
    expected = fit(X, NUMBERS).predict(X)
    assert expected.dtype == np.float64
    for y in (
        NUMBERS.astype(object), [Decimal(float(number)) for number in NUMBERS], NUMBERS.tolist(), pa.array(NUMBERS),
        pd.Series(NUMBERS, index=range(9, 9 + ROWS), name="num"), pd.Series(NUMBERS).astype("Float64"),
        pl.Series("when", NUMBERS),
    ):  # fmt: skip
        assert np.array_equal(fit(X, y).predict(X), expected)
    integers = fit(X, PLACES).predict(X)
    for y in (PLACES.astype(np.uint8), PLACES.astype(float)):
        assert np.array_equal(fit(X, y).predict(X), integers)
    # as whole numbers of eight digits, which as a column would be dates
    assert np.allclose(fit(X, 20200101 + PLACES).predict(X), 20200101 + integers, atol=1e-4, rtol=0)


REFUSED_NUMBERS = {
    "y contains NaN": np.where(TWO, np.nan, 1.0),
    "y contains infinity": np.where(TWO, np.inf, 1.0),
    "y holds no numbers": NUMBERS.astype(str),
    "dates and times are not numbers": X["when"],
    "leave the range of float64": np.where(TWO, 1e305, 1.0),
    "one value only": np.ones(ROWS),
    "values? (is|are) missing": pd.Series(NUMBERS).astype("Float64").mask(TWO),
}


@pytest.mark.parametrize("message", REFUSED_NUMBERS)
def test_numbers_that_are_refused(message):
    with pytest.raises(ValueError, match=message):
        TableRegressor(**SMALL).fit(X, REFUSED_NUMBERS[message])


REFUSED_TABLES = {
    "contains infinity": X.assign(num=np.where(TWO, np.inf, 1.0)),
    "must be a string, a number": X.assign(town=[{"a": 1} if i == 3 else i for i in range(ROWS)]),
    "same name": X.rename(columns={"int": "num"}),
    "Feature names are only supported": X.rename(columns={"int": 3}),
    "Expected 2D array": X["num"].to_numpy(),
    "Complex data": np.ones((ROWS, 2)) * 1j,
    "X has no rows": X[:0],
    "X has no columns": X[[]],
    "1 sample": X[:1],
    "no column is left": np.ones((ROWS, 2)),
}


@pytest.mark.parametrize("message", REFUSED_TABLES)
def test_tables_that_are_refused(message):
    given = REFUSED_TABLES[message]
    with pytest.raises((ValueError, TypeError), match=message):
        TableClassifier(**SMALL).fit(given, TWO[: len(given)])


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
        (TableClassifier, LABELS["told apart by spaces"][PLACES])
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
    asked = TableRegressor(**said, random_state=5)._settings_for_tables()
    assert asked == tables.Recipe(plain) and set(map(type, asked.changes.values())) == {
        tuple,
        int,
        float,
        str,
    }
    single = TableRegressor(**said, random_state=5, ensemble=False)._settings_for_tables()
    assert single == tables.TrainingSettings(**plain, held_out=0.0)
    nothing = TableRegressor(random_state=0)._settings_for_tables()
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
    search.fit(X, LABELS["codes"][PLACES])
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

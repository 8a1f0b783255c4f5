"""What the estimators for raw tables take: any container, any labels, any numbers; and what they refuse."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.estimators.raw_table import NUMBERS, PLACES, ROWS, SMALL, TWO, X

from chainrule.estimators import TableClassifier, TableRegressor
from chainrule.estimators.frames import training_frame

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

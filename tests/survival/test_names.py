"""Odd names of columns, categories, classes, parameters and neurons: kept as they are, or refused with a reason."""

import json
import pickle
import xml.dom.minidom

import numpy as np
import onnxruntime
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import data, exchange, nn, optim, tables
from chainrule.data import read_table
from chainrule.data.features.cell_types import Untyped
from chainrule.data.features.compact import compact
from chainrule.data.features.frames import as_frame
from chainrule.data.tables import typed_columns
from chainrule.errors import ChainruleError, DataError, ExchangeError
from chainrule.estimators import (
    GraphNetworkClassifier,
    MLPClassifier,
    MLPRegressor,
    MultinomialLogisticRegression,
    Perceptron,
)

NAMES = {
    "empty": "",
    "space": " ",
    "NUL": "\0",
    "NUL at the end": "a\0",
    "NUL inside": "a\0b",
    "long": "x" * 70_000,
    "newline": "a\nb\r\n",
    "right to left": "\u202eabc",
    "composed": "\u00e9",
    "decomposed": "e\u0301",
    "a number": "1",
    "quotes": "a\"b'c\\",
    "a path": "../a",
    "markup": "<img src=x onerror=alert(1)>",
    "an escape": "\x1b[31mred",
    "outside the first plane": "\U0001f600",
    "no character": "\uffff",
    "a value's name in ONNX": "Concat_0",
    "prediction": "prediction",
}
SURROGATE = "\ud800"
ROWS = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 2)).astype(np.float32)
SETTINGS = tables.TrainingSettings(epochs=2, hidden=(4,))


def table(column="u", categories=("b", "c"), target="t", classes=("no", "yes")) -> pl.DataFrame:
    return pl.DataFrame(
        {
            column: X[:, 0],
            "other number": X[:, 1],
            "some text": [categories[i % len(categories)] for i in range(ROWS)],
            target: [classes[int(x > 0)] for x in X[:, 0]],
        }
    )


def one_session(raw: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(raw, options)


def same_in_onnx(model: tables.TableModel, frame: pl.DataFrame) -> None:
    session = one_session(exchange.to_onnx(model))
    given = {
        i.name: frame[i.name].fill_null("").to_numpy().astype(object)
        if i.type == "tensor(string)"
        else frame[i.name].to_numpy().astype(np.float64)
        for i in session.get_inputs()
    }
    found = session.run(None, given)[0]
    assert found.tolist() == model.predict(frame).values.to_list()


def trained_and_told(tmp_path, frame: pl.DataFrame, target: str) -> tables.TableModel:
    """A model of the table, after all that one does with it; saved and read again it predicts the same."""
    trained = tables.train_table(frame, target, SETTINGS)
    trained.model.save(tmp_path / "model.safetensors")
    model = tables.load_model(tmp_path / "model.safetensors")
    expected = trained.model.predict(frame)
    assert model.predict(frame).values.to_list() == expected.values.to_list()
    assert (
        model.predict(pd.DataFrame(frame.to_dict(as_series=False))).values.to_list()
        == expected.values.to_list()
    )
    assert repr(model)
    assert json.dumps(model.preprocessor.feature_names)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_a_column(tmp_path, name):
    frame = table(column=NAMES[name])
    model = trained_and_told(tmp_path, frame, "t")
    assert NAMES[name] in [column.name for column in model.preprocessor.used]
    if name == "empty" or "\0" in NAMES[name]:
        with pytest.raises(ExchangeError, match=r"without a name|a column has a NUL"):
            exchange.to_onnx(model)
    else:
        same_in_onnx(model, frame)


@pytest.mark.parametrize("name", NAMES)
def test_the_target(tmp_path, name):
    model = trained_and_told(tmp_path, table(target=NAMES[name]), NAMES[name])
    assert model.preprocessor.target.name == NAMES[name]
    same_in_onnx(model, table())


@pytest.mark.parametrize("name", NAMES)
def test_categories_and_classes_that_differ_in_a_nul_are_two(tmp_path, name):
    pair = (NAMES[name] + "\0", NAMES[name])
    frame = table(categories=pair, classes=pair)
    if not NAMES[name].strip():  # a cell of spaces is an empty one, and without a class the row is left out
        with pytest.raises(DataError, match="one value only"):
            tables.train_table(frame, "t", SETTINGS)
        return
    model = trained_and_told(tmp_path, frame, "t")
    assert sorted(model.classes) == sorted({text.strip() for text in pair})
    with pytest.raises(ExchangeError, match="a class has a NUL"):
        exchange.to_onnx(model)
    model = tables.train_table(table(categories=pair), "t", SETTINGS).model
    with pytest.raises(ExchangeError, match="a category of column 'some text' has a NUL"):
        exchange.to_onnx(model)


@pytest.mark.parametrize("name", [name for name in NAMES if NAMES[name].strip() and "\0" not in NAMES[name]])
def test_categories_and_classes_in_onnx(tmp_path, name):
    frame = table(categories=("b", NAMES[name]), classes=("b", NAMES[name]))
    model = trained_and_told(tmp_path, frame, "t")
    same_in_onnx(model, frame.with_columns(pl.col("some text").str.strip_chars()))


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f,
        lambda f: pd.DataFrame(f.to_dict(as_series=False)),
        lambda f: pa.table(f.to_dict(as_series=False)),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_frames_keep_their_names(make, name):
    frame = pl.DataFrame({"column_0": [0], NAMES[name]: [1], "column_1": [2]})
    assert as_frame(make(frame)).columns == frame.columns


@pytest.mark.parametrize(
    "make",
    [
        lambda name: pd.DataFrame({name: pd.Series([1.0, 2.0])}),
        lambda name: pd.DataFrame({"a": pd.Series(["b", name], dtype=object)}),
        lambda name: pd.DataFrame(
            {"a": pd.Categorical(np.array(["b", "c"], object)).rename_categories(["b", name])}
        ),
    ],
)
def test_half_a_surrogate_pair_is_said(make):
    try:
        frame = make(SURROGATE)
    except UnicodeEncodeError:  # pandas itself does not take it here
        return
    with pytest.raises(DataError, match=r"not Unicode(.|\n)*\\ud800"):
        as_frame(frame)


# Estimators

CLASSIFIERS = [MLPClassifier, GraphNetworkClassifier, MultinomialLogisticRegression, Perceptron]
COLUMNS = {
    "list": lambda y: y,
    "tuple": tuple,
    "objects": lambda y: np.array(y, object),
    "pandas": lambda y: pd.Series(y, dtype=object),
    "pandas texts": lambda y: pd.Series(y, dtype="string"),
    "polars": pl.Series,
    "Arrow": pa.array,
    "bytes": lambda y: np.array([text.encode() for text in y], object),
}


def quick(kind, **more):
    return kind(**({} if kind is Perceptron else {"max_iter": 2}) | more)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classes_that_end_with_nul_are_refused(kind, column):
    y = COLUMNS[column](["a\0" if x > 0 else "a" for x in X[:, 0]])
    with pytest.raises(DataError, match="ends with NUL"):
        quick(kind).fit(X, y)
    if kind is MLPClassifier:
        with pytest.raises(DataError, match="ends with NUL"):
            kind().partial_fit(X, y, classes=["a", "b"])
        with pytest.raises(DataError, match="classes: the name of a class ends with NUL"):
            kind().partial_fit(X, ["a"] * ROWS, classes=["a", "a\0"])
        with pytest.raises(DataError, match="ends with NUL"):
            kind().fit(X, ["a", "b"] * 30, X_val=X, y_val=y)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "column", [name for name in COLUMNS if name not in ("polars", "bytes", "pandas texts", "Arrow")]
)
@pytest.mark.parametrize("name", [n for n in NAMES if not NAMES[n].endswith("\0")] + ["surrogate"])
def test_other_classes_stay_what_they_are(column, name):
    text = NAMES.get(name, SURROGATE)
    y = ["z" + text if x > 0 else text for x in X[:, 0]]
    for kind in CLASSIFIERS:
        model = quick(kind).fit(X, COLUMNS[column](y))
        assert sorted(model.classes_.tolist()) == sorted(set(y))
        found = model.predict(X)
        assert set(found.tolist()) <= set(y)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_columns_of_estimators(name):
    frame = pd.DataFrame({NAMES[name]: X[:, 0], "b": X[:, 1]})
    model = quick(MLPRegressor).fit(frame, X[:, 0])
    assert list(model.feature_names_in_) == [NAMES[name], "b"]
    assert model.predict(frame).shape == (ROWS,)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={NAMES[name]: NAMES[name] + "\0"}))


# Networks


def module_with(name: str) -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            setattr(self, name, nn.Parameter(np.ones((2, 1), np.float32)))

        def forward(self, x):
            return x @ getattr(self, name)

    return Net()


@pytest.mark.parametrize("name", [*NAMES, "surrogate"])
def test_a_parameter(tmp_path, name):
    text = NAMES.get(name, SURROGATE)
    model = module_with(text)
    assert list(model.state_dict()) == [text]
    model.load_state_dict(model.state_dict())
    assert repr(model)
    run = {
        "loss": nn.squared_error,
        "epochs": 2,
        "progress": False,
        "checkpoint": tmp_path / "run.safetensors",
    }
    if name == "surrogate":
        with pytest.raises(ChainruleError, match="surrogates"):
            cr.fit(model, (X, X[:, :1]), optimizer=optim.SGD(0.01), **run)
        return
    whole = cr.fit(model, (X, X[:, :1]), optimizer=optim.SGD(0.01), **run)
    again = cr.fit(module_with(text), (X, X[:, :1]), optimizer=optim.SGD(0.01), resume=True, **run)
    np.testing.assert_array_equal(whole.loss, again.loss)
    found = one_session(exchange.to_onnx(model, example=X)).run(None, {"x": X})[0]
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_neuron(tmp_path, name):
    text = NAMES[name]
    net = nn.GraphNetwork(
        [("i", text), (text, "o"), ("j", text), ("i", text + "\0"), (text + "\0", "o")], ["i", "j"], ["o"]
    )
    assert {text, text + "\0"} <= set(net.neurons)
    assert len(net.neurons) == 5
    cr.draw(net).save(tmp_path / "net.svg")
    xml.dom.minidom.parse(str(tmp_path / "net.svg"))
    assert str(cr.explain(net(cr.tensor(X[:1])).sum()))
    assert repr(net)
    assert len(net.messages(X[0]).message) > 0
    found = one_session(exchange.to_onnx(net)).run(None, {"x": X})[0]
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-4, atol=1e-6)


# Any text at all

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\n\r\x1b\u202e\u0301 "), max_size=8
)


@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(TEXTS, min_size=4, max_size=4, unique=True), st.lists(TEXTS, min_size=2, max_size=2, unique=True)
)
def test_tables_with_any_names(tmp_path_factory, names, classes):
    column, target, *categories = names
    if {column, target} & {"other number", "some text"}:
        return
    frame = table(column, categories, target, classes)
    if len({text.strip() for text in classes} - {""}) < 2:
        with pytest.raises(DataError):
            tables.train_table(frame, target, SETTINGS)
        return
    try:
        model = trained_and_told(tmp_path_factory.mktemp("names"), frame, target)
    except DataError:  # texts that read as numbers, dates or nothing at all
        return
    assert next(c.name for c in model.preprocessor.columns) == column
    try:
        exchange.to_onnx(model)
    except ExchangeError:
        assert column == "" or "\0" in "".join([column, *categories, *classes])


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(TEXTS, min_size=3, max_size=3, unique=True))
@pytest.mark.filterwarnings("ignore")
def test_classifiers_with_any_classes(classes):
    y = np.array([classes[i % 3] for i in range(ROWS)], object)
    if any(text.endswith("\0") for text in classes):
        with pytest.raises(DataError, match="NUL"):
            quick(MLPClassifier).fit(X, y)
        return
    assert sorted(quick(MLPClassifier).fit(X, y).classes_.tolist()) == sorted(classes)


def test_split_rows_tells_classes_apart():
    names = ["a"] * 20 + ["a\0"] * 20
    _, held_out = data.split_rows(40, 0.25, names)
    assert [sum(row < 20 for row in held_out), sum(row >= 20 for row in held_out)] == [5, 5]


def test_arrow_tables_without_a_name():
    assert as_frame(pa.table({"": [1], "b": [2]})).rows() == [(1, 2)]


def test_a_column_without_a_name_keeps_it_on_every_way(tmp_path):
    frame = pl.DataFrame({"": ["a", "b"] * 20, "x": ["1", "2"] * 20})
    assert compact(frame).columns == typed_columns(frame, Untyped()).columns == frame.columns
    frame.write_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").columns == frame.columns

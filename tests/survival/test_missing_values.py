"""Every way in, with every container that can say that a value is missing: a DataError, never a number made of it."""

import datetime
import inspect
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from tests.ops.test_records import cases_of

import chainrule as cr
from chainrule import classic, data, exchange, nn, optim
from chainrule.errors import ChainruleError, DataError
from chainrule.estimators import GraphNetworkRegressor, MLPClassifier, MLPRegressor, Perceptron, Ridge
from chainrule.missing import as_array, find_missing
from chainrule.ops import PRIMITIVES

ROWS, COLUMNS, MISSING_ROW = 12, 2, 3
NUMBERS = np.random.default_rng(0).normal(size=(ROWS, COLUMNS))
TARGET = NUMBERS[:, 0]
LABELS = (TARGET > 0).astype(np.int64)


def with_cell(values, cell):
    cells = values.astype(object)
    cells[(MISSING_ROW, 1) if values.ndim == 2 else MISSING_ROW] = cell
    return cells


def masked(values):
    found = np.ma.masked_array(values.copy(), np.zeros(values.shape, bool))
    found[(MISSING_ROW, 1) if values.ndim == 2 else MISSING_ROW] = -999
    return np.ma.masked_equal(found, -999)


def framed(values, make):
    """A column for a vector, a frame of such columns for a table; the missing value is in the last column."""
    if values.ndim == 1:
        return make(values, True)
    return pd.DataFrame({f"c{i}": make(values[:, i], i == 1) for i in range(values.shape[1])})


def pandas_of(dtype, numbers=lambda v: v):
    def make(column, gone):
        cells = [*numbers(column)]
        cells[MISSING_ROW] = None if gone else cells[MISSING_ROW]
        return pd.Series(pd.array(cells, dtype=dtype))

    return lambda values: framed(values, make)


def listed(column, gone):
    return [None if gone and i == MISSING_ROW else x for i, x in enumerate(column.tolist())]


def polars_of(values):
    if values.ndim == 1:
        return pl.Series("y", listed(values, True))
    return pl.DataFrame({f"c{i}": listed(values[:, i], i == 1) for i in range(values.shape[1])})


def arrow_of(values):
    if values.ndim == 1:
        return pa.array(listed(values, True))
    return pa.table({f"c{i}": listed(values[:, i], i == 1) for i in range(values.shape[1])})


def sparse_of(values):
    found = sp.csr_matrix(values.reshape(len(values), -1))
    found.data = np.ma.masked_array(found.data, np.arange(found.nnz) == MISSING_ROW)
    return found


def integers(column):
    return np.rint(column * 10).astype(int)


#: from numbers [rows] or [rows, columns] to the same with one value missing
CONTAINERS = {
    "masked": masked,
    "masked integers": lambda v: masked(integers(v)),
    "masked rows in a list": lambda v: list(masked(v)),
    "None in a list": lambda v: with_cell(v, None).tolist(),
    "masked in a list": lambda v: with_cell(v, np.ma.masked).tolist(),
    "None among objects": lambda v: with_cell(v, None),
    "NA among objects": lambda v: with_cell(v, pd.NA),
    "NaT among objects": lambda v: with_cell(v, pd.NaT),
    "NaT": lambda v: with_cell(np.zeros(v.shape, "M8[D]"), np.datetime64("NaT")).astype("M8[D]"),
    "Int64": pandas_of("Int64", integers),
    "boolean": pandas_of("boolean", lambda v: v > 0),
    "Float32": pandas_of("Float32"),
    "string": pandas_of("string", lambda v: [f"{x:.1f}" for x in v]),
    "category": pandas_of("category", lambda v: [f"{x:.0f}" for x in v]),
    "pandas of Arrow": pandas_of("double[pyarrow]"),
    "pandas of objects": lambda v: framed(v, lambda c, gone: pd.Series(listed(c, gone), dtype=object)),
    "polars": polars_of,
    "Arrow": arrow_of,
}


def fitted(x=NUMBERS, y=TARGET[:, None], model=None, loss=nn.squared_error, **settings):
    model = model or nn.Linear(COLUMNS, 1, seed=0)
    return cr.fit(model, (x, y), loss=loss, optimizer=optim.SGD(0.01), epochs=1, progress=False, **settings)


def small(kind=MLPRegressor, **settings):
    return kind(**{"hidden_layer_sizes": (2,), "max_iter": 1, "random_state": 0} | settings)


def on_the_left(x, tensor):
    """By the operator where it is ours to compute, else by NumPy's function."""
    return x * tensor if isinstance(x, np.ma.MaskedArray | pd.DataFrame) else np.multiply(x, tensor)


def assigned(x):
    tensor = cr.tensor(NUMBERS)
    tensor.data = x


#: what takes a table of numbers
TABLES = {
    "tensor": cr.tensor,
    "tensor of a dtype": lambda x: cr.tensor(x, dtype=cr.float64),
    "a function": cr.tanh,
    "a function of two": lambda x: cr.maximum(x, cr.tensor(NUMBERS)),
    "an operand": lambda x: cr.tensor(NUMBERS) * x,
    "an operand where derivatives are recorded": lambda x: cr.tensor(NUMBERS, requires_grad=True) * x,
    "an operand on the left": lambda x: on_the_left(x, cr.tensor(NUMBERS, requires_grad=True)),
    "an operand of a product": lambda x: cr.tensor(NUMBERS.T) @ x,
    "stack": lambda x: cr.stack([x, NUMBERS]),
    "where": lambda x: cr.where(cr.tensor(NUMBERS) > 0, x, 0.0),
    "assign": lambda x: cr.tensor(NUMBERS).assign(x),
    "data": assigned,
    "compile": lambda x: cr.compile(lambda a: a["x"] * 2)(
        {"x": x if not isinstance(x, list) else as_array(x)}
    ),
    "grad": lambda x: cr.grad(lambda a: (a["x"] ** 2).sum())(
        {"x": x if not isinstance(x, list) else as_array(x)}
    ),
    "backward": (cr.tensor(NUMBERS, requires_grad=True) * 2).backward,
    "Parameter": nn.Parameter,
    "Buffer": nn.Buffer.made,
    "a module": nn.Linear(COLUMNS, 1, seed=0),
    "predict": nn.Linear(COLUMNS, 1, seed=0).predict,
    "a loss": lambda x: nn.squared_error(cr.tensor(NUMBERS), x),
    "fit": fitted,
    "fit's targets": lambda x: fitted(y=x, model=nn.Linear(COLUMNS, COLUMNS)),
    "fit's validation": lambda x: fitted(validation=(x, TARGET[:, None])),
    "fit's validation targets": lambda x: fitted(
        y=NUMBERS, validation=(NUMBERS, x), model=nn.Linear(COLUMNS, COLUMNS)
    ),
    "diagnose": lambda x: cr.diagnose(nn.Linear(COLUMNS, 1), (x, TARGET[:, None]), nn.squared_error),
    "draw's example": lambda x: nn.Linear(COLUMNS, 1).summary(x),
    "to_onnx": lambda x: exchange.to_onnx(nn.Linear(COLUMNS, 1), example=x),
    "MaskedLinear": nn.MaskedLinear,
    "check_finite": lambda x: data.check_finite("X", x),
    "fit_ranges": data.fit_ranges,
    "perceptron": lambda x: classic.perceptron(x, np.sign(TARGET)),
    "delta_rule": lambda x: classic.delta_rule(x, TARGET, lr=0.1, steps=1),
    "linear_separation": lambda x: classic.linear_separation(x, np.sign(TARGET)),
    "MLPRegressor.fit": lambda x: small().fit(x, TARGET),
    "MLPRegressor.fit targets": lambda x: small().fit(NUMBERS, x),
    "MLPRegressor.fit X_val": lambda x: small().fit(NUMBERS, TARGET, X_val=x, y_val=TARGET),
    "MLPRegressor.partial_fit": lambda x: small().partial_fit(x, TARGET),
    "MLPRegressor.predict": lambda x: small().fit(NUMBERS, TARGET).predict(x),
    "MLPRegressor.score": lambda x: small().fit(NUMBERS, TARGET).score(x, TARGET),
    "MLPClassifier.fit": lambda x: small(MLPClassifier).fit(x, LABELS),
    "MLPClassifier.predict_proba": lambda x: small(MLPClassifier).fit(NUMBERS, LABELS).predict_proba(x),
    "GraphNetworkRegressor.fit": lambda x: GraphNetworkRegressor(max_iter=1).fit(x, TARGET),
    "Perceptron.fit": lambda x: Perceptron().fit(x, LABELS),
    "Ridge.fit": lambda x: Ridge().fit(x, TARGET),
    "Ridge.predict": lambda x: Ridge().fit(NUMBERS, TARGET).predict(x),
}
#: what takes one number, or class, for each row
VECTORS = {
    "tensor": cr.tensor,
    "an operand": lambda y: cr.tensor(TARGET) + y,
    "an index": lambda y: cr.tensor(TARGET)[y],
    "labels": lambda y: nn.cross_entropy(cr.tensor(NUMBERS), y),
    "binary targets": lambda y: nn.binary_cross_entropy(cr.tensor(TARGET), y),
    "fit's targets": lambda y: fitted(y=y, model=nn.Linear(COLUMNS, 1)),
    "fit's labels": lambda y: fitted(y=y, model=nn.Linear(COLUMNS, 2), loss=nn.cross_entropy),
    "unflatten_parameters": lambda y: nn.unflatten_parameters(nn.Linear(ROWS - 1, 1), y),
    "load_state_dict": lambda y: nn.BatchNorm1d(ROWS).load_state_dict(
        nn.BatchNorm1d(ROWS).state_dict() | {"weight": y}
    ),
    "second_derivative_test": lambda y: cr.second_derivative_test(lambda a: (a**2).sum(), y),
    "split_rows": lambda y: data.split_rows(ROWS, 0.2, y),
    "perceptron": lambda y: classic.perceptron(NUMBERS, y),
    "MLPRegressor.fit": lambda y: small().fit(NUMBERS, y),
    "MLPRegressor.fit weights": lambda y: small().fit(NUMBERS, TARGET, y),
    "MLPRegressor.partial_fit weights": lambda y: small().partial_fit(NUMBERS, TARGET, y),
    "MLPRegressor.fit y_val": lambda y: small().fit(NUMBERS, TARGET, X_val=NUMBERS, y_val=y),
    "MLPRegressor.fit weights of validation": lambda y: small().fit(
        NUMBERS, TARGET, X_val=NUMBERS, y_val=TARGET, sample_weight_val=y
    ),
    "MLPClassifier.fit": lambda y: small(MLPClassifier).fit(NUMBERS, y),
    "MLPClassifier.partial_fit": lambda y: small(MLPClassifier).partial_fit(NUMBERS, y, classes=[0, 1]),
    "Ridge.fit": lambda y: Ridge().fit(NUMBERS, y),
    "Ridge.fit weights": lambda y: Ridge().fit(NUMBERS, TARGET, y),
}
ENTRIES = [
    (values, f"{name} of a {what}", entry, container)
    for values, what, entries in ((NUMBERS, "table", TABLES), (TARGET, "vector", VECTORS))
    for name, entry in entries.items()
    for container in CONTAINERS
]


@pytest.mark.parametrize(
    ("values", "entry", "container"),
    [pytest.param(v, e, c, id=f"{name}: {c}") for v, name, e, c in ENTRIES],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_missing_is_said(values, entry, container):
    with pytest.raises(
        DataError, match=r"1 value is missing(.|\n)*got:(.|\n)*(3|None|NaT|masked)(.|\n)*try:"
    ):
        entry(CONTAINERS[container](values))


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_message_says_how_many_and_where_the_first_is(container):
    found = find_missing(CONTAINERS[container](NUMBERS))
    assert found.number == 1
    assert str(MISSING_ROW) in found.first
    assert "1]" in found.first or "'c1'" in found.first


def test_many_are_counted():
    table = np.ma.masked_array(NUMBERS, NUMBERS > 0)
    with pytest.raises(DataError, match=f"{(NUMBERS > 0).sum()} values are missing"):
        cr.tensor(table)
    with pytest.raises(DataError, match="2 values are missing"):
        cr.tensor(pl.DataFrame({"a": [1.0, None], "b": [None, 2.0]}))


def test_arrays_that_are_whole_leave_operators_to_tensors():
    t, m = cr.tensor(NUMBERS, requires_grad=True), np.ma.masked_array(NUMBERS)
    for combined in (m * t, m + t, m - t, m / t, t * m, np.ma.masked_array(np.abs(NUMBERS)) ** t):
        assert isinstance(combined, cr.Tensor)
        assert combined.requires_grad
    np.testing.assert_array_equal((m * t).numpy(), NUMBERS * NUMBERS)


def test_memory_lent_by_others():
    with pytest.raises(DataError, match="1 value is missing"):
        cr.from_dlpack(masked(NUMBERS))


@pytest.mark.parametrize("primitive", [p for p in PRIMITIVES.values() if cases_of(p)], ids=lambda p: p.name)
def test_every_operand_of_every_primitive(primitive):
    for case in cases_of(primitive):
        for i, x in enumerate(map(np.asarray, case.inputs)):
            operands = [cr.tensor(np.asarray(x)) for x in case.inputs]
            operands[i] = np.ma.masked_array(x, np.ones(x.shape, bool))
            function = primitive if len(operands) > 1 else getattr(cr, primitive.name, None)
            if function is None or not x.size:
                continue
            settings = case.params if function is primitive else taken_by(function, case.params)
            with pytest.raises(DataError, match="missing"):
                function(*operands, **settings)


def taken_by(function, settings):
    names = inspect.signature(function).parameters
    return {name: value for name, value in settings.items() if name in names}


#: what functions want besides arrays
BESIDES = {"shape": (4, 4), "axis": 0, "dtype": cr.float32, "classes": 3, "widths": 1}
FUNCTIONS = [n for n in cr.__all__ if getattr(getattr(cr, n), "__module__", "") == "chainrule.namespace"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_array_of_every_function(name):
    function = getattr(cr, name)
    table = np.abs(NUMBERS[:4]).repeat(2, 1)
    parameters = inspect.signature(function).parameters.values()
    wanted = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    for i, parameter in enumerate(wanted):
        if parameter in BESIDES:
            continue
        given = [BESIDES.get(other, cr.tensor(table)) for other in wanted]
        given[i] = np.ma.masked_array(integers(table) if name == "one_hot" else table, np.eye(4, dtype=bool))
        with pytest.raises(DataError, match="missing"):
            function(*given)


def test_sparse_rows_under_a_mask():
    for entry in (fitted, lambda x: small().fit(x, TARGET), lambda x: Ridge().fit(x, TARGET)):
        with pytest.raises(DataError, match="1 value is missing"):
            entry(sparse_of(NUMBERS))


WHOLE = {
    "an array with an empty mask": np.ma.masked_array(NUMBERS, np.zeros(NUMBERS.shape, bool)),
    "an array without a mask": np.ma.masked_array(NUMBERS),
    "nested lists": NUMBERS.tolist(),
    "rows in a list": list(NUMBERS),
    "numbers of NumPy's in lists": [list(row) for row in NUMBERS],
    "pandas": pd.DataFrame(NUMBERS, columns=["a", "b"]),
    "pandas' own numbers": pd.DataFrame(NUMBERS, columns=["a", "b"]).astype("Float64"),
    "pandas of Arrow": pd.DataFrame(NUMBERS, columns=["a", "b"]).astype("double[pyarrow]"),
    "polars": pl.DataFrame(NUMBERS, schema=["a", "b"]),
    "Arrow": pa.table({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1]}),
}


@pytest.mark.parametrize("container", WHOLE)
@pytest.mark.filterwarnings("ignore")
def test_containers_that_could_but_do_not_lack_values_are_numbers(container):
    table = WHOLE[container]
    np.testing.assert_array_equal(cr.tensor(table, dtype=cr.float64).numpy(), NUMBERS)
    assert fitted(table).loss == fitted(NUMBERS).loss
    np.testing.assert_array_equal(
        small().fit(table, TARGET).predict(table), small().fit(NUMBERS, TARGET).predict(NUMBERS)
    )


def test_nan_in_an_array_of_floats_is_a_number_of_a_tensor():
    assert np.isnan(cr.tensor(np.array([np.nan, 1.0])).numpy()[0])
    assert np.isnan(cr.tensor([float("nan"), 1.0]).numpy()[0])


#: what is not missing, and no number either
OTHERS = {
    "dates": np.zeros((ROWS, COLUMNS), "M8[D]"),
    "times": np.zeros((ROWS, COLUMNS), "m8[s]"),
    "a frame of dates": pd.DataFrame(
        {"a": pd.date_range("2020", periods=ROWS), "b": pd.date_range("2021", periods=ROWS)}
    ),
    "a polars frame of dates": pl.DataFrame({c: [datetime.datetime(2020, 1, 1)] * ROWS for c in "ab"}),
    "an Arrow table of dates": pa.table({c: [datetime.datetime(2020, 1, 1)] * ROWS for c in "ab"}),
    "lists of dates": [[np.datetime64("2020-01-01")] * COLUMNS] * ROWS,
    "timestamps among objects": with_cell(NUMBERS, pd.Timestamp("2020-01-01")),
    "dates among objects": with_cell(NUMBERS, datetime.date(2020, 1, 1)),
    "records": np.zeros(ROWS, [("a", float), ("b", float)]),
    "masked records": np.ma.zeros(ROWS, [("a", float), ("b", float)]),
}


@pytest.mark.parametrize("container", OTHERS)
@pytest.mark.parametrize(
    "entry", ["tensor", "tensor of a dtype", "an operand", "assign", "fit", "fit's targets", "a loss", "predict",
              "MLPRegressor.fit", "MLPRegressor.fit targets", "MLPRegressor.predict", "Ridge.fit"]
)  # fmt: skip
def test_dates_and_records_are_no_numbers(container, entry):
    with warnings.catch_warnings(), pytest.raises((ChainruleError, ValueError, TypeError)) as found:
        warnings.simplefilter("ignore")
        TABLES[entry](OTHERS[container])
    if not entry.endswith("targets"):  # where scikit-learn looks first
        assert isinstance(found.value, ChainruleError)


def test_decimals_with_a_dtype_are_numbers():
    table = np.vectorize(Decimal, otypes=[object])(NUMBERS)
    np.testing.assert_array_equal(cr.tensor(table, dtype=cr.float64).numpy(), NUMBERS)


def test_predict_of_a_masked_array_of_the_network_s_own_dtype():
    """Which needs no conversion, and so was let through."""
    model = nn.MLP([3, 4, 1], seed=0)
    x = np.ma.masked_equal(np.array([[1, 2, 3], [1, -999, 3]], np.float32), -999)
    for _ in range(2):
        with pytest.raises(DataError, match="1 value is missing"):
            model.predict(x)
        model.predict(np.ones((2, 3), np.float32))  # the second time, code is there
    whole = np.ma.array(np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(model.predict(whole), model.predict(np.ones((2, 3), np.float32)))

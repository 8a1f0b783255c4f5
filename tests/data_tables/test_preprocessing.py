"""From a table to arrays and back: what is learned, what is refused, what is kept as JSON."""

import contextlib
import datetime
import json
import math
import subprocess
import sys
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.thorough import generated

from chainrule.data import (
    Column,
    Columns,
    Preprocessor,
    Target,
    fit_preprocessor,
    read_table,
    rows_with_target,
)
from chainrule.data.features.readings import LARGEST, Reading
from chainrule.errors import ChainruleError, DataError, ModelFileError

TRAINING = pl.DataFrame(
    {
        "rooms": [2, 4, None, 6],
        "size": [50.0, 80.0, 65.5, float("nan")],
        "town": ["Oslo", "Rome", None, "Oslo"],
        "garden": [True, None, True, False],
        "built": [datetime.date(2000, 1, 1), datetime.date(2010, 1, 1), None, datetime.date(2020, 1, 1)],
        "country": ["here"] * 4,
        "price": [1.0, 2.0, 3.0, 4.0],
    }
)


def column(preprocessor: Preprocessor, name: str) -> Column:
    return next(column for column in preprocessor.columns if column.name == name)


# What is learned


def test_every_kind_of_column():
    preprocessor, notices = fit_preprocessor(TRAINING, "price")
    assert preprocessor.feature_names == (
        *("rooms", "size"),
        *("town=Oslo", "town=Rome", "town=(missing)"),
        *("garden", "built"),
    )
    assert column(preprocessor, "rooms") == Column(
        "rooms", "numeric", mean=4.0, standard_deviation=2**0.5, fill=4.0, low=2.0, high=6.0
    )
    assert column(preprocessor, "size").fill == 65.5
    assert column(preprocessor, "garden") == Column(
        "garden", "boolean", fill=1.0, reading=Reading("boolean"), low=0.0, high=1.0
    )
    assert column(preprocessor, "country").kind == "ignored"
    X = preprocessor.transform(TRAINING)
    assert X.dtype == np.float32 and X.shape == (4, 7)
    np.testing.assert_allclose(X[:, 0], [-(2**0.5), 0, 0, 2**0.5], rtol=1e-6)
    np.testing.assert_array_equal(X[:, 2:5], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(X[:, 5], [1, 1, 1, 0])
    np.testing.assert_allclose(X[:, 6], [-(2**0.5), 0, 0, 2**0.5], atol=1e-3)
    assert notices == (
        "column 'rooms' has no value in 1 of 4 rows: filled with the median in training, 4",
        "column 'size' has no value in 1 of 4 rows: filled with the median in training, 65.5",
        "column 'town' has no value in 1 of 4 rows: a category of its own",
        "column 'garden' has no value in 1 of 4 rows: filled with the more frequent value in training, true",
        "column 'built' holds dates: used as seconds since 1970-01-01",
        "column 'built' has no value in 1 of 4 rows: filled with the median in training, 2010-01-01T00:00:00",
        "column 'country' is ignored: it is constant in the training rows",
    )


def test_only_the_training_rows_count():
    frame = pl.DataFrame({"x": [0.0, 2.0, 100.0], "c": ["a", "b", "z"], "y": [0.5, 1.5, 50.0]})
    by_rows, _ = fit_preprocessor(frame, "y", rows=np.array([0, 1]))
    by_table, _ = fit_preprocessor(frame.head(2), "y")
    assert by_rows == by_table
    assert column(by_rows, "x").mean == 1.0 and column(by_rows, "c").categories == ("a", "b")
    assert by_rows.target.mean == 1.0


FINITE = st.floats(-1e300, 1e300, allow_subnormal=True)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.one_of(FINITE, st.none(), st.floats(-5, 5), st.integers(-(2**53), 2**53).map(float)), min_size=2
    )
)
def test_transformed_training_columns_are_standardised(values):
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64), "y": np.arange(len(values)) % 2})
    try:
        preprocessor, _ = fit_preprocessor(frame, "y")
    except DataError as error:
        assert "no column is left" in str(error)
        known = np.array([0.0, *(value for value in values if value is not None)])
        largest = np.max(np.abs(known))
        assert largest < 1e-300 or np.ptp(known[1:] / largest) <= 1e-11 * len(values)
        return
    X = preprocessor.transform(frame).astype(np.float64)
    assert abs(X.mean()) < 1e-3 and abs(X.std() - 1) < 1e-3


@generated(25, 100, st.lists(st.sampled_from(["a", "b", "c", "é", "0x", None]), min_size=4))
def test_one_hot_rows_have_exactly_one_one(values):
    assume(len(set(values)) > 1)
    frame = pl.DataFrame({"c": values, "y": np.arange(len(values)) % 2})
    X = fit_preprocessor(frame, "y")[0].transform(frame)
    np.testing.assert_array_equal(X.sum(axis=1), 1)
    assert len(set(values)) == X.shape[1] == len({tuple(row) for row in X})


def test_names_are_ignored_with_a_notice():
    frame = pl.DataFrame(
        {"name": [f"n{i}" for i in range(200)], "x": np.arange(200.0) ** 2, "y": np.arange(200.0)}
    )
    preprocessor, notices = fit_preprocessor(frame, "y")
    assert preprocessor.feature_names == ("x",)
    assert "200 different texts in 200 rows look like names (to use it: --type name=words" in notices[0]


def test_types_that_are_not_used_are_ignored_with_a_notice():
    frame = pl.DataFrame(
        {
            "list": [[1], [2]],
            "lasts": [datetime.timedelta(1), datetime.timedelta(2)],
            "x": [1, 5],
            "y": [0, 1],
        }
    )
    preprocessor, notices = fit_preprocessor(frame, "y")
    assert preprocessor.feature_names == ("x",)
    assert "column 'list' is ignored" in notices[0] and "column 'lasts' is ignored" in notices[1]


def test_a_row_number_is_left_out():
    frame = pl.DataFrame({"id": np.arange(1, 31), "x": np.arange(30) ** 2, "y": np.arange(30) % 2})
    preprocessor, notices = fit_preprocessor(frame, "y", rows=np.arange(0, 30, 2) + np.arange(15) % 2)
    assert preprocessor.feature_names == ("x",)
    assert notices == (
        "column 'id' is ignored: it counts the rows; "
        "--type id=number (in Python: Columns(types={'id': 'number'}))",
    )
    kept, notices = fit_preprocessor(frame, "y", columns=Columns(types={"id": "number"}))
    assert kept.feature_names == ("id", "x") and not notices
    alone, _ = fit_preprocessor(frame.drop("x"), "y")  # where nothing else is there to learn from
    assert alone.feature_names == ("id",)


def test_spellings_of_one_class_are_told():
    frame = pl.DataFrame({"x": range(12), "y": ["Yes", "YES ", "yes", "no", "No", "maybe"] * 2})
    preprocessor, notices = fit_preprocessor(frame, "y")
    assert len(preprocessor.target.classes) == 6
    assert [notice for notice in notices if "'y'" in notice] == [
        "target 'y': 'YES', 'Yes', 'yes' are taken as different classes (and 1 more such); "
        "if they mean the same, write them alike in the table"
    ]
    _, notices = fit_preprocessor(frame.with_columns(y=pl.Series(["yes", "no"] * 6)), "y")
    assert not any("different classes" in notice for notice in notices)


def test_texts_that_mean_missing():
    frame = pl.DataFrame({"c": ["a", "?", "b", "a"], "y": ["-", "u", "v", "u"]})
    preprocessor, notices = fit_preprocessor(frame, "y")
    assert preprocessor.feature_names == ("c=a", "c=b", "c=(missing)")
    assert notices == (
        "target 'y': '-' is a class; if it means missing: --missing y=- "
        "(in Python: Columns(missing={'y': ('-',)}))",
        "column 'c' has no value in 1 of 4 rows: a category of its own",
    )
    said, _ = fit_preprocessor(frame, "y", columns=Columns(types={"c": "category"}))
    assert said.feature_names == ("c=?", "c=a", "c=b")


def test_a_column_without_values_in_the_training_rows():
    frame = pl.DataFrame({"a": [None, None, 1.0], "b": [None, None, "t"], "x": [1, 2, 3], "y": [0, 1, 0]})
    preprocessor, notices = fit_preprocessor(frame, "y", rows=np.array([0, 1]))
    assert (
        preprocessor.feature_names == ("x",)
        and sum("no value in the training rows" in n for n in notices) == 2
    )


# What is refused


def test_text_in_a_numeric_column_counts_as_missing(tmp_path):
    rows = [f"{i}.5,{i % 2}" for i in range(40)]
    rows[16], rows[29] = "abc,0", "12 years,1"
    (tmp_path / "t.csv").write_text("age,y\n" + "\n".join(rows))
    preprocessor, notices = fit_preprocessor(read_table(tmp_path / "t.csv"), "y", rows=np.arange(10))
    assert preprocessor.feature_names == ("age",)
    assert notices[0] == (
        "column 'age' has cells that are not numbers, such as 'abc' (row 17) in 2 of 40 rows: "
        "they count as missing"
    )


def test_below_nine_in_ten_a_column_is_categorical():
    def fitted(numbers: int, texts: int) -> Column:
        cells = ["1", "2", "3"] * (numbers // 3) + ["NA"] * 5 + ["x"] * texts
        return fit_preprocessor(pl.DataFrame({"c": cells, "y": np.arange(len(cells)) % 2}), "y")[0].columns[0]

    assert fitted(9, 1).kind == "numeric"
    assert fitted(15, 2).kind == "categorical" and fitted(15, 2).categories == ("1", "2", "3", "x")
    assert fitted(15, 0).kind == "numeric"


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1,5", "2,5", "3"], [1.5, 2.5, 3]),
        (["1,000", "2", "1,500.5"], [1000, 2, 1500.5]),
        (["1.000,5", "1.000", "7"], [1000.5, 1000, 7]),
    ],
)
def test_numbers_with_commas(cells, numbers):
    preprocessor, _ = fit_preprocessor(pl.DataFrame({"x": cells, "y": [0, 1, 0]}), "y")
    X = preprocessor.transform(pl.DataFrame({"x": cells}))[:, 0]
    np.testing.assert_allclose(
        X, (np.array(numbers) - np.mean(numbers)) / np.std(numbers), rtol=1e-5, atol=1e-6
    )


def test_infinite_values_count_as_missing():
    frame = pl.DataFrame({"x": [1.0, 2.0, math.inf, -math.inf], "y": [0, 1, 0, 1]})
    preprocessor, notices = fit_preprocessor(frame, "y", rows=np.array([0, 1]))
    assert preprocessor.columns[0].high == 2.0 and "'inf' (row 3)" in notices[0] and "2 of 4" in notices[0]


def test_no_usable_column():
    with pytest.raises(DataError, match="no column is left"):
        fit_preprocessor(pl.DataFrame({"y": [0, 1]}), "y")
    with pytest.raises(DataError, match=r"no column is left(.*\n)*.*'x' is ignored: it is constant"):
        fit_preprocessor(pl.DataFrame({"x": [1, 1], "y": [0, 1]}), "y")


def test_an_absent_target_names_the_nearest():
    with pytest.raises(DataError, match=r"no column 'prize'(.*\n)*.*did you mean 'price'"):
        fit_preprocessor(TRAINING, "prize")


# At predict time


def test_the_target_may_be_there_or_not_and_the_order_may_differ():
    preprocessor, _ = fit_preprocessor(TRAINING, "price")
    expected = preprocessor.transform(TRAINING)
    mixed = TRAINING.select(reversed([name for name in TRAINING.columns if name not in {"price", "country"}]))
    X, notices = preprocessor.transform_with_notices(mixed)
    np.testing.assert_array_equal(X, expected)
    assert not any("ignored" in notice for notice in notices)


def test_a_missing_column_names_the_nearest():
    preprocessor, _ = fit_preprocessor(TRAINING, "price")
    with pytest.raises(
        DataError, match=r"lacks 1 of the 5 columns(.*\n)*.*'rooms'(.*\n)*.*did you mean 'Rooms'"
    ):
        preprocessor.transform(TRAINING.rename({"rooms": "Rooms"}))


def test_new_columns_are_ignored_with_a_notice():
    preprocessor, _ = fit_preprocessor(TRAINING.drop_nulls(), "price", rows=None)
    _, notices = preprocessor.transform_with_notices(TRAINING.drop_nulls().with_columns(extra=pl.lit(1)))
    assert notices == ("columns that training did not have are ignored: 'extra'",)


def test_unseen_and_missing_categories_are_all_zeros_with_a_notice():
    frame = pl.DataFrame({"c": ["a", "b", "a", "b"], "y": [0, 1, 0, 1]})
    preprocessor, _ = fit_preprocessor(frame, "y")
    X, notices = preprocessor.transform_with_notices(pl.DataFrame({"c": ["b", "z", None, "q", "z", " a "]}))
    np.testing.assert_array_equal(X, [[0, 1], [0, 0], [0, 0], [0, 0], [0, 0], [1, 0]])
    assert "column 'c' has 'z', 'q' in 3 of 6 rows, which training did not have" in notices[0]
    assert "column 'c' has no value in 1 of 6 rows, which training did not have" in notices[1]


def test_missing_values_are_filled_as_in_training():
    preprocessor, _ = fit_preprocessor(TRAINING, "price")
    nothing = pl.DataFrame({name: [None] for name in TRAINING.columns})
    X, notices = preprocessor.transform_with_notices(nothing)
    np.testing.assert_allclose(
        X[0, :6], [0, (65.5 - 65.25) / column(preprocessor, "size").standard_deviation, 0, 0, 1, 1], atol=1e-6
    )
    assert len(notices) == 4


def test_no_rows_at_all():
    preprocessor, _ = fit_preprocessor(TRAINING, "price")
    assert preprocessor.transform(TRAINING.clear()).shape == (0, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rooms": ["few", "many", "some", None]}, r"'rooms' has no cell that fits(.*\n)*.*row 1 \('few'\)"),
        ({"rooms": [math.inf] * 4}, "'rooms' has no cell that fits"),
        ({"rooms": [datetime.date(2000, 1, 1)] * 4}, "'rooms' is of another type"),
        ({"garden": [2, 3, 2, 4]}, "'garden' has no cell that fits"),
        ({"built": ["yesterday"] * 4}, "'built' has no cell that fits"),
        ({"built": [1, 2, 3, 4]}, "'built' has no cell that fits"),
        ({"town": [[1]] * 4}, "'town' is of another type"),
    ],
)
def test_cells_of_another_kind(changes, message):
    preprocessor, _ = fit_preprocessor(TRAINING, "price")
    with pytest.raises(DataError, match=message):
        preprocessor.transform(
            TRAINING.with_columns(**{k: pl.Series(v, strict=False) for k, v in changes.items()})
        )


def test_other_types_that_mean_the_same_are_taken():
    preprocessor, _ = fit_preprocessor(TRAINING, "price")
    same = TRAINING.with_columns(
        rooms=pl.Series(["2", "4", "NA", "6"]),
        size=pl.Series([50.0, 80.0, 65.5, None], dtype=pl.Float32),
        town=pl.col("town").cast(pl.Categorical),
        garden=pl.Series([1, None, 1, 0]),
        built=pl.col("built").cast(pl.Datetime("ms")),
    )
    np.testing.assert_allclose(preprocessor.transform(same), preprocessor.transform(TRAINING), rtol=1e-6)


def test_text_columns_are_read_as_text_again(tmp_path):
    frame = pl.DataFrame({"code": ["01", "2.0", "x", "01"], "n": [1, 2, 3, 5], "y": ["1", "b", "c", "c"]})
    preprocessor, _ = fit_preprocessor(frame, "y")
    assert preprocessor.text_columns == ("code", "y")
    (tmp_path / "new.csv").write_text("code,n,y\n01,7,1\n2.0,4,1\n")
    new = read_table(tmp_path / "new.csv", text_columns=preprocessor.text_columns)
    X, notices = preprocessor.transform_with_notices(new)
    assert X[:, :3].tolist() == [[1, 0, 0], [0, 1, 0]] and not notices
    assert preprocessor.encode_target(new).tolist() == [0, 0]


# JSON

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLOATS = st.floats(-LARGEST, LARGEST)
POSITIVE = st.floats(min_value=5e-324, max_value=LARGEST)
TEXTS = st.lists(NAMES, unique=True, max_size=4).map(tuple)
READ = {
    "numeric": Reading("number", ",", "$"),
    "time": Reading("date", day_first="day"),
    "text": Reading("text"),
}
NUMBERS = st.builds(  # a fill far from the mean is refused, so here it is the mean
    lambda name, kind, mean, deviation: Column(name, kind, mean, deviation, mean, reading=READ[kind]),
    *(NAMES, st.sampled_from(["numeric", "time"]), FLOATS, POSITIVE),
)
CATEGORIES = st.builds(
    Column,
    NAMES,
    st.just("categorical"),
    categories=TEXTS,
    missing_category=st.booleans(),
    reading=st.just(READ["text"]),
)
IGNORED = st.builds(Column, NAMES, st.just("ignored"))
TARGETS = st.one_of(
    st.builds(Target, NAMES, st.just("regression"), mean=FLOATS, standard_deviation=POSITIVE),
    st.builds(
        Target,
        NAMES,
        st.just("classification"),
        st.lists(NAMES, unique=True, min_size=2, max_size=4).map(tuple),
        reading=st.just(READ["text"]),
    ),
    st.builds(Target, NAMES, st.just("classification"), st.just(("-3", "0", "12")), st.just("integer")),
)


@settings(deadline=None)
@given(
    st.lists(st.one_of(NUMBERS, CATEGORIES, IGNORED), min_size=1, max_size=5, unique_by=lambda c: c.name),
    TARGETS,
)
def test_the_json_round_trip_is_exact(columns, target):
    assume(target.name not in {column.name for column in columns})
    preprocessor = Preprocessor(tuple(columns), target)
    assume(preprocessor.feature_names)
    text = preprocessor.to_json()
    again = Preprocessor.from_json(text)
    assert again == preprocessor and again.to_json() == text
    assert Preprocessor.from_json(json.dumps(json.loads(text))) == preprocessor


def test_a_fitted_preprocessor_comes_back_and_transforms_alike():
    for target in ("price", "town", "garden"):
        frame = TRAINING.drop_nulls(target)
        preprocessor, _ = fit_preprocessor(frame, target)
        again = Preprocessor.from_json(preprocessor.to_json())
        assert again == preprocessor
        np.testing.assert_array_equal(again.transform(frame), preprocessor.transform(frame))
        np.testing.assert_array_equal(again.encode_target(frame), preprocessor.encode_target(frame))


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@generated(50, 200, st.data(), JSON_VALUES, st.booleans())
def test_a_changed_field_is_a_model_file_error_or_a_preprocessor(data, new, remove):
    value = json.loads(fit_preprocessor(TRAINING, "price")[0].to_json())
    holder = data.draw(st.sampled_from([value, value["target"], *value["columns"], value["columns"]]))
    keys = list(range(len(holder))) if isinstance(holder, list) else list(holder)
    key = data.draw(st.sampled_from(keys))
    if remove:
        del holder[key]
    else:
        holder[key] = new
    try:
        preprocessor = Preprocessor.from_json(json.dumps(value))
    except ModelFileError:
        return
    assert Preprocessor.from_json(preprocessor.to_json()) == preprocessor
    try:
        preprocessor.transform(TRAINING)
        preprocessor.encode_target(TRAINING)
        preprocessor.decode(np.zeros(1, dtype=np.int64))
    except ChainruleError:
        pass


EXTREMES = st.one_of(
    st.sampled_from([0.0, 1.0, 5e-324, 1e-310, 1e-45, 3.4028235e38, 3.5e38, 1e39, 1e300, 1e301, 1.7e308]),
    st.floats(allow_nan=False, allow_infinity=False),
).flatmap(lambda size: st.sampled_from([size, -size]))


@cache
def of_every_kind() -> tuple[pl.DataFrame, str]:
    """A table whose columns are of every kind, one of them of very many categories, and its preprocessing."""
    rng, count = np.random.default_rng(0), 600
    day = datetime.datetime(2020, 1, 1)
    frame = pl.DataFrame(
        {
            "size": rng.normal(size=count),
            "many": [f"c{number}" for number in rng.integers(0, 200, count)],
            "few": rng.choice(["x", "y"], count),
            "truth": rng.random(count) < 0.5,
            "day": [day + datetime.timedelta(hours=int(hour)) for hour in rng.integers(0, 9999, count)],
            "words": [f"a{n % 7} b{n % 5} c{n % 3} word {n}" for n in range(count)],
            "price": rng.normal(size=count),
        }
    )
    return frame, fit_preprocessor(frame, "price")[0].to_json()


@generated(75, 300, st.data())
def test_numbers_of_any_size_in_a_file_are_refused_or_compute_something(data):
    """No warning of overflow: what fits together gives finite features, and what does not is an error."""
    frame, text = of_every_kind()
    value = json.loads(text)
    holder = data.draw(st.sampled_from([value["target"], *value["columns"]]))
    if data.draw(st.booleans()):
        holder["low"], holder["high"] = -LARGEST, LARGEST  # as in files of older versions
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from([key for key, old in holder.items() if isinstance(old, float)]))
        holder[key] = data.draw(EXTREMES)
    if holder.get("effects") and data.draw(st.booleans()):
        holder["effects"][0] = data.draw(EXTREMES)
    try:
        preprocessor = Preprocessor.from_json(json.dumps(value))
    except ModelFileError:
        return
    assert np.isfinite(preprocessor.transform(frame)).all()
    for compute in (
        lambda: preprocessor.encode_target(frame),
        lambda: preprocessor.decode(np.array([-3e38, 0, 3e38], np.float32)).to_numpy(),
    ):
        with contextlib.suppress(DataError):
            assert np.isfinite(compute()).all()


def changed(path: tuple[str | int, ...], new: object) -> str:
    value = json.loads(fit_preprocessor(TRAINING, "price")[0].to_json())
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new
    return json.dumps(value)


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("columns",), {}),
        (("columns",), []),
        (("columns", 0), None),
        (("columns", 0, "name"), "price"),
        (("columns", 0, "name"), "size"),
        (("columns", 0, "name"), "\ud800"),
        (("columns", 0, "kind"), "numbers"),
        (("columns", 0, "kind"), []),
        (("columns", 0, "mean"), 0),
        (("columns", 0, "mean"), "0.0"),
        (("columns", 0, "mean"), math.nan),
        (("columns", 0, "standard_deviation"), 0.0),
        (("columns", 0, "standard_deviation"), -1.0),
        (("columns", 0, "fill"), math.inf),
        (("columns", 0, "more"), 1),
        (("columns", 2, "categories"), ["a", "a"]),
        (("columns", 2, "categories"), ["a", 1]),
        (("columns", 2, "categories"), "ab"),
        (("columns", 2, "missing_category"), 1),
        (("target", "task"), "ranking"),
        (("target", "task"), "classification"),
        (("target", "class_type"), "float"),
        (("target", "classes"), ["a", "b"]),
        (("target", "standard_deviation"), 0.0),
        (("more",), 1),
        (("keep",), "rooms"),
        (("keep",), ["a", "a"]),
        (("columns", 0, "reading"), None),
        (("columns", 0, "reading"), {"values": "number"}),
        (("columns", 0, "reading", "values"), "date"),
        (("columns", 0, "reading", "values"), "numbers"),
        (("columns", 0, "reading", "decimal"), ";"),
        (("columns", 0, "reading", "unit"), 3),
        (("columns", 0, "reading", "day_first"), "week"),
        (("columns", 0, "reading", "pair"), ["up", "down"]),
        (("columns", 0, "reading", "marks"), "all"),
        (("columns", 0, "reading", "missing"), [1]),
        (("columns", 0, "reading", "more"), 1),
        (("columns", 2, "reading", "values"), "number"),
        (("columns", 0, "low"), 5.0),
        (("columns", 0, "high"), 3.0),
        (("columns", 0, "low"), -1e299),
        (("columns", 0, "high"), math.nan),
        (("columns", 2, "others"), ["x"]),
        (("columns", 2, "effects"), [0.5]),
        (("columns", 2, "effects"), [1]),
        (("columns", 2, "effect_names"), ["mean price"]),
        (("columns", 2, "weights"), [1.0]),
        (("columns", 2, "kind"), "words"),
        (("target", "reading"), {}),
        (("target", "reading", "values"), "text"),
    ],
)
def test_malformed_preprocessing(path, new):
    with pytest.raises(ModelFileError, match="malformed"):
        Preprocessor.from_json(changed(path, new))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "1", "null", "{", "[" * 100_000, '{"columns": [], "target": {}}']
)
def test_what_is_not_a_preprocessor(text):
    with pytest.raises(ModelFileError, match="malformed"):
        Preprocessor.from_json(text)


OLD = {
    "columns": [
        {"name": "rooms", "kind": "numeric", "mean": 4.0, "standard_deviation": 1.5, "fill": 4.0},
        {"name": "town", "kind": "categorical", "categories": ["NA", "Oslo"], "missing_category": True},
        {"name": "garden", "kind": "boolean", "fill": 1.0},
        {"name": "built", "kind": "time", "mean": 1.26e9, "standard_deviation": 2e8, "fill": 1.26e9},
        {"name": "country", "kind": "ignored"},
    ],
    "target": {"name": "price", "task": "regression", "classes": [], "class_type": "text", "mean": 2.5},
}
OLD_FIELDS = {
    "mean": 0.0,
    "standard_deviation": 1.0,
    "fill": 0.0,
    "categories": [],
    "missing_category": False,
}


def test_what_older_versions_wrote_is_read_as_they_read_it():
    """Without a reading, a range, effects and weights."""
    columns = [{**OLD_FIELDS, **column} for column in OLD["columns"]]
    old = Preprocessor.from_json(
        json.dumps({"columns": columns, "target": {**OLD["target"], "standard_deviation": 1.0}})
    )
    assert old.feature_names == ("rooms", "town=NA", "town=Oslo", "town=(missing)", "garden", "built")
    frame = pl.DataFrame(
        {
            "rooms": [2, 1_000_000, None],
            "town": ["NA", None, "Rome"],
            "garden": [True, None, False],
            "built": [datetime.date(2010, 1, 1), None, datetime.date(2500, 1, 1)],
        }
    )
    expected = [
        [-4 / 3, 1, 0, 0, 1, (1262304000 - 1.26e9) / 2e8],
        [(1e6 - 4) / 1.5, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, (16725225600 - 1.26e9) / 2e8],
    ]
    np.testing.assert_allclose(old.transform(frame), expected, rtol=1e-5)
    assert Preprocessor.from_json(old.to_json()) == old
    assert old.decode(np.array([[1.0]])).to_list() == [3.5]
    classes = {"name": "y", "task": "classification", "mean": 0.0, "standard_deviation": 1.0}
    for kind, names in (("text", ["NA", "b"]), ("integer", ["-1", "2"]), ("boolean", ["false", "true"])):
        target = {**classes, "classes": names, "class_type": kind}
        read = Preprocessor.from_json(json.dumps({"columns": columns, "target": target}))
        given = {"text": ["NA", "b"], "integer": [-1, 2], "boolean": [False, True]}[kind]
        assert read.encode_target(pl.DataFrame({"y": given})).tolist() == [0, 1]


# Anything at all


@st.composite
def tables(draw):
    kinds = {
        pl.Int64: st.integers(-5, 5),
        pl.Float64: st.floats(),
        pl.Float32: st.floats(width=32),
        pl.Boolean: st.booleans(),
        pl.String: st.sampled_from(["", "a", "b ", "?", "1", "2.5", "1,5", "inf", "é"]),
        pl.Date: st.dates(),
        pl.Datetime("ns", "UTC"): st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)),
        pl.Duration("us"): st.timedeltas(datetime.timedelta(0), datetime.timedelta(9)),
        pl.Null: st.none(),
    }
    learnable = [pl.Int64, pl.Float64, pl.Boolean, pl.String]
    n_rows = draw(st.integers(4, 15))
    columns = {}
    for name in "abcy":
        dtype = draw(st.sampled_from(learnable if name == "y" else list(kinds)))
        cells = st.one_of(kinds[dtype], kinds[dtype], kinds[dtype], st.none())
        columns[name] = pl.Series(name, draw(st.lists(cells, min_size=n_rows, max_size=n_rows)), dtype=dtype)
    return pl.DataFrame(columns)


@generated(30, 150, tables(), tables(), st.sampled_from([None, "classification", "regression"]))
def test_any_table_gives_finite_arrays_or_a_clear_error(table, other, task):
    try:
        preprocessor, _ = fit_preprocessor(table, "y", task)
    except ChainruleError:
        return
    rows, _ = rows_with_target(table, "y")
    assert np.isfinite(preprocessor.transform(table[rows])).all()
    y = preprocessor.encode_target(table[rows])
    assert preprocessor.decode(y).len() == len(rows) and np.isfinite(y).all()
    assert Preprocessor.from_json(preprocessor.to_json()) == preprocessor
    for use in (preprocessor.transform, preprocessor.encode_target):
        with contextlib.suppress(ChainruleError):
            assert np.isfinite(use(other)).all()


def test_heavy_libraries_are_imported_only_when_used():
    code = (
        "import sys, chainrule.errors; before = set(sys.modules); import chainrule.data, chainrule.files; "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} "
        "& {'polars', 'sklearn', 'safetensors', 'scipy'}))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


@pytest.mark.parametrize(
    "name", ["identifier", "Ident", "ROWID", "record", "house_serial", "serial", "order id"]
)
def test_names_of_identifiers(name):
    frame = pl.DataFrame(
        {name: [i * i + 500 for i in range(40)], "x": [i % 7 for i in range(40)], "y": [0, 1] * 20}
    )
    preprocessor, notices = fit_preprocessor(frame, "y")
    assert preprocessor.feature_names == ("x",) and any("it is an ID" in notice for notice in notices)


def test_names_that_only_hold_those_of_identifiers():
    frame = pl.DataFrame({"records": [i * i + 500 for i in range(40)], "y": [0, 1] * 20})
    assert fit_preprocessor(frame, "y")[0].feature_names == ("records",)


@pytest.mark.parametrize(("said", "mark"), [(",", "."), (".", ",")])
def test_a_decimal_mark_that_does_not_fit(said, mark):
    rng = np.random.default_rng(0)
    fractions = [f"{value:.3f}".replace(".", mark) for value in rng.uniform(0.1, 2.9, 60)]
    frame = pl.DataFrame({"a": fractions, "n": [str(i % 7) for i in range(60)], "y": ["p", "q"] * 30})
    columns = Columns(decimal=said)
    preprocessor, notices = fit_preprocessor(frame, "y", columns=columns)
    assert preprocessor.feature_names == ("n",)
    assert any(
        f"column 'a' is ignored: its numbers do not have the decimal mark {said!r}" in notice
        for notice in notices
    )
    with pytest.raises(DataError, match="target 'a' has numbers that do not have the decimal mark"):
        fit_preprocessor(frame, "a", columns=columns)


def test_thousands_do_not_begin_with_zero():
    from chainrule.data.features.number_texts import NumberFormat, parse

    cells = pl.Series(["0.627", "00.627", "1.627", "10.627.000", "0,5", "627", "0.000,5"])
    assert parse(cells, NumberFormat(",")).to_list() == [None, None, 1627.0, 10627000.0, 0.5, 627.0, 0.5]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float) | st.none(), min_size=2, max_size=30))
def test_what_is_learned_of_numbers_is_what_numpy_says(values):
    known = np.array([value for value in values if value is not None])
    assume(len(known) and np.ptp(known) > 1e-3)
    frame = pl.DataFrame(
        {"x": pl.Series(values, dtype=pl.Float64), "y": [float(i) for i in range(len(values))]}
    )
    column = fit_preprocessor(frame, "y")[0].columns[0]
    filled = np.array([np.median(known) if value is None else value for value in values])
    assert column.fill == np.median(known)
    assert (column.low, column.high) == (known.min(), known.max())
    assert column.mean == pytest.approx(filled.mean(), abs=1e-9)
    assert column.standard_deviation == pytest.approx(filled.std(), rel=1e-9)


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
def test_infinite_numbers_of_any_width_are_missing(dtype):
    """In training and in new rows; of a wide table many columns are looked at together."""
    cells = pl.DataFrame(
        {"x": [1.0, 2.0, 4.0, np.inf], "z": [1.0, 3.0, -np.inf, 2.0], "y": [0.0, 1.0, 2.0, 4.5]}
    )
    frame = cells.with_columns(pl.col("x", "z").cast(dtype))
    fitted, notices = fit_preprocessor(frame, "y")
    assert np.isfinite(fitted.transform(frame)).all()
    assert [column.high for column in fitted.columns] == [4.0, 3.0]
    assert sum("not numbers" in notice for notice in notices) == 2

"""The column to predict: found task, encoding, decoding, refusals."""

import datetime
import math

import numpy as np
import polars as pl
import pytest

from chainrule.data import Target, find_task, fit_preprocessor, rows_with_target
from chainrule.data.features.readings import Reading
from chainrule.errors import DataError, SettingError


def fit(values: list[object] | pl.Series, task: str | None = None):
    column = values if isinstance(values, pl.Series) else pl.Series(values)
    x = np.arange(len(column)) ** 2
    return fit_preprocessor(pl.DataFrame({"x": x, "y": column}), "y", task)


def frame(values: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"y": values})


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"], "classification"),
        ([True, False, None], "classification"),
        ([0, 1], "classification"),
        ([0.0, 1.0, float("nan")], "classification"),
        ([0.0, 0.5], "regression"),
        ([1, 2, 3], "regression"),
        ([1, 2, 3] * 10, "classification"),
        ([1, 2, 3] * 9, "regression"),
        (list(range(20)) * 10, "classification"),
        (list(range(21)) * 10, "regression"),
        (pl.Series(["a", "b"], dtype=pl.Categorical), "classification"),
        ([1e30, 2e30], "regression"),
    ],
)
def test_find_task(values, task):
    assert find_task(pl.Series(values)) == task


def test_text_classes():
    preprocessor, notices = fit(["yes", "no", " yes", "no"])
    as_text = Reading("text", marks="few")
    assert (
        preprocessor.target == Target("y", "classification", ("no", "yes"), reading=as_text) and not notices
    )
    y = preprocessor.encode_target(frame(["no", "yes "]))
    assert y.dtype == np.int64 and y.tolist() == [0, 1]
    assert preprocessor.decode(np.array([1, 0])).to_list() == ["yes", "no"]
    assert preprocessor.decode(np.array([1])).name == "y"


def test_integer_classes_are_in_the_order_of_numbers():
    preprocessor, notices = fit([10.0, 9.0, -1.0] * 10)
    assert preprocessor.target.classes == ("-1", "9", "10")
    assert preprocessor.encode_target(frame([10, 9, -1])).tolist() == [2, 1, 0]
    assert preprocessor.decode(np.array([2, 0], dtype=np.int32)).to_list() == [10, -1]
    assert notices == (
        "target 'y' has 3 different integers: taken as classes "
        "(--task regression predicts them as numbers (in Python: task='regression'))",
    )
    assert not fit([10, 9, -1] * 10, task="classification")[1]


def test_boolean_classes():
    preprocessor, _ = fit([True, False, True])
    assert preprocessor.encode_target(frame([False, True])).tolist() == [0, 1]
    assert preprocessor.encode_target(frame([0, 1])).tolist() == [0, 1]
    assert preprocessor.decode(np.array([1, 0])).to_list() == [True, False]


def test_regression_is_standardised_and_comes_back():
    values = [1.5, 2.5, 9.0, 4.0]
    preprocessor, _ = fit(values)
    y = preprocessor.encode_target(frame(values))
    assert y.dtype == np.float32 and y.shape == (4, 1)
    assert abs(y.mean()) < 1e-6 and abs(y.std() - 1) < 1e-6
    for predicted in (y, y[:, 0]):
        back = preprocessor.decode(predicted)
        assert back.dtype == pl.Float64
        np.testing.assert_allclose(back.to_numpy(), values, rtol=1e-6)


def test_the_task_can_be_said():
    assert fit([0, 1, 0, 1], task="regression")[0].target.mean == 0.5
    assert fit([True, False], task="regression")[0].target.mean == 0.5
    assert fit([3, 1, 2], task="classification")[0].target.classes == ("1", "2", "3")
    with pytest.raises(SettingError, match=r"no such task\n.*'classification' or 'regression'"):
        fit([0, 1], task="ranking")


def test_rows_without_a_target_are_left_out():
    table = pl.DataFrame({"x": [1.0, 2.0, 3.0, 100.0], "y": ["a", None, "b", ""]})
    preprocessor, notices = fit_preprocessor(table, "y")
    assert preprocessor.columns[0].mean == 2.0
    assert notices == ("target 'y' has no value in rows 2, 4: left out (2 rows)",)
    rows, _ = rows_with_target(table, "y")
    assert rows.tolist() == [0, 2] and rows.dtype == np.int64
    assert preprocessor.encode_target(table[rows]).tolist() == [0, 1]
    assert rows_with_target(table, "y", np.array([3, 2]))[0].tolist() == [2]
    with pytest.raises(DataError, match=r"no value in rows 2, 4"):
        preprocessor.encode_target(table)
    for nothing in ([None, None], [math.nan, math.nan], ["", None]):
        with pytest.raises(DataError, match="no row has a value of the target"):
            fit(nothing)


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (["a", "a", None], None, "one value only"),
        ([1, 1, 1], None, "one value only"),
        ([2.5, 2.5, 2.5], None, "one value only"),
        ([3, 3, 3], "regression", "one value only"),
        (["a", "b"], "regression", r"holds text(.*\n)*.*'a', 'b'"),
        ([1.5, 2.0, 0.25], "classification", r"not whole(.*\n)*.*rows 1 \(1.5\), 3 \(0.25\)"),
        ([datetime.date(2000, 1, 1)] * 2, None, "cannot be predicted"),
        ([[1], [2]], None, "cannot be predicted"),
        ([f"n{i}" for i in range(40)], None, "almost as many classes as rows"),
        ([1.0, math.inf], None, "one value only"),
        (["1.5"] * 21, None, "one value only"),
    ],
)
def test_targets_that_cannot_be_learned(values, task, message):
    with pytest.raises(DataError, match=message):
        fit(values, task)


def test_one_class_in_the_training_rows_only():
    table = pl.DataFrame({"x": [1, 2, 3], "y": ["a", "a", "b"]})
    with pytest.raises(DataError, match=r"one value only in the training rows(.*\n)*.*'a' in every row"):
        fit_preprocessor(table, "y", rows=np.array([0, 1]))


def test_classes_that_training_did_not_have():
    preprocessor, _ = fit(["a", "b"])
    with pytest.raises(DataError, match=r"classes that training did not have(.*\n)*.*row 2 \('c'\)"):
        preprocessor.encode_target(frame(["a", "c"]))
    preprocessor, _ = fit([0, 1])
    with pytest.raises(DataError, match=r"rows 1 \('0.5'\), 2 \('2'\)"):
        preprocessor.encode_target(frame([0.5, 2.0]))


def test_labels_out_of_range_or_not_labels():
    preprocessor, _ = fit(["a", "b"])
    with pytest.raises(DataError, match=r"labels out of range\n.*0 to 1\n.*2, -1"):
        preprocessor.decode(np.array([0, 2, -1]))
    for wrong in (np.array([0.0]), np.array([[0], [1]])):
        with pytest.raises(DataError, match="labels are integers"):
            preprocessor.decode(wrong)


def test_an_absent_target():
    preprocessor, _ = fit(["a", "b"])
    with pytest.raises(DataError, match="no column 'y' to predict"):
        preprocessor.encode_target(pl.DataFrame({"x": [1]}))


def test_a_target_too_far_away():
    preprocessor, _ = fit([0.5, 1.0, 2.0])
    with pytest.raises(DataError, match="too far from those in training"):
        preprocessor.encode_target(frame([1e200]))

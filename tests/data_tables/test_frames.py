"""Frames of other libraries become the same table, whatever their dtypes; what cannot be is refused."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from chainrule.data.features.frames import as_frame, make_frame
from chainrule.errors import DataError, SettingError


def test_pandas_dtypes():
    times = pd.to_datetime(["2024-01-02 03:04:05", None])
    frame = pd.DataFrame(
        {
            "int": [1, 2],
            "float": [1.5, np.nan],
            "bool": [True, False],
            "text": ["a", None],
            "nullable int": pd.array([1, None], dtype="Int64"),
            "nullable bool": pd.array([True, None], dtype="boolean"),
            "category": pd.Categorical(["x", None]),
            "category of numbers": pd.Categorical([7, None]),
            "time": times,
            "time with zone": times.tz_localize("Europe/Oslo"),
            "objects": pd.Series([1, 2.5], dtype=object),
            "dates": pd.Series([datetime.date(2024, 1, 2), None], dtype=object),
            "nothing": pd.Series([None, None], dtype=object),
        }
    )
    found = as_frame(frame.set_index(pd.Index([7, 3])))
    time = datetime.datetime(2024, 1, 2, 3, 4, 5)
    assert found.row(0, named=True) == {
        **{"int": 1, "float": 1.5, "bool": True, "text": "a", "nullable int": 1.0, "nullable bool": True},
        **{
            "category": "x",
            "category of numbers": "7",
            "time": time,
            "time with zone": time - datetime.timedelta(hours=1),
        },
        **{"objects": 1.0, "dates": datetime.datetime(2024, 1, 2), "nothing": None},
    }
    rest = found.row(1, named=True)
    assert [name for name, value in rest.items() if value is not None] == ["int", "bool", "objects"]


def test_arrow_and_lazy_frames():
    table = pa.table({"a": [1, None], "b": ["x", "y"]})
    assert as_frame(table).rows() == [(1, "x"), (None, "y")]
    assert as_frame(pl.LazyFrame({"a": [1]})).rows() == [(1,)]
    frame = pl.DataFrame({"a": [1]})
    assert as_frame(frame) is frame


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than once"),
        (pa.table([[1], [2]], names=["a", "a"]), "more than once"),
        (pd.DataFrame([[1, 2]]), "no text"),
        (pd.DataFrame({"a": pd.Series([1, [2], 2.5], dtype=object)}), "cells of different kinds"),
        (np.zeros((2, 2)), "not a table"),
        ({"a": [1]}, "not a table"),
        (pd.Series([1.0], name="a"), "not a table"),
        (pl.Series("a", [1.0]), "not a table"),
    ],
)
def test_what_is_no_table_is_refused(table, what):
    with pytest.raises(DataError, match=what):
        as_frame(table)


def test_mixed_cells_are_text():
    cells = [1, None, "x", 2.5, True, datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3)]
    found = as_frame(pd.DataFrame({"a": pd.Series(cells, dtype=object)}))
    assert found["a"].to_list() == ["1", None, "x", "2.5", "true", "2024-01-02", "2024-01-02T03:00:00"]


def test_frames_are_given_back():
    columns = {"a": np.array([1.5, 2.5]), "b": pl.Series(["x", None])}
    assert make_frame(columns, "polars").rows() == [(1.5, "x"), (2.5, None)]
    assert make_frame(columns, "arrow").to_pydict() == {"a": [1.5, 2.5], "b": ["x", None]}
    other = make_frame(columns, "pandas")
    assert isinstance(other, pd.DataFrame) and other["a"].tolist() == [1.5, 2.5]
    with pytest.raises(SettingError):
        make_frame(columns, "spreadsheet")

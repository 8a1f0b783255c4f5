"""The same value is the same, however a frame or a file spells it: equal features, equal decoded predictions."""

import datetime
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from chainrule.data import fit_preprocessor, read_table
from chainrule.data.features.frames import as_frame

ROWS = 60
GAPS = {7, 31}


def with_gaps(values: list) -> list:
    return [None if row in GAPS else value for row, value in enumerate(values)]


RNG = np.random.default_rng(0)
DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=int(n)) for n in RNG.integers(0, 400, ROWS)]
TIMES = [
    datetime.datetime(2024, 1, 1, 8) + datetime.timedelta(minutes=int(n)) for n in RNG.integers(0, 9999, ROWS)
]
VALUES = {
    "whole": [int(n) for n in RNG.integers(-5, 2000, ROWS)],
    "few whole": [int(n) for n in RNG.integers(1, 4, ROWS)],
    "wide whole": [2**60 + int(n) for n in RNG.integers(0, 4, ROWS)],
    "fraction": [float(n) for n in np.round(RNG.normal(size=ROWS), 3)],
    "truth": [bool(n) for n in RNG.integers(0, 2, ROWS)],
    "day": DAYS,
    "time": TIMES,
    "word": [["Oslo", "Rome", "São Paulo"][n] for n in RNG.integers(0, 3, ROWS)],
    "code": [["0501", "0502", "1010"][n] for n in RNG.integers(0, 3, ROWS)],
}
WHOLE, NUMBER, TRUTH, DATE = {"whole", "few whole", "wide whole"}, {"fraction"}, {"truth"}, {"day", "time"}


def text(value: object) -> str | None:
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    return None if value is None else str(value)


def arrow_series(values: list) -> pd.Series:
    return pd.Series(values, dtype=pd.ArrowDtype(pa.array(values).type))


SPELLINGS: dict[str, tuple[set[str], Callable[[list], object]]] = {
    "polars": (set(VALUES), lambda v: pl.DataFrame({"x": v})),
    "polars text": (set(VALUES), lambda v: pl.DataFrame({"x": list(map(text, v))})),
    "polars categories": (
        set(VALUES),
        lambda v: pl.DataFrame({"x": pl.Series(list(map(text, v)), dtype=pl.Categorical)}),
    ),
    "polars float": (
        NUMBER | {"whole", "few whole"},
        lambda v: pl.DataFrame({"x": pl.Series(v, dtype=pl.Float64)}),
    ),
    "polars decimal": (NUMBER, lambda v: pl.DataFrame({"x": pl.Series(v).cast(pl.Decimal(20, 5))})),
    "polars milliseconds": (DATE, lambda v: pl.DataFrame({"x": pl.Series(v).cast(pl.Datetime("ms"))})),
    "polars zone": (
        DATE,
        lambda v: pl.DataFrame({"x": pl.Series(v).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")}),
    ),
    "pandas object": (set(VALUES), lambda v: pd.DataFrame({"x": pd.Series(v, dtype=object)})),
    "pandas text": (
        set(VALUES),
        lambda v: pd.DataFrame({"x": pd.Series(list(map(text, v)), dtype="string")}),
    ),
    "pandas category": (set(VALUES), lambda v: pd.DataFrame({"x": pd.Categorical(v)})),
    "pandas category of texts": (
        set(VALUES),
        lambda v: pd.DataFrame({"x": pd.Categorical(list(map(text, v)))}),
    ),
    "pandas float": (
        NUMBER | {"whole", "few whole"},
        lambda v: pd.DataFrame({"x": pd.Series(v, dtype=float)}),
    ),
    "pandas Int64": (WHOLE, lambda v: pd.DataFrame({"x": pd.array(v, dtype="Int64")})),
    "pandas Float64": (NUMBER, lambda v: pd.DataFrame({"x": pd.array(v, dtype="Float64")})),
    "pandas boolean": (TRUTH, lambda v: pd.DataFrame({"x": pd.array(v, dtype="boolean")})),
    "pandas datetime": (DATE, lambda v: pd.DataFrame({"x": pd.to_datetime(pd.Series(v))})),
    "pandas zone": (
        DATE,
        lambda v: pd.DataFrame(
            {"x": pd.to_datetime(pd.Series(v)).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")}
        ),
    ),
    "pandas arrow": (set(VALUES), lambda v: pd.DataFrame({"x": arrow_series(v)})),
    "arrow": (set(VALUES), lambda v: pa.table({"x": v})),
    "arrow dictionary": (
        {"word", "code"},
        lambda v: pa.table({"x": pa.array(v, pa.string()).dictionary_encode()}),
    ),
    "lower case": (TRUTH, lambda v: pl.DataFrame({"x": [None if t is None else str(t).lower() for t in v]})),
    "yes and no": (TRUTH, lambda v: pl.DataFrame({"x": [None if t is None else str(t).lower() for t in v]})),
    "ones and zeros": (TRUTH, lambda v: pl.DataFrame({"x": [None if t is None else int(t) for t in v]})),
}
FITTED = [name for name in SPELLINGS if name not in {"ones and zeros", "polars categories"}]
CASES = [
    (kind, fitted, given)
    for kind in VALUES
    for fitted in ("polars", "polars text", "pandas category", "pandas object", "file")
    for given in (*SPELLINGS, "file", "pandas file")
    if given in {"file", "pandas file"} or kind in SPELLINGS[given][0]
]


def spelled(spelling: str, values: list, tmp_path, text_columns=()) -> pl.DataFrame:
    if spelling in {"file", "pandas file"}:
        path = tmp_path / "x.csv"
        if spelling == "file":
            cells = ["" if value is None else text(value) for value in values]
            path.write_text("x,z\n" + "".join(f"{cell},\n" for cell in cells))
        else:  # as pandas writes what it has read: gaps have made numbers of integers
            pd.DataFrame({"x": pd.Series(values), "z": None}).to_csv(path, index=False)
        return read_table(path, text_columns).select("x")
    return as_frame(SPELLINGS[spelling][1](values))


@pytest.mark.parametrize(("kind", "fitted", "given"), [case for case in CASES if case[0] != "wide whole"])
def test_features_do_not_depend_on_the_spelling(kind, fitted, given, tmp_path):
    if given == "pandas file" and kind in {"wide whole", "code"}:
        given = "file"  # floats have no 60 bits, and pandas no zeros ahead
    values = with_gaps(VALUES[kind])
    y = pl.Series("y", np.arange(ROWS) % 2)
    first = spelled(fitted, values, tmp_path)
    preprocessor, _ = fit_preprocessor(first.with_columns(y), "y")
    expected = preprocessor.transform(first)
    assert len(np.unique(expected, axis=0)) > 1
    second = spelled(given, values, tmp_path, preprocessor.text_columns)
    np.testing.assert_array_equal(preprocessor.transform(second), expected)


@pytest.mark.parametrize(
    ("kind", "fitted", "given"),
    [
        case
        for case in CASES
        if case[0] not in {"whole", "fraction", "day", "time"} and case[1] != "polars categories"
    ],
)
def test_labels_do_not_depend_on_the_spelling(kind, fitted, given, tmp_path):
    if given == "pandas file" and kind == "code":
        given = "file"
    values = VALUES[kind]
    x = pl.Series("z", RNG.normal(size=ROWS))
    first = spelled(fitted, values, tmp_path).rename({"x": "y"})
    preprocessor, _ = fit_preprocessor(first.with_columns(x), "y", "classification")
    expected = preprocessor.encode_target(first)
    assert len(set(expected.tolist())) == len(set(values))
    second = spelled(given, values, tmp_path, ("x",) if preprocessor.text_columns else ()).rename({"x": "y"})
    labels = preprocessor.encode_target(second)
    assert labels.tolist() == expected.tolist()
    decoded = preprocessor.decode(labels).to_list()
    assert [str(value).lower() for value in decoded] == [str(value).lower() for value in values]

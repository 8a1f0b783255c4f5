"""The classes of a target are the texts that are there, and what is kept is written as it stands."""

import csv

import numpy as np
import pandas as pd
import polars as pl
import pytest

from chainrule import data, tables
from chainrule.data.features.frames import as_frame
from chainrule.errors import DataError

ROWS = 60


def table(texts: list[str]) -> pl.DataFrame:
    target = [texts[row % len(texts)] for row in range(ROWS)]
    return pl.DataFrame({"a": np.random.default_rng(0).normal(size=ROWS), "y": target})


@pytest.mark.parametrize(
    "texts",
    [
        ["5%", "10%"],
        ["$5", "$10"],
        ["5 kr", "10 kr", "20 kr"],
        ["(1)", "(2)", "(3)"],
        ["1e1", "1e2"],
        ["+1", "+2", "0"],
        ["1-", "2-", "3-"],
        ["1B", "2B", "3B"],
        ["1K", "2M", "3K"],
        ["4K", "8K"],
        ["192.168.100.100", "192.168.100.101"],
        ["true"] * 7 + ["false"] * 7 + ["unknown"],
        ["1", "2", "3"] * 5 + ["X"],
        ["8:30", "9:30", "10:30"],
        ["NA", "EU", "AS", "AF"],
        ["00123456789012345678", "10123456789012345678"],
    ],
    ids=lambda texts: " ".join(dict.fromkeys(texts)),
)
def test_classes_come_back_as_they_were(texts):
    frame = table(texts)
    preprocessor, _ = data.fit_preprocessor(frame, "y")
    assert preprocessor.target.task == "classification"
    assert preprocessor.decode(preprocessor.encode_target(frame)).to_list() == frame["y"].to_list()
    assert data.Preprocessor.from_json(preprocessor.to_json()) == preprocessor


def test_percents_are_numbers_where_regression_is_wanted():
    preprocessor, _ = data.fit_preprocessor(table(["5%", "10%", "15%"]), "y", task="regression")
    assert preprocessor.target.mean == pytest.approx(10)


def test_times_of_day_are_predicted_as_seconds():
    frame = table([f"{hour}:{minute:02d}" for hour in range(6, 12) for minute in range(0, 60, 10)])
    preprocessor, _ = data.fit_preprocessor(frame, "y")
    assert preprocessor.target.task == "regression"
    decoded = preprocessor.decode(preprocessor.encode_target(frame))
    assert decoded[:2].to_list() == pytest.approx([6 * 3600, 6 * 3600 + 600], abs=0.1)
    assert data.Preprocessor.from_json(preprocessor.to_json()) == preprocessor


def test_a_sentinel_of_the_target_is_pointed_out():
    values = [*np.linspace(1, 9, ROWS - 5).tolist(), *[-999.0] * 5]
    frame = pl.DataFrame({"a": range(ROWS), "b": np.linspace(0, 1, ROWS) ** 2, "y": values})
    assert any("--missing=-999" in notice for notice in data.fit_preprocessor(frame, "y")[1])


def test_intervals_of_pandas_are_categories():
    frame = pd.DataFrame({"a": pd.cut([1.0, 2.0, 3.0, np.nan], [0, 1.5, 5]), "b": [1, 2, 3, 4]})
    texts = as_frame(frame)["a"]
    assert texts.cast(pl.String).to_list() == ["(0.0, 1.5]", "(1.5, 5.0]", "(1.5, 5.0]", None]


def test_kept_columns_are_written_as_they_stand(tmp_path):
    kept = {
        "id": [f"{10**19 + row}" for row in range(ROWS)],
        "price": [f"{row}.10" for row in range(ROWS)],
        "code": [f"{row % 7}.10" for row in range(ROWS)],
        "power": [f"{row % 3 + 1}e1" for row in range(ROWS)],
        "truth": ["TRUE", "False"] * (ROWS // 2),
    }
    texts = {**kept, "y": ["no", "yes", "yes"] * (ROWS // 3)}
    path, out = tmp_path / "t.csv", tmp_path / "p.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[*texts], *zip(*texts.values(), strict=True)])
    columns = data.Columns(keep=tuple(kept))
    settings = tables.TrainingSettings(epochs=2)
    model = tables.train_table(str(path), "y", settings, columns=columns).model
    model.predict_to(str(path), out)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {name: [row[name] for row in rows] for name in kept} == kept


@pytest.mark.parametrize("first", [0, 2**53, 2**60])
def test_integers_beyond_float64_are_classes_of_their_own(first):
    frame = table(["a"]).with_columns(y=pl.Series([first + row % 2 for row in range(ROWS)]))
    preprocessor, _ = data.fit_preprocessor(frame, "y")
    assert preprocessor.decode(preprocessor.encode_target(frame)).to_list() == frame["y"].to_list()


def test_integers_that_float64_does_not_tell_apart_are_refused_for_regression():
    frame = table(["a"]).with_columns(y=pl.Series([2**60 + row for row in range(ROWS)]))
    with pytest.raises(DataError, match="differ in their last digits only"):
        data.fit_preprocessor(frame, "y")

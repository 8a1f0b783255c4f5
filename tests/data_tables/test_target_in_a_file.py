"""The classes of a target in a file are its cells as they are written, or one where two are the same value."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule import data, tables
from chainrule.data.features.cell_types import Untyped
from chainrule.data.features.spellings import identity
from chainrule.data.tables import read_whole

ROWS = 60
QUICK = tables.TrainingSettings(epochs=1, hidden=())


def write(path, texts, name="y"):
    noise = np.random.default_rng(0).normal(size=ROWS)
    lines = [f"{texts[row % len(texts)]},{noise[row]:.3f}" for row in range(ROWS)]
    path.write_text("\n".join([f"{name},a", *lines]) + "\n", encoding="utf-8")
    return str(path)


def predicted(path, tmp_path, target="y"):
    """The classes of a model, and what its predictions of the file say, as they are written."""
    model = tables.train_table(path, target, QUICK).model
    model.predict_to(path, tmp_path / "p.csv")
    column = pl.read_csv(tmp_path / "p.csv", infer_schema=False)["prediction"]
    return model, set(column.to_list())


@pytest.mark.parametrize(
    "texts",
    [
        ["1e1", "1e2"],
        ["+1", "-1"],
        ["+1", "+2", "0"],
        ["12345678901234567890", "12345678901234567891"],
        ["5", "12345678901234567890", "12345678901234567891"],
        ["9007199254740992", "9007199254740993"],
        ["-9223372036854775808", "9223372036854775807"],
        [".5e1", "2"],
        ["1", "2", "3"],
        ["A", "1e1"],
    ],
    ids=" ".join,
)
def test_classes_of_a_file_come_back_as_they_are_written(texts, tmp_path):
    model, found = predicted(write(tmp_path / "t.csv", texts), tmp_path)
    assert sorted(model.classes) == sorted(texts)
    assert found <= set(texts)


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["1e1", "10", "2"], ["2", "10"]),
        (["+1", "1", "0"], ["0", "1"]),
        (["1.0", "0.0"], ["0", "1"]),
        (["1.0", "1", "2"], ["1", "2"]),
        (["1e1", "NA", "10.0", "+3"], ["3", "10"]),
    ],
    ids=str,
)
def test_two_spellings_of_a_number_are_one_class(texts, classes, tmp_path):
    model, _ = predicted(write(tmp_path / "t.csv", texts), tmp_path)
    assert list(model.classes) == classes


NUMBERS = st.from_regex(
    r"[+-]?([0-9]{1,3}|[1-9][0-9]{17,21}|[0-9]{1,2}\.[0]?|[1-9]e[0-3]|\.[0-9]e1)", fullmatch=True
)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(NUMBERS, min_size=2, max_size=4, unique=True))
def test_different_values_are_different_classes(texts, tmp_path_factory):
    """Whatever way whole numbers are written in, no two values become one class."""
    path = write(tmp_path_factory.mktemp("t") / "t.csv", texts)
    frame = read_whole(path, Untyped(target=lambda names: "y")).frame
    values = {identity(text) for text in texts}
    if len(values) < 2:
        return
    fitted, _ = data.fit_preprocessor(frame, "y")
    if fitted.target.task == "classification":
        assert {identity(name) for name in fitted.target.classes} == values
        back = fitted.decode(fitted.encode_target(frame)).cast(pl.String).to_list()
        assert [identity(text) for text in back] == [identity(texts[row % len(texts)]) for row in range(ROWS)]


@pytest.mark.parametrize("target", ["1", " y ", "y"])
def test_the_target_may_be_named_in_other_ways(target, tmp_path):
    model, _ = predicted(write(tmp_path / "t.csv", ["1e1", "1e2"]), tmp_path, target)
    assert model.classes == ("1e1", "1e2")


def test_numbers_in_scientific_notation_are_still_numbers(tmp_path):
    texts = [f"{1.5 + row / 7:.4e}" for row in range(ROWS)]
    path = write(tmp_path / "t.csv", texts)
    trained = tables.train_table(path, "y", QUICK)
    assert trained.model.task == "regression"
    kept = np.concatenate(list(trained.prepared.split.parts))
    assert kept.size == ROWS


def test_integers_beyond_64_bits_in_json_keep_their_digits(tmp_path):
    path = tmp_path / "t.json"
    noise = np.random.default_rng(0).normal(size=ROWS)
    path.write_text(
        json.dumps([{"y": 12345678901234567890 + row % 2, "a": noise[row]} for row in range(ROWS)])
    )
    model, _ = predicted(str(path), tmp_path)
    assert model.classes == ("12345678901234567890", "12345678901234567891")

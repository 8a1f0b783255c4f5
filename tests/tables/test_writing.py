"""What predictions are written as, and what a spreadsheet must not run."""

import os
import threading

import numpy as np
import openpyxl
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.cli import main
from chainrule.errors import SettingError
from chainrule.tables import TrainingSettings, train_table
from chainrule.tables.writing import table_writer, without_formulas

CLASSES = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "-3.5", "plain"]
RUN = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % len(CLASSES)
    frame = pl.DataFrame({"x": labels + rng.normal(size=120) * 0.01, "y": [CLASSES[i] for i in labels]})
    settings = TrainingSettings(
        hidden=(32,), epochs=300, validation=0, held_out=0, label_smoothing=0, weight_decay=0
    )
    return train_table(frame, "y", settings).model, frame


@pytest.mark.parametrize("escaped", [False, True])
def test_classes_are_written_as_they_are_or_escaped(trained, tmp_path, escaped):
    model, frame = trained
    model.save(tmp_path / "m")
    frame.write_csv(tmp_path / "a.csv")
    words = ["predict", "m", "a.csv", *(["--escape-formulas"] if escaped else [])]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(words) == 0
        model.predict_to("a.csv", "b.csv", escape_formulas=escaped)
    expected = model.predict(frame).values.to_list()
    assert set(expected) == set(CLASSES)
    if escaped:
        expected = [text if text in ("-3.5", "plain") else f"'{text}" for text in expected]
    for name in ("predictions.csv", "b.csv"):
        found = pl.read_csv(tmp_path / name, infer_schema=False)
        assert found["prediction"].to_list() == expected
        assert len(found.columns) == 1 + len(CLASSES)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.lists(st.text(alphabet="=+-@\t\r＝ab1.5e '\"", max_size=6)))
def test_no_text_begins_as_a_formula_and_numbers_stay(texts):
    found = without_formulas(pl.DataFrame({"t": pl.Series(texts, dtype=pl.String), "n": [-3.5] * len(texts)}))
    assert found["n"].to_list() == [-3.5] * len(texts)
    for before, after in zip(texts, found["t"].to_list(), strict=True):
        try:
            float(before)
            number = True
        except ValueError:
            number = False
        runs = before.lstrip(" ").startswith(RUN)
        assert after == (before if number or not runs else f"'{before}")


@pytest.mark.parametrize("name", ["p.tsv", "p.csv.gz", "p.json", "P.XLS", "p.txt", "p.xlsm"])
def test_endings_that_are_not_known_are_refused_before_the_work(trained, tmp_path, capsys, name):
    model, _ = trained
    with (
        pytest.raises(SettingError, match=r"\.csv, \.xlsx, \.parquet or \.pq"),
        table_writer(tmp_path / name),
    ):
        raise AssertionError("this would be work")
    model.save(tmp_path / "m")
    assert main(["predict", str(tmp_path / "m"), "iris", "--out", str(tmp_path / name)]) == 2
    assert ".csv, .xlsx, .parquet or .pq" in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m"]


@pytest.mark.parametrize("name", ["p", "p.csv", "p.CSV", "p.parquet", "p.pq"])
def test_endings_that_are_known(trained, tmp_path, name):
    model, frame = trained
    frame.write_parquet(tmp_path / "a.parquet")
    model.predict_to(tmp_path / "a.parquet", tmp_path / name)
    read = pl.read_parquet if name in ("p.parquet", "p.pq") else pl.read_csv
    assert read(tmp_path / name).height == frame.height


@pytest.mark.parametrize("name", ["p.parquet", "p.xlsx"])
def test_formulas_are_escaped_in_csv_only(tmp_path, name):
    with pytest.raises(SettingError, match="CSV"), table_writer(tmp_path / name, escape_formulas=True):
        raise AssertionError


def test_a_workbook_holds_texts_and_numbers_and_runs_none_of_them(tmp_path):
    texts = ["=1+2", "@SUM(A1)", "http://a.b", "mailto:x", "{=1}", "Köln", "", None]
    numbers = [1.5, -2.0, 1e300, 0.1, float("nan"), float("inf"), 3.0, None]
    parts = [pl.DataFrame({"prediction": texts[i : i + 3], "p": numbers[i : i + 3]}) for i in (0, 3, 6)]
    with table_writer(tmp_path / "p.xlsx") as write:
        for part in parts:
            write(part)
    sheet = openpyxl.load_workbook(tmp_path / "p.xlsx")["predictions"]
    titles, *rows = sheet.iter_rows()
    assert [cell.value for cell in titles] == ["prediction", "p"]
    assert [row[0].value or "" for row in rows] == [text or "" for text in texts]
    assert all(row[0].data_type in "sn" and row[0].hyperlink is None for row in rows)
    finite = [number for number in numbers if number is not None and np.isfinite(number)]
    assert [row[1].value for row in rows if row[1].data_type == "n" and row[1].value is not None] == finite
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["p.xlsx"]


def test_a_workbook_of_predictions(trained, tmp_path):
    model, frame = trained
    notices = model.predict_to(frame, tmp_path / "p.xlsx")
    model.predict_to(frame, tmp_path / "p.csv")
    sheet = openpyxl.load_workbook(tmp_path / "p.xlsx")["predictions"]
    found = [list(row) for row in sheet.values]
    expected = pl.read_csv(tmp_path / "p.csv", infer_schema=False)
    assert notices == model.predict(frame).notices
    assert found[0] == expected.columns
    assert [row[0] for row in found[1:]] == expected["prediction"].to_list()
    np.testing.assert_allclose([row[1] for row in found[1:]], expected[:, 1].cast(pl.Float64).to_numpy())


def test_a_sheet_has_so_many_rows_and_no_more(tmp_path, monkeypatch):
    from chainrule.errors import DataError
    from chainrule.tables import writing

    monkeypatch.setattr(writing, "SHEET_ROWS", 10)
    frame = pl.DataFrame({"prediction": [1, 2, 3]})
    with pytest.raises(DataError, match="9 rows at most"), table_writer(tmp_path / "p.xlsx") as write:
        for _ in range(4):
            write(frame)
    with table_writer(tmp_path / "p.xlsx") as write:
        for _ in range(3):
            write(frame)
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.xlsx"]


def test_without_the_package_a_workbook_is_refused_before_the_work(tmp_path, monkeypatch):
    from chainrule.errors import ExchangeError
    from chainrule.tables import writing

    monkeypatch.setattr(writing, "find_spec", lambda name: None)
    with pytest.raises(ExchangeError, match=r"chainrule\[excel\]"), table_writer(tmp_path / "p.xlsx"):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_predictions_go_into_a_pipe_of_any_name(trained, tmp_path):
    model, frame = trained
    os.mkfifo(tmp_path / "p.out")
    frame.write_parquet(tmp_path / "a.parquet")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "p.out").read_text()))
    reader.start()
    model.predict_to(tmp_path / "a.parquet", tmp_path / "p.out")
    reader.join()
    assert len(read[0].splitlines()) == frame.height + 1

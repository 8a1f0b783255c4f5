"""``cr.train``: one line from a table to a trained model, and what can be asked of it."""

import pandas
import polars as pl
import pytest

import chainrule as cr
from chainrule.data import Columns, load_bundled
from chainrule.errors import DataError, SettingError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "diabetes.csv"
    load_bundled("diabetes").frame.write_csv(path)
    return path


@pytest.fixture(scope="module")
def trained(file):
    return cr.train(file, "progression", epochs=5, folds=3, progress=False)


def test_it_does_what_the_command_does(file, trained, tmp_path):
    from chainrule.cli import main

    out = str(tmp_path / "command.safetensors")
    settings = ["--epochs", "5", "--folds", "3", "--ensemble", "--no-report", "--quiet"]
    assert main(["train", str(file), "--target", "progression", "--out", out, *settings]) == 0
    trained.save(tmp_path / "python.safetensors")
    assert (tmp_path / "python.safetensors").read_bytes() == (tmp_path / "command.safetensors").read_bytes()


def test_what_can_be_asked_of_it(file, trained, tmp_path):
    frame = pl.read_csv(file)
    assert trained.score.rows == frame.height
    predictions = trained.predict(file, interval=0.9)
    assert predictions.to_frame().columns == ["prediction", "prediction_low", "prediction_high"]
    trained.report(tmp_path / "r.html")
    assert "out-of-fold rows" in (tmp_path / "r.html").read_text()
    trained.to_onnx(tmp_path / "m.onnx")
    explained = trained.explain()
    assert set(explained["column"]) == set(frame.columns) - {"progression"}
    assert explained["importance"].is_sorted(descending=True)


def test_a_column_by_its_number_and_what_is_known_of_others(file):
    trained = cr.train(
        file, "11", epochs=2, ensemble=False, columns=Columns(ignore=["age"]), progress=False, hidden=(4,)
    )
    assert trained.model.preprocessor.target.name == "progression"
    assert "age" not in [column.name for column in trained.model.preprocessor.used]
    assert trained.score.scored_on == "held-out"
    assert trained.model.architecture.describe() == "9-4-1, relu"


def test_frames_of_other_libraries():
    wine = load_bundled("wine")
    frame = pandas.DataFrame(wine.frame.to_dict(as_series=False))
    ours = cr.train(wine.frame, wine.target, epochs=2, folds=2, progress=False)
    theirs = cr.train(frame, wine.target, epochs=2, folds=2, progress=False)
    assert ours.score == theirs.score


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"epoch": 3}, SettingError, "cr.train has no setting 'epoch'"),
        ({"epochs": 0}, SettingError, "epochs"),
        ({"folds": 1}, SettingError, "folds"),
        ({"scaling": "odd"}, SettingError, "scaling"),
    ],
)
def test_settings_that_cannot_be(file, settings, error, said):
    with pytest.raises(error, match=said):
        cr.train(file, "progression", **settings)


def test_a_target_that_is_not_there(file):
    with pytest.raises(DataError, match="progress"):
        cr.train(file, "progres")

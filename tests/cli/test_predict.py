"""``chainrule predict`` and ``chainrule inspect``."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.data import load_bundled


@pytest.fixture
def model(houses):
    return houses / "houses.safetensors"


@pytest.fixture
def frame(houses):
    return pl.read_csv(houses / "houses.csv")


@pytest.fixture(scope="session")
def iris(tmp_path_factory):
    """A classifier."""
    from chainrule.cli import main

    folder = tmp_path_factory.mktemp("iris")
    out = str(folder / "iris.safetensors")
    assert (
        main(["train", "iris", "--epochs", "30", "--folds", "3", "--out", out, "--no-report", "--quiet"]) == 0
    )
    return out


def test_predictions_equal_those_in_process(run, model, houses, frame):
    done = run("predict", model, houses / "houses.csv")
    assert done.status == 0
    written = pl.read_csv("predictions.csv")
    assert written.columns == ["prediction"]
    expected = cr.load_model(model).predict(frame).values
    np.testing.assert_array_equal(written["prediction"].to_numpy(), expected.to_numpy())
    assert "200 predictions: predictions.csv" in done.out
    score = float(np.sqrt(np.mean((expected.to_numpy() - frame["price"].to_numpy()) ** 2)))
    assert f"RMSE {score:.4g} (95% interval: " in done.out and ") on 200 rows" in done.out


def test_classes_have_probabilities(run, iris):
    done = run("predict", iris, "iris", "--json")
    assert done.result["rows"] == done.result["scored_rows"] == 150
    written = pl.read_csv("predictions.csv")
    species = ["setosa", "versicolor", "virginica"]
    assert written.columns == ["prediction", *(f"probability_{name}" for name in species)]
    probabilities = written.select(pl.exclude("prediction")).to_numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert [species[i] for i in probabilities.argmax(1)] == written["prediction"].to_list()
    right = np.mean(written["prediction"].to_numpy() == load_bundled("iris").frame["species"].to_numpy())
    assert done.result["score"] == right > 0.85


def test_rows_keep_their_order(run, model, frame):
    order = np.random.default_rng(0).permutation(frame.height)
    frame.write_csv("a.csv")
    frame[order].write_csv("b.csv")
    for name in "ab":
        run("predict", model, f"{name}.csv", "--out", f"{name}-predicted.csv")
    a, b = (pl.read_csv(f"{name}-predicted.csv")["prediction"].to_numpy() for name in "ab")
    np.testing.assert_allclose(b, a[order], rtol=1e-5)


def test_parquet_in_and_out(run, model, frame):
    frame.write_parquet("a.parquet")
    run("predict", model, "a.parquet", "--out", "p.parquet")
    assert pl.read_parquet("p.parquet").height == 200


def test_without_the_target(run, model, frame):
    frame.drop("price").write_csv("a.csv")
    done = run("predict", model, "a.csv", "--json")
    assert (done.status, done.result["score"], done.result["notices"][1:]) == (0, None, [])


def test_with_an_empty_target(run, model, frame):
    frame.with_columns(pl.lit(None, pl.Float64).alias("price")).write_csv("a.csv")
    done = run("predict", model, "a.csv", "--json")
    assert (done.status, done.result["score"]) == (0, None)


def test_rows_without_a_target_are_predicted_but_not_scored(run, model, frame):
    price = frame["price"].to_list()
    price[5] = None
    frame.with_columns(pl.Series("price", price)).write_csv("a.csv")
    done = run("predict", model, "a.csv", "--json")
    assert (done.result["rows"], done.result["scored_rows"]) == (200, 199)


def test_classes_that_training_did_not_have_are_not_scored(run, iris):
    frame = load_bundled("iris").frame.with_columns(pl.lit("tulip").alias("species"))
    frame.write_csv("a.csv")
    done = run("predict", iris, "a.csv")
    assert done.status == 0
    assert "no score: target 'species' has classes that training did not have (rows 1 ('tulip')" in done.out


def test_a_missing_column(run, model, frame):
    frame.drop("town").rename({"area": "aera"}).write_csv("a.csv")
    done = run("predict", model, "a.csv")
    assert done.status == 2
    assert "the table lacks 2 of the 4 columns that the model was trained with" in done.err
    assert "did you mean 'aera'?" in done.err
    assert not Path("predictions.csv").exists()


def test_a_new_column_and_a_new_category(run, model, frame):
    frame.with_columns(pl.lit(1).alias("extra"), pl.lit("Kyiv").alias("town")).write_csv("a.csv")
    done = run("predict", model, "a.csv")
    assert done.status == 0
    assert "columns that training did not have are ignored: 'extra'" in done.out
    assert "column 'town' has 'Kyiv' in 200 of 200 rows, which training did not have" in done.out


def test_text_in_a_numeric_column(run, model, frame):
    frame.with_columns(pl.lit("large").alias("area")).write_csv("a.csv")
    done = run("predict", model, "a.csv")
    assert done.status == 2
    assert "column 'area' has no cell that fits: in training it held numbers" in done.err


def test_a_failing_save_keeps_the_previous_file(run, model, houses, monkeypatch):
    Path("predictions.csv").write_text("previous")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = run("predict", model, houses / "houses.csv")
    assert done.status == 2
    assert "could not write predictions.csv: No space left on device" in done.err
    assert Path("predictions.csv").read_text() == "previous"


def test_neither_model_nor_table_is_overwritten(run, model, houses):
    for path in (model, houses / "houses.csv"):
        before = path.read_bytes()
        done = run("predict", model, houses / "houses.csv", "--out", path)
        assert done.status == 2
        assert "it is the file that is read" in done.err
        assert path.read_bytes() == before


@pytest.mark.parametrize("command", [["predict", "m", "iris"], ["inspect", "m"]])
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda data: data[:-10], "m is truncated"),
        (lambda data: data[:20], "m is truncated"),
        (lambda data: b"", "m is truncated or empty"),
        (lambda data: b"a,b\n" + b"1,2\n" * 9, "m is not a chainrule file"),
        (lambda data: data.replace(b'"version":"1"', b'"version":"9"', 1), "another version of chainrule"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "m is damaged"),
    ],
)
def test_files_that_are_no_usable_model(run, model, command, damage, what):
    Path("m").write_bytes(damage(model.read_bytes()))
    done = run(*command)
    assert (done.status, done.out) == (2, "")
    assert what in done.err


def test_a_model_that_is_not_there(run, model):
    Path("houses.safetensors").write_bytes(b"")
    done = run("inspect", "house.safetensors")
    assert done.status == 2
    assert "did you mean '" in done.err and "houses.safetensors'?" in done.err


def test_inspect_shows_what_the_model_is(run, model):
    done = run("inspect", model)
    assert done.status == 0
    for part in (
        "price (regression)",
        cr.load_model(model).architecture.describe(),
        "3 networks like this:",
        "RMSE",
        "200 out-of-fold rows",
    ):
        assert part in done.out
    assert "town (categorical: Bern, Oslo, Rome)" in done.out
    assert "epochs 20" in done.out
    assert cr.__version__ in done.out


def test_inspect_lists_classes(run, iris):
    assert "setosa, versicolor, virginica" in run("inspect", iris).out


def test_version(run):
    assert run("--version").out == f"chainrule {cr.__version__}\n"


def test_label_sets_are_written_and_shown(run, iris):
    done = run("predict", iris, "iris", "--label-sets", "0.9")
    assert done.status == 0
    assert "in the set" in done.out
    written, table = pl.read_csv("predictions.csv"), load_bundled("iris")
    classes = ["setosa", "versicolor", "virginica"]
    assert written.columns[4:] == [f"in_set_{name}" for name in classes]
    expected = cr.load_model(iris).predict(table.frame, label_sets=0.9)
    assert (written.select(written.columns[4:]).to_numpy() == expected.sets).all()
    inside = [name in some for name, some in zip(table.frame[table.target], expected.label_sets, strict=True)]
    assert np.mean(inside) > 0.85
    assert "setosa" in done.out.split("in the set")[1].splitlines()[1].split()[3]


def test_label_sets_of_numbers_are_refused(run, model, houses):
    done = run("predict", model, houses / "houses.csv", "--label-sets", "0.9")
    assert done.status == 2
    assert "--interval 0.9" in done.err
    assert not Path("predictions.csv").exists()

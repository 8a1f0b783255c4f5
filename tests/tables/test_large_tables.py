"""Tables that are predicted part by part, and frames of every library: the same predictions."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from chainrule.data.features.notices import add_up
from chainrule.errors import DataError
from chainrule.tables import TrainingSettings, train_table
from chainrule.tables.writing import table_writer

SETTINGS = TrainingSettings(hidden=(8,), epochs=5)


def table(rows=3_000, seed=0):
    rng = np.random.default_rng(seed)
    area, town = rng.uniform(40, 200, rows), rng.choice(["Oslo", "Rome", "Bern"], rows)
    return pl.DataFrame(
        {
            "area": [None if i % 17 == 3 else a for i, a in enumerate(area.tolist())],
            "town": town,
            "garden": rng.random(rows) < 0.5,
            "built": pl.Series(rng.integers(0, 9000, rows).astype(np.int32)).cast(pl.Date),
            "price": area + 50 * (town == "Oslo"),
        }
    )


@pytest.fixture(scope="module")
def model():
    return train_table(table(500), "price", SETTINGS).model


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.arrow"])
def test_parts_are_predicted_like_the_whole(model, tmp_path, name):
    frame = table().with_columns(town=pl.Series(["Kyiv"] * 10 + ["Rome"] * 2980 + ["Lima"] * 10))
    path = tmp_path / name
    {"a.csv": frame.write_csv, "a.parquet": frame.write_parquet, "a.arrow": frame.write_ipc}[name](path)
    parts = list(model.predict_parts(path, cells=4_000))
    assert len(parts) > 2
    whole, found = model.predict(frame), model.predict(path)
    np.testing.assert_allclose(
        np.concatenate([part.predictions.values.to_numpy() for part in parts]),
        whole.values.to_numpy(),
        rtol=1e-6,
    )
    np.testing.assert_allclose(found.values.to_numpy(), whole.values.to_numpy(), rtol=1e-6)
    assert found.notices == whole.notices and len(whole.notices) == 2
    assert model.score(path).value == pytest.approx(model.score(frame).value, rel=1e-6)


@pytest.mark.parametrize("out", ["p.csv", "p.parquet"])
def test_predictions_go_to_a_file(model, tmp_path, out):
    frame = table()
    frame.write_parquet(tmp_path / "a.parquet")
    notices = model.predict_to(tmp_path / "a.parquet", tmp_path / out)
    read = pl.read_csv if out.endswith("csv") else pl.read_parquet
    np.testing.assert_allclose(
        read(tmp_path / out)["prediction"].to_numpy(), model.predict(frame).values.to_numpy(), rtol=1e-6
    )
    assert notices == model.predict(frame).notices
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.parquet", out]


def test_predictions_go_into_a_pipe(model, tmp_path):
    frame = table()
    frame.write_csv(tmp_path / "a.csv")
    model.save(tmp_path / "m.safetensors")
    program = "import sys; from chainrule.cli import main; sys.exit(main(sys.argv[1:]))"
    command = ["predict", tmp_path / "m.safetensors", tmp_path / "a.csv", "--out", "/dev/stdout", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert (len(lines), lines[0]) == (3002, "prediction")  # a header, the predictions, the JSON
    assert float(lines[1]) == pytest.approx(model.predict(frame).values[0], rel=1e-5)


def spoilt(path):
    """A table of 3000 rows with a date that no calendar has in row 2002."""
    days = (
        pl.when(pl.int_range(pl.len()) == 2_001).then(100_000_000).otherwise(pl.col("built").cast(pl.Int32))
    )
    table().with_columns(built=days.cast(pl.Int32).cast(pl.Date)).write_parquet(path)


def test_an_error_in_a_later_part_leaves_the_previous_file(model, tmp_path):
    spoilt(tmp_path / "a.parquet")
    (tmp_path / "p.csv").write_text("previous")
    parts = []
    with pytest.raises(DataError), table_writer(tmp_path / "p.csv") as write:
        for part in model.predict_parts(tmp_path / "a.parquet", cells=5_000):
            parts.append(part)
            write(part.predictions.to_frame())
    assert parts
    assert (tmp_path / "p.csv").read_text() == "previous"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.parquet", "p.csv"]


def test_errors_say_in_which_row_of_the_table(model, tmp_path):
    spoilt(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="'built' holds dates that are out of range") as caught:
        list(model.predict_parts(tmp_path / "a.parquet", cells=5_000))
    assert caught.value.got == "100000000 in row 2002"
    prices = pl.when(pl.int_range(pl.len()) == 2_001).then(1e300).otherwise(pl.col("price"))
    table().with_columns(price=prices).write_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match="'price' has values too far from those in training") as caught:
        running = model.running_score()
        for part in model.predict_parts(tmp_path / "a.csv", cells=5_000):
            model.add_to(running, part)
    assert caught.value.got == "row 2002 (1e+300)"


@pytest.mark.parametrize("column", ["area", "town", "garden", "built"])
@pytest.mark.parametrize("cell", ["large", "true", "5", "1.5", "2020-01-31", "10:30", ""])
def test_a_part_of_other_cells_is_read_as_in_the_whole(model, tmp_path, column, cell):
    """Each part alone looks like a column of another type; the whole is one of text."""
    cells = pl.col(column).cast(pl.String).fill_null("")
    frame = table().with_columns(
        pl.when(pl.int_range(pl.len()) >= 2_000).then(pl.lit(cell)).otherwise(cells).alias(column)
    )
    frame.write_csv(tmp_path / "a.csv")
    parts = list(model.predict_parts(tmp_path / "a.csv", cells=5_000))
    found = [value for part in parts for value in part.predictions.values]
    assert len(parts) > 2 and found == pytest.approx(list(model.predict(frame).values), rel=1e-5)


def test_odd_cells_of_all_parts_are_counted_together(model, tmp_path):
    odd = (
        pl.when(pl.int_range(pl.len()) % 1_000 == 500)
        .then(pl.lit("large"))
        .otherwise(pl.col("area").cast(pl.String))
    )
    table().with_columns(area=odd).write_csv(tmp_path / "a.csv")
    notices = model.predict_to(tmp_path / "a.csv", tmp_path / "p.csv")
    parts = list(model.predict_parts(tmp_path / "a.csv", cells=5_000))
    together = add_up((part.frame.height, part.notices) for part in parts)
    assert "not numbers, such as 'large' (row 501) in 3 of 3000 rows" in notices[0]
    assert "'large' (row 501), 'large' (row 1501), 'large' (row 2501) in 3 of 3000 rows" in together[0]


@pytest.mark.parametrize("library", ["pandas", "arrow"])
def test_frames_of_every_library(library):
    frame = table(300)
    other = frame.to_arrow() if library == "arrow" else pd.DataFrame(frame.to_dict(as_series=False))
    first, second = (train_table(given, "price", SETTINGS) for given in (frame, other))
    assert first.score == second.score and first.model.preprocessor == second.model.preprocessor
    expected = first.model.predict(frame)
    found = second.model.predict(other)
    assert found.values.to_list() == expected.values.to_list() and found.notices == expected.notices
    assert second.model.score(other) == first.model.score(frame)
    assert found.to_frame("pandas")["prediction"].tolist() == expected.values.to_list()


def test_classes_that_a_part_does_not_have(tmp_path):
    frame = pl.DataFrame({"x": np.arange(4000) // 2000 + 0.0, "y": ["a"] * 2000 + ["b"] * 2000})
    model = train_table(frame, "y", TrainingSettings(epochs=5)).model
    frame.write_csv(tmp_path / "a.csv")
    parts = list(model.predict_parts(tmp_path / "a.csv", cells=2_000))
    assert [part.frame.height for part in parts] == [1000] * 4
    assert model.score(tmp_path / "a.csv") == model.score(frame)


@pytest.mark.slow
def test_memory_is_bounded_by_the_part_not_by_the_table(model, tmp_path):
    """Peak memory of a process of its own for a table and for one ten times as long."""
    model.save(tmp_path / "m.safetensors")
    program = "import sys, resource; from chainrule.cli import main; assert main(sys.argv[1:]) == 0; "
    program += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks = []
    for repeats in (100, 1000):
        path = tmp_path / "a.parquet"
        pl.concat([table()] * repeats).write_parquet(path, row_group_size=50_000)
        command = [
            sys.executable,
            "-c",
            program,
            "predict",
            tmp_path / "m.safetensors",
            path,
            "--out",
            tmp_path / "p.csv",
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | {"MALLOC_ARENA_MAX": "1"}
        )
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 200_000  # kB; the longer table's cells alone are 3 million * 5

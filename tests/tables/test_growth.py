"""Large and wide tables: nothing is done for every row in Python, and work grows with the columns, not their square.

Work is counted in calls of functions, which neither the machine nor what else it does changes.
"""

import numpy as np
import polars as pl
import pytest
from tests.counted import calls
from tests.thorough import slow

from chainrule.cli import main
from chainrule.data.features.target import _class_names
from chainrule.report import render
from chainrule.tables import TrainingSettings, prepare, train
from chainrule.tables.reporting import make_report

FEW, MANY = (
    24_000,
    48_000,
)  # rows, of both so many that pictures show a sample and files come in several blocks
KINDS = ["numbers", "text", "integers", "booleans", "gaps"]


def table(rows, kind):
    rng = np.random.default_rng(0)
    x, town = rng.normal(size=rows).round(3), rng.choice(["Oslo", "Rome", "Bern"], rows)
    label = (x > 0).astype(int) + (x > 1)
    frame = pl.DataFrame({"x": x, "z": rng.normal(size=rows).round(3), "town": town})
    frame = frame.with_columns(
        id=pl.Series([f"id {i}" for i in range(rows)]),
        day=pl.Series(rng.integers(0, 9_000, rows), dtype=pl.Int32).cast(pl.Date),
        garden=pl.Series(rng.random(rows) < 0.5),
    )
    targets = {"text": [f"class {i}" for i in label], "integers": label, "booleans": label > 0}
    frame = frame.with_columns(y=pl.Series(targets.get(kind, 2 * x)))
    if kind != "gaps":
        return frame
    return frame.with_columns(
        pl.when(pl.Series(rng.random(rows) > 0.1)).then(pl.col(name)).alias(name) for name in frame.columns
    )


def after_once(work):
    """The same work, when machine code and imports are there already."""
    work()
    return work


def whole_command(frame, folder, *, ensemble=False):
    """What is called on the way from a CSV file to a report and to predictions, but for the epochs."""
    folder.mkdir()
    frame.write_csv(folder / "t.csv")
    words = [folder / "t.csv", "--target", "y", "--epochs", 1, "--batch-size", frame.height // 4, "--quiet"]
    words += [] if ensemble else ["--no-ensemble"]
    places = ["--out", folder / "m", "--report", folder / "r.html"]

    def work():
        assert main([str(word) for word in ["train", *words, *places]]) == 0
        assert (
            main(
                [str(word) for word in ["predict", folder / "m", folder / "t.csv", "--out", folder / "p.csv"]]
            )
            == 0
        )

    return work


@pytest.mark.parametrize("kind", ["integers", *(slow(kind) for kind in KINDS if kind != "integers")])
def test_python_does_nothing_for_every_row(tmp_path, kind, capsys):
    ensemble = kind == "gaps"
    works = (
        whole_command(table(rows, kind), tmp_path / str(rows), ensemble=ensemble) for rows in (FEW, MANY)
    )
    few, many = (calls(after_once(work)) for work in works)
    assert (
        many < few + (MANY - FEW) / 2
    )  # one call for every row would be twice that; more rows are shown, too


@pytest.mark.slow
def test_work_grows_with_the_columns(tmp_path, capsys):
    def wide(columns):
        numbers = np.random.default_rng(0).normal(size=(60, columns)).round(3)
        frame = pl.DataFrame(numbers, schema=[f"x{i}" for i in range(columns)])
        return frame.with_columns(y=pl.col("x0") + pl.col("x1"))

    few, many = (
        calls(after_once(whole_command(wide(columns), tmp_path / str(columns)))) for columns in (250, 1_000)
    )
    assert many < 1.25 * 4 * few


def test_the_rows_of_each_role_lie_together():
    frame = table(200, "gaps")
    prepared = prepare(frame, "y", TrainingSettings(epochs=1))
    split = prepared.split
    assert sum(map(len, split.parts)) < frame.height
    for rows, part in (
        (split.training, prepared.training),
        (split.validation, prepared.validation),
        (split.held_out, prepared.scored),
        (np.concatenate([split.validation, split.held_out]), prepared.unseen),
    ):
        assert np.shares_memory(part.features, prepared.arranged.features)
        expected = prepared.encoded(rows)
        np.testing.assert_array_equal(part.features, expected.features)
        np.testing.assert_array_equal(part.target, expected.target)
        np.testing.assert_array_equal(part.features, prepared.preprocessor.transform(frame[rows]))
    trained = train(prepared)
    assert render(make_report(trained, "m"))


@pytest.mark.parametrize("kind", ["text", "integers", "booleans"])
def test_class_names_are_those_of_each_row(kind):
    column = table(50, kind)["y"]
    names, places = _class_names(column)
    assert [names[place] for place in places] == [str(value).lower() for value in column.to_list()]

"""What a report says of a trained network: importance, calibration, worst rows, findings, a drawing."""

import numpy as np
import polars as pl
import pytest

from chainrule.report import render
from chainrule.tables import TrainingSettings, train_table
from chainrule.tables.examples import calibration
from chainrule.tables.findings import findings_for_report
from chainrule.tables.importance import importances
from chainrule.tables.reporting import make_report


def table(rows: int = 400) -> pl.DataFrame:
    """A class that depends on one column and a little on a category; a number that doubles another."""
    rng = np.random.default_rng(0)
    signal, town = rng.normal(size=rows), rng.choice(["a", "b", "c"], rows)
    return pl.DataFrame(
        {
            "noise": rng.normal(size=rows),
            "town": town,
            "signal": signal,
            "class": np.where(signal + 0.5 * (town == "a") > 0.2, "high", "low"),
            "double": 200 * signal,
        }
    )


@pytest.fixture(scope="module")
def classes():
    return train_table(table().drop("double"), "class", TrainingSettings(epochs=30))


@pytest.fixture(scope="module")
def numbers():
    return train_table(table().drop("class"), "double", TrainingSettings(epochs=30))


def test_the_column_that_decides_matters_most(classes, numbers):
    found = importances(classes).columns
    assert [column.name for column in found][:2] == ["signal", "town"]
    assert {column.name for column in found} == {"signal", "town", "noise"}
    assert found[0].loss > 0.25
    assert abs(found[2].loss) < 0.05
    assert found[0].slope > 3 * found[2].slope
    first = importances(numbers).columns[0]
    # shuffling replaces the value by an independent one: the RMSE grows to sqrt(2) deviations, in the target's units
    target = numbers.prepared.frame["double"].to_numpy()
    assert first.name == "signal"
    assert first.loss == pytest.approx(np.sqrt(2) * target.std(), rel=0.2)
    assert first.slope == pytest.approx(target.std(), rel=0.1)  # the target per deviation of the column


def test_very_many_columns_are_not_all_shuffled(monkeypatch, classes):
    monkeypatch.setattr("chainrule.tables.importance.PREDICTIONS", 160)
    found = importances(classes)
    assert (len(found.columns), found.left_out) == (2, 1)
    assert found.columns[0].name == "signal"


def test_calibration_is_counted_row_by_row(classes):
    found = calibration(classes)
    prepared, split = classes.prepared, classes.prepared.split
    predictions = classes.model.predict(prepared.frame[split.scored])
    sure = predictions.probabilities.max(1)
    right = predictions.values.to_numpy() == prepared.frame["class"].to_numpy()[split.scored]
    assert found.counts.sum() == len(sure)
    error = 0.0
    for i in range(10):
        last = i == 9
        mine = (sure >= found.edges[i]) & (
            (sure <= found.edges[i + 1]) if last else (sure < found.edges[i + 1])
        )
        assert found.counts[i] == mine.sum()
        if mine.any():
            assert found.accuracy[i] == pytest.approx(right[mine].mean())
            assert found.confidence[i] == pytest.approx(sure[mine].mean(), rel=1e-5)
            error += abs(right[mine].mean() - sure[mine].mean()) * mine.mean()
    assert found.error == pytest.approx(error, rel=1e-4)


def test_regressions_have_no_calibration(numbers):
    assert calibration(numbers) is None


def test_worst_rows_are_those_of_the_table(classes, numbers):
    found = classes.worst
    frame = classes.prepared.frame
    columns = [column.name for column in classes.importances.columns[:4]]
    assert list(found.titles) == ["Row", "Actual", "Predicted", "Probability", *columns]
    town = found.titles.index("town")
    likely = [float(row[3]) for row in found.rows]
    assert likely == sorted(likely)
    for row in found.rows:
        index = int(row[0]) - 1
        assert row[1] == frame["class"][index]
        assert row[town] == frame["town"][index]
        assert index in classes.prepared.split.held_out
    off = [abs(float(row[3].replace("\u202f", ""))) for row in numbers.worst.rows]
    assert off == sorted(off, reverse=True)


def test_findings_stand_before_the_figures_of_the_diagnosis():
    frame = table()
    shuffled = frame.with_columns(frame["class"].shuffle(seed=0)).drop("double")
    found = findings_for_report(train_table(shuffled, "class", TrainingSettings(epochs=60)))
    assert found.found[0].kind == "no signal"
    assert found.found[0].reasons
    assert found.layers[0]["layer"] == "0: Linear"


@pytest.mark.parametrize(
    "settings", [{}, {"hidden": ()}, {"batch_norm": True}, {"dropout": 0.2, "restarts": 2}]
)
def test_every_network_has_a_report(settings):
    trained = train_table(table(80).drop("double"), "class", TrainingSettings(epochs=2, **settings))
    report = make_report(trained, "model.safetensors")
    assert report.drawing.startswith('<svg class="chainrule-drawing"')
    text = render(report)
    assert len(text.encode()) < 500_000
    assert "http" not in text.replace('http-equiv="', "")


def test_a_table_without_held_out_rows_is_reported_too():
    trained = train_table(table(8).drop("class"), "double", TrainingSettings(epochs=2))
    assert "the 8 rows trained on" in render(make_report(trained, "m"))

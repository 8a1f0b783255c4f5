"""From any table to a model: who sees which rows, every kind of column, what the report lists."""

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from chainrule.data import Columns, load_bundled
from chainrule.errors import DataError, SettingError
from chainrule.report import Confusion, Predictions, render
from chainrule.tables import TrainingSettings, load_model, prepare, reporting, train_table
from chainrule.tables.reporting import make_report


@pytest.fixture(scope="module")
def mixed():
    """A column of every kind, most of them with gaps."""
    rng = np.random.default_rng(0)
    rows = 60

    def gaps(values):
        return [None if rng.random() < 0.2 else value for value in values]

    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(d)) for d in rng.integers(0, 900, rows)]
    return pl.DataFrame(
        {
            "number": gaps(rng.normal(size=rows).tolist()),
            "integer": gaps(rng.integers(0, 5, rows).tolist()),
            "truth": gaps((rng.random(rows) < 0.5).tolist()),
            "text": gaps(rng.choice(["a", "b <b>", "c"], rows).tolist()),
            "category": pl.Series(gaps(rng.choice(["u", "v"], rows).tolist()), dtype=pl.Categorical),
            "date": gaps(days),
            "list": [[1, 2]] * rows,
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
            "name": [f"row {i}" for i in range(rows)],
            "decimal": pl.Series(rng.normal(size=rows)).cast(pl.Decimal(10, 3)),
            "huge": rng.normal(size=rows) * 1e290,
        }
    )


@pytest.mark.parametrize("target", ["number", "integer", "truth", "text", "category", "decimal", "huge"])
def test_any_kind_of_column_is_trained_on_predicted_and_reported(mixed, target, tmp_path):
    trained = train_table(mixed, target, TrainingSettings(epochs=2), "mixed")
    model = trained.model
    model.save(tmp_path / "m")
    predictions = model.predict(mixed)
    assert load_model(tmp_path / "m").predict(mixed).to_frame().equals(predictions.to_frame())
    assert predictions.values.null_count() == 0
    report = make_report(trained, "a model.safetensors")
    assert [column.name for column in report.columns] == [target, *(set_aside(mixed.columns, target))]
    assert report.columns[0].missing == mixed[target].null_count()
    assert isinstance(report.outcome, Confusion if model.task == "classification" else Predictions)
    assert "chainrule predict 'a model.safetensors' NEW_ROWS.csv" in report.predict_command
    assert "<b>" not in render(report)


def set_aside(names, target):
    return [name for name in names if name != target]


@pytest.mark.parametrize("target", ["date", "list", "empty", "name"])
@pytest.mark.parametrize("task", [None, "classification", "regression"])
def test_what_cannot_be_predicted_is_refused(mixed, target, task):
    with pytest.raises(DataError, match=target):
        prepare(mixed, target, TrainingSettings(task=task))


def test_every_row_with_a_target_has_one_part(mixed):
    split = prepare(mixed, "number", TrainingSettings()).split
    parts = np.concatenate(split.parts)
    assert sorted(parts) == np.flatnonzero(mixed["number"].is_not_null()).tolist()
    assert split.scored is split.held_out


def test_classes_are_split_in_proportion():
    iris = load_bundled("iris")
    prepared = prepare(iris.frame, iris.target, TrainingSettings())
    counts = [np.bincount(prepared.target[rows]) for rows in prepared.split.parts]
    assert [c.tolist() for c in counts] == [[34] * 3, [6] * 3, [10] * 3]


def test_preprocessing_is_learned_from_the_rows_that_train():
    x = np.arange(100.0)
    prepared = prepare(pl.DataFrame({"x": x, "y": x % 7 + 0.5}), "y")
    seen = x[prepared.split.training]
    assert prepared.preprocessor.columns[0].mean == pytest.approx(seen.mean())
    assert prepared.preprocessor.target.mean == pytest.approx((seen % 7 + 0.5).mean())


def test_without_validation_the_last_epoch_is_kept():
    iris = load_bundled("iris")
    settings = TrainingSettings(validation=0, held_out=0, epochs=4, hidden=(3,))
    trained = train_table(iris.frame, iris.target, settings)
    facts = trained.model.facts
    assert (facts.epochs, facts.best_epoch, facts.stopped) == (4, 4, "all epochs done")
    assert (facts.training_rows, facts.scored_on) == (150, "training")
    assert make_report(trained, "m").curves.validation is None
    assert trained.prepared.notices == ("no rows are held out: the score is of the training rows",)


def test_the_score_is_of_the_held_out_rows_in_the_targets_units():
    problem = load_bundled("diabetes")
    trained = train_table(problem.frame, problem.target, TrainingSettings(epochs=3))
    held_out = problem.frame[trained.prepared.split.held_out]
    error = trained.model.predict(held_out).values.to_numpy() - held_out[problem.target].to_numpy()
    assert trained.score.value == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
    training = problem.frame[trained.prepared.split.training][problem.target].to_numpy()
    baseline = np.sqrt(np.mean((held_out[problem.target].to_numpy() - training.mean()) ** 2))
    assert trained.score.baseline == pytest.approx(baseline, rel=1e-6)


@pytest.mark.parametrize("rows", [1, 64, 100, 1_000, 10_000, 1_000_000])
def test_the_number_of_epochs_lies_within_its_limits(rows):
    epochs = TrainingSettings().epochs_for(rows)
    assert 20 <= epochs <= 500
    assert epochs in {20, 500} or epochs * -(-rows // 64) <= 4000


def test_settings_are_checked_when_they_are_made():
    with pytest.raises(SettingError, match="dropout"):
        TrainingSettings(dropout=-0.1)


def test_dates_that_are_text_in_a_frame_are_those_of_the_file(tmp_path):
    rng = np.random.default_rng(0)
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(day)) for day in rng.integers(0, 900, 60)]
    columns = {"sold": [None, *days[1:]], "size": rng.normal(size=60), "price": rng.normal(size=60)}
    frame = pl.DataFrame(columns)
    frame.write_csv(tmp_path / "sales.csv")
    model = train_table(frame, "price", TrainingSettings(epochs=2)).model
    expected = model.predict(tmp_path / "sales.csv").values.to_list()
    as_text = pd.read_csv(tmp_path / "sales.csv")
    assert isinstance(as_text["sold"][1], str)
    assert model.predict(as_text).values.to_list() == expected
    again = train_table(as_text, "price", TrainingSettings(epochs=2)).model
    assert again.preprocessor == model.preprocessor and again.predict(frame).values.to_list() == expected
    as_text.loc[7, "sold"] = "last summer"
    predicted = model.predict(as_text)
    assert any(
        "not dates, such as 'last summer' (row 8) in 1 of 60 rows" in notice for notice in predicted.notices
    )
    assert predicted.values.to_list()[:7] == expected[:7]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_trained_on_by_its_name(kind, tmp_path):
    rng = np.random.default_rng(0)
    x, code = rng.normal(size=60), [f"{n:03d}" for n in rng.integers(0, 3, 60)]
    lines = [f"{number:.3f};{text};{2 * number:.3f}" for number, text in zip(x, code, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x;code;y", *lines]) + "\n")
    columns = Columns(types={"code": "text"})
    settings = TrainingSettings(epochs=2)
    trained = train_table(kind(tmp_path / "t.csv"), "y", settings, columns=columns)
    assert trained.prepared.preprocessor.columns[1].kind == "categorical"
    assert "the file is read with ; as separator" in trained.prepared.notices[0]
    with pytest.raises(DataError, match="missing"):
        train_table(kind(tmp_path / "missing.csv"), "y", settings)


@pytest.mark.parametrize("make", [train_table, prepare])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"settings": {"epochs": 5}},
            r"settings is a TrainingSettings, such as TrainingSettings\(epochs=5\)",
        ),
        ({"settings": {}}, "settings is a TrainingSettings"),
        ({"settings": 5}, "settings is a TrainingSettings"),
        ({"columns": {"ignore": ["x"]}}, r"columns is a Columns, such as Columns\(ignore=\['id'\]\)"),
        ({"columns": {}}, "columns is a Columns"),
        ({"columns": ["x"]}, "columns is a Columns"),
    ],
)
def test_settings_and_columns_of_another_kind_are_refused_by_name(make, given, said):
    with pytest.raises(SettingError, match=said):
        make(pl.DataFrame({"x": [1.0, 2.0], "y": [1.5, 2.5]}), "y", **given)


@pytest.mark.parametrize("hidden", ["64,64", "64", b"64", 64, None])
def test_hidden_is_a_tuple_of_numbers(hidden):
    with pytest.raises(SettingError, match=r"hidden is a tuple of numbers, such as \(64, 64\)"):
        TrainingSettings(hidden=hidden)


def test_a_trained_table_is_one_line_at_a_prompt():
    wine = load_bundled("wine")
    trained = train_table(wine.frame, wine.target, TrainingSettings(epochs=10))
    count = len(trained.findings)
    found = {0: "no finding", 1: "1 finding"}.get(count, f"{count} findings")
    shown = f"accuracy {trained.score.value:.4g} on 36 held-out rows, {found})"
    assert repr(trained) == f"Trained({wine.target}: {shown}"


def test_a_number_forced_to_very_many_classes_is_noticed_and_measured_within_bounds(monkeypatch):
    """What takes a matrix of classes by classes, or a ranking of each, is left out, and that is said."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=1200)
    y = np.arange(1200) % 250
    frame = pl.DataFrame({"x": x, "z": rng.normal(size=1200), "y": y})
    trained = train_table(frame, "y", TrainingSettings(task="classification", epochs=1))
    assert any(
        "250 classes: --task regression (in Python: task='regression')" in n for n in trained.prepared.notices
    )
    measures = {metric.name: metric for metric in trained.metrics}
    assert measures["AUC"].value is None
    assert all(metric.linear is None for metric in trained.metrics)
    assert "For so many classes a linear model is left out, and the AUC." in render(make_report(trained, "m"))
    monkeypatch.setattr(reporting, "CLASSES", 20)
    confusion = make_report(trained, "m").outcome
    assert isinstance(confusion, Confusion)
    assert (len(confusion.classes), confusion.classes[20]) == (22, "230 other classes")
    predicted = trained.scored.predicted.argmax(1)
    assert int(np.trace(confusion.counts)) == int((predicted == trained.scored.actual).sum())
    assert int(np.sum(confusion.counts)) == len(predicted)


def test_few_integer_classes_are_not_said_to_be_numbers():
    frame = pl.DataFrame({"x": np.arange(600.0), "y": np.arange(600) % 100})
    notices = prepare(frame, "y", TrainingSettings(task="classification")).notices
    assert not any("predicts a number" in notice for notice in notices)

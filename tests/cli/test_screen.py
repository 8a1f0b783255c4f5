"""What is seen on the screen, 80 columns wide: what a person wants to know after a run, and the same facts as JSON."""

import json
import os
import pty
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.alike import alike, told_once
from chainrule.cli import layout, outcome
from chainrule.report.contents import Importance, Importances

KEYS = [
    "task", "data", "target", "metric", "score", "score_low", "score_high", "baseline", "scored_on", "training_rows",
    "validation_rows",
    "held_out_rows", "epochs", "best_epoch", "restarts", "networks", "stopped", "interrupted", "seconds", "decision",
    "settings", "metrics", "confusion", "coverage", "columns", "findings", "notices", "version", "assumed", "model",
    "report",
]  # fmt: skip
MEASURES = [
    "accuracy", "balanced accuracy", "log loss", "AUC", "macro F1", "precision", "recall", "Brier score",
    "calibration error",
]  # fmt: skip


SOME = ("--epochs", 30, "--folds", 3)
ANY = ("--no-ensemble", "--epochs", 3)  # where what is trained does not matter


@pytest.fixture
def narrow(run, monkeypatch):
    """Runs a command where the terminal has 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return run


def words(text):
    return " ".join(text.split())


@pytest.fixture
def screen(narrow):
    """Of a classifier that has learned something."""
    done = narrow("train", "iris", *SOME)
    assert (done.status, done.err) == (0, "")
    return done.out


def test_nothing_is_wider_than_the_screen_or_coloured(screen):
    assert max(map(len, screen.splitlines())) <= 80
    assert "\x1b" not in screen


def test_what_was_read_the_task_and_the_roles_of_rows(screen):
    assert screen.startswith("iris: 150 rows, species from 4 columns: classification of 3 classes\n")
    assert "classes     setosa (50 rows), versicolor (50), virginica (50)\n" in screen
    said = words(screen)
    assert "rows 150 rows in 3 folds, each judged by networks trained on the other 2" in said
    assert (
        "network 6 networks of 4-64-64-3 and 3 of 4-128-3, relu, dropout 0.1 and 0.2; at most 30 epochs"
        in said
    )


def test_a_single_network_has_rows_that_choose_its_epoch_and_rows_for_the_score(narrow):
    said = words(narrow("train", "iris", *ANY).out)
    roles = "102 rows train the network, 18 rows choose its best epoch, 30 rows are held out for the score"
    assert f"rows {roles}" in said
    assert "network 4-64-64-3, relu; at most 3 epochs" in said
    assert "epoch 3 is kept" in said


def test_measures_stand_beside_those_of_a_linear_model_and_of_a_constant(screen):
    lines = screen.splitlines()
    start = next(i for i, line in enumerate(lines) if "linear model" in line)
    assert lines[start].split("  ")[-1] == "constant"
    found = {line[:18].strip(): line[18:].split() for line in lines[start + 1 : start + 10]}
    assert list(found) == MEASURES
    assert all(len(figures) == 3 for figures in found.values())
    better = words(" ".join(lines[start + 10 : start + 12]))
    assert better.startswith(
        "(higher is better: accuracy, balanced accuracy, AUC, macro F1, precision, recall)"
    )


def test_the_confusion_of_few_classes_adds_up(screen):
    lines = screen.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("rows by actual class"))
    assert lines[start + 1].split() == ["actual", "setosa", "versicolor", "virginica"]
    counts = np.array([[int(n) for n in line.split()[1:]] for line in lines[start + 2 : start + 5]])
    assert (counts.sum(1) == 50).all()
    said = float(next(line for line in lines if line.startswith("accuracy ")).split()[1])
    assert counts.trace() / 150 == pytest.approx(said, abs=1e-4)


def test_the_columns_that_matter_and_what_to_do_next(screen):
    assert "columns that matter most (log loss gained when a column is shuffled)" in screen
    assert "  petal_" in screen.split("columns that matter most")[1]
    assert screen.endswith(
        "model:  model.safetensors\n"
        "report: report.html\n"
        "next:   chainrule predict model.safetensors NEW_ROWS.csv\n"
        "        chainrule inspect model.safetensors\n"
    )


def test_what_may_be_typed_next_works(narrow, screen):
    pl.DataFrame(
        {f"{part}_{side}": [1.0, 2.0] for part in ("sepal", "petal") for side in ("length", "width")}
    ).write_csv("NEW_ROWS.csv")
    for line in screen.split("next:   ")[1].splitlines():
        program, *arguments = line.split()
        assert (program, narrow(*arguments).status) == ("chainrule", 0)


def test_json_has_the_same_facts(narrow):
    done = narrow("train", "iris", *SOME, "--json")
    result = done.result
    assert list(result) == KEYS
    assert max(map(len, done.err.splitlines())) <= 80
    assert result["metrics"]["accuracy"]["value"] == result["score"]
    for measure in result["metrics"].values():
        assert list(measure) == ["value", "linear", "baseline", "better"]
    assert np.sum(result["confusion"]) == result["training_rows"]
    assert np.trace(result["confusion"]) / result["training_rows"] == result["score"]
    assert {column["name"] for column in result["columns"]} == {
        "sepal_length", "sepal_width", "petal_length", "petal_width"
    }  # fmt: skip
    for finding in result["findings"]:
        assert list(finding) == ["kind", "severity", "text", "evidence", "remedy"]
        assert finding["severity"] in ("note", "warning", "severe")
    said = re.search(
        r"accuracy (\S+) \(95% interval: (\S+) to (\S+)\) on 150 out-of-fold rows", words(done.err)
    )
    figures = [result[key] for key in ("score", "score_low", "score_high")]
    assert [float(figure) for figure in said.groups()] == pytest.approx(figures, abs=6e-4)
    assert [one["probability"] for one in result["coverage"]] == [0.5, 0.8, 0.9, 0.95]


def test_a_regression_has_no_confusion(narrow, houses):
    done = narrow("train", houses / "houses.csv", "--target", "price", *SOME, "--json")
    assert done.result["confusion"] == []
    assert set(done.result["metrics"]) == {"RMSE", "MAE", "median error", "pinball loss", "R2"}
    assert "rows by actual class" not in done.err
    assert "(RMSE gained when a column is shuffled)" in done.err


def test_the_docs_list_the_keys_of_the_json():
    page = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text()
    table = page.split("| key | what it is |")[1].split("\n\n")[0]
    assert [
        key for line in table.splitlines() for key in line.split("|")[1:2] for key in key.split("`")[1::2]
    ] == KEYS


# What must not be missed


def test_a_model_that_is_no_better_than_a_constant_is_said_to_be_so(narrow):
    rng = np.random.default_rng(0)
    pl.DataFrame({"x": rng.normal(size=200), "y": rng.normal(size=200)}).write_csv("noise.csv")
    done = narrow("train", "noise.csv", "--no-ensemble", "--epochs", 200, "--weight-decay", 0)
    assert "On these 40 rows the model is no better than always predicting the mean." in words(done.out)


def test_a_model_that_knows_how_likely_a_rare_class_is_is_not_said_to_be_worthless(narrow):
    """Accuracy hides it: the most frequent class is the likeliest one of every row."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    rare = rng.random(3000) < 0.03 + 0.25 / (1 + np.exp(-3 * (x - 1.5)))
    pl.DataFrame({"x": x, "y": np.where(rare, "rare", "usual")}).write_csv("rare.csv")
    done = narrow("train", "rare.csv", "--json", "--no-ensemble", "--epochs", 10)
    metrics = done.result["metrics"]
    assert metrics["accuracy"]["value"] <= metrics["accuracy"]["baseline"]
    assert metrics["AUC"]["value"] > 0.6
    assert "no better than" not in done.err


def test_one_that_is_better_is_not(screen):
    assert "no better than" not in screen


def test_columns_that_add_next_to_nothing_are_not_listed():
    columns = [
        Importance("alive", 3.0, 0.1, 1.0),
        Importance("age", 0.02, 0.001, 1.0),
        Importance("sex", 3e-7, 1e-8, 1.0),
        Importance("deck", 0.5, 0.6, 1.0, is_noise=True),
    ]
    trained = SimpleNamespace(importances=Importances(columns, "", ""))
    assert [line.split()[0] for line in outcome.column_lines(trained)] == ["alive", "age"]
    none = SimpleNamespace(importances=Importances(columns[3:], "", ""))
    assert outcome.column_lines(none) == ["none, beyond chance"]


def test_findings_have_a_severity_and_a_remedy(narrow, monkeypatch):
    from chainrule import tables
    from chainrule.tables import Finding

    some = [
        Finding("leak", "severe", "'alive' alone decides the target.", "accuracy 1", "--ignore alive"),
        Finding("dead units", "warning", "Half of the units are off " * 5, "0.5", "--lr 0.001"),
        Finding("few rows", "note", "The score is of 12 rows only.", "12 rows", ""),
    ]
    monkeypatch.setattr(
        tables, "findings_of", lambda trained, asked_by: some if asked_by == "command" else []
    )
    done = narrow("train", "iris", *ANY, "--json")
    assert "severe      'alive' alone decides the target.\n            try: --ignore alive\n" in done.err
    assert "warning     Half of the units are off Half" in done.err
    assert "note        The score is of 12 rows only.\n" in done.err
    assert max(map(len, done.err.splitlines())) <= 80
    assert done.result["findings"][0] == {
        "kind": "leak",
        "severity": "severe",
        "text": "'alive' alone decides the target.",
        "evidence": "accuracy 1",
        "remedy": "--ignore alive",
    }


def test_very_many_findings_are_counted(narrow, monkeypatch):
    from chainrule import tables
    from chainrule.tables import Finding

    some = [Finding(f"kind {i}", "note", f"Text {i}.", "", "") for i in range(20)]
    monkeypatch.setattr(tables, "findings_of", lambda trained, asked_by: some)
    done = narrow("train", "iris", *ANY)
    assert done.out.count("note        Text") == outcome.FINDINGS
    assert "and 14 findings more in the report: kind 6," in done.out
    done = narrow("train", "iris", *ANY, "--no-report")
    assert "and 14 findings more with --json: kind 6," in done.out


def test_notices_of_one_kind_are_told_once(narrow):
    rng = np.random.default_rng(0)
    holes = {
        f"c{i}": [None if rng.random() < 0.2 else float(v) for v in rng.normal(size=60)] for i in range(30)
    }
    pl.DataFrame({**holes, "y": rng.normal(size=60)}).write_csv("t.csv")
    done = narrow("train", "t.csv", *ANY)
    assert done.out.count("  note: ") == 1
    notices = narrow("train", "t.csv", *ANY, "--json").result["notices"]
    assert len(notices) == 30
    counts = {notice.split("'")[1]: int(notice.split(" in ")[1].split()[0]) for notice in notices}
    first, *others = sorted(counts, key=lambda name: -counts[name])
    listed = "; ".join(f"'{name}', {counts[name]}" for name in others[:5])
    assert f"column '{first}' has no value in {counts[first]} of " in words(done.out)
    assert f"(also {listed} and 24 more)" in words(done.out)


@pytest.mark.parametrize(
    ("notices", "expected"),
    [
        ([], []),
        (["one"], ["one"]),
        (["a 1", "b", "a 22.5"], ["a 1 (1 more like this)", "b"]),
        (["x 'it''s' 1", 'x "q" 2'], ["x 'it''s' 1", 'x "q" 2']),
        (["column 'a\\'b' is", "column 'c' is"], ["column 'a\\'b' is (1 more like this: 'c')"]),
        (
            ["'a' in 1 of 9 rows", "'b' in 7 of 9 rows", "'c' in 1 of 9 rows"],
            ["'b' in 7 of 9 rows (also 'a', 1; 'c', 1)"],
        ),
    ],
)
def test_grouping(notices, expected):
    assert told_once(notices) == expected
    assert sorted(chain.from_iterable(alike(notices))) == sorted(notices)


def test_very_many_kinds_of_notices_are_counted(narrow, monkeypatch):
    from chainrule.cli.terminal import NOTICES, Terminal

    kinds = [f"of kind {chr(97 + i)}" for i in range(NOTICES + 3)]
    assert told_once(kinds) == kinds
    lines = []
    monkeypatch.setattr(Terminal, "remark", lambda self, text, style="": lines.append(text))
    Terminal(elsewhere="in the report").notices(kinds)
    assert len(lines) == NOTICES + 1
    assert lines[-1] == "  and 3 kinds of notes more in the report"


# Widths, characters, colours


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 500])
def test_entries_fit_their_width(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    text = "some words of different lengths that go on and on " * 9
    for line in layout.entry("name", text).splitlines():
        assert len(line) <= max(width, layout.LEAST)
    assert words(layout.entry("name", text)) == f"name {words(text)}"
    assert layout.entry("a name that is longer than its place", "text").startswith("a name that")


def test_wide_characters_take_two_columns():
    lines = layout.table([["北京", "1"], ["ab", "22"]])
    assert lines == ["北京   1", "ab    22"]


def test_names_of_classes_that_do_not_fit_are_numbered(narrow):
    names = [f"{'a very long name of a class ' * 2}{i}" for i in range(4)]
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 120)
    pl.DataFrame({"x": label + rng.normal(size=120) / 9, "y": [names[i] for i in label]}).write_csv("t.csv")
    done = narrow("train", "t.csv", *ANY)
    assert max(map(len, done.out.splitlines())) <= 80
    assert "(1)  (2)  (3)  (4)" in done.out


def on_terminal(folder, arguments, **environment):
    """What a command prints on a terminal of 80 columns."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "chainrule", *arguments],
        cwd=folder,
        stdout=terminal,
        stderr=terminal,
        stdin=terminal,
        env={
            **{k: v for k, v in os.environ.items() if k != "NO_COLOR"},
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "COLUMNS": "80",
            "TERM": "xterm-256color",
            **environment,
        },
    )
    os.close(terminal)
    printed = b""
    while True:
        try:
            some = os.read(controller, 65536)
        except OSError:  # the other end is closed
            break
        if not some:
            break
        printed += some
    assert process.wait(timeout=600) == 0
    os.close(controller)
    return printed.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_on_a_terminal_there_are_a_bar_with_time_left_and_colours_unless_unwanted(tmp_path):
    arguments = ["train", "iris", "--no-ensemble", "--epochs", "3000", "--patience", "3000"]
    coloured = on_terminal(tmp_path, arguments)
    assert "\x1b[1maccuracy " in coloured
    bar = next(line for line in coloured.splitlines() if "3000/3000" in line)
    assert "loss" in bar and "validation" in bar and "0:00:00" in bar and "left" in bar
    assert "…" not in bar and "steps/s" not in bar
    plain = on_terminal(tmp_path, arguments, NO_COLOR="1")
    assert "\x1b[1m" not in plain and "\x1b[31m" not in plain
    assert "accuracy " in plain


# predict and inspect


def test_predict_shows_the_first_predictions_and_all_measures(narrow, screen):
    done = narrow("predict", "model.safetensors", "iris")
    assert max(map(len, done.out.splitlines())) <= 80
    lines = done.out.splitlines()
    start = lines.index("row  prediction  probability")
    written = pl.read_csv("predictions.csv")
    for i, line in enumerate(lines[start + 1 : start + 6]):
        number, value, probability = line.split()
        assert (number, value) == (str(i + 1), written["prediction"][i])
        assert float(probability) == pytest.approx(max(written.row(i)[1:]), abs=1e-4)
    assert lines[start + 6] == "..."
    assert "balanced accuracy" in done.out and "AUC" in done.out


def test_predict_as_json_has_the_measures(narrow, screen):
    result = narrow("predict", "model.safetensors", "iris", "--json").result
    assert list(result) == [
        "rows", "out", "task", "target", "metric", "score", "score_low", "score_high", "baseline", "scored_rows",
        "metrics", "notices",
    ]  # fmt: skip
    assert result["metrics"]["accuracy"] == result["score"]
    assert list(result["metrics"]) == MEASURES


def test_measures_of_parts_are_those_of_the_whole(narrow, screen, monkeypatch):
    from chainrule.cli import predict
    from chainrule.data import load_bundled, parts

    load_bundled("iris").frame.write_csv("iris.csv")
    whole = narrow("predict", "model.safetensors", "iris.csv", "--json").result
    monkeypatch.setattr(parts.read_parts, "__defaults__", ((), 100, *parts.read_parts.__defaults__[2:]))
    assert narrow("predict", "model.safetensors", "iris.csv", "--json").result["metrics"] == whole["metrics"]
    monkeypatch.setattr(predict, "HELD", 100)
    capped = narrow("predict", "model.safetensors", "iris.csv", "--json").result
    assert (capped["metrics"], capped["score"]) == ({}, whole["score"])


def test_a_table_without_rows_has_no_predictions(narrow, screen):
    for name in ("header.csv", "header.parquet"):
        empty = pl.DataFrame(
            {
                f"{p}_{s}": pl.Series([], dtype=pl.Float64)
                for p in ("sepal", "petal")
                for s in ("length", "width")
            }
        )
        (empty.write_csv if name.endswith("csv") else empty.write_parquet)(name)
        done = narrow("predict", "model.safetensors", name)
        assert (done.status, done.err) == (0, "")
        assert "0 predictions: predictions.csv" in done.out
        assert pl.read_csv("predictions.csv").columns[0] == "prediction"
        assert pl.read_csv("predictions.csv").height == 0
        assert cr.load_model("model.safetensors").predict(name).values.to_list() == []


def test_inspect_as_json(narrow, screen):
    done = narrow("inspect", "model.safetensors", "--json")
    result = json.loads(done.out)
    assert result["network"]["widths"] == [4, 64, 64, 3]
    assert result["network"]["parameters"] == sum(
        p.size for p in cr.load_model("model.safetensors").network.parameters()
    )
    assert [column["name"] for column in result["columns"]] == [
        "sepal_length", "sepal_width", "petal_length", "petal_width"
    ]  # fmt: skip
    assert max(map(len, done.err.splitlines())) <= 80


def test_numbers_are_grouped_alike_and_by_spaces_that_every_terminal_has(narrow, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    frame = pl.DataFrame({"x": x, "y": 1_000_000 + 80_000 * x + rng.normal(0, 30_000, 400)})
    frame.write_csv(tmp_path / "prices.csv")
    shown = narrow("train", tmp_path / "prices.csv", "--target", "y", *ANY).out
    shown += narrow("inspect", "model.safetensors").out
    assert "\u202f" not in shown
    assert "u202f" not in shown
    assert not re.search(r"\d,\d{3}|\de\+", shown)
    line = next(line for line in shown.splitlines() if line.startswith("RMSE  "))
    assert all(re.fullmatch(r"\d{1,3}( \d{3})+", figure) for figure in re.split(r"  +", line)[1:]), line


def test_the_constant_has_one_name_and_is_explained(narrow, screen, houses):
    report = Path("report.html").read_text()
    said = "constant: always predicting the class shares of the training rows; for accuracy, their most frequent class"
    assert said in words(screen)
    assert said in report.replace("Constant:", "constant:")
    done = narrow("train", houses / "houses.csv", "--target", "price", *ANY)
    assert "(constant: always predicting the mean of the training rows)" in words(done.out)
    assert ">Constant<" in Path("report.html").read_text()


def test_without_a_report_nothing_is_said_of_one(narrow, monkeypatch):
    """Neither by a remedy, nor where Ctrl-C comes while the outcome is shown."""
    from chainrule import tables

    asked = []
    monkeypatch.setattr(tables, "findings_of", lambda trained, asked_by: asked.append(asked_by) or [])
    narrow("train", "iris", *ANY, "--no-report", "--json")
    narrow("train", "iris", *ANY, "--json")
    assert asked == ["command without report"] * 2 + ["command"] * 2

    def interrupted(trained, terminal):
        raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.cli.train.show_outcome", interrupted)
    assert "report" not in narrow("train", "iris", *ANY, "--no-report").err
    assert "no report is written" in narrow("train", "iris", *ANY).err

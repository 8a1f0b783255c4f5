"""``chainrule train`` from end to end."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import chainrule as cr

QUICK = ("--epochs", 3, "--no-report")


def test_digits_are_learned_and_everything_is_written(run):
    done = run("train", "digits", "--json")
    assert done.status == 0
    result = done.result
    assert result["task"] == "classification"
    assert result["metric"] == "accuracy"
    assert 0.97 <= result["score"] <= 1
    assert result["baseline"] == pytest.approx(0.1, abs=0.01)
    assert (result["scored_on"], result["held_out_rows"]) == ("held-out", 359)
    assert result["training_rows"] + result["validation_rows"] == 1797 - 359
    assert 1 <= result["best_epoch"] <= result["epochs"]
    assert result["restarts"] == 1
    assert 0 < result["seconds"] < 120
    assert "accuracy" in Path(result["report"]).read_text("utf-8")
    assert cr.load_model(result["model"]).facts.score == result["score"]
    assert len(done.out.splitlines()) == 1  # everything else went to standard error
    assert "accuracy 0.9" in done.err


def test_a_regression_beats_the_mean_by_far(houses):
    facts = cr.load_model(houses / "houses.safetensors").facts
    assert facts.metric == "RMSE"
    assert facts.score < 0.2 * facts.baseline


def test_what_is_said(run, houses):
    done = run("train", houses / "houses.csv", "--target", "price", *QUICK)
    assert done.status == 0
    assert "houses.csv: 200 rows, price from 4 columns: regression" in done.out
    assert "note: column 'age' has no value in" in done.out
    assert "136 rows train the network, 24 rows choose its best epoch, 40 rows are held out" in done.out
    assert "RMSE" in done.out
    assert "40 held-out rows (always predicting the mean: " in done.out
    assert "model:  model.safetensors" in done.out
    assert "report" not in done.out
    assert not Path("report.html").exists()
    assert done.err == ""  # no progress bar where nobody watches


def test_quiet_prints_the_score_only(run):
    done = run("train", "iris", *QUICK, "--quiet")
    assert done.out.startswith("accuracy ")
    assert (len(done.out.splitlines()), done.err) == (1, "")


def test_the_same_seed_gives_the_same_file(run):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("train", "iris", *QUICK, "--dropout", 0.1, "--batch-norm", "--seed", seed, "--out", out)
    assert Path("a").read_bytes() == Path("b").read_bytes() != Path("c").read_bytes()


def test_held_out_rows_decide_nothing(run, tmp_path):
    """Other targets in the held-out rows give the same network, and another score."""
    from chainrule.data import load_bundled
    from chainrule.tables import TrainingSettings, prepare

    problem = load_bundled("diabetes")
    settings = TrainingSettings(epochs=5)
    held_out = prepare(problem.frame, problem.target, settings).split.held_out
    changed = problem.frame[problem.target].to_numpy().copy()
    changed[held_out] = changed[held_out][::-1]
    problem.frame.write_csv("a.csv")
    problem.frame.with_columns(pl.Series(problem.target, changed)).write_csv("b.csv")
    scores = []
    for name in "ab":
        done = run("train", f"{name}.csv", "--target", problem.target, "--epochs", 5, "--out", name, "--json")
        scores.append(done.result["score"])
    assert scores[0] != scores[1]
    states = [cr.load_model(name).network.state_dict() for name in "ab"]
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key])


def test_restarts_and_other_settings_reach_the_model(run):
    settings = ["--hidden", "8,4", "--activation", "tanh", "--dropout", 0.25, "--batch-norm", "--restarts", 3]
    settings += ["--batch-size", 16, "--lr", 0.02, "--penalty", 1e-4, "--label-smoothing", 0.1]
    settings += ["--validation", 0.2, "--held-out", 0.3, "--patience", 2, "--weight-decay", 0, "--seed", 4]
    done = run("train", "iris", "--epochs", 4, "--json", *settings)
    model = cr.load_model("model.safetensors")
    assert done.result["restarts"] == 3
    assert model.architecture.widths == (4, 8, 4, 3)
    assert model.architecture.batch_norm
    assert (model.facts.validation_rows, model.facts.held_out_rows) == (21, 45)
    expected = {"hidden": "8,4", "activation": "tanh", "dropout": 0.25, "batch_norm": True, "restarts": 3}
    expected |= {"epochs": 4, "batch_size": 16, "lr": 0.02, "weight_decay": 0.0, "penalty": 1e-4}
    expected |= {"label_smoothing": 0.1, "validation": 0.2, "held_out": 0.3, "patience": 2, "seed": 4}
    assert model.facts.settings == {"task": "classification", **expected}
    assert "restarts" in Path("report.html").read_text("utf-8")


def test_no_hidden_layer(run):
    assert run("train", "iris", "--hidden", "none", *QUICK).status == 0
    assert cr.load_model("model.safetensors").architecture.widths == (4, 3)


def test_a_table_too_small_to_split_is_scored_on_its_training_rows(run):
    done = run("train", "xnor", "--epochs", 200)
    assert "4 rows are too few to hold some out: the score is of the training rows" in done.out
    assert "accuracy 1 on 4 training rows" in done.out
    assert "none were held out" in Path("report.html").read_text("utf-8")


def test_the_target_is_found_by_its_name(run, houses):
    frame = pl.read_csv(houses / "houses.csv")
    frame.rename({"price": "Target"}).write_csv("a.csv")
    assert run("train", "a.csv", *QUICK, "--json").result["target"] == "Target"


def test_a_file_comes_before_a_bundled_problem_of_its_name(run, houses):
    Path("digits").write_bytes((houses / "houses.csv").read_bytes())
    done = run("train", "digits", "--target", "price", *QUICK)
    assert "the file digits is read, not the bundled problem of that name" in done.out
    assert "200 rows" in done.out


def test_parquet(run, houses):
    pl.read_csv(houses / "houses.csv").write_parquet("houses.parquet")
    assert run("train", "houses.parquet", "--target", "price", *QUICK).status == 0


def test_the_task_can_be_said(run):
    rng = np.random.default_rng(0)
    pl.DataFrame({"a": rng.normal(size=99), "y": rng.integers(0, 3, 99)}).write_csv("a.csv")
    assert run("train", "a.csv", *QUICK, "--json").result["task"] == "classification"
    assert run("train", "a.csv", *QUICK, "--json", "--task", "regression").result["task"] == "regression"


def test_rows_without_a_target_are_left_out(run, houses):
    frame = pl.read_csv(houses / "houses.csv")
    price = frame["price"].to_list()
    price[3] = price[20] = None
    frame.with_columns(pl.Series("price", price)).write_csv("a.csv")
    done = run("train", "a.csv", "--target", "price", *QUICK, "--json")
    rows = [done.result[name] for name in ("training_rows", "validation_rows", "held_out_rows")]
    assert sum(rows) == 198
    assert "target 'price' has no value in rows 4, 21: left out (2 rows)" in done.result["notices"]


def test_a_run_goes_on_from_its_checkpoint(run):
    run("train", "iris", "--epochs", 6, "--patience", 6, "--out", "whole", "--quiet")
    arguments = ["train", "iris", "--patience", 6, "--checkpoint", "run", "--out", "parts", "--no-report"]
    assert run(*arguments, "--epochs", 6).status == 0
    assert run(*arguments, "--epochs", 6, "--resume").status == 0
    assert Path("whole").read_bytes() == Path("parts").read_bytes()


# Places to write to


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EROFS])
def test_a_failing_save_loses_neither_the_score_nor_the_previous_file(run, monkeypatch, failure):
    Path("model.safetensors").write_bytes(b"previous model")
    Path("report.html").write_bytes(b"previous report")

    def fail(*_):
        raise OSError(failure, os.strerror(failure))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        done = run("train", "iris", "--epochs", 3, "--json")
    assert done.status == 2
    assert (done.result["model"], done.result["report"]) == (None, None)
    assert "accuracy " in done.err
    assert f"could not write model.safetensors: {os.strerror(failure)}" in done.err
    assert sorted(p.name for p in Path().iterdir()) == ["model.safetensors", "report.html"]
    assert Path("model.safetensors").read_bytes() == b"previous model"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--out", "nowhere/m"], "--out cannot be written: there is no folder nowhere"),
        (["--report", "."], "--report cannot be written: it is a folder"),
        (["--out", "t.csv"], "--out cannot be written: it is the file that is read"),
        (["--out", "x", "--report", "x"], "--out and --report name the same file"),
    ],
)
def test_bad_places_are_refused_before_training(run, arguments, what):
    table = "a,y\n" + "1,2\n3,4\n" * 20
    Path("t.csv").write_text(table)
    done = run("train", "t.csv", *arguments)
    assert done.status == 2
    assert what in done.err
    assert done.out == ""
    assert Path("t.csv").read_text() == table


def test_a_read_only_folder_is_refused_before_training(run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    done = run("train", "iris")
    assert (done.status, done.out) == (2, "")
    assert "--out cannot be written: the folder . is read-only" in done.err


# The process


def child(tmp_path, *arguments):
    code = "import sys; from chainrule.cli import main; sys.exit(main())"
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search_path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_saves_what_there_is(tmp_path):
    arguments = ["--epochs", "1000000", "--patience", "1000000", "--checkpoint", "run", "--json"]
    process = child(tmp_path, "train", "iris", *arguments)
    checkpoint = tmp_path / "run"
    deadline = time.monotonic() + 60
    first = None
    while process.poll() is None and time.monotonic() < deadline:
        now = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        if first is not None and now != first:  # saved again, so epochs are being finished
            break
        first = first or now
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    result = json.loads(out.splitlines()[-1])
    assert result["interrupted"]
    assert "interrupted" in err
    assert "Traceback" not in err
    model = cr.load_model(tmp_path / result["model"])
    assert model.facts.stopped.startswith("interrupted after epoch")
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"], ["train", "nosuch"]])
def test_help_and_errors_load_no_heavy_library(arguments):
    code = f"import sys; from chainrule.cli import main; s = main({arguments!r}); print(s, *sys.modules)"
    search_path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": search_path},
        capture_output=True,
        text=True,
        check=True,
    )
    status, *loaded = done.stdout.splitlines()[-1].split()
    assert int(status) == (2 if "nosuch" in arguments else 0)
    assert {name.partition(".")[0] for name in loaded} & {
        "sklearn",
        "scipy",
        "polars",
        "rich",
        "llvmlite",
    } == set()

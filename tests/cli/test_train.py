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
from tests.thorough import first_ones

import chainrule as cr
from chainrule.files import save_tensors

QUICK = ("--epochs", 3, "--folds", 2, "--no-report")
SINGLE = ("--no-ensemble", "--epochs", 3)  # where what is trained does not matter, or is of one network only


def test_digits_are_learned_and_everything_is_written(run):
    done = run("train", "digits", "--epochs", 12, "--folds", 3, "--json")
    assert done.status == 0
    result = done.result
    assert result["task"] == "classification"
    assert result["metric"] == "accuracy"
    assert 0.97 <= result["score"] <= 1
    assert result["baseline"] == pytest.approx(0.1, abs=0.01)
    assert (result["scored_on"], result["held_out_rows"]) == ("out-of-fold", 0)
    assert (result["training_rows"], result["validation_rows"]) == (1797, 0)
    assert 1 <= result["best_epoch"] <= result["epochs"]
    assert result["restarts"] == 1
    assert result["networks"] == len(cr.load_model(result["model"]).network.members)
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
    assert "200 rows in 2 folds, each judged by networks trained on the other" in done.out
    assert "network     4 networks of" in done.out
    assert "6 networks, 3 epochs each, in " in done.out
    assert "RMSE" in done.out
    assert "200 out-of-fold rows (always predicting the mean: " in done.out
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
        done = run(
            "train",
            f"{name}.csv",
            "--target",
            problem.target,
            "--no-ensemble",
            "--epochs",
            5,
            "--out",
            name,
            "--json",
        )
        scores.append(done.result["score"])
    assert scores[0] != scores[1]
    states = [cr.load_model(name).network.state_dict() for name in "ab"]
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key])


def test_restarts_and_other_settings_reach_the_model(run):
    settings = ["--hidden", "8,4", "--activation", "tanh", "--dropout", 0.25, "--batch-norm", "--restarts", 3]
    settings += ["--batch-size", 16, "--lr", 0.02, "--penalty", 1e-4, "--label-smoothing", 0.1]
    settings += ["--validation", 0.2, "--held-out", 0.3, "--patience", 2, "--weight-decay", 0, "--seed", 4]
    done = run("train", "iris", "--no-ensemble", "--epochs", 4, "--json", *settings)
    model = cr.load_model("model.safetensors")
    assert done.result["restarts"] == 3
    assert model.architecture.widths == (4, 8, 4, 3)
    assert model.architecture.batch_norm
    assert (model.facts.validation_rows, model.facts.held_out_rows) == (21, 45)
    expected = {"hidden": "8,4", "activation": "tanh", "dropout": 0.25, "batch_norm": True, "restarts": 3}
    expected |= {"epochs": 4, "batch_size": 16, "lr": 0.02, "weight_decay": 0.0, "penalty": 1e-4}
    expected |= {"label_smoothing": 0.1, "validation": 0.2, "held_out": 0.3, "patience": 2, "seed": 4}
    expected |= {"ensemble": False, "folds": 8, "scaling": "standard", "embedding": "none"}
    assert model.facts.settings == {"task": "classification", **expected}
    assert "restarts" in Path("report.html").read_text("utf-8")


def test_no_hidden_layer(run):
    assert run("train", "iris", "--hidden", "none", *SINGLE, "--no-report").status == 0
    assert cr.load_model("model.safetensors").architecture.widths == (4, 3)


def test_a_table_too_small_to_split_is_scored_on_its_training_rows(run):
    done = run("train", "xnor", "--epochs", 300)
    assert "4 rows are too few to hold some out: the score is of the training rows" in done.out
    assert "accuracy 1 on 4 training rows" in done.out
    assert "none were held out" in Path("report.html").read_text("utf-8")


def test_the_target_is_found_by_its_name(run, houses):
    frame = pl.read_csv(houses / "houses.csv")
    frame.rename({"price": "Target"}).write_csv("a.csv")
    assert run("train", "a.csv", *SINGLE, "--no-report", "--json").result["target"] == "Target"


def test_a_file_comes_before_a_bundled_problem_of_its_name(run, houses):
    Path("digits").write_bytes((houses / "houses.csv").read_bytes())
    done = run("train", "digits", "--target", "price", *SINGLE, "--no-report")
    assert "the file digits is read, not the bundled problem of that name" in done.out
    assert "200 rows" in done.out


def test_parquet(run, houses):
    pl.read_csv(houses / "houses.csv").write_parquet("houses.parquet")
    assert run("train", "houses.parquet", "--target", "price", *SINGLE, "--no-report").status == 0


def test_the_task_can_be_said(run):
    rng = np.random.default_rng(0)
    pl.DataFrame({"a": rng.normal(size=99), "y": rng.integers(0, 3, 99)}).write_csv("a.csv")
    assert run("train", "a.csv", *SINGLE, "--no-report", "--json").result["task"] == "classification"
    assert (
        run("train", "a.csv", *SINGLE, "--no-report", "--json", "--task", "regression").result["task"]
        == "regression"
    )


def test_rows_without_a_target_are_left_out(run, houses):
    frame = pl.read_csv(houses / "houses.csv")
    price = frame["price"].to_list()
    price[3] = price[20] = None
    frame.with_columns(pl.Series("price", price)).write_csv("a.csv")
    done = run("train", "a.csv", "--target", "price", *SINGLE, "--no-report", "--json")
    rows = [done.result[name] for name in ("training_rows", "validation_rows", "held_out_rows")]
    assert sum(rows) == 198
    assert "target 'price' has no value in rows 4, 21: left out (2 rows)" in done.result["notices"]


def test_a_run_goes_on_from_its_checkpoint(run):
    run("train", "iris", "--epochs", 6, "--folds", 2, "--patience", 6, "--out", "whole", "--quiet")
    arguments = [
        "train",
        "iris",
        "--folds",
        2,
        "--patience",
        6,
        "--checkpoint",
        "run",
        "--out",
        "parts",
        "--no-report",
    ]
    assert run(*arguments, "--epochs", 6).status == 0
    assert run(*arguments, "--epochs", 6, "--resume").status == 0
    assert Path("whole").read_bytes() == Path("parts").read_bytes()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "5"),
        ("lr", "0.1"),
        ("hidden", "8"),
        ("seed", "3"),
        ("patience", "2"),
        ("restarts", "2"),
        ("batch-size", "8"),
        ("dropout", "0.1"),
        ("held-out", "0.3"),
        ("weight-decay", "0.1"),
        ("label-smoothing", "0.1"),
    ],
)
def test_a_run_with_another_option_is_told_which_it_is(run, name, value):
    arguments = ["train", "iris", "--checkpoint", "run", "--no-report", *SINGLE]
    assert run(*arguments).status == 0
    done = run(*arguments, "--resume", f"--{name}", value)
    assert done.status == 2
    lines = done.err.splitlines()
    assert lines[0].endswith("the checkpoint belongs to another run")
    then, now = lines[1].split("expected: ")[1], lines[2].split("got:      ")[1]
    assert now == f"--{name} {value}"
    assert then.startswith(f"--{name} ") and then != now
    assert "name another checkpoint for a new run" in lines[3]


def test_a_run_of_other_rows_is_told_so(run):
    table = "a,b,y\n" + "".join(f"{i},{i % 7},{i * i % 11}\n" for i in range(60))
    Path("t.csv").write_text(table)
    arguments = [
        "train",
        "t.csv",
        "--task",
        "regression",
        "--checkpoint",
        "run",
        "--no-report",
        *SINGLE,
    ]
    assert run(*arguments).status == 0
    Path("t.csv").write_text(table.replace("\n5,5,", "\n5,6,"))
    done = run(*arguments, "--resume")
    assert done.status == 2
    assert "expected: data rows as they were (" in done.err
    assert "got:      data rows as they are now (" in done.err
    assert max(map(len, done.err.partition("expected:")[2].split())) < 60  # no digest as a whole


# Places to write to


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EROFS])
def test_a_failing_save_loses_neither_the_score_nor_the_previous_file(run, monkeypatch, failure):
    save_tensors("model.safetensors", {}, {}, kind="model")
    before = Path("model.safetensors").read_bytes()
    Path("report.html").write_bytes(b"previous report")

    def fail(*_):
        raise OSError(failure, os.strerror(failure))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        done = run("train", "iris", *SINGLE, "--json")
    assert done.status == 2
    assert (done.result["model"], done.result["report"]) == (None, None)
    assert "accuracy " in done.err
    assert f"could not write model.safetensors: {os.strerror(failure)}" in done.err
    assert sorted(p.name for p in Path().iterdir()) == ["model.safetensors", "report.html"]
    assert Path("model.safetensors").read_bytes() == before


def test_a_disk_that_is_full_at_the_first_checkpoint_loses_nothing(run, monkeypatch):
    """The run goes on, saving is tried again, and the model is there in the end."""
    calls, real = [], os.fsync

    def full_at_first(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_first)
        done = run("train", "iris", *SINGLE, "--checkpoint", "c")
    assert done.status == 0
    assert "No space left on device; training goes on" in done.err
    assert {path.name for path in Path().iterdir()} == {"model.safetensors", "report.html", "c"}
    plain = run("train", "iris", *SINGLE, "--out", "plain", "--no-report")
    assert plain.status == 0
    assert Path("plain").read_bytes() == Path("model.safetensors").read_bytes()
    assert run("train", "iris", *SINGLE, "--checkpoint", "c", "--resume").status == 0


@pytest.mark.parametrize("place", ["--out", "--checkpoint"])
def test_a_file_that_is_not_ours_is_not_written_over(run, place):
    Path("notes.csv").write_text("a,b\n1,2\n")
    done = run("train", "iris", "--epochs", 1, place, "notes.csv")
    assert done.status == 2
    assert f"{place} names a file that chainrule did not write" in done.err
    assert Path("notes.csv").read_text() == "a,b\n1,2\n"


def test_a_run_is_not_written_over_unasked(run):
    first = run("train", "iris", *SINGLE, "--checkpoint", "c", "--resume")
    assert "there is no c to go on from yet" in first.out
    before = Path("c").read_bytes()
    done = run("train", "iris", "--epochs", 4, "--checkpoint", "c")
    assert done.status == 2
    assert "--checkpoint names a run that is there already" in done.err
    assert Path("c").read_bytes() == before


def test_where_a_command_fails_is_no_line_of_a_library(tmp_path):
    rows = "\n".join(f"{x},{x * x}" for x in range(60))
    (tmp_path / "t.csv").write_text(f"x,y\n{rows}\n")
    command = [
        sys.executable,
        "-m",
        "chainrule",
        "train",
        "t.csv",
        "--target",
        "y",
        "--lr",
        "1e12",
        *map(str, SINGLE),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "diverged" in done.stderr
    assert "where:" not in done.stderr


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
    until_saved_again(process, tmp_path / "run")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    result = json.loads(out.splitlines()[-1])
    assert result["interrupted"]
    assert "interrupted" in err
    assert "Traceback" not in err
    model = cr.load_model(tmp_path / result["model"])
    assert model.facts.stopped.startswith("interrupted after epoch")
    assert (tmp_path / "report.html").exists()


def until_saved_again(process, checkpoint):
    """Wait until epochs are being finished."""
    first, deadline = None, time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        now = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        if first is not None and now != first:
            return
        first = first or now
        time.sleep(0.02)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals to send")
@pytest.mark.parametrize("name", first_ones(["SIGTERM", "SIGHUP"]))
def test_sigterm_saves_what_there_is(tmp_path, name):
    number = getattr(signal, name)
    arguments = ["--epochs", "1000000", "--patience", "1000000", "--checkpoint", "run", "--json"]
    process = child(tmp_path, "train", "iris", *arguments)
    until_saved_again(process, tmp_path / "run")
    process.send_signal(number)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 128 + number, err
    result = json.loads(out.splitlines()[-1])
    assert result["interrupted"] and "Traceback" not in err
    assert cr.load_model(tmp_path / "model.safetensors").facts.stopped.startswith("interrupted after epoch")
    found = sorted(entry.name for entry in tmp_path.iterdir())
    assert found == ["model.safetensors", "report.html", "run"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_what_is_made_from_a_private_file_is_private(run, houses, tmp_path, mode):
    data = tmp_path / "houses.csv"
    data.write_bytes((houses / "houses.csv").read_bytes())
    data.chmod(mode)
    before = os.umask(0o022)
    try:
        told = run("train", data, "--target", "price", *SINGLE, "--checkpoint", "run", "--quiet")
        assert told.status == 0
        for out in ("p.csv", "p.parquet"):
            assert run("predict", "model.safetensors", data, "--out", out).status == 0
        assert run("export", "model.safetensors").status == 0
    finally:
        os.umask(before)
    made = {"model.safetensors", "report.html", "run", "p.csv", "p.parquet", "model.onnx"}
    assert made == {entry.name for entry in tmp_path.iterdir()} - {"houses.csv"}
    for name in made:
        assert (tmp_path / name).stat().st_mode & 0o777 == (mode | 0o600) & 0o644, name


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".csv", "a/" + "x" * 300])
def test_names_that_no_file_can_have(run, name):
    told = [run("train", name), run("predict", "model", name), run("predict", name, "iris")]
    told += [run("train", "iris", option, name) for option in ("--out", "--report", "--checkpoint")]
    told += [run("export", name), run("inspect", name)]
    for one in told:
        assert one.status == 2 and one.err.startswith("chainrule: "), one.err


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


ASSUMED = "; as separator, cp1252"


@pytest.fixture
def german(houses):
    """The table with semicolons, in Windows-1252."""
    text = (houses / "houses.csv").read_text().replace("Rome", "Köln").replace(",", ";")
    Path("german.csv").write_bytes(text.encode("cp1252"))
    return "german.csv"


def test_what_was_assumed_about_the_file_is_said_everywhere(run, german):
    done = run("train", german, "--target", "price", *SINGLE, "--report", "r.html")
    assert f"german.csv: 200 rows, price from 4 columns: regression ({ASSUMED})\n" in done.out
    assert f"the file is read with {ASSUMED}" in Path("r.html").read_text()
    as_json = run("train", german, "--target", "price", *SINGLE, "--no-report", "--json")
    assert as_json.result["notices"][0] == f"the file is read with {ASSUMED}"
    done = run("predict", "model.safetensors", german, "--json")
    assert done.result["notices"][:2] == [
        "the file is read with ; as separator",
        "the file is read with cp1252",
    ]
    assert done.result["scored_rows"] == 200
    assert cr.load_model("model.safetensors").predict(german).notices == tuple(done.result["notices"])


def test_what_is_assumed_can_be_overruled(run, german):
    given = ["--encoding", "mac_roman", "--delimiter", "semicolon"]
    done = run("train", german, "--target", "price", *SINGLE, "--no-report", *given)
    assert "price from 4 columns: regression\n" in done.out
    model = cr.load_model("model.safetensors")
    assert "Kˆln" in model.preprocessor.columns[2].categories
    notices = run("predict", "model.safetensors", german, *given, "--json").result["notices"]
    assert not [notice for notice in notices if "the file is read" in notice]
    assert model.predict(german, encoding="mac_roman", delimiter=";").notices == tuple(notices)
    assert model.score(german, encoding="mac_roman", delimiter=";").rows == 200
    assert model.predict_to(german, "p.csv", encoding="mac_roman", delimiter=";") == tuple(notices)


@pytest.mark.parametrize("given", [["--encoding", "utf-8"], ["--delimiter", ";"]])
def test_a_format_is_for_text_files(run, houses, given):
    for words in (["train", "iris"], ["predict", houses / "houses.safetensors", "iris"]):
        done = run(*words, *given)
        assert done.status == 2 and "for files of text only" in done.err

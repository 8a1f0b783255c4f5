"""``chainrule train --ensemble`` and ``chainrule predict --interval``."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.number_text import readable
from chainrule.tables.intervals import KEPT, half_width, kept_errors

QUICK = ("--epochs", "4", "--folds", "3", "--no-report")


def test_the_screen_says_what_every_row_does(run, houses):
    done = run("train", houses / "houses.csv", "--target", "price", *QUICK)
    assert done.status == 0
    text = done.out + done.err
    assert "200 rows in 3 folds, each judged by networks trained on the other 2" in text
    assert "9 networks, 4 epochs each" in text
    assert "on 200 out-of-fold rows" in text
    assert "rows that trained the network" not in text


def test_what_is_said_holds_and_the_rest_follows_from_the_rows(run, houses):
    said = ("--lr", "0.02", "--hidden", "16")
    done = run("train", houses / "houses.csv", "--target", "price", *said, *QUICK, "--json")
    settings = done.result["settings"]
    assert (settings["lr"], settings["hidden"], settings["folds"], settings["epochs"]) == (0.02, "16", 3, 4)
    assert (settings["weight_decay"], settings["embedding"], settings["held_out"]) == (0.3, "mixed", 0.0)
    assert (done.result["scored_on"], done.result["restarts"], done.result["networks"]) == (
        "out-of-fold",
        1,
        len(cr.load_model(done.result["model"]).network.members),
    )


def test_what_a_file_says_holds_too(run, houses):
    Path("c.toml").write_text("folds = 3\nepochs = 2\nbatch-size = 50\n")
    done = run(
        "train", houses / "houses.csv", "--target", "price", "--config", "c.toml", "--no-report", "--json"
    )
    settings = done.result["settings"]
    assert (settings["folds"], settings["batch_size"], settings["ensemble"]) == (3, 50, True)


def test_it_is_inspected_exported_and_predicted_with(run, houses):
    assert run("train", houses / "houses.csv", "--target", "price", *QUICK).status == 0
    shown = run("inspect", "model.safetensors").out
    architecture = cr.load_model("model.safetensors").architecture
    assert architecture.describe() in shown
    assert [line.strip() for line in shown.splitlines() if "like this" in line] == ["3 networks like this:"]
    assert "rows to validate" not in shown and "the best of 3 folds" in shown
    assert run("export", "model.safetensors").status == 0
    done = run("predict", "model.safetensors", houses / "houses.csv", "--interval", "0.9")
    assert done.status == 0
    written = pl.read_csv("predictions.csv")
    assert written.columns == ["prediction", "prediction_low", "prediction_high"]
    price = pl.read_csv(houses / "houses.csv")["price"]
    inside = (price >= written["prediction_low"]) & (price <= written["prediction_high"])
    assert inside.mean() > 0.85
    model = cr.load_model("model.safetensors")
    expected = model.predict(houses / "houses.csv", interval=0.9)
    assert written["prediction_high"].to_list() == expected.high.tolist()
    assert np.median(expected.high - expected.low) == pytest.approx(2 * model.half_width(0.9), rel=0.1)


def test_each_kind_that_answers_is_inspected(run):
    assert run("train", "iris", "--epochs", "20", "--folds", "3", "--no-report").status == 0
    shown = run("inspect", "model.safetensors").out
    kinds = cr.load_model("model.safetensors").architecture.answering
    assert len(kinds) > 1
    assert [line.strip() for line in shown.splitlines() if "like this" in line] == [
        f"kind {i} of {len(kinds)}, with {share:.2g} of the say, 3 networks like this:"
        for i, (_, share) in enumerate(kinds, 1)
    ]


def test_a_single_network_has_intervals_by_its_held_out_rows(run, houses):
    train = ("train", houses / "houses.csv", "--target", "price", "--no-ensemble", "--epochs", "4")
    assert run(*train, "--no-report").status == 0
    done = run("predict", "model.safetensors", houses / "houses.csv", "--interval", "0.5")
    assert done.status == 0
    assert "low" in done.out


@pytest.mark.parametrize(
    ("interval", "said"), [("1", "interval"), ("0", "interval"), ("0.999", "too few"), ("-1", "interval")]
)
def test_intervals_that_cannot_be(run, houses, interval, said):
    done = run("predict", houses / "houses.safetensors", houses / "houses.csv", "--interval", interval)
    assert done.status == 2
    assert said in done.err
    assert not Path("predictions.csv").exists()


def test_an_interval_of_classes_is_refused(run):
    assert run("train", "iris", "--no-ensemble", "--epochs", "2", "--no-report").status == 0
    done = run("predict", "model.safetensors", "iris", "--interval", "0.9")
    assert done.status == 2
    assert "class" in done.err


def test_without_rows_to_judge_there_are_no_intervals(run, houses):
    train = (
        "train",
        houses / "houses.csv",
        "--target",
        "price",
        "--no-ensemble",
        "--held-out",
        "0",
        "--epochs",
        "2",
    )
    assert run(*train, "--no-report").status == 0
    done = run("predict", "model.safetensors", houses / "houses.csv", "--interval", "0.9")
    assert done.status == 2
    assert "no errors" in done.err


@pytest.mark.parametrize("rows", [50, 999, 1000, 5000])
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_hold_as_much_as_they_say(rows, coverage):
    """Over many draws, the share of new errors within the half width is the coverage, never less than it by more."""
    rng = np.random.default_rng(rows)
    shares = []
    for _ in range(200):
        reach = half_width(kept_errors(rng.normal(size=rows)), coverage)
        shares.append(np.mean(np.abs(rng.normal(size=2000)) <= reach))
    assert coverage - 0.01 < np.mean(shares) < coverage + 1 / rows + 0.01


def test_very_many_errors_are_kept_as_a_thousand():
    errors = np.arange(1, 10_001)
    kept = kept_errors(-errors)
    assert len(kept) == KEPT
    assert kept[-1] == 10_000
    assert half_width(kept, 0.9) == pytest.approx(9_000, rel=0.002)


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--validation", "0.3"), "--no-ensemble"), (("--no-ensemble", "--folds", "5"), "--folds")],
)
def test_an_option_that_would_do_nothing_is_refused(run, houses, options, said):
    done = run("train", houses / "houses.csv", "--target", "price", *options)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert not Path("model.safetensors").exists()


def test_a_distilled_network_is_shown_beside_its_ensemble(run, houses):
    words = [
        "train",
        houses / "houses.csv",
        "--target",
        "price",
        "--distil",
        "--epochs",
        "2",
        "--folds",
        "2",
        "--json",
    ]
    found = run(*words)
    assert found.status == 0
    result = found.result
    assert (result["scored_on"], result["held_out_rows"], result["networks"]) == ("held-out", 40, 1)
    assert result["ensemble_score"] > 0
    assert result["settings"]["distil"] is True
    assert f"RMSE {readable(result['ensemble_score'])}" in found.err
    assert "ensemble    6 networks" in found.err
    assert "40 rows are held out: they train neither" in found.err
    assert run("predict", "model.safetensors", houses / "houses.csv").status == 0
    assert run("export", "model.safetensors").status == 0


@pytest.mark.parametrize("more", [["--no-ensemble"], ["--held-out", "0"]])
def test_what_cannot_be_distilled_is_refused(run, houses, more):
    found = run("train", houses / "houses.csv", "--target", "price", "--distil", *more)
    assert found.status == 2
    assert not Path("model.safetensors").exists()
    assert more[0] in found.err


def test_the_screen_says_what_a_budget_allowed_as_options(run, houses):
    given = ("train", houses / "houses.csv", "--target", "price", "--hidden", "8", "--embedding", "none")
    done = run(*given, "--folds", "3", "--budget", "6", "--no-report", "--json")
    settings = done.result["settings"]
    assert f"--epochs {settings['epochs']}, --restarts {settings['restarts']} and --patience" in done.err
    assert "epochs=" not in done.err

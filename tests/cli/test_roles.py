"""``chainrule train`` with columns that say something of the rows: what is printed, saved and refused."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import chainrule as cr
from chainrule.tables import Recipe, findings_of, train_table

QUICK = ("--epochs", "3", "--hidden", "8", "--folds", "3", "--no-report")


@pytest.fixture
def visits(tmp_path):
    """Visits of patients at some days, with a weight for each."""
    rng = np.random.default_rng(0)
    patient = rng.integers(0, 20, 120)
    frame = pl.DataFrame(
        {
            "patient": [f"P{one:02}" for one in patient],
            "day": pl.Series(rng.integers(18000, 18200, 120)).cast(pl.Date),
            "count": rng.integers(1, 4, 120),
            "x": rng.normal(size=120),
            "y": rng.choice(["well", "ill"], 120),
        }
    )
    frame.write_csv(tmp_path / "visits.csv")
    return frame


def test_groups_are_said_and_not_needed_to_predict(run, visits):
    done = run("train", "visits.csv", "--target", "y", "--group", "patient", *QUICK, "--json")
    assert done.status == 0
    assert "rows with the same 'patient' are never trained on and judged with at once: 20 groups" in done.err
    assert done.result["settings"]["group"] == "patient"
    found = {finding["kind"]: finding for finding in done.result["findings"]}
    assert "--time day" in found["dates split at random"]["remedy"]
    assert any("--type patient=category" in notice for notice in done.result["notices"])
    visits.drop("patient", "y").write_csv("new.csv")
    assert run("predict", "model.safetensors", "new.csv").status == 0
    assert cr.load_model("model.safetensors").facts.settings["group"] == "patient"


def test_a_time_is_said(run, visits):
    done = run("train", "visits.csv", "--target", "y", "--time", "day", *QUICK, "--json")
    assert done.status == 0
    assert "dates split at random" not in {finding["kind"] for finding in done.result["findings"]}
    days = visits["day"].sort()
    first = days[-done.result["held_out_rows"]]
    assert f"the rows from {first} on ('day') judge, those before train" in done.err.replace(" 00:00:00", "")
    assert done.result["scored_on"] == "held-out"
    assert done.result["held_out_rows"] == pytest.approx(24, abs=3)


def test_weights_are_said_and_not_needed_to_predict(run, visits):
    done = run("train", "visits.csv", "--target", "y", "--sample-weight", "count", *QUICK, "--json")
    assert done.status == 0
    assert "column 'count' says how much each row counts, in training and in the score" in done.err
    assert "(rows count by count, here and in the score; below each counts once)" in done.err
    assert done.result["settings"]["sample_weight"] == "count"
    shares = visits.group_by("y").agg(pl.col("count").sum())["count"]
    assert done.result["baseline"] == pytest.approx(shares.max() / shares.sum())
    visits.drop("count", "y").write_csv("new.csv")
    assert run("predict", "model.safetensors", "new.csv").status == 0


def test_an_aim_is_the_score_and_says_the_class(run, visits):
    rare = visits.with_columns(y=pl.when(pl.col("x") > 0.8).then(pl.lit("ill")).otherwise(pl.lit("well")))
    noisy = rare.with_columns(x=pl.col("x") + np.random.default_rng(1).normal(size=120))
    noisy.write_csv("rare.csv")
    done = run("train", "rare.csv", "--target", "y", "--aim", "balanced-accuracy", *QUICK, "--json")
    assert done.status == 0
    result = done.result
    assert (result["metric"], result["baseline"]) == ("balanced accuracy", 0.5)
    assert result["score"] == result["metrics"]["balanced accuracy"]["value"]
    recalls = [row[i] / sum(row) for i, row in enumerate(result["confusion"])]
    assert result["score"] == pytest.approx(np.mean(recalls))
    threshold = result["decision"][0]
    assert sum(result["decision"]) == pytest.approx(1)
    told = f"ill from a probability of {1 - threshold:.3g} on"
    assert f"decision    {told}: the predicted class" in done.err
    assert "(the linear model and the constant say their likeliest class)" in done.err
    done = run("predict", "model.safetensors", "rare.csv", "--json")
    assert f"the predicted class is {told}, for the aim balanced-accuracy" in done.err
    written = pl.read_csv("predictions.csv")
    likely = pl.when(pl.col("probability_well") > threshold).then(pl.lit("well")).otherwise(pl.lit("ill"))
    assert written["prediction"].to_list() == written.select(likely)["literal"].to_list()
    assert done.result["metric"] == "balanced accuracy"
    assert done.result["score"] == pytest.approx(done.result["metrics"]["balanced accuracy"])
    shown = " ".join(run("inspect", "model.safetensors").out.split())
    assert "aim balanced-accuracy" in shown
    assert f"decision {told}" in shown


@pytest.mark.parametrize(
    ("aim", "constant"), [("log-loss", "the classes' shares"), ("auc", "the classes' shares")]
)
def test_an_aim_that_is_of_probabilities(run, visits, aim, constant):
    done = run("train", "visits.csv", "--target", "y", "--aim", aim, *QUICK[:-1], "--report", "r.html")
    assert done.status == 0
    assert f"(always predicting {constant}: " in done.out
    assert constant in Path("r.html").read_text().replace("&#x27;", "'").replace("&#39;", "'")
    assert "decision" not in done.out


def test_folds_and_repeats_in_one_word(run, visits):
    done = run("train", "visits.csv", "--target", "y", "--cv", "3x2", *QUICK[:4], "--no-report", "--json")
    assert (done.result["settings"]["folds"], done.result["settings"]["restarts"]) == (3, 2)
    assert done.result["restarts"] == 2
    assert "in 3 folds, dealt 2 times, each judged by networks trained on the other 2" in " ".join(
        done.err.split()
    )


@pytest.mark.parametrize(
    "text", ["", "x", "5x", "x2", "1x2", "5x0", "5x2x2", "5.5", "-5", "0", "five", "99999"]
)
def test_nonsense_for_folds_and_repeats(run, visits, text):
    done = run("train", "visits.csv", "--target", "y", f"--cv={text}")
    assert (done.status, done.out) == (2, "")
    assert "--cv cannot be" in done.err
    assert "try:      --cv 5x2" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--no-ensemble",), "leave out --no-ensemble"),
        (("--folds", "4"), "--folds"),
        (("--restarts", "2"), "5x2"),
    ],
)
def test_folds_and_repeats_beside_what_they_exclude(run, visits, options, said):
    done = run("train", "visits.csv", "--target", "y", "--cv", "5x2", *options)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--group", "patent"), "there is no column 'patent' (--group)"),
        (("--group", "y"), "--group names the target"),
        (("--time", "patient"), "does not order the rows in time (--time)"),
        (("--sample-weight", "patient"), "does not say how much each row counts (--sample-weight)"),
        (("--time", "day", "--held-out", "0"), "later rows judge"),
        (("--time", "day", "--group", "patient"), "by groups or by time"),
    ],
)
def test_what_cannot_be_is_refused(run, visits, options, said):
    done = run("train", "visits.csv", "--target", "y", *options, *QUICK)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert not Path("model.safetensors").exists()


def test_words_about_an_aim_are_whole(run, visits):
    frame = visits.with_columns(y=pl.Series(np.random.default_rng(1).choice(["well", "ill", "hurt"], 120)))
    frame.write_csv("three.csv")
    given = ("--target", "y", "--aim", "f1", "--hidden", "8", "--folds", "3", "--epochs", "3", "--no-report")
    assert run("train", "three.csv", *given).status == 0
    model = cr.load_model("model.safetensors")
    model = replace(model, facts=replace(model.facts, decision=(0.5, 0.3, 0.2)))
    said = " ".join(map(str, model.predict(frame).notices))
    assert "the class whose probability times its weight is largest, for the aim f1" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--distil", "--held-out", "0"), "--held-out 0"),
        (("--budget", "5", "--epochs", "3"), "leave out one of the two"),
    ],
)
def test_errors_speak_of_options(run, visits, given, said):
    done = run("train", "visits.csv", "--target", "y", *given)
    assert done.status == 2
    assert said in done.err
    assert "held_out" not in done.err


def test_warnings_of_rare_classes_are_said_once(run):
    """By the command, and by no other way: none comes while the table is prepared, or in trials."""
    rng = np.random.default_rng(0)
    rows = ["name,x,y"] + [
        f"town {rng.integers(0, 150)},{rng.normal():.3f},{'rare' if i < 4 else 'ab'[i % 2]}"
        for i in range(600)
    ]
    Path("t.csv").write_text("\n".join(rows))
    for more in (("--epochs", "2"), ("--budget", "4")):
        with warnings.catch_warnings(record=True) as others:
            warnings.simplefilter("always")
            done = run("train", "t.csv", "--target", "y", "--hidden", "4", "--no-report", *more)
        assert done.status == 0
        assert done.err.count("4 rows for 8 folds") == 1
        assert not [one for one in others if "4 rows" in str(one.message)]


def test_a_list_of_missing_marks_in_a_file(run):
    rng = np.random.default_rng(0)
    Path("t.csv").write_text(
        "rooms,y\n" + "\n".join(f"{rng.integers(1, 6)},{rng.normal():.3f}" for _ in range(60))
    )
    for marks in ("[1, 5]", '"1,5"'):
        Path("c.toml").write_text(f"epochs = 2\nhidden = '4'\nfolds = 2\n[missing]\nrooms = {marks}\n")
        done = run("train", "t.csv", "--target", "y", "--config", "c.toml", "--no-report")
        assert "column 'rooms' has no value in" in done.out, marks


def test_what_is_advised_under_a_budget_is_a_longer_one(run):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    frame = pl.DataFrame(x, schema=list("abcd")).with_columns(y=pl.Series(np.sin(3 * x).sum(1)))
    trained = train_table(frame, "y", Recipe({"epochs": 2, "folds": 2, "hidden": (8,)}))
    trained = replace(
        trained, prepared=replace(trained.prepared, settings=replace(trained.prepared.settings, budget=3))
    )
    advice = [one.remedy for one in findings_of(trained, "command") if one.kind == "still improving"]
    assert advice == ["--budget 6"]

"""What is said of a trained table: planted faults are found, healthy tables are left in peace, remedies help."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import Columns, load_bundled
from chainrule.number_text import readable
from chainrule.tables import Recipe, TrainingSettings, findings_of, prepare, train


def trained(frame, target="y", columns=None, **settings):
    chosen = TrainingSettings(**({"epochs": 30} | settings))
    return train(prepare(frame, target, chosen, columns=columns), progress=False)


def found(frame, target="y", **settings):
    return {finding.kind: finding for finding in trained(frame, target, **settings).findings}


def noise(rows=600, columns=5, seed=0):
    rng = np.random.default_rng(seed)
    return {f"x{i}": rng.normal(size=rows) for i in range(columns)}, rng


def classes(rows=600, seed=0, sharp=1.0):
    """Two classes by three of five columns, with overlap."""
    x, rng = noise(rows, seed=seed)
    odds = sharp * (1.5 * x["x0"] - x["x1"] + x["x2"] * x["x0"])
    y = np.where(rng.random(rows) < 1 / (1 + np.exp(-odds)), "yes", "no")
    return pl.DataFrame(x | {"y": y})


def numbers(rows=600, seed=0):
    x, rng = noise(rows, seed=seed)
    return pl.DataFrame(x | {"y": 2 * x["x0"] - x["x1"] ** 2 + 0.5 * rng.normal(size=rows)})


@pytest.mark.parametrize("frame", [classes(), numbers(), classes(300, 1), numbers(300, 1)])
def test_a_healthy_table_has_nothing_worse_than_a_note(frame):
    assert [f for f in trained(frame, epochs=None).findings if f.severity != "note"] == []


@pytest.mark.parametrize("name", ["wine", "breast-cancer", "digits", "spirals", "halfspaces"])
def test_bundled_problems_have_no_severe_finding_and_no_leak(name):
    problem = load_bundled(name)
    kinds = {f.kind: f.severity for f in trained(problem.frame, problem.target, epochs=None).findings}
    assert "severe" not in kinds.values()
    assert not {"leak", "copies across the split", "rows in order", "dead units"} & set(kinds)


# Signal


def test_units_that_are_off_are_no_matter_where_the_columns_tell_nothing():
    """Remedies for the layers would change nothing: nobody predicts such rows."""
    rng = np.random.default_rng(2)
    frame = pl.DataFrame({"x": rng.normal(size=200), "y": rng.normal(size=200)})
    kinds = found(frame, epochs=None)
    assert "no signal" in kinds
    assert "dead units" not in kinds


def test_shuffled_labels_are_found_whatever_the_task():
    for frame, always in ((classes(), "the class shares"), (numbers(), "the mean")):
        shuffled = frame.with_columns(frame["y"].shuffle(seed=3))
        finding = found(shuffled)["no signal"]
        assert finding.severity == "severe"
        assert f"is better than always predicting {always}" in finding.title
        assert "by more than chance would give on 120 rows" in finding.title


@pytest.mark.parametrize(("frame", "measure"), [(classes(), "log loss"), (numbers(), "RMSE")])
def test_what_has_no_signal_is_said_by_the_figures_of_the_measures(frame, measure):
    """The sentence quotes the measures that stand above it, so that it cannot contradict them."""
    shuffled = trained(frame.with_columns(frame["y"].shuffle(seed=3)))
    title = next(f.title for f in shuffled.findings if f.kind == "no signal")
    shown = next(m for m in shuffled.metrics if m.name == measure)
    assert title.startswith(f"By {measure}, neither the network ({readable(shown.value)})")
    assert f"a linear model ({readable(shown.linear)})" in title
    assert f"({readable(shown.baseline)})" in title


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5])
def test_signal_is_seen_where_accuracy_shows_none(share):
    """A rare class that is never the likeliest: accuracy is that of a constant, the order of rows is not."""
    x, rng = noise(2000)
    odds = np.log(share / (1 - share)) + 0.9 * x["x0"]
    frame = pl.DataFrame(x | {"y": np.where(rng.random(2000) < 1 / (1 + np.exp(-odds)), "claim", "none")})
    kinds = found(frame)
    assert "no signal" not in kinds
    assert "labels without signal" not in kinds
    assert all(finding.severity != "severe" for finding in kinds.values())


def test_a_linear_model_that_does_better_is_the_remedy():
    problem = load_bundled("diabetes")
    before = trained(problem.frame, problem.target, epochs=None)
    finding = next(f for f in findings_of(before, "command") if f.kind == "linear model is better")
    assert finding.remedy == "--ensemble, or --hidden none, which trains a linear model"
    together = train(prepare(problem.frame, problem.target, Recipe()), progress=False)
    assert "linear model is better" not in {f.kind for f in together.findings}
    assert "linear model is better" not in found(problem.frame, problem.target, hidden=(), epochs=None)


def test_a_linear_network_that_ended_too_early_trains_on_all_rows():
    x, rng = noise(120, columns=20)
    frame = pl.DataFrame(x | {"y": sum(x.values()) + 2 * rng.normal(size=120)})
    before = trained(frame, hidden=(), held_out=0.4, epochs=None)
    finding = next(f for f in findings_of(before, "command") if f.kind == "linear model is better")
    assert finding.remedy.startswith("--validation 0")
    after = trained(frame, hidden=(), held_out=0.4, validation=0, epochs=None)
    assert "linear model is better" not in {f.kind for f in after.findings}
    assert after.score.value < before.score.value


# Training


def test_a_rate_a_hundred_times_too_large_is_found_and_the_remedy_helps():
    frame = classes(1000, sharp=2.0)
    bad = trained(frame, lr=1.0)
    assert "severe" in {f.severity for f in bad.findings}
    remedies = " ".join(f.remedy for f in findings_of(bad, "command"))
    assert "--lr" in remedies
    good = trained(frame, lr=0.01)
    assert "severe" not in {f.severity for f in good.findings}


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_too_few_epochs_are_found_and_the_remedy_helps(epochs):
    frame = numbers(1500)
    few = trained(frame, epochs=epochs)
    finding = next(f for f in findings_of(few, "command") if f.kind == "still improving")
    assert finding.severity == "warning"
    more = int(finding.remedy.removeprefix("--epochs "))
    assert more > epochs
    after = trained(frame, epochs=more)
    assert "still improving" not in {f.kind for f in after.findings}
    assert after.score.value < few.score.value


# Leaks


@pytest.mark.parametrize("kind", ["text", "number", "near"])
def test_a_column_that_alone_decides_is_found_by_name(kind):
    frame = classes()
    is_yes = (frame["y"] == "yes").to_numpy()
    rng = np.random.default_rng(5)
    given = {
        "text": np.where(is_yes, "alive", "dead"),
        "number": is_yes * 2.5 + rng.uniform(0, 1, len(is_yes)),
        "near": np.where(rng.random(len(is_yes)) < 0.001, ~is_yes, is_yes).astype(int),
    }[kind]
    leaky = trained(frame.with_columns(alive=pl.Series(given)))
    finding = next(f for f in findings_of(leaky, "command") if f.kind == "leak")
    assert finding.severity == "severe"
    assert "'alive'" in finding.title
    assert finding.remedy == "--ignore alive"
    assert "Columns(ignore=['alive'])" in leaky.findings[0].remedy
    with_column = frame.with_columns(alive=pl.Series(given))
    assert "leak" not in found(with_column, columns=Columns(ignore=("alive",)))


def test_a_number_that_follows_from_another_column_is_found():
    frame = numbers(1500)
    assert "leak" in found(frame.with_columns(tax=frame["y"] * 0.19 + 3))
    assert "leak" not in found(frame)


def test_the_only_column_may_decide():
    problem = load_bundled("absolute")
    assert "leak" not in found(problem.frame, problem.target, epochs=100)


@pytest.mark.parametrize("wobble", [0.0, 1e-4])
def test_copies_across_the_split_are_counted(wobble):
    frame = classes(80)
    copies = pl.concat([frame] * 10)
    rng = np.random.default_rng(1)
    copies = copies.with_columns(
        (pl.col(pl.Float64) + pl.Series(wobble * rng.normal(size=copies.height))).name.keep()
    )
    copied = trained(copies)
    finding = {f.kind: f for f in copied.findings}["copies across the split"]
    assert finding.severity == "severe"
    held_out = len(copied.prepared.split.held_out)
    assert f"{held_out} of {held_out} rows" in finding.title
    assert "no rows without a copy" in finding.evidence


def test_some_copies_are_told_with_the_score_of_the_other_rows():
    frame = numbers(400)
    half = trained(pl.concat([frame, frame[:200]]), epochs=200)
    finding = {f.kind: f for f in half.findings}["copies across the split"]
    count = int(finding.title.split(": ")[1].split(" of ")[0])
    assert 20 < count < len(half.prepared.split.held_out)
    assert f"on the {len(half.prepared.split.held_out) - count} rows without a copy" in finding.evidence


def test_rows_that_are_alike_by_nature_are_no_copies():
    """Few categories occur again and again, and their targets differ."""
    rng = np.random.default_rng(0)
    parts = {name: rng.choice(["a", "b", "c"], 800) for name in ("u", "v", "w")}
    y = np.where((parts["u"] == "a") ^ (rng.random(800) < 0.2), "yes", "no")
    assert "copies across the split" not in found(pl.DataFrame(parts | {"y": y}))


# Order


def test_a_random_walk_split_at_random_is_found():
    rng = np.random.default_rng(1)
    rows = 800
    walk = rng.normal(size=rows).cumsum()
    hours = np.arange(rows) / 24.0 + rng.normal(0, 0.001, rows)
    frame = pl.DataFrame({"hours": hours, "humidity": rng.normal(size=rows), "y": walk})
    finding = found(frame, epochs=200)["rows in order"]
    assert finding.severity in {"warning", "severe"}
    assert "random" in finding.title


@pytest.mark.parametrize("make", [classes, numbers])
def test_a_table_sorted_by_its_target_is_no_walk(make):
    assert "rows in order" not in found(make().sort("y"))


def test_dates_and_identifiers_are_named():
    frame = classes(400)
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2021, 2, 3), eager=True)[:400]
    rng = np.random.default_rng(0)
    dated = frame.with_columns(sold=days, customer_id=pl.Series(rng.permutation(10**6)[:400] + 10**6))
    kinds = found(dated, columns=Columns(types={"customer_id": "number"}))
    assert "'sold'" in kinds["dates split at random"].title
    assert "'customer_id'" in kinds["identifier"].title
    assert not {"dates split at random", "identifier"} & set(found(frame))
    assert "identifier" not in found(dated)  # for it is left out where nobody wants it


def test_a_column_that_rises_from_row_to_row_is_an_identifier_and_can_be_left_out():
    frame = classes(400)
    rng = np.random.default_rng(0)
    numbered = frame.with_columns(ticket=pl.Series(rng.integers(1, 9, 400).cumsum()))
    kept = found(numbered, columns=Columns(types={"ticket": "number"}))
    assert "'ticket'" in kept["identifier"].title
    assert "identifier" not in found(numbered, columns=Columns(ignore=("ticket",)))


def sorted_by_size(rows=400):
    """A table that somebody sorted by a quantity on which the target depends."""
    rng = np.random.default_rng(0)
    size = np.sort(rng.lognormal(9, 1.2, rows)).round() + np.arange(rows)  # no two alike
    return pl.DataFrame(
        {"population": size, "b": rng.normal(size=rows), "y": size / 100 + rng.normal(0, 20, rows)}
    )


def test_a_table_sorted_by_a_quantity_is_neither_a_walk_nor_numbered():
    kinds = found(sorted_by_size(), epochs=60)
    assert not {"rows in order", "identifier"} & set(kinds)


def test_a_table_sorted_by_a_group_is_in_order():
    """The rows of a group are alike, and a new group is another matter: sorting does not excuse that."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.sort(rng.lognormal(4, 1.0, 60)).round(2), 10)
    effect = np.repeat(rng.normal(size=60), 10)
    frame = pl.DataFrame(
        {
            "patient": group,
            "a": effect + 0.05 * rng.normal(size=600),
            "y": np.sin(40 * effect) + 0.05 * rng.normal(size=600),
        }
    )
    assert "rows in order" in found(frame, epochs=60)


def test_a_column_of_years_tells_time_and_is_no_identifier():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"year": np.arange(1900, 2020), "x": rng.normal(size=120), "y": rng.normal(size=120)}
    )
    kinds = found(frame, columns=Columns(types={"year": "number"}))
    assert "'year'" in kinds["dates split at random"].title
    assert "identifier" not in kinds


def test_columns_that_only_share_a_trend_with_the_target_do_not_decide_it():
    rng = np.random.default_rng(0)
    years = np.arange(400) / 4
    trends = {
        name: years * slope + rng.normal(size=400).cumsum() / 4 for name, slope in (("pop", 3), ("cpi", 2))
    }
    frame = pl.DataFrame(trends | {"x": rng.normal(size=400), "y": 10 * years + rng.normal(0, 4, 400)})
    assert "leak" not in found(frame)
    assert "leak" in found(
        frame.sample(fraction=1, shuffle=True, seed=0).with_columns(tax=pl.col("y") * 0.19)
    )


def test_a_score_of_few_rows_is_said_to_be_chance():
    assert "Only 12 rows" in found(numbers(60))["few rows"].title
    assert "few rows" not in found(numbers(300))


def test_all_rows_judge_an_ensemble_where_few_judge_a_network():
    few = {f.kind: f for f in findings_of(trained(numbers(60)), "command")}["few rows"]
    assert few.remedy.startswith("--ensemble, by which each of the 60 rows judges")
    together = train(prepare(numbers(60), "y", Recipe({"epochs": 20})), progress=False)
    assert together.score.rows == 60
    assert "few rows" not in {f.kind for f in together.findings}
    fewer = train(prepare(numbers(24), "y", Recipe({"epochs": 20})), progress=False)
    assert {f.kind: f.remedy for f in fewer.findings}["few rows"] == "more rows"


def test_a_network_that_gains_much_on_few_rows_is_not_said_to_have_no_signal():
    """Few large targets make its advantage unsure, not small."""
    rng = np.random.default_rng(4)
    size = rng.lognormal(0, 1.6, 330)
    frame = pl.DataFrame(
        {"x": np.log(size) + 0.4 * rng.normal(size=330), "z": rng.normal(size=330), "y": size}
    )
    run = trained(frame, epochs=None)
    assert run.score.value < 0.9 * run.score.baseline
    assert [f for f in run.findings if f.severity == "severe"] == []


@pytest.mark.parametrize(("rows", "settings"), [(8, {}), (8, {"held_out": 0}), (300, {"held_out": 0})])
@pytest.mark.parametrize("make", [classes, numbers])
def test_a_score_of_the_training_rows_is_said_to_be_worth_nothing(make, rows, settings):
    run = trained(make(rows), **settings)
    finding = next(f for f in findings_of(run, "command") if f.kind == "score of training rows")
    assert finding.severity == "warning"
    assert ("--held-out 0" in finding.remedy) == (rows == 300)  # of 8 none would be held out
    assert run.score.scored_on == "training"


def test_the_worst_rows_are_named_where_they_can_be_seen():
    frame = classes(600, sharp=4.0)
    wrong = np.random.default_rng(1).random(600) < 0.2
    flipped = np.where(wrong, np.where(frame["y"] == "yes", "no", "yes"), frame["y"])
    run = trained(frame.with_columns(y=pl.Series(flipped.tolist())), epochs=None)
    said = {
        who: next(f.remedy for f in findings_of(run, who) if f.kind == "noisy labels")
        for who in ("command", "command without report", "python")
    }
    assert said["command"].startswith("look at 'The worst rows' in the report")
    assert said["command without report"].startswith("train with a report")
    assert "trained.worst" in said["python"]
    assert len(run.worst.rows) == 10


# Classes


def test_rare_and_missed_classes_are_named_by_their_names():
    x, rng = noise(3000)
    y = np.where(rng.random(3000) < 1 / (1 + np.exp(4 - 1.3 * x["x0"])), "claim", "none").astype(object)
    y[:6] = "fraud"
    kinds = found(pl.DataFrame(x | {"y": y.tolist()}))
    assert "'claim'" in kinds["missed classes"].title
    assert "'fraud'" in kinds["rare classes"].title


def test_every_finding_speaks_the_language_of_whoever_asks():
    frame = classes(400).with_columns(alive=(pl.col("y") == "yes").cast(pl.Int64))
    leaky = trained(frame, epochs=1)
    for command, python in zip(findings_of(leaky, "command"), findings_of(leaky, "python"), strict=True):
        assert (command.kind, command.title) == (python.kind, python.title)
        assert "TrainingSettings" not in command.remedy
        assert "--" not in python.remedy
        assert set(command.as_json()) == {"kind", "severity", "title", "evidence", "remedy", "reasons"}
    order = ["severe", "warning", "note"]
    ranks = [order.index(f.severity) for f in leaky.findings]
    assert ranks == sorted(ranks)

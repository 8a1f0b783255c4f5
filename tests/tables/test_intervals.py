"""Intervals are wide where errors are large, label sets where classes are in doubt, and both hold what they say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from chainrule.errors import DataError, ModelFileError, SettingError
from chainrule.files import load_tensors, save_tensors
from chainrule.tables import Columns, Recipe, Scored, TrainingSettings, load_model, train_table
from chainrule.tables.coverage import LEVELS, coverage_of
from chainrule.tables.error_scale import find_scale, scale_at
from chainrule.tables.intervals import half_width, interval_score, kept_errors, likely_enough

QUICK = Recipe({"epochs": 10, "hidden": (16,), "folds": 4})


def errors_by(z, spread, rng):
    return np.abs(rng.standard_t(5, len(z)) * np.exp(spread * z))


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("rows", [80, 1000])
def test_coverage_with_and_without_a_scale_by_simulation(spread, rows):
    """90% intervals hold 88 to 93% of new errors; where errors grow, those of small ones are narrow."""
    rng = np.random.default_rng(rows)
    held, gained, kept = [], [], []
    for _ in range(60):
        z, new = rng.normal(size=(2, rows))
        errors, later = errors_by(z, spread, rng), errors_by(new, spread, rng)
        found = find_scale(z, errors)
        ratios = kept_errors(errors / found.of_rows)
        reach = half_width(ratios, 0.9) * scale_at(found.scale, new)
        held.append(np.mean(later <= reach))
        one = half_width(kept_errors(errors), 0.9)
        gained.append(np.mean(interval_score(later, one, 0.9) - interval_score(later, reach, 0.9)) / one)
        kept.append(bool(found.scale))
    assert 0.88 < np.mean(held) < 0.93
    if spread == 0:
        assert np.mean(kept) < 0.15  # chance alone
        assert np.mean(gained) > -0.01
    if spread == 1.5:
        assert np.mean(kept) > (0.75 if rows < 100 else 0.99)
        assert np.mean(gained) > 0.2


@pytest.mark.parametrize("unit", [1e-150, 1.0, 1e150])
def test_a_scale_is_of_the_errors_unit_whatever_it_is(unit):
    rng = np.random.default_rng(0)
    z = rng.normal(size=500)
    errors = errors_by(z, 1.0, rng)
    plain, other = find_scale(z, errors), find_scale(z, errors * unit)
    assert other.scale == pytest.approx(plain.scale, rel=1e-6)
    assert np.median(scale_at(plain.scale, z)) == pytest.approx(1)
    far = scale_at(plain.scale, np.array([-1e300, -1e30, 1e30, 1e300]))
    assert (far >= plain.scale[3] * (1 - 1e-9)).all() and (far <= plain.scale[4] * (1 + 1e-9)).all()


@pytest.mark.parametrize("errors", [np.zeros(200), np.ones(200), np.r_[np.zeros(190), np.ones(10)]])
def test_errors_that_say_nothing_have_no_scale(errors):
    z = np.random.default_rng(0).normal(size=200)
    assert find_scale(z, errors).scale == ()
    assert find_scale(np.zeros(200), errors).scale == ()


def test_the_scale_of_a_row_does_not_follow_its_own_error():
    rng = np.random.default_rng(1)
    z = rng.normal(size=400)
    errors = errors_by(z, 1.5, rng)
    before = find_scale(z, errors)
    errors[7] *= 100
    after = find_scale(z, errors)
    level = np.median(after.of_rows / before.of_rows)  # of all rows alike: the unit is the usual scale
    assert after.of_rows[7] / before.of_rows[7] == pytest.approx(level, rel=0.02)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_label_sets_hold_the_truth_as_often_as_they_say(classes, coverage):
    """Also where probabilities are far too sure."""
    rng = np.random.default_rng(classes)

    def drawn(rows):
        p = rng.dirichlet(np.full(classes, 0.7), rows)
        actual = (rng.random(rows)[:, None] > p.cumsum(1)).sum(1).clip(0, classes - 1)
        sure = p**3 / (p**3).sum(1, keepdims=True)
        return sure, actual

    held = []
    for _ in range(40):
        (p, actual), (new, truth) = drawn(300), drawn(1000)
        most = half_width(kept_errors(1 - p[np.arange(300), actual]), coverage, "label_sets")
        sets = likely_enough(new, most, new.argmax(1))
        held.append(np.mean(sets[np.arange(1000), truth]))
        assert sets.any(1).all()
    assert coverage - 0.01 < np.mean(held) < coverage + 0.02


def noisy(task, rows=400, seed=0):
    """Numbers whose noise grows with them, or classes of which two are alike."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 4, rows)
    y = np.exp(x) * (1 + 0.2 * rng.normal(size=rows))
    if task == "classification":
        y = np.where(x < 2, "sure", np.where(rng.random(rows) < 0.5, "either", "or"))
    return pl.DataFrame({"x": x, "z": rng.normal(size=rows), "y": y})


@pytest.fixture(scope="module", params=["classification", "regression"])
def trained(request):
    return train_table(noisy(request.param), "y", QUICK)


def test_a_models_intervals_and_sets_follow_the_row_and_are_saved(trained, tmp_path):
    new = noisy(trained.model.task, seed=1)
    trained.model.save(tmp_path / "m")
    model = load_model(tmp_path / "m")
    if model.classes:
        found = model.predict(new, label_sets=0.9)
        right = [actual in some for actual, some in zip(new["y"], found.label_sets, strict=True)]
        sizes = found.sets.sum(1)
        low, high = (sizes[new["x"].to_numpy() < 1.5].mean(), sizes[new["x"].to_numpy() > 2.5].mean())
        columns = ["prediction", "probability_either", "probability_or", "probability_sure"]
        columns += ["in_set_either", "in_set_or", "in_set_sure"]
    else:
        found = model.predict(new, interval=0.9)
        right = ((found.low <= new["y"].to_numpy()) & (new["y"].to_numpy() <= found.high)).tolist()
        order = np.argsort(found.values.to_numpy())
        wide = (found.high - found.low)[order]
        low, high, columns = (
            wide[:100].mean(),
            wide[-100:].mean(),
            ["prediction", "prediction_low", "prediction_high"],
        )
        assert len(model.facts.error_scale) == 5
        assert np.median(wide) == pytest.approx(2 * model.half_width(0.9), rel=0.2)
    assert 0.86 < np.mean(right) < 0.97  # all networks together are a little better than those that judged
    assert high > 1.5 * low
    frame = found.to_frame()
    assert frame.columns == columns
    new.write_csv(tmp_path / "new.csv")
    asked = {"label_sets" if model.classes else "interval": 0.9}
    trained.model.predict_to(tmp_path / "new.csv", tmp_path / "p.parquet", **asked)
    assert pl.read_parquet(tmp_path / "p.parquet").equals(frame)


def test_a_class_that_is_decided_on_is_in_the_set():
    model = train_table(noisy("classification"), "y", TrainingSettings(epochs=5)).model
    decided = replace(model, facts=replace(model.facts, decision=(50.0, 1.0, 1.0)))
    found = decided.predict(noisy("classification"), label_sets=0.5)
    assert all(name in some for name, some in zip(found.values, found.label_sets, strict=True))
    assert (np.array(found.values) != np.array(found.classes)[found.probabilities.argmax(1)]).any()


def test_coverage_is_told_on_rows_that_judge(trained):
    found = coverage_of(trained.model, trained.scored)
    assert [one.probability for one in found] == list(LEVELS)
    for one in found:
        assert one.probability - 0.05 < one.covered < (1 if trained.model.classes else one.probability + 0.05)
    assert [one.size for one in found] == sorted(one.size for one in found)


def test_coverage_of_few_rows_is_told_as_far_as_they_allow(trained):
    scored = trained.scored
    few = Scored(scored.outputs[:12], scored.encoded[:12], scored.predicted[:12], scored.actual[:12])
    assert [one.probability for one in coverage_of(trained.model, few)] == [0.5, 0.8, 0.9]
    one = Scored(scored.outputs[:1], scored.encoded[:1], scored.predicted[:1], scored.actual[:1])
    assert coverage_of(trained.model, one) == ()


def test_what_the_task_does_not_have_is_refused(trained):
    new = noisy(trained.model.task)
    wrong = {"interval": 0.9} if trained.model.classes else {"label_sets": 0.9}
    with pytest.raises(SettingError, match="class" if trained.model.classes else "number") as caught:
        trained.model.predict(new, **wrong)
    assert ("label_sets=0.9" if trained.model.classes else "interval=0.9") in caught.value.hint
    right = {"label_sets": 0.99999} if trained.model.classes else {"interval": 0.99999}
    with pytest.raises(SettingError, match="too few"):
        trained.model.predict(new, **right)


SCALES = [0.0], [0.0, 1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 2.0, 1.0], "odd", [0.0, 1.0, 0.0, 1.0, "2"]


@pytest.mark.parametrize("scale", [*SCALES, [0.0, 1e300, -1e300, 1.0, 2.0]])
def test_a_forged_scale_is_refused(trained, tmp_path, scale):
    trained.model.save(tmp_path / "m")
    tensors, metadata = load_tensors(tmp_path / "m", kind="model")
    metadata["facts"]["error_scale"] = scale
    save_tensors(tmp_path / "odd", tensors, metadata, kind="model")
    with pytest.raises(ModelFileError, match="error_scale"):
        load_model(tmp_path / "odd")


def test_files_from_before_there_were_scales_load(trained, tmp_path):
    trained.model.save(tmp_path / "m")
    tensors, metadata = load_tensors(tmp_path / "m", kind="model")
    for name in ("error_scale", "score_low", "score_high", *(["errors"] if trained.model.classes else [])):
        del metadata["facts"][name]
    save_tensors(tmp_path / "old", tensors, metadata, kind="model")
    model, new = load_model(tmp_path / "old"), noisy(trained.model.task)
    if model.classes:
        with pytest.raises(DataError, match="no probabilities of judged rows"):
            model.predict(new, label_sets=0.9)
    else:
        found = model.predict(new, interval=0.9)
        assert np.ptp(found.high - found.low) == pytest.approx(0, abs=1e-9)


def test_a_single_network_scales_by_its_held_out_rows():
    found = train_table(noisy("regression", 800), "y", TrainingSettings(epochs=10, held_out=0.4)).model
    assert len(found.facts.error_scale) == 5


@pytest.mark.parametrize("name", ["in_set_a", "prediction_low"])
def test_kept_columns_are_not_called_as_sets_and_ends_are(name):
    frame = noisy("classification").with_columns(pl.Series(name, range(400)))
    with pytest.raises(SettingError, match="cannot be kept"):
        train_table(frame, "y", columns=Columns(keep=(name,)))


def test_no_row_is_covered_by_its_own_error():
    """Of 16 different errors 90% intervals reach as far as the largest of 14 others: never the largest of all."""
    errors = np.arange(1.0, 17.0)
    model = SimpleNamespace(
        classes=(), preprocessor=SimpleNamespace(target=SimpleNamespace(standard_deviation=1.0))
    )
    scored = SimpleNamespace(predicted=errors, actual=np.zeros(16), outputs=np.zeros((16, 1), np.float32))
    found = {one.probability: one.covered for one in coverage_of(model, scored)}
    assert found[0.9] == 15 / 16

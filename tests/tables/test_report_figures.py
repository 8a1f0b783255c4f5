"""What the report shows of thresholds, intervals, the networks' spread and single columns is what it says it is."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from chainrule.report import render
from chainrule.tables import Recipe, TrainingSettings, train_table
from chainrule.tables.dependence import dependences_of
from chainrule.tables.ranking import class_curves, ranked
from chainrule.tables.reporting import make_report
from chainrule.tables.spread import _tells, spread_of


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("steps", [3, 1000])  # with ties, and hardly any
def test_curves_are_those_of_scikit_learn(steps, weighted):
    rng = np.random.default_rng(steps)
    is_one = rng.random(300) < 0.3
    scores = np.round((0.3 * is_one + rng.random(300)) * steps) / steps
    weights = rng.integers(0, 4, 300).astype(float) if weighted else None
    found = ranked(scores, is_one, weights)
    rate, recall, _ = metrics.roc_curve(is_one, scores, sample_weight=weights, drop_intermediate=False)
    drawn = {(round(a, 9), round(b, 9)) for a, b in zip(rate, recall, strict=True)} - {(0.0, 0.0)}
    assert {(round(a, 9), round(b, 9)) for a, b in zip(found.false_rate, found.recall, strict=True)} == drawn
    assert found.area == pytest.approx(metrics.roc_auc_score(is_one, scores, sample_weight=weights))
    expected = metrics.average_precision_score(is_one, scores, sample_weight=weights)
    assert found.average_precision == pytest.approx(expected)


def table(task, rows=240, seed=0, bend=0.0):
    """The number ``a`` and the category ``kind`` matter, ``b`` only with ``bend``, which no linear model follows."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, rows))
    kind = rng.choice(["<i>low</i>", "high", "top"], rows)
    y = 10 * a + 20 * (kind == "top") + bend * np.sin(3 * b) + rng.normal(size=rows)
    if task != "numbers":
        cuts = [5] if task == "two classes" else [-3, 15]
        y = np.array(["few", "some & more", "many"])[np.digitize(y, cuts)]
    return pl.DataFrame({"a": a, "b": b, "kind": kind, "y": y})


@pytest.fixture(scope="module", params=["two classes", "three classes", "numbers"])
def trained(request):
    return train_table(
        table(request.param, bend=15), "y", Recipe({"epochs": 15, "hidden": (32,), "folds": 3, "restarts": 2})
    )


def test_the_page_shows_them(trained):
    page = render(make_report(trained, "m"))
    tree = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    headings = [part.text for part in tree.iter("h2")]
    expected = ["How far the networks differ", "How the prediction follows the columns that matter"]
    if trained.model.classes:
        expected += ["How well it tells classes apart", "How often label sets hold the right class"]
    else:
        expected += ["How often intervals hold the truth"]
    assert set(expected) <= set(headings)
    assert len(page) < 300_000
    assert "<i>low" not in page and "some & more" not in page
    assert "nan" not in "".join(part.attrib.get("d", "") for part in tree.iter("path"))


def test_the_areas_are_those_of_the_measures(trained):
    curves = class_curves(trained)
    assert len(curves) == {2: 1, 3: 3}.get(len(trained.model.classes), 0)
    if curves:
        area = next(metric.value for metric in trained.metrics if metric.name == "AUC")
        assert np.mean([one.area for one in curves]) == pytest.approx(area)
        for one in curves:
            assert (one.roc[0].tolist(), one.roc[-1].tolist()) == ([0, 0], [1, 1])
            assert one.precision[-1] == pytest.approx([1, one.share])
            drawn = metrics.auc(one.roc[:, 0], one.roc[:, 1])
            assert drawn == pytest.approx(one.area, abs=0.01)  # what is left out is not seen


def test_the_spread_is_of_networks_that_did_not_train_on_the_row(trained):
    found, judged, model = spread_of(trained), trained.out_of_fold, trained.model
    features = trained.prepared.training.features
    said = np.full((len(judged.members), len(features)), np.nan)
    same = np.ones(len(features), bool)
    together = trained.scored.outputs.argmax(1)
    for i, (member, rows) in enumerate(zip(judged.members, judged.unseen, strict=True)):
        outputs = member.predict(features[rows])
        if model.classes:
            outputs = outputs / judged.temperature
            p = np.exp(outputs - outputs.max(1, keepdims=True))
            p = model.unsmoothing.probabilities((p / p.sum(1, keepdims=True)).astype(float))
            said[i, rows] = p[np.arange(len(rows)), together[rows]]
            same[rows] &= outputs.argmax(1) == together[rows]
        else:
            said[i, rows] = outputs[:, 0] * model.preprocessor.target.standard_deviation
    deviation = np.nanstd(said, 0, ddof=1)
    assert found.networks == np.isfinite(said).sum(0).max() > 1
    assert found.mean == pytest.approx(deviation.mean(), rel=1e-4)
    assert found.deviation[-1] == pytest.approx(np.sort(deviation)[-48:].mean(), rel=1e-4)
    assert (np.diff(found.deviation) > 0).all()
    if model.classes:
        wrong = together != trained.scored.actual
        assert found.alike == pytest.approx(same.mean())
        assert found.wrong_apart == pytest.approx(wrong[~same].mean())
        assert found.error.mean() == pytest.approx(1 - trained.score.value)


def test_the_spread_warns_only_beyond_chance():
    rng = np.random.default_rng(0)
    said = [_tells(*(rng.random((2, 40)) < 0.2).astype(float)) for _ in range(1000)]
    assert 0.01 < np.mean(said) < 0.08
    assert _tells(np.r_[np.ones(4), np.zeros(36)], np.r_[np.ones(20), np.zeros(20)])
    assert not _tells(np.full(5000, 1.0) + rng.normal(size=5000) / 9, np.full(5000, 1.2))  # sure, but little


def test_a_single_network_has_no_spread():
    single = train_table(table("numbers"), "y", TrainingSettings(epochs=2))
    assert spread_of(single) is None
    assert "How far the networks differ" not in render(make_report(single, "m"))


def test_rows_that_trained_say_nothing_of_coverage():
    alone = train_table(table("numbers"), "y", TrainingSettings(epochs=2, held_out=0))
    assert alone.coverage == ()
    assert "How often intervals hold" not in render(make_report(alone, "m"))


@pytest.mark.parametrize("task", ["two classes", "three classes", "numbers"])
def test_dependence_is_the_mean_prediction_with_a_value_in_all_rows(task):
    """As the model itself predicts a table in which a column has the value in every row."""
    trained = train_table(table(task, rows=300), "y", TrainingSettings(epochs=60, held_out=0.4))
    found = {one.column: one for one in dependences_of(trained)}
    assert {"a", "kind"} <= set(found)
    frame = trained.prepared.frame[trained.prepared.split.scored]  # 120 rows: all of them are asked
    for one in found.values():
        values = one.labels if one.values is None else one.values.tolist()
        for value, means in zip(values, one.means, strict=True):
            said = trained.model.predict(frame.with_columns(pl.lit(value).alias(one.column)))
            if task == "numbers":
                expected = [said.values.mean()]
            else:
                expected = [said.probabilities[:, said.classes.index(name)].mean() for name in one.lines]
            assert means == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert sorted(found["kind"].labels) == ["<i>low</i>", "high", "top"]
    spans = {name: np.ptp(one.means[:, 0]) for name, one in found.items()}
    assert spans["a"] > spans["kind"] > 3 * spans.get("b", 0.0)


def test_missing_cells_have_a_place_among_the_values():
    frame = table("numbers", rows=300).with_columns(
        a=pl.when(pl.int_range(300) % 7 == 0).then(None).otherwise(pl.col("a")),
        kind=pl.when(pl.int_range(300) % 5 == 0).then(None).otherwise(pl.col("kind")),
    )
    trained = train_table(frame, "y", TrainingSettings(epochs=60, held_out=0.4))
    found = {one.column: one for one in dependences_of(trained)}
    assert np.isfinite(found["a"].values).all()
    assert "missing" in found["kind"].labels
    assert render(replace(make_report(trained, "m"), dependences=list(found.values())))

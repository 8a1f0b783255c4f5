"""The interval of a score holds the truth as often as it says, and stands wherever the score stands."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from chainrule.report import render
from chainrule.tables import Recipe, TrainingSettings, load_model, train_table
from chainrule.tables.reporting import make_report
from chainrule.tables.score_interval import _student, root_mean_interval, share_interval


@pytest.mark.parametrize("rows", [1, 7, 100, 100_000])
def test_the_interval_of_a_share_is_scipys(rows):
    for right in np.unique(np.linspace(0, rows, 9).astype(int)).tolist():
        expected = stats.binomtest(right, rows).proportion_ci(method="wilson")
        assert share_interval(right, rows) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_students_quantile_is_scipys():
    freedom = np.arange(4, 2000)
    assert [_student(n) for n in freedom] == pytest.approx(stats.t.ppf(0.975, freedom), rel=3e-3)


@pytest.mark.parametrize("rows", [40, 400])
@pytest.mark.parametrize("share", [0.6, 0.9, 0.98])
def test_coverage_of_the_share_over_all_that_may_happen(rows, share):
    held = [low <= share <= high for low, high in (share_interval(k, rows) for k in range(rows + 1))]
    assert 0.92 < stats.binom.pmf(np.arange(rows + 1), rows, share) @ held < 0.98


@pytest.mark.parametrize(
    ("errors", "least"),
    [("normal", 0.93), ("uniform", 0.93), ("laplace", 0.88)],
    ids=str,
)
@pytest.mark.parametrize("rows", [50, 300])
def test_coverage_of_the_rmse_by_simulation(errors, least, rows):
    rng = np.random.default_rng(rows)
    squares = np.square(getattr(rng, errors)(*{"uniform": (-1, 1)}.get(errors, (0, 1)), (3000, rows)))
    truth = {"normal": 1, "uniform": 1 / 3, "laplace": 2}[errors] ** 0.5
    ends = [root_mean_interval(v.sum(), np.square(v).sum(), rows) for v in squares]
    held = np.mean([low <= truth <= high for low, high in ends])
    assert least - 0.015 < held < 0.965


def test_its_ends_where_there_is_little_to_say():
    assert root_mean_interval(1.0, 1.0, 2) is None
    assert root_mean_interval(0.0, 0.0, 10) == (0, 0)
    assert root_mean_interval(4.0, 2.0, 8) == pytest.approx((0.5**0.5,) * 2)  # all errors are alike
    low, high = share_interval(10, 10)
    assert 0.6 < low < high == 1


@pytest.fixture(scope="module", params=["classes", "numbers"])
def trained(request):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 2))
    y = x[:, 0] + 0.5 * rng.normal(size=150)
    frame = pl.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "y": np.where(y > 0, "up", "down") if request.param == "classes" else 90 * y,
        }
    )
    return train_table(frame, "y", Recipe({"epochs": 6, "hidden": (16,), "folds": 3}))


def test_it_stands_beside_the_score(trained, tmp_path):
    score, facts = trained.score, trained.model.facts
    assert score.low < score.value < score.high
    off = trained.scored.predicted - trained.scored.actual if trained.model.task == "regression" else None
    if off is not None:  # by the spread of the squared errors, in the target's units
        squares = np.square(off)
        error = squares.std(ddof=1) / np.sqrt(len(squares)) / squares.mean()
        reach = np.exp(stats.t.ppf(0.975, len(squares) - 1) * error / 2)
        assert (score.low, score.high) == pytest.approx((score.value / reach, score.value * reach), rel=1e-3)
    assert (facts.score_low, facts.score_high) == (score.low, score.high)
    assert score.spread.startswith(" (95% interval: ") and score.spread in score.describe()
    trained.model.save(tmp_path / "m")
    assert load_model(tmp_path / "m").facts == facts
    assert score.spread.strip() in render(make_report(trained, "m"))


def test_rows_that_trained_have_none():
    frame = pl.DataFrame({"x": np.arange(30.0), "y": np.arange(30.0)})
    score = train_table(frame, "y", TrainingSettings(epochs=1, held_out=0)).score
    assert (score.scored_on, score.low, score.high, score.spread) == ("training", None, None, "")


def test_a_score_of_many_parts_is_that_of_the_whole(trained, tmp_path):
    frame = trained.prepared.frame
    frame.write_csv(tmp_path / "t.csv")
    running = trained.model.running_score()
    for part in trained.model.predict_parts(tmp_path / "t.csv", cells=40):
        trained.model.add_to(running, part)
    whole, found = trained.model.score(frame), running.score()
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high), rel=1e-5)

"""Columns that say something of the rows: groups, time, weights; by what is true of any split and by planted leaks."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from chainrule.data import Columns
from chainrule.data.digits import DataWarning
from chainrule.errors import DataError, SettingError
from chainrule.tables import Recipe, TrainingSettings, prepare, train_table
from chainrule.tables.ensemble import folds_for
from chainrule.tables.splits import blocks, later, some_groups

QUICK = {"epochs": 20, "hidden": (32,), "folds": 4}


def shops(rows=320, count=30, seed=0):
    """Prices that depend on the shop above all; its name and its code tell which it is."""
    rng = np.random.default_rng(seed)
    shop = rng.integers(0, count, rows)
    level = rng.normal(size=count) * 3
    x = rng.normal(size=rows)
    return pl.DataFrame(
        {
            "x": x,
            "code": shop * 1.5,
            "name": [f"shop {one}" for one in shop],
            "shop": shop,
            "y": x + level[shop] + 0.1 * rng.normal(size=rows),
        }
    ), float(level[shop].std())


def test_a_column_that_tells_the_group_is_worth_nothing_for_new_groups():
    frame, spread = shops()
    leaking = train_table(frame, "y", Recipe(QUICK)).score
    honest = train_table(frame, "y", Recipe({**QUICK, "group": "shop"})).score
    assert leaking.value < 0.4 * spread
    assert honest.value > 0.8 * spread
    assert (honest.rows, honest.scored_on) == (320, "out-of-fold")


def test_means_of_the_target_in_a_category_are_of_other_groups():
    """Each name is of one group, so that no other group has a row of that name; the mean would tell the group."""
    frame, _ = shops(rows=700, count=150)
    for more, told in (({}, True), ({"group": "shop"}, False)):
        prepared = prepare(frame.drop("code"), "y", Recipe({**QUICK, **more}))
        in_training = prepared.training.features[:, -1]
        in_use = prepared.preprocessor.transform(frame)[:, -1]
        assert (np.abs(in_training).mean() > 0.3) == in_training.any() == told
        assert in_use.any() == told  # a network is not told in use what it was never told in training


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_no_group_is_on_both_sides(single, seed):
    rng = np.random.default_rng(seed)
    rows, count = int(rng.integers(40, 200)), int(rng.integers(4, 25))
    group = rng.integers(0, count, rows)
    frame = pl.DataFrame(
        {"x": rng.normal(size=rows), "g": [f"g{one}" for one in group], "y": rng.choice(["a", "b"], rows)}
    )
    said = {"group": "g", "held_out": 0.25, "seed": seed}
    settings = TrainingSettings(**said) if single else Recipe({**said, "restarts": 2, "folds": 3})
    prepared = prepare(frame, "y", settings)
    parts = [set(group[part]) for part in prepared.split.parts if part.size]
    assert len(parts) == (3 if single else 2)
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(set(group))
    assert sorted(np.concatenate(prepared.split.parts)) == list(range(rows))
    assert "g" not in {column.name for column in prepared.preprocessor.used}
    if not single:
        trains = group[prepared.split.training]
        folds = folds_for(prepared)
        assert len(folds) == 6
        for fold in folds:
            assert not set(trains[fold.train]) & set(trains[fold.validation])
        for repeat in (folds[:3], folds[3:]):
            judged = np.concatenate([fold.validation for fold in repeat])
            assert sorted(judged) == list(range(len(trains)))


def test_held_out_groups_have_about_the_share_of_rows_and_classes():
    rng = np.random.default_rng(3)
    group, labels = rng.integers(0, 40, 1000), rng.integers(0, 2, 1000)
    apart = some_groups(group, 0.2, labels, 0)
    assert apart.mean() == pytest.approx(0.2, abs=0.02)
    assert labels[apart].mean() == pytest.approx(labels.mean(), abs=0.03)
    assert not np.array_equal(apart, some_groups(group, 0.2, labels, 1))


def test_a_group_is_a_feature_where_a_type_is_said_for_it():
    frame, _ = shops()
    said = Columns(types={"shop": "category"})
    used = prepare(frame, "y", Recipe({"group": "shop"}), columns=said).preprocessor.used
    assert "shop" in {column.name for column in used}


def test_fewer_groups_than_folds_make_fewer_folds_and_rows_without_one_are_a_group():
    frame, _ = shops(rows=60, count=3)
    frame = frame.with_columns(shop=pl.when(pl.col("shop") == 2).then(None).otherwise(pl.col("shop")))
    prepared = prepare(frame, "y", Recipe({"group": "shop"}))
    assert (prepared.settings.folds, prepared.architecture.members) == (3, 3)
    notices = " ".join(prepared.notices)
    assert "3 folds instead of 8" in notices
    assert "these rows are one group" in notices


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        ({"group": "one"}, DataError, "the same group in all rows"),
        ({"group": "shp"}, DataError, "there is no column 'shp' (--group)"),
        ({"group": "y"}, SettingError, "--group names the target"),
        ({"group": 3}, SettingError, "group is the name of a column"),
        ({"group": "shop", "time_order": "x"}, SettingError, "by groups or by time"),
        ({"group": "two", "held_out": 0.3}, DataError, "all of one group"),
        ({"time_order": "one"}, DataError, "the same time in all rows"),
        ({"time_order": "name"}, DataError, "does not order the rows in time"),
        ({"time_order": "empty"}, DataError, "does not order the rows in time"),
        ({"time_order": "two"}, DataError, "all of one time"),
        ({"time_order": "x", "held_out": 0.0}, SettingError, "later rows judge"),
    ],
)
def test_what_cannot_be_dealt_out_is_said(said, error, text):
    frame, _ = shops(rows=60)
    two = [0] * 30 + [1] * 30
    frame = frame.with_columns(one=pl.lit(1), two=pl.Series(two), empty=pl.lit(None, pl.String))
    with pytest.raises(error) as raised:
        prepare(frame, "y", Recipe(said))
    assert text in str(raised.value)


@pytest.mark.parametrize("single", [False, True])
def test_later_rows_judge(single):
    """By random dates with ties and gaps, in random order: all that trains is before all that judges."""
    rng = np.random.default_rng(5)
    day = rng.integers(0, 60, 300)
    dates = pl.Series("when", day).cast(pl.Date).cast(pl.String)
    dates = dates.scatter(np.arange(0, 300, 50), None)
    frame = pl.DataFrame({"when": dates, "x": rng.normal(size=300), "y": rng.normal(size=300)})
    settings = TrainingSettings(time_order="when") if single else Recipe({"time_order": "when"})
    prepared = prepare(frame, "y", settings)
    known = np.flatnonzero(dates.is_not_null())
    split = prepared.split
    assert sorted(np.concatenate(split.parts)) == known.tolist()
    order = [part for part in split.parts if part.size]
    assert len(order) == (3 if single else 2)
    for before, after in pairwise(order):
        assert day[before].max() < day[after].min()
    assert split.held_out.size == pytest.approx(0.2 * len(known), abs=8)
    assert "has no time in rows 1, 51" in " ".join(prepared.notices)


def test_a_trend_that_ends_is_seen_by_later_rows_alone():
    """The coefficient turns at the end: random folds know of it, earlier rows do not."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    late = np.arange(400) >= 320
    frame = pl.DataFrame({"day": np.arange(400) / 7.3, "x": x, "y": np.where(late, -x, x)})
    mixed = train_table(frame, "y", Recipe(QUICK))
    ordered = train_table(frame, "y", Recipe({**QUICK, "time_order": "day"}))
    assert mixed.score.value < 0.6
    assert ordered.score.value > 1.5
    assert (ordered.score.rows, ordered.score.scored_on) == (80, "held-out")


def test_a_table_too_small_for_an_ensemble_and_a_single_network_of_several_kinds():
    few = pl.DataFrame({"x": [1.0, 2.0, 4.0, 3.0, 5.5], "y": [1.0, 2.0, 3.0, 5.0, 7.0]})
    assert train_table(few, "y", Recipe({"epochs": 2})).score.scored_on == "training"
    with pytest.raises(SettingError, match="several kinds"):
        prepare(few, "y", TrainingSettings(embedding="mixed"))


def test_a_class_that_a_stretch_of_time_lacks_is_told():
    labels = np.array(["a"] * 50 + ["b"] * 10, object)
    with pytest.warns(DataWarning, match="class 'b' has 10 rows for 3 folds: 2 of them validate without it"):
        blocks(np.arange(60), 3, labels=labels)


@pytest.mark.parametrize("seed", range(20))
def test_folds_by_time_are_stretches(seed):
    rng = np.random.default_rng(seed)
    times = rng.integers(0, rng.integers(4, 40), 60)
    k = int(rng.integers(2, min(6, len(np.unique(times))) + 1))
    found = blocks(times, k, 2)
    assert len(found) == 2 * k
    for number, fold in enumerate(found):
        assert fold.train.size
        assert fold.validation.size
        assert sorted([*fold.train, *fold.validation]) == list(range(60))
        assert not set(times[fold.train]) & set(times[fold.validation])
        if number < k:  # each a stretch without gaps
            between = (times > times[fold.validation].min()) & (times < times[fold.validation].max())
            assert set(np.flatnonzero(between)) <= set(fold.validation)
    apart = later(times, 0.2)
    assert apart.any()
    assert times[~apart].max() < times[apart].min()

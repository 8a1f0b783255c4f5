"""The target's mean in each category tells no network the targets of rows that judge it."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import Ridge

from chainrule.tables import Recipe, prepare, train_table
from chainrule.tables.ensemble import folds_for


def table(seed, rows=900, levels=300):
    rng = np.random.default_rng(seed)
    names = [f"name {i}" for i in rng.integers(0, levels, rows)]
    visits = [f"visit {i}" for i in rng.integers(0, 60, rows)]
    return pl.DataFrame(
        {"name": names, "visit": visits, "x": rng.normal(size=rows), "y": rng.normal(size=rows)}
    )


def prepared_of(frame, **settings):
    prepared = prepare(frame, "y", Recipe({"task": "regression", "folds": 4, **settings}))
    assert prepared.preprocessor.has_target_means
    return prepared


@pytest.mark.parametrize("settings", [{}, {"group": "visit"}, {"restarts": 2}])
def test_rows_that_judge_a_network_have_no_part_in_its_features(settings):
    """Their targets are changed, and no feature is, of rows that train it or that judge it."""
    frame = table(0)
    prepared = prepared_of(frame if "group" in settings else frame.drop("visit"), **settings)
    rows = prepared.split.training
    groups = None if prepared.roles.groups is None else prepared.roles.groups[rows]
    for fold in folds_for(prepared):
        mine = np.zeros(len(rows), bool)
        mine[fold.train] = True
        y = prepared.frame["y"].to_numpy().copy()
        y[rows[fold.validation]] += 1e3
        changed = prepared.for_network(fold).copy()
        other = prepared.frame.with_columns(y=pl.Series(y))
        prepared.preprocessor.encode_training(other, rows, changed, groups, mine)
        assert np.array_equal(changed, prepared.for_network(fold))
        if "restarts" not in settings:  # of repeats the first one judges by these features
            own = prepared.training.features[fold.validation]
            assert np.array_equal(own, prepared.for_network(fold)[fold.validation])


def told(features_of, prepared):
    """The correlation of noise with what a linear model says of it for rows that it has not seen."""
    y = prepared.training.target[:, 0]
    said = np.empty(len(y))
    for fold in folds_for(prepared):
        features = features_of(fold)
        model = Ridge(1.0).fit(features[fold.train], y[fold.train])
        said[fold.validation] = model.predict(features[fold.validation])
    return float(np.corrcoef(said, y)[0, 1])


def test_noise_is_not_told_by_means_of_it():
    """One set of features for all networks would tell it: the fault that this is there for is planted beside."""
    honest, planted = [], []
    for seed in range(6):
        prepared = prepared_of(table(seed).drop("visit"))
        honest.append(told(prepared.for_network, prepared))
        shared = prepared.training.features.copy()
        prepared.preprocessor.encode_training(prepared.frame, prepared.split.training, shared)
        planted.append(told(lambda _, shared=shared: shared, prepared))
    assert np.mean(planted) > 0.12
    assert np.mean(honest) < 0.05


def test_the_score_of_noise_is_no_better_than_a_constant():
    trained = train_table(table(1).drop("visit"), "y", Recipe({"epochs": 15, "folds": 4, "hidden": (16,)}))
    assert trained.score.value > 0.985 * trained.score.baseline
    linear = next(metric.linear for metric in trained.metrics if metric.name == "R2")
    assert linear < 0.02


def test_the_mean_is_used_where_it_tells():
    rng = np.random.default_rng(0)
    of_name = rng.normal(size=200)
    code = rng.integers(0, 200, 3000)
    y = of_name[code] + 0.3 * rng.normal(size=3000)
    frame = pl.DataFrame({"name": [f"name {i}" for i in code], "y": y})
    trained = train_table(frame, "y", Recipe({"epochs": 12, "folds": 3}))
    assert trained.score.value < 0.45
    new = rng.integers(0, 200, 500)
    said = trained.model.predict(pl.DataFrame({"name": [f"name {i}" for i in new]})).values.to_numpy()
    assert np.sqrt(np.mean((said - of_name[new]) ** 2)) < 0.3


def test_with_two_groups_no_mean_tells_the_other_one():
    """Each network trains on one group alone: no other group tells its rows a mean, so that there is none."""
    frame = table(0, 400, 130)
    frame = frame.with_columns(visit=pl.Series(np.where(np.arange(400) % 2, "one", "two")))
    prepared = prepared_of(frame, group="visit")
    place = next(column.width for column in prepared.preprocessor.used if column.has_effects) - 1
    for fold in folds_for(prepared):
        assert not prepared.for_network(fold)[fold.train, place].any()


def test_the_effect_of_a_network_is_not_that_of_another():
    """What stood in the features before is not what is left in them."""
    prepared = prepared_of(table(3).drop("visit"))
    fold = folds_for(prepared)[0]
    first = prepared.for_network(fold)
    prepared.training.features[:] = 7.0
    second = prepared.for_network(fold)
    place = next(column.width for column in prepared.preprocessor.used if column.has_effects) - 1
    assert np.array_equal(first[:, place], second[:, place])

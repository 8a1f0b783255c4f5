"""Any number of categories: no cliff at a hundred, no leak through the target's means, unseen ones defined."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import fit_preprocessor
from chainrule.tables import TrainingSettings, prepare, train_table


def cities(count: int, rows: int = 40, noise: float = 0.3, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    level = rng.normal(size=count) * 3
    city = np.repeat(np.arange(count), rows)
    rng.shuffle(city)
    price = level[city] + rng.normal(size=len(city)) * noise
    return pl.DataFrame({"city": [f"city {c}" for c in city], "price": price})


@pytest.mark.parametrize("count", [90, 100, 101, 130])
def test_no_cliff_at_a_hundred_categories(count):
    trained = train_table(cities(count), "price", TrainingSettings(epochs=40))
    assert trained.score.value < 0.45  # of which 0.3 is noise; without the column 3


@pytest.mark.slow
def test_a_thousand_categories_of_few_rows():
    trained = train_table(cities(1000, rows=8), "price", TrainingSettings(epochs=20))
    assert trained.score.value < 1.2


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_pure_noise_does_not_leak(task):
    rng = np.random.default_rng(1)
    city = rng.integers(0, 700, 3000)
    y = rng.normal(size=3000) if task == "regression" else rng.choice(["yes", "no"], 3000)
    frame = pl.DataFrame({"city": [f"city {c}" for c in city], "y": y})
    prepared = prepare(frame, "y", TrainingSettings(task=task))
    (column,) = prepared.preprocessor.columns
    place = list(column.feature_names).index(column.effect_names[0])
    features, target = prepared.training
    own = prepared.preprocessor.transform(frame)[prepared.split.training]
    target = np.ravel(target).astype(float)
    assert abs(np.corrcoef(features[:, place], target)[0, 1]) < 0.08  # out of fold: nothing to see
    assert abs(np.corrcoef(own[:, place], target)[0, 1]) > 0.3  # what a leak would look like
    unseen = np.ravel(prepared.unseen.target).astype(float)
    assert abs(np.corrcoef(prepared.unseen.features[:, place], unseen)[0, 1]) < 0.12


def test_unseen_rare_and_missing_categories():
    frame = cities(120, rows=5)
    rare = pl.concat([frame, pl.DataFrame({"city": ["only here", None], "price": [1.0, 2.0]})])
    preprocessor, notices = fit_preprocessor(rare, "price")
    (column,) = preprocessor.columns
    assert len(column.categories) == 100 and len(column.others) == 20 and column.width == 103
    assert any("121 categories" in notice for notice in notices)
    X, notices = preprocessor.transform_with_notices(pl.DataFrame({"city": ["nowhere", "only here", None]}))
    np.testing.assert_array_equal(X[0], X[1])
    assert X[0, -2] == 1 and X[0, -1] == 0 and X[0].sum() == 1
    assert X[2, 100] == 1 and X[2].sum() == 1


def test_the_same_seed_gives_the_same_features():
    first, second = (prepare(cities(150, rows=5), "price") for _ in range(2))
    np.testing.assert_array_equal(first.arranged.features, second.arranged.features)

"""What one column says by itself is what a tree says that is grown to its end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from chainrule.data.features.columns import Column
from chainrule.tables.deciding_columns import FOLDS, nearest_say, skill_alone

eighths = st.integers(-20, 20).map(lambda n: n / 8)
rows = st.lists(st.tuples(eighths, st.integers(0, 3)), min_size=1, max_size=40)


@settings(deadline=None)
@given(rows, st.lists(eighths, min_size=1, max_size=10), st.booleans())
def test_the_nearest_rows_say_what_a_tree_says(rows, asked, is_classes):
    known, y = (np.array(part) for part in zip(*rows, strict=True))
    y = y.astype(np.int64 if is_classes else np.float64)
    tree = (DecisionTreeClassifier if is_classes else DecisionTreeRegressor)(random_state=0)
    peer = tree.fit(known[:, None], y).predict(np.array(asked)[:, None])
    np.testing.assert_allclose(nearest_say(known, y, np.array(asked), is_classes), peer, atol=1e-12)


@pytest.mark.parametrize("is_classes", [True, False])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.5])
def test_a_category_is_as_skilled_as_a_tree_of_its_features(is_classes, noise):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 6, 300)
    x = np.eye(6, dtype=np.float32)[label][:, :5]  # the last category has no feature
    wrong = rng.random(300) < noise
    y = np.where(wrong, rng.integers(0, 3, 300), label % 3)
    y = y.astype(np.int64) if is_classes else (y + 0.1).astype(np.float32)
    column = Column("kind", "categorical", categories=("a", "b", "c", "d", "e"))
    folds = np.arange(300) % FOLDS
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(FOLDS)]
    tree = (DecisionTreeClassifier if is_classes else DecisionTreeRegressor)(random_state=0)
    predicted = cross_val_predict(tree, x, y, cv=splits)
    if is_classes:
        peer = 1 - np.sum(predicted != y) / (300 - np.bincount(y).max())
    else:
        peer = 1 - np.square(predicted - y).sum() / np.square(y - y.mean()).sum()
    assert skill_alone(column, x, y, is_classes) == pytest.approx(peer, abs=1e-5)

"""cr.folds: every row is left out once, sizes and classes are even, groups stay together; scikit-learn's beside it."""

import warnings

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

import chainrule as cr
from chainrule.errors import DataError, SettingError


def fold_of(rows, n, k, repeat=0):
    """The fold that leaves each row out, which has to be one and only one."""
    found = np.full(n, -1)
    for number, fold in enumerate(rows[repeat * k : (repeat + 1) * k]):
        assert fold.train.dtype == fold.validation.dtype == np.int64
        assert (found[fold.validation] == -1).all()
        found[fold.validation] = number
        everything = np.concatenate([fold.train, fold.validation])
        assert np.array_equal(np.sort(everything), np.arange(n))
        for part in (fold.train, fold.validation):
            assert (np.diff(part) > 0).all()
    assert (found >= 0).all()
    return found


def spread(counts):
    """How far the largest count is above the least, for each column."""
    return counts.max(0) - counts.min(0)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_rows_are_dealt_out_evenly(data):
    n = data.draw(st.integers(2, 60))
    k, repeats = data.draw(st.integers(2, n)), data.draw(st.integers(1, 3))
    classes = data.draw(st.none() | st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cr.DataWarning)
        rows = cr.folds(n, k, stratify=classes, repeats=repeats, seed=data.draw(st.integers(0, 9)))
    assert len(rows) == k * repeats
    for repeat in range(repeats):
        found = fold_of(rows, n, k, repeat)
        assert spread(np.bincount(found, minlength=k)) <= 1
        for label in set(classes or ()):
            assert spread(np.bincount(found[np.array(classes) == label], minlength=k)) <= 1


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_groups_stay_together(data):
    n = data.draw(st.integers(4, 60))
    groups = np.array(data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n)))
    count = len(set(groups))
    if count < 2:
        return
    k = data.draw(st.integers(2, count))
    classes = data.draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cr.DataWarning)
        rows = cr.folds(n, k, groups=groups, stratify=classes, seed=data.draw(st.integers(0, 9)))
    found = fold_of(rows, n, k)
    assert set(found) == set(range(k))  # none is empty
    for group in set(groups):
        assert len(set(found[groups == group])) == 1


def test_groups_are_dealt_out_about_as_evenly_as_scikit_learn_does():
    """Rows of patients, whose numbers of visits and rates of illness differ much."""
    mine, its = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 20, 60)
        groups = np.repeat(np.arange(60), sizes)
        y = (rng.random(len(groups)) < np.repeat(rng.beta(1, 3, 60), sizes)).astype(int)
        rows = cr.folds(len(y), 5, stratify=y, groups=groups, seed=seed)
        peer = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(y, y, groups)
        for shares, tests in ((mine, [f.validation for f in rows]), (its, [test for _, test in peer])):
            shares.append(
                np.std([[np.sum(y[test] == c) / np.sum(y == c) for c in (0, 1)] for test in tests], 0)
            )
    assert np.mean(mine) < 1.5 * np.mean(its)


def test_as_even_as_scikit_learn():
    y = np.repeat([0, 1, 2], [50, 23, 9])
    counts = [np.bincount(y[fold.validation], minlength=3) for fold in cr.folds(82, 8, stratify=y)]
    peer = [np.bincount(y[test], minlength=3) for _, test in StratifiedKFold(8).split(y, y)]
    assert sorted(map(tuple, np.sort(counts, 0).T)) == sorted(map(tuple, np.sort(peer, 0).T))


def test_the_same_arguments_give_the_same_folds_and_others_others():
    def rows(**more):
        return [fold.validation.tolist() for fold in cr.folds(40, 4, **more)]

    assert rows(seed=3) == rows(seed=3)
    assert rows(seed=3) != rows(seed=4)
    assert rows(seed=3, repeats=2)[:4] == rows(seed=3)
    assert rows(repeats=2)[4:] != rows(repeats=2)[:4]
    groups = np.repeat(np.arange(12), np.arange(1, 13))  # no two of one size
    dealt = [[f.validation.tolist() for f in cr.folds(78, 3, groups=groups, seed=s)] for s in (0, 1)]
    assert dealt[0] != dealt[1]


def test_every_row_is_equally_likely_to_be_in_each_fold():
    counts = np.zeros((3, 2))
    for seed in range(2000):
        counts[fold_of(cr.folds(3, 2, seed=seed), 3, 2) == 0, 0] += 1
    assert (np.abs(counts[:, 0] / 2000 - 0.5) < 0.05).all()


def test_labels_may_be_texts_numbers_or_a_column():
    texts = ["yes", "no"] * 10
    expected = [fold.validation.tolist() for fold in cr.folds(20, 5, stratify=texts)]
    for labels in (np.array(texts), pandas.Series(texts), np.array([1.0, 0.0] * 10)):
        assert [fold.validation.tolist() for fold in cr.folds(20, 5, stratify=labels)] == expected


def test_a_class_with_fewer_rows_than_folds_is_told_of():
    with pytest.warns(
        cr.DataWarning, match="class 'rare' has 3 rows for 5 folds: 2 of them validate without it"
    ) as told:
        cr.folds(30, 5, stratify=["common"] * 27 + ["rare"] * 3)
    assert told[0].filename == __file__
    with pytest.warns(cr.DataWarning, match="the fold that validates with class 'once' trains without it"):
        cr.folds(30, 5, stratify=["common"] * 29 + ["once"])
    with pytest.warns(cr.DataWarning, match="class 0 has 10 rows for 2 folds: 1 of them validate"):
        cr.folds(20, 2, stratify=[0] * 10 + [1] * 10, groups=[0] * 10 + [1] * 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 3, "k": 4}, "there are more folds than rows"),
        ({"k": 1}, "k must be a whole number >= 2"),
        ({"n": 1}, "n must be"),
        ({"n": 1.5}, "n must be"),
        ({"repeats": 0}, "repeats must be"),
        ({"seed": -1}, "seed must be"),
        ({"stratify": [0, 1]}, "stratify: there is one label a row"),
        ({"groups": [0, 1]}, "groups: there is one label a row"),
        ({"groups": [0] * 5 + [1] * 5}, "there are fewer groups than folds"),
        ({"groups": [0] * 10}, "there are fewer groups than folds"),
        ({"stratify": np.linspace(0, 1, 10)}, "stratify needs a class for each row"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(SettingError, match=message):
        cr.folds(**{"n": 10, "k": 3} | settings)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_labels_that_are_no_numbers(odd):
    with pytest.raises(DataError, match="stratify"):
        cr.folds(10, 2, stratify=[0.0, odd] * 5)


def test_labels_without_an_order():
    mixed = np.array(["a", 1, None, 1] * 5, object)
    mixed[mixed == None] = 2.5  # noqa: E711
    for fold in cr.folds(20, 5, stratify=mixed):
        assert sorted(map(str, mixed[fold.validation])) == ["1", "1", "2.5", "a"]


def test_missing_labels():
    with pytest.raises(DataError, match="groups has 1 value that is not finite"):
        cr.folds(4, 2, groups=[1.0, 2.0, np.nan, 3.0])
    with pytest.raises(DataError, match="stratify: 1 value is missing"):
        cr.folds(4, 2, stratify=["a", None, "b", "b"])

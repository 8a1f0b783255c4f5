import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import split_rows
from chainrule.errors import SettingError


@given(
    n_rows=st.integers(0, 200),
    holdout=st.floats(0, 0.99),
    n_classes=st.integers(1, 30),
    seed=st.integers(0, 5),
    stratified=st.booleans(),
)
def test_a_split_is_a_partition(n_rows, holdout, n_classes, seed, stratified):
    labels = np.random.default_rng(seed).integers(0, n_classes, n_rows) if stratified else None
    train, held_out = split_rows(n_rows, holdout, labels, seed)
    assert train.dtype == held_out.dtype == np.int64
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), np.arange(n_rows))
    assert np.all(np.diff(train) > 0) and np.all(np.diff(held_out) > 0)
    assert len(held_out) <= n_rows * holdout + 0.5
    if labels is not None:
        assert set(labels[train]) == set(labels)
        for label in set(labels):
            share = np.sum(labels == label) * holdout
            assert np.sum(labels[held_out] == label) <= share + 1


@given(st.integers(10, 300), st.floats(0.01, 0.6))
def test_without_labels_the_share_is_exact(n_rows, holdout):
    assert len(split_rows(n_rows, holdout)[1]) == round(n_rows * holdout)


def test_the_same_arguments_give_the_same_rows():
    first, again, other = (split_rows(100, 0.2, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_class_of_one_row_stays_in_training():
    labels = ["a"] * 20 + ["b"]
    train, _ = split_rows(21, 0.9, labels)
    assert 20 in train


def test_small_tables_are_not_split():
    train, held_out = split_rows(4, 0.5)
    assert train.tolist() == [0, 1, 2, 3] and held_out.size == 0
    assert split_rows(9, 0.5)[1].size == 0 and split_rows(10, 0.5)[1].size == 5


@pytest.mark.parametrize("holdout", [1.0, -0.1, float("nan"), 2])
def test_a_fraction_outside_its_range(holdout):
    with pytest.raises(SettingError, match="fraction"):
        split_rows(100, holdout)


def test_other_wrong_settings():
    with pytest.raises(SettingError, match="seed"):
        split_rows(100, 0.2, seed=-1)
    with pytest.raises(SettingError, match="one label a row"):
        split_rows(100, 0.2, labels=[1, 2])

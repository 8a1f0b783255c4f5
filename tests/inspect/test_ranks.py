"""Ranks, their correlation and the area under the ROC curve agree with SciPy's and scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from chainrule.inspect.diagnosis.neighbours import nearest_rows
from chainrule.inspect.diagnosis.ranks import area_below, rank_correlation, ranks

numbers = st.one_of(st.integers(-3, 3), st.floats(-1e6, 1e6))


@settings(deadline=None)
@given(st.lists(numbers, max_size=30))
def test_ranks_are_those_of_scipy(values):
    assert ranks(values).tolist() == rankdata(values).tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=30))
def test_rank_correlation_is_that_of_scipy(pairs):
    a, b = np.array(pairs, float).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert np.isnan(rank_correlation(a, b))
    else:
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, st.booleans()), min_size=2, max_size=30))
def test_area_is_that_of_scikit_learn(pairs):
    scores, is_one = (np.array(part) for part in zip(*pairs, strict=True))
    if 0 < is_one.sum() < len(is_one):
        assert area_below(scores, is_one) == pytest.approx(roc_auc_score(is_one, scores), abs=1e-12)


@pytest.mark.parametrize("cells", [10, 2_000_000])  # a few of the rows at a time, and all of them
def test_nearest_rows_are_those_of_scikit_learn(cells, monkeypatch):
    monkeypatch.setattr("chainrule.inspect.diagnosis.neighbours.CELLS", cells)
    rng = np.random.default_rng(0)
    among, rows = rng.normal(size=(70, 5)).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32)
    rows[:3] = among[[5, 69, 0]]
    distance, place = nearest_rows(among, rows)
    peer_distance, peer_place = NearestNeighbors(n_neighbors=1).fit(among).kneighbors(rows)
    assert place.tolist() == peer_place[:, 0].tolist()
    np.testing.assert_allclose(distance, peer_distance[:, 0], atol=1e-6)

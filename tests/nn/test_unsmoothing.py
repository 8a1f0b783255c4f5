"""Probabilities without the share that label smoothing put into them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.nn.unsmoothing import Unsmoothing, unsmoothing


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.3])
def test_it_undoes_what_the_least_of_the_smoothed_cross_entropy_is(classes, share):
    """For true probabilities p the smoothed loss has its least where the softmax is (1 - s) p + s / K."""
    true = np.random.default_rng(0).dirichlet(np.ones(classes), 50)
    smoothed = (1 - share) * true + share / classes
    np.testing.assert_allclose(Unsmoothing(share, 0.0).probabilities(smoothed), true, atol=1e-12)


@given(
    st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=8),
    st.floats(0.0, 0.9),
    st.integers(1, 10**6),
)
def test_whatever_a_network_says_comes_out_as_probabilities_in_the_same_order(weights, share, rows):
    q = np.array([weights]) / np.sum(weights)
    rule = unsmoothing(share, len(weights), rows)
    p = rule.probabilities(q)
    assert p.sum() == pytest.approx(1.0)
    assert (p > 0).all()
    assert p[0, q.argmax()] == p.max()
    assert (np.diff(p[0, np.argsort(q[0], kind="stable")]) >= 0).all()


def test_no_class_of_two_is_less_likely_than_one_row_of_those_that_trained():
    p = unsmoothing(0.05, 2, 1000).probabilities([[0.99999, 0.00001]])
    assert p[0, 1] == pytest.approx(0.001, rel=0.002)

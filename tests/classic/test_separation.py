import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import DataError, ShapeError


@settings(deadline=None, max_examples=60)
@example(3_211_951_886, 4, 4)  # whose threshold is a product that NumPy rounds in two ways
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 4))
def test_every_answer_is_proved(seed, rows, features):
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, (rows, features)).astype(float)
    y = rng.integers(0, 2, rows) if seed % 2 else (X @ rng.normal(size=features) > 0.4).astype(int)
    found = cr.classic.linear_separation(X, y)
    if found.separable:
        # in whatever order the products are added up
        for order in (np.arange(features), np.arange(features)[::-1]):
            for fires in (found.weights[order] @ X[:, order].T, X[:, order] @ found.weights[order]):
                assert ((fires >= found.threshold) == (y > 0)).all()
        assert found.margin > 0 and np.abs(found.weights).max() <= 1 + 1e-9
        outside = X[y == 0] @ found.weights
        assert (outside <= found.threshold - found.margin + 1e-9).all()
        assert found.certificate is None
    else:
        # the weighted inequalities cancel, and one of them is strict
        signed = np.where(y > 0, 1.0, -1.0) * found.certificate
        assert (found.certificate >= 0).all() and found.certificate[y == 0].sum() == pytest.approx(1)
        np.testing.assert_allclose(signed @ np.column_stack([X, np.ones(rows)]), 0, atol=1e-9)
        assert found.weights is None and found.threshold is None


@pytest.mark.parametrize("labels", [(0, 1), (-1, 1)])
def test_labels_of_either_kind(labels):
    y = np.array(labels)[[0, 0, 1]]
    assert cr.classic.linear_separation([[0.0], [1.0], [2.0]], y).separable


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_is_separable(label):
    found = cr.classic.linear_separation([[0.0, 1.0], [5.0, 2.0]], [label, label])
    fires = np.array([[0.0, 1.0], [5.0, 2.0]]) @ found.weights >= found.threshold
    assert found.separable and (fires == label).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scale_does_not_matter(scale):
    X = scale * np.random.default_rng(0).normal(size=(60, 3))
    y = 0.1 * scale <= X @ [1.0, -2.0, 0.5]
    found = cr.classic.linear_separation(X, y)
    assert found.separable and ((X @ found.weights >= found.threshold) == y).all()
    y[[0, 1, 2]] ^= True
    assert not cr.classic.linear_separation(X, y).separable


def test_bad_input():
    with pytest.raises(ShapeError, match="do not fit"):
        cr.classic.linear_separation([[0.0], [1.0]], [0])
    with pytest.raises(DataError, match="1 in X, 0 in y"):
        cr.classic.linear_separation([[np.nan], [1.0]], [0, 1])

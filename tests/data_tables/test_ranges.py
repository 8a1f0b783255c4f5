import numpy as np
import pytest

from chainrule.data import fit_ranges
from chainrule.errors import DataError, ShapeError


def test_each_column_fills_its_range_and_a_constant_one_is_zero():
    X = np.random.default_rng(0).normal(size=(20, 3)) * [1.0, 100.0, 0.0] + [0.0, 5.0, 7.0]
    scaled = fit_ranges(X).scale(X)
    np.testing.assert_allclose(scaled.min(0), [-1.0, -1.0, 0.0])
    np.testing.assert_allclose(scaled.max(0), [1.0, 1.0, 0.0])


def test_values_that_training_did_not_reach_are_named():
    ranges = fit_ranges([[0.0, 1.0], [2.0, 3.0]])
    with pytest.raises(DataError, match=r"X\[1, 0\] = 2\.5"):
        ranges.scale([[1.0, 1.0], [2.5, 1.0]])
    with pytest.raises(DataError, match="not finite"):
        ranges.scale([[np.nan, 1.0]])
    with pytest.raises(ShapeError):
        ranges.scale([[1.0]])
    with pytest.raises(ShapeError):
        fit_ranges([])

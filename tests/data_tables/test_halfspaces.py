import numpy as np
import pytest

from chainrule.data import halfspaces, load_bundled
from chainrule.errors import SettingError


def test_labels_are_those_of_the_half_spaces():
    sample = halfspaces(rows=301, features=5, count=4, seed=2)
    inside = (sample.points @ sample.normals.T <= sample.offset).all(1)
    np.testing.assert_array_equal(sample.labels, inside)
    np.testing.assert_allclose(np.linalg.norm(sample.normals, axis=1), 1.0)
    assert abs(inside.mean() - 0.5) < 0.01


def test_the_bundled_problem_is_drawn_by_it():
    frame = load_bundled("halfspaces", seed=5).frame
    np.testing.assert_array_equal(frame["x3"].to_numpy(), halfspaces(seed=5).points[:, 2])


def test_sizes_below_one_are_refused():
    with pytest.raises(SettingError, match="out of range"):
        halfspaces(count=0)

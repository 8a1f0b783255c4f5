import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import classic
from chainrule.errors import DataError, SettingError, ShapeError

INPUTS = [[0, 0], [0, 1], [1, 0], [1, 1]]


@given(st.integers(0, 50), st.sampled_from(["cyclic", "random"]))
def test_separable_rows_end_within_novikoffs_bound(seed, order):
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(20, 3)), rng.normal(size=4)
    margins = (X @ w[1:] + w[0]) / np.linalg.norm(w)
    X, margins = X[np.abs(margins) > 0.1], margins[np.abs(margins) > 0.1]
    y = np.sign(margins)
    found = classic.perceptron(X, y, order, seed=seed)
    assert found.converged and found.mistakes[-1] == 0
    np.testing.assert_array_equal(found.predict(X), y)
    radius = np.sqrt(1 + (X**2).sum(1).max())
    assert found.updates == sum(found.mistakes) <= (radius / np.abs(margins).min()) ** 2


def test_rows_that_cannot_be_separated_never_settle():
    found = classic.perceptron(INPUTS, [1, -1, -1, 1], epochs=50)
    assert not found.converged and len(found.mistakes) == 50 and min(found.mistakes) > 0


def test_the_rate_only_scales_and_an_order_belongs_to_its_seed():
    y = [-1, -1, -1, 1]
    assert classic.perceptron(INPUTS, y, lr=2.0).bias == -8.0
    random = [classic.perceptron(INPUTS, y, "random", seed=seed) for seed in (1, 1, 2, 3)]
    assert random[0].mistakes == random[1].mistakes
    assert len({found.mistakes for found in random}) > 1


def test_what_it_refuses():
    with pytest.raises(DataError, match="2 \\* y - 1"):
        classic.perceptron(INPUTS, [0, 0, 0, 1])
    with pytest.raises(ShapeError, match="do not fit"):
        classic.perceptron(INPUTS, [1, -1])
    with pytest.raises(SettingError, match="cyclic or random"):
        classic.perceptron(INPUTS, [-1, -1, -1, 1], order="sorted")

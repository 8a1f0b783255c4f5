import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import classic, nn
from chainrule.errors import DataError


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=20))
def test_the_corrected_bound_always_holds(rows):
    outputs, labels = map(np.array, zip(*rows, strict=True))
    bound = classic.surrogate_bound(outputs, labels)
    assert bound.holds and bound.constant == 4.0
    assert bound.zero_one == sum((outputs >= 0.5) != (labels == 1))
    signed = classic.surrogate_bound(2 * outputs - 1, np.where(labels == 1, 1, -1), signed=True)
    assert signed.holds and signed.constant == 1.0 and signed.zero_one == bound.zero_one


def test_scaling_leaves_the_model_alone_and_scales_biases_too():
    model = nn.MLP([2, 3, 1], activation="logistic", seed=0)
    before = model.state_dict()
    twin = classic.scaled(model, 3.0)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
        np.testing.assert_allclose(twin.state_dict()[name], 3.0 * value, rtol=1e-6)


def test_other_labels_are_refused():
    with pytest.raises(DataError, match="labels"):
        classic.surrogate_bound([0.1], [-1])

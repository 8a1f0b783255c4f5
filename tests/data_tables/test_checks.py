import numpy as np
import pytest

from chainrule.data import check_finite
from chainrule.errors import DataError


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3)),
        np.full((2, 2), 3e38, dtype=np.float32),  # the sum overflows, the entries do not
        np.array([1.7e308, 1.7e308, -1.7e308]),
        np.array([True, False]),
        np.array([1, 2], dtype=np.uint8),
        np.array(1.5),
        np.array([1 + 1j]),
        np.arange(12.0).reshape(3, 4)[:, ::2],
    ],
)
def test_finite_arrays_pass(array):
    check_finite("X", array)


def test_rows_and_columns_are_named():
    X = np.zeros((30, 4), dtype=np.float32)
    X[3, 1], X[7, 0], X[29, 3] = np.nan, np.inf, -np.inf
    with pytest.raises(DataError) as caught:
        check_finite("X", X)
    message = str(caught.value)
    assert "X has 3 values that are not finite" in message
    assert "X[3, 1] = nan, X[7, 0] = inf, X[29, 3] = -inf (rows and columns counted from 0" in message
    assert "rows 3, 7, 29" in message


def test_opposite_infinities_are_noticed():
    with pytest.raises(DataError, match="y has 2 values"):
        check_finite("y", np.array([np.inf, -np.inf, 1.0]))


def test_many_are_counted_and_few_shown():
    with pytest.raises(DataError, match=r"y has 100 values(.*\n)*.*y\[4\] = nan and 95 more"):
        check_finite("y", np.full(100, np.nan))


def test_a_scalar():
    with pytest.raises(DataError, match="loss = inf"):
        check_finite("loss", np.array(np.inf))


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([{}]), np.array(["2020-01-01"], dtype="M8[D]")])
def test_what_is_not_numbers(array):
    with pytest.raises(DataError, match="does not hold numbers"):
        check_finite("X", array)

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import GradientError


@pytest.mark.parametrize(
    ("f", "kind", "eigenvalues"),
    [
        (lambda x: (x**2).sum() + x[0] * x[1], "minimum", [1, 3]),
        (lambda x: -(x**2).sum() + x[0] * x[1], "maximum", [-3, -1]),
        (lambda x: x[0] ** 2 - 3.0 * x[1] ** 2, "saddle", [-6, 2]),
        (lambda x: x[0] ** 2 + x[1] ** 4, "inconclusive", [0, 2]),
        (lambda x: x[0] ** 4 - x[1] ** 4, "inconclusive", [0, 0]),
        (lambda x: x[0] ** 3 - x[1] ** 2, "inconclusive", [-2, 0]),
    ],
)
def test_kinds(f, kind, eigenvalues):
    found = cr.second_derivative_test(f, np.zeros(2))
    assert found.kind == kind
    np.testing.assert_allclose(found.eigenvalues, eigenvalues, atol=1e-12)
    assert found.gradient_norm == 0 and found.reason


def test_three_directions_of_which_one_is_flat_still_make_a_saddle():
    found = cr.second_derivative_test(lambda x: x[0] ** 2 - x[1] ** 2 + x[2] ** 4, [0.0, 0.0, 0.0])
    assert found.kind == "saddle" and found.reason == "of 3 directions 1 curve up and 1 down"


def test_first_direction_leads_down():
    f = lambda x: x[0] * x[1]
    found = cr.second_derivative_test(f, [0.0, 0.0])
    np.testing.assert_allclose(np.abs(found.directions[0]), np.sqrt([0.5, 0.5]))
    assert all(f(t * found.directions[0]) < 0 for t in (0.1, -0.1))


def test_points_of_several_arrays():
    f = lambda p: 0.5 * (p["w"] @ p["v"] - 1.0) ** 2
    saddle = cr.second_derivative_test(f, {"w": np.zeros(2, np.float32), "v": np.zeros(2)})
    assert saddle.kind == "saddle" and saddle.value == 0.5
    np.testing.assert_allclose(saddle.eigenvalues, [-1, -1, 1, 1])
    scalar = cr.second_derivative_test(cr.cos, 0.0)
    assert scalar.kind == "maximum"


def test_a_slope_is_not_judged():
    found = cr.second_derivative_test(lambda x: (x**2).sum(), [0.1, 0.0])
    assert found.kind == "inconclusive" and "0.2" in found.reason
    assert (
        cr.second_derivative_test(lambda x: (x**2).sum(), [0.1, 0.0], gradient_tolerance=1).kind == "minimum"
    )


def test_least_squares_network():
    # the linear model's critical point is its minimum, of Hessian 2 X^T X / n
    X = np.column_stack([np.ones(9), np.linspace(-1, 1, 9)])
    y = X @ [1.0, 2.0] + np.sin(np.arange(9))
    model = nn.Linear(2, 1, bias=False)
    f = nn.as_function(model)
    found = cr.second_derivative_test(
        lambda theta: nn.squared_error(f(theta, X), y), np.linalg.lstsq(X, y, rcond=None)[0]
    )
    assert found.kind == "minimum"
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(2 * X.T @ X / 9), rtol=1e-10)


def test_not_finite():
    with pytest.raises(GradientError, match="not finite"):
        cr.second_derivative_test(lambda x: cr.sqrt(x[0]) ** 2 * cr.log(x[0]), [0.0])

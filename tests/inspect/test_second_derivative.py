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
    wide = {"gradient_tolerance": 1, "step_tolerance": 1}
    assert cr.second_derivative_test(lambda x: (x**2).sum(), [0.1, 0.0], **wide).kind == "minimum"


# functions without a critical point that are flatter than any tolerance far away, from where on they are, and to where
FLAT = {
    "exp": (lambda x: cr.exp(-x), np.geomspace(14, 700, 30)),
    "logistic": (lambda w: cr.logistic(10 * w) ** 2, np.linspace(2, 60, 40)),
    "tanh": (cr.tanh, np.linspace(8, 40, 20)),
    "softplus": (cr.softplus, np.linspace(-700, -14, 20)),
    "cross entropy": (lambda w: cr.softplus(-w) + 1.0, np.linspace(14, 80, 20)),
    "power": (lambda x: 1.0 / x, np.geomspace(1e4, 1e8, 10)),
    "small": (lambda x: 1e-9 * x, np.linspace(-1, 1, 5)),
    "slope": (lambda x: 1e-9 * x + 1e-9 * x**2, np.linspace(1, 9, 5)),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_region_is_no_critical_point(name):
    f, points = FLAT[name]
    for point in points:
        found = cr.second_derivative_test(f, point)
        assert found.gradient_norm < 1e-5 and found.kind == "inconclusive", point


def test_what_newtons_step_says_is_reported():
    found = cr.second_derivative_test(lambda x: cr.exp(-x), 20.0)
    assert found.newton_step == pytest.approx(1.0) and "Newton's step" in found.reason
    assert cr.second_derivative_test(lambda x: cr.exp(-x), 20.0, step_tolerance=np.inf).kind == "minimum"


@pytest.mark.parametrize("offset", [0.0, 1e-10, 1e-8, 3e-7])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("added", [0.0, 1e3])
def test_a_point_that_is_nearly_critical_is_judged(offset, scale, added):
    for signs, kind in (([1, 2], "minimum"), ([-1, -2], "maximum"), ([1, -1], "saddle")):
        f = lambda x, signs=signs: scale * (np.array(signs) * cr.square(x - 1.0)).sum() + added
        tolerance = {"gradient_tolerance": 10 * scale}
        assert cr.second_derivative_test(f, np.ones(2) + offset, **tolerance).kind == kind


@pytest.mark.parametrize("seed", range(7))
@pytest.mark.parametrize("output", [None, "logistic"])
def test_a_solved_xnor_is_no_saddle(seed, output):
    """Its loss is 0, or goes there: the curvature beside the valley is that of what is left of the loss."""
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([[1], [0], [0], [1.0]])
    model = nn.MLP([2, 3, 1], "tanh", output_activation=output, seed=seed, dtype=np.float64)
    cr.fit(model, (x, y), loss=nn.squared_error, optimizer=cr.optim.Adam(0.05), epochs=2500, batch_size=4)
    f, theta = nn.as_function(model), nn.flatten_parameters(model)
    if nn.squared_error(model(x), y).item() < 1e-4:
        for gradient_tolerance in (1e-6, 1e-3):
            found = cr.second_derivative_test(
                lambda t: nn.squared_error(f(t, x), y), theta, gradient_tolerance=gradient_tolerance
            )
            assert found.kind == "inconclusive"


def test_a_kink_is_not_judged_by_one_side():
    assert (
        cr.second_derivative_test(lambda x: cr.square(cr.relu(x)).sum() - x @ x, np.zeros(2)).kind
        == "inconclusive"
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

"""Lecture A: networks over a graph, the surrogate problem, the remarks on practice.

Rows A1, A4, A20 to A29 are those of test_graphs.py.
"""

import numpy as np
import pytest

import chainrule as cr
from chainrule import classic, nn, optim
from chainrule.data import halfspaces

XNOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([[1.0], [0.0], [0.0], [1.0]])


def same(got, expected, rtol=1e-11):
    np.testing.assert_allclose(np.asarray(got), expected, rtol=rtol, atol=1e-15)


def xnor_network(seed=0, dtype=np.float64):
    return nn.MLP([2, 2, 1], activation="logistic", output_activation="logistic", seed=seed, dtype=dtype)


def descend(model, steps, lr=2.5, restarts=1, **settings):
    """Plain gradient descent on the sum of squares: an epoch is 500 steps, each on all four rows."""
    X, y = (np.tile(part, (500, 1)) for part in XNOR)
    return cr.fit(
        model,
        (X, y),
        loss=lambda a, b: nn.squared_error(a, b, "sum"),
        optimizer=optim.SGD(lr),
        epochs=steps // 500,
        batch_size=4,
        shuffle=False,
        restarts=restarts,
        progress=False,
        **settings,
    )


@pytest.fixture(scope="module")
def solved():
    model = xnor_network()
    descend(model, 10_000, restarts=4)
    return model


def test_A2_the_01_loss_is_a_sum_and_a_small_nudge_leaves_it_unchanged():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)), rng.integers(0, 2, 50)
    model = nn.MLP([3, 4, 1], activation="step", output_activation="step", seed=1, dtype=np.float64)
    theta = nn.flatten_parameters(model)

    def loss(point):
        nn.unflatten_parameters(model, point)
        return nn.zero_one(model(X), y, "sum").item()

    misses = int((np.asarray(model(X))[:, 0] != y).sum())
    assert loss(theta) == misses > 0
    assert all(loss(theta + 1e-9 * rng.normal(size=theta.size)) == misses for _ in range(20))
    assert any(loss(theta + rng.normal(size=theta.size)) != misses for _ in range(20))


def test_A3_logistic(golden):
    table = golden("ABCE_activation_tables")
    z = table.inputs.z
    same(cr.logistic(z), table.expected.logistic)
    same(cr.grad(lambda z: cr.logistic(z).sum())(z), table.expected.logistic_derivative)
    assert cr.logistic(np.float64(0)).item() == 0.5
    assert cr.grad(cr.logistic)(np.float64(0)).item() == 0.25


def test_A5_smooth_in_the_parameters():
    model = nn.MLP([3, 4, 2], activation="logistic", output_activation="logistic", seed=0, dtype=np.float64)
    X = np.random.default_rng(0).normal(size=(7, 3))
    f, theta = nn.as_function(model), nn.flatten_parameters(model)
    total = lambda theta: f(theta, X).sum()
    cr.check_gradients(total, theta)
    exact = cr.grad(total)(theta).numpy()
    for i, axis in enumerate(np.eye(theta.size)):  # and by hand
        slope = (total(theta + 1e-5 * axis).item() - total(theta - 1e-5 * axis).item()) / 2e-5
        assert slope == pytest.approx(exact[i], rel=1e-6, abs=1e-9)


def test_A6_surrogate_is_a_sum_without_a_half(golden):
    case = golden("BD_minibatch_and_loss_conventions")
    X, y, w = case.inputs.X_with_x0, case.inputs.y, case.inputs.w
    loss, gradient = cr.value_and_grad(lambda w: nn.squared_error(cr.logistic(X @ w), y, "sum"))(w)
    same(loss, case.expected.loss.sum_sq_doc000)
    same(gradient, case.expected.full_grad.sum_sq_doc000)


def test_A7_growing_parameters_turn_the_logistic_net_into_the_threshold_net(golden):
    case = golden("A_claim_16_1")
    given, expected = case.inputs.scaling, case.expected.scaling
    model = nn.MLP([1, 1], output_activation="logistic", dtype=np.float64)
    nn.unflatten_parameters(model, np.array([given.w, given.b]))
    x, y = given.x[:, None], given.y
    for row in expected.rows:
        outputs = classic.scaled(model, row.c)(x)
        same(outputs.numpy()[:, 0], row.outputs)
        same(nn.squared_error(outputs, y, "sum"), row.L_S)
    threshold = nn.MLP([1, 1], output_activation="step", dtype=np.float64)
    threshold.load_state_dict(model.state_dict())
    assert nn.zero_one(threshold(x), y, "sum").item() == expected.zero_one_loss_of_threshold_net
    limit = classic.scaled(model, 1e4)(x)
    np.testing.assert_array_equal(limit.numpy(), threshold(x).numpy())
    # erratum 3: where u is 0 the limit is 1/2
    zero = case.expected.zero_preactivation
    assert cr.logistic(1e6 * (zero.w * zero.x + zero.b)).item() == zero.limit_of_sigma_c_times_u


def test_A8_the_01_loss_is_at_most_four_times_the_surrogate(golden):
    expected = golden("A_claim_16_1").expected
    half = expected.threshold_half
    bound = classic.surrogate_bound([0.4], [1])
    same(bound.surrogate, half.sq_loss)
    same(bound.constant * bound.surrogate, half.corrected_bound_4L)
    assert (bound.zero_one, bound.holds, bound.printed_holds) == (1.0, True, False)
    both = expected.contradictory
    bound = classic.surrogate_bound([both.argmin_output] * 2, [0, 1])
    same(bound.surrogate, both.L_S_min)
    assert (bound.zero_one, bound.holds, bound.printed_holds) == (both.zero_one, True, False)
    example = expected.pm1_version.example
    bound = classic.surrogate_bound([example.output], [example.y], signed=True)
    same(bound.surrogate, example.sq_loss)
    assert (bound.constant, bound.zero_one, bound.holds) == (1.0, example.zero_one, True)


def test_A9_the_empirical_risk_is_not_convex(solved):
    X, y = XNOR
    f, theta = nn.as_function(solved), nn.flatten_parameters(solved)
    # the same function, hidden neurons in the other order: weights [2, 2], biases [2], weights [1, 2], bias
    mirror = theta[[2, 3, 0, 1, 5, 4, 7, 6, 8]]
    loss = lambda theta: nn.squared_error(f(theta, X), y, "sum").item()
    assert loss(theta) == pytest.approx(loss(mirror), rel=1e-12)
    assert loss(theta) < 0.01 < 0.4 < loss((theta + mirror) / 2)


def test_A10_descent_stops_at_a_critical_point_and_says_so():
    net = nn.Sequential(*(nn.Linear(1, 1, bias=False, dtype=np.float64) for _ in range(2)))
    nn.unflatten_parameters(net, np.array([0.5, -0.5]))
    history = cr.fit(
        net,
        (np.ones((1, 1)), np.ones(1)),
        loss=nn.half_squared_error,
        optimizer=optim.SGD(0.1),
        epochs=1000,
        stop=cr.GradientNorm(1e-8),
        progress=False,
    )
    (reason,) = history.stopped
    assert reason.startswith("critical point") and "minimum" not in reason
    assert history.loss[0, -1] == pytest.approx(0.5)  # a saddle: the minimum is 0
    assert np.abs(nn.flatten_parameters(net)).max() < 1e-7


def test_A11_restarts_from_different_points():
    history = descend(xnor_network(), 10_000, restarts=40)
    final = history.loss[:, -1] / 500  # of the four rows: a total of all steps of the epoch
    assert 28 <= (final < 0.01).sum() <= 38
    # those that fail stay where half the rows, or three of the four, cannot be told apart
    stuck = final[final > 0.1]
    assert ((np.abs(stuck - 0.5) < 0.02) | (np.abs(stuck - 2 / 3) < 0.02)).all()
    assert final[history.best] == final.min()


def test_A12_half_spaces_are_easy_to_represent_and_hard_to_learn():
    count = 8
    sample = halfspaces(rows=2000, features=20, count=count, seed=0)
    planted = nn.MLP([20, count, 1], activation="step", output_activation="step", dtype=np.float64)
    inside, all_of_them = np.full(count, sample.offset), [*np.ones(count), 0.5 - count]
    nn.unflatten_parameters(planted, np.concatenate([-sample.normals.ravel(), inside, all_of_them]))
    assert nn.zero_one(planted(sample.points), sample.labels, "sum").item() == 0
    learned = nn.MLP([20, count, 1], activation="logistic", output_activation="logistic", seed=0)
    cr.fit(
        learned,
        (sample.points, sample.labels),
        loss=nn.squared_error,
        optimizer=optim.Adam(0.02),
        epochs=100,
        batch_size=100,
        restarts=4,
        progress=False,
    )
    assert nn.zero_one(learned(sample.points), sample.labels).item() > 0.02


def test_A13_saturation(golden):
    table = golden("ABCE_activation_tables")
    slope = cr.grad(cr.logistic)
    assert slope(np.float64(10)).item() == pytest.approx(4.54e-5, rel=1e-3)
    same(slope(np.float64(10)), table.expected.logistic_derivative[5])


def test_A14_relu(golden):
    table = golden("ABCE_activation_tables")
    same(cr.relu(table.inputs.z), table.expected.relu)
    slopes = cr.grad(lambda z: cr.relu(z).sum())(table.inputs.z)
    same(slopes, table.expected.relu_derivative_with_convention_0_at_0)


def test_A15_two_relus_make_a_ramp_and_twice_the_neurons_a_network_of_ramps(golden):
    case = golden("A_relu_ramp")
    a, expected = case.inputs.a, case.expected
    same(cr.relu(a + 1) - cr.relu(a), expected.relu_a_plus_1_minus_relu_a)
    same(cr.relu(a + 1) - cr.relu(a), cr.clip(a + 1, 0, 1))
    same(
        cr.relu(a + 0.5) - cr.relu(a - 0.5),
        expected.centred_version_relu_a_plus_half_minus_relu_a_minus_half,
    )
    same(cr.grad(lambda a: cr.relu(a + 1) - cr.relu(a))(np.float64(-0.5)), expected.derivative_interior)
    rng = np.random.default_rng(0)
    W, b, V, c = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=(2, 5)), rng.normal(size=2)
    X = rng.normal(size=(40, 3))
    ramps = cr.clip(X @ W.T + b + 1, 0, 1) @ V.T + c
    relus = nn.MLP([3, 10, 2], activation="relu", dtype=np.float64)
    theta = [W, W, b + 1, b, np.hstack([V, -V]), c]
    nn.unflatten_parameters(relus, np.concatenate([part.ravel() for part in theta]))
    same(relus(X), ramps, rtol=1e-10)


def test_A16_parameters_and_edges_are_counted():
    model = nn.MLP([2, 3, 2, 1], activation="logistic", seed=0)
    assert sum(p.size for p in model.parameters()) == 2 * 3 + 3 + 3 * 2 + 2 + 2 * 1 + 1
    pairs = [("x1", "h"), ("x2", "h"), ("h", "o"), ("x1", "o")]
    net = nn.GraphNetwork(pairs, inputs=["x1", "x2"], outputs=["o"], seed=0)
    assert len(net.edges) == net.weight.size == 4
    assert "4 edges" in repr(net)


def test_A17_penalties():
    model = nn.MLP([2, 3, 1], seed=0, dtype=np.float64)
    rate = 0.3
    for penalty, slope in ((nn.l2(rate), lambda w: 2 * rate * w), (nn.l1(rate), lambda w: rate * np.sign(w))):
        model.zero_grad()
        penalty(model).backward()
        for name, p in model.named_parameters():
            if name.endswith("weight"):
                same(p.grad, slope(p.numpy()))
            else:
                assert p.grad is None  # biases are not penalised


def test_A18_dropout_zeroes_units_or_weights():
    ones = cr.tensor(np.ones((2000, 4)))
    layer = nn.Dropout(0.25, seed=0)
    out = layer(ones).numpy()
    assert set(np.unique(out)) == {0.0, 1 / 0.75}
    assert out.mean() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_array_equal(layer.eval()(ones).numpy(), ones.numpy())
    # lecture A's form (erratum 13): a weight that is zeroed keeps its value in this step
    linear = nn.Linear(30, 30, seed=0, dtype=np.float64)
    nn.WeightDropout(linear, 0.5, seed=0)(np.ones((3, 30))).sum().backward()
    dropped = linear.weight.grad.numpy() == 0
    assert 0.4 < dropped.mean() < 0.6
    before = linear.weight.numpy().copy()
    optim.SGD(0.1).attach(linear).step()
    np.testing.assert_array_equal(linear.weight.numpy()[dropped], before[dropped])
    assert (linear.weight.numpy()[~dropped] != before[~dropped]).all()

"""Lecture B: delta rule, three levels, minibatches, batch normalisation.

Row B25 is also that of tests/training/test_two_step.py.
"""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import classic, nn, optim
from chainrule.data import fit_ranges
from chainrule.errors import DataError

AND = [[0, 0], [0, 1], [1, 0], [1, 1]], [-1, -1, -1, 1]


def same(got, expected, rtol=1e-11, atol=1e-15):
    np.testing.assert_allclose(np.asarray(got), expected, rtol=rtol, atol=atol)


def assign(model, *layers):
    """Set weights from matrices (to, from) whose column 0 belongs to the constant."""
    theta = [part for layer in layers for part in (layer[:, 1:].ravel(), layer[:, 0])]
    nn.unflatten_parameters(model, np.concatenate(theta))


@pytest.fixture
def three(golden):
    """The golden case, its network, and one backward pass of f = sum of 1/2 (y_hat - y)^2."""
    case = golden("B_three_layer_q2")
    model = nn.MLP([2, 3, 2], activation="logistic", output_activation="logistic", dtype=np.float64)
    assign(model, case.inputs.W_m_j, case.inputs.V_k_m)
    case.model, case.x = model, case.inputs.x_with_x0[None, 1:]
    case.loss = nn.half_squared_error(model(case.x), case.inputs.y[None], "sum")
    case.loss.backward()
    return case


def with_bias(layer):
    """Gradient of a layer as the lecture writes it: column 0 is that of the constant."""
    return np.column_stack([layer.bias.grad.numpy(), layer.weight.grad.numpy()])


def test_B1_three_levels_with_constants(three):
    hidden = nn.Sequential(three.model[0], three.model[1])
    h = np.concatenate([[1.0], hidden(three.x).numpy()[0]])
    same(h, three.expected.h_with_h0)
    same(three.model(three.x)[0], three.expected.yhat)
    same(cr.logistic(three.inputs.V_k_m @ h), three.expected.yhat)  # v_0 and x_0 = 1 are the biases


def test_B2_three_activations_and_their_ranges(golden):
    table = golden("ABCE_activation_tables")
    z = table.inputs.z
    for name in ("sign", "logistic", "tanh"):
        same(getattr(cr, name)(z), getattr(table.expected, name))
    rng = np.random.default_rng(0).normal(size=1000)
    assert set(cr.sign(np.array([-3.0, 0.0, 2.0])).tolist()) == {-1.0, 0.0, 1.0}
    for f, low, high in ((cr.logistic, 0, 1), (cr.tanh, -1, 1)):
        assert low < f(rng).numpy().min() and f(rng).numpy().max() < high  # open (erratum 20)
    assert cr.logistic(np.float64(36.8)).item() == 1.0 > cr.logistic(np.float64(36.7)).item()


def test_B3_inputs_are_scaled_and_checked():
    rng = np.random.default_rng(0)
    rows = rng.normal(5.0, 30.0, size=(40, 3))
    scaled = fit_ranges(rows).scale(rows)
    assert scaled.min() == -1.0 and scaled.max() == 1.0
    with pytest.raises(DataError, match="outside the training rows' range"):
        fit_ranges(rows).scale(rows + 1000.0)
    nn.check_binary_targets([0, 1, 1])
    with pytest.raises(DataError, match="out of range"):
        nn.check_binary_targets([0, 1, 2])


PRINTED = {20: 0.0431, 40: 0.0213, 80: 0.0106, 160: 0.0053}


@pytest.mark.parametrize("M", [5, 10, 20, 40, 80, 160])
def test_B4_a_staircase_of_logistic_units_approximates_the_sine(golden, M):
    case = golden("BE_universal_approximation_staircase")
    g = lambda x: np.sin(2 * np.pi * x)
    m = np.arange(M)
    model = nn.MLP([1, M, 1], activation="logistic", dtype=np.float64)
    steps = np.concatenate([np.full(M, 8.0 * M), -8.0 * (m + 0.5), g((m + 1) / M) - g(m / M), [g(0.0)]])
    nn.unflatten_parameters(model, steps)
    x = np.linspace(0, 1, 2001)
    error = np.abs(model(x[:, None]).numpy()[:, 0] - g(x)).max()
    same(error, case.expected.sup_error[list(case.inputs.M).index(M)], rtol=1e-9)
    assert error == pytest.approx(PRINTED.get(M, error), abs=5e-5)


def test_B5_layers_nodes_and_activations_are_settings():
    for widths, names in (([4, 7, 3], ["tanh"]), ([4, 2, 2, 2, 1], ["relu", "logistic", "tanh"])):
        model = nn.MLP(widths, activation=names, output_activation="logistic", seed=0)
        assert model(np.zeros((5, 4))).shape == (5, widths[-1])
        shapes = [p.shape for name, p in model.named_parameters() if name.endswith("weight")]
        assert shapes == [(b, a) for a, b in itertools.pairwise(widths)]


def test_B6_two_levels_are_a_single_neuron(golden):
    case = golden("B_delta_rule_single_neuron")
    model = nn.MLP([2, 1], output_activation="logistic", dtype=np.float64)
    assign(model, case.inputs.w[None])
    same(model(case.inputs.x_with_x0[None, 1:]).item(), case.expected.yhat)


def test_B7_the_loss_is_a_sum_of_halves(golden):
    single = golden("B_delta_rule_single_neuron")
    same(
        nn.half_squared_error(np.array([single.expected.yhat]), [single.inputs.y], "sum"), single.expected.f_i
    )
    case = golden("BD_minibatch_and_loss_conventions")
    outputs = cr.logistic(case.inputs.X_with_x0 @ case.inputs.w)
    same(nn.half_squared_error(outputs, case.inputs.y, "sum"), case.expected.loss.sum_half_sq_doc001)


def test_B8_sign_gives_the_perceptron_algorithm():
    found = classic.perceptron(*AND)
    assert (found.bias, *found.weights, found.updates) == (-4.0, 3.0, 2.0, 18)
    assert found.mistakes == (2, 3, 3, 2, 2, 3, 2, 1, 0) and found.converged
    # erratum 15: the same as the delta rule for sign with its derivative replaced by 1, ties counting as wrong
    X, y = np.column_stack([np.ones(4), AND[0]]), np.array(AND[1])
    w = np.zeros(3)
    for _ in found.mistakes:
        for x, label in zip(X, y, strict=True):
            output = np.sign(w @ x) or -label
            w -= 0.5 * (output - label) * x
    same(w, [found.bias, *found.weights])
    assert cr.grad(cr.sign)(np.float64(0.3)).item() == 0.0  # which is why the derivative must be replaced


def test_B9_derivative_of_the_logistic_function():
    z = np.linspace(-6, 6, 25)
    s = cr.logistic(z).numpy()
    same(cr.grad(lambda z: cr.logistic(z).sum())(z), s * (1 - s), rtol=1e-10)


def test_B10_constant_steps_leave_a_noise_ball_and_falling_ones_converge():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(100, 2))
    y = (rng.uniform(size=100) < cr.logistic(X @ [2.0, -1.0] + 0.5).numpy()).astype(float)
    inputs = np.column_stack([np.ones(100), X])
    risk = lambda w: 0.5 * np.mean((cr.logistic(inputs @ w).numpy() - y) ** 2)
    slope = cr.compile(cr.grad(lambda w: nn.half_squared_error(cr.logistic(inputs @ w), y)))
    best = np.zeros(3)
    for _ in range(3000):
        best = best - 5.0 * slope(best).numpy()
    excess = {}
    for name, lr in (("0.5", 0.5), ("0.25", 0.25), ("1/t", optim.InverseTime(4.0, decay=0.05))):
        run = classic.delta_rule(X, y, lr=lr, steps=6_000, seed=1)
        assert set(run.rows) == set(range(100))  # uniformly at random
        excess[name] = np.mean([risk(w) for w in run.path[-3000::50]]) - risk(best)
    assert excess["0.5"] > 1.5 * excess["0.25"] > 4 * excess["1/t"] > 0


def test_B11_delta_is_one_number_for_all_weights(golden):
    case = golden("B_delta_rule_single_neuron")
    run = one_step(case)
    same(run.deltas[0], case.expected.delta)
    y_hat = run.outputs[0]
    same(run.deltas[0], (y_hat - case.inputs.y) * y_hat * (1 - y_hat))
    same(run.deltas[0] * case.inputs.x_with_x0, case.expected.grad)


def one_step(case):
    w, x = case.inputs.w, case.inputs.x_with_x0
    return classic.delta_rule(
        x[None, 1:], [case.inputs.y], lr=case.inputs.alpha, steps=1, weights=w[1:], bias=w[0]
    )


def test_B12_delta_rule(golden):
    case = golden("B_delta_rule_single_neuron")
    run = one_step(case)
    same([run.bias, *run.weights], case.expected.w_next)
    same(run.outputs[0], case.expected.yhat)
    same(run.losses[0], case.expected.f_i)


def test_B13_the_steps_of_the_algorithm():
    rng = np.random.default_rng(0)
    X, Y = rng.uniform(-1, 1, size=(8, 2)), rng.integers(0, 2, size=(8, 2)).astype(float)
    model = nn.MLP([2, 3, 2], activation="logistic", output_activation="logistic", seed=0, dtype=np.float64)
    W, V = (np.column_stack([layer.bias.numpy(), layer.weight.numpy()]) for layer in (model[0], model[2]))
    optimizer = optim.SGD(0.3).attach(model)
    logistic = lambda z: 1 / (1 + np.exp(-z))
    for i in rng.integers(0, 8, size=30):
        nn.half_squared_error(model(X[i : i + 1]), Y[i : i + 1], "sum").backward()
        optimizer.step()
        optimizer.zero_grad()
        x = np.concatenate([[1.0], X[i]])  # the same in the lecture's formulas
        h = np.concatenate([[1.0], logistic(W @ x)])
        y_hat = logistic(V @ h)
        delta = (y_hat - Y[i]) * y_hat * (1 - y_hat)
        gamma = (V.T @ delta * h * (1 - h))[1:]
        V, W = V - 0.3 * np.outer(delta, h), W - 0.3 * np.outer(gamma, x)
    for layer, expected in ((model[0], W), (model[2], V)):
        same(np.column_stack([layer.bias.numpy(), layer.weight.numpy()]), expected)


def test_B14_gradient_of_the_upper_layer(three):
    y_hat = three.expected.yhat
    delta = (y_hat - three.inputs.y) * y_hat * (1 - y_hat)
    same(delta, three.expected.delta)
    same(with_bias(three.model[2]), three.expected.grad_V)
    same(np.outer(delta, three.expected.h_with_h0), three.expected.grad_V)
    same(three.loss, three.expected.f_i)


def test_B15_scalar_vector_and_matrix_forms_agree(three):
    h, delta, alpha = three.expected.h_with_h0, three.expected.delta, three.inputs.alpha
    V = three.inputs.V_k_m
    scalars = [[V[k, m] - alpha * delta[k] * h[m] for m in range(4)] for k in range(2)]
    vectors = [V[k] - alpha * delta[k] * h for k in range(2)]
    matrix = V.T - alpha * np.outer(h, delta)  # (M + 1) x q, the lecture's layout (erratum 25)
    for form in (scalars, vectors, matrix.T):
        same(form, three.expected.V_next)
    assert matrix.shape == (4, 2)
    document = three.expected.document_matrix_form
    same(with_bias(three.model[2]).T, document.V_is_Mplus1_by_q_grad)
    same(with_bias(three.model[0]).T, document.W_is_pplus1_by_M_grad)


def test_B16_gradient_of_the_lower_layer(three):
    same(with_bias(three.model[0]), three.expected.grad_W)
    gamma = three.expected.gamma_m0_to_3[1:]
    same(np.outer(gamma, three.inputs.x_with_x0), three.expected.grad_W)
    h, delta = three.expected.h_with_h0, three.expected.delta
    same((three.inputs.V_k_m.T @ delta * h * (1 - h))[1:], gamma, rtol=1e-10)


def test_B17_gamma_0_is_exactly_0(three):
    h, delta = three.expected.h_with_h0, three.expected.delta
    assert (three.inputs.V_k_m.T @ delta * h * (1 - h))[0] == three.expected.gamma_m0_to_3[0] == 0.0


def test_B18_all_updates_read_the_previous_weights(three):
    optim.SGD(three.inputs.alpha).attach(three.model).step()
    for layer, expected in (
        (three.model[0], three.expected.W_next_simultaneous),
        (three.model[2], three.expected.V_next),
    ):
        same(np.column_stack([layer.bias.numpy(), layer.weight.numpy()]), expected)
    W_next = three.expected.W_next_simultaneous
    assert W_next[1][0] == pytest.approx(-0.109705236605, rel=1e-11)
    assert three.expected.WRONG_W_next_using_updated_V[1][0] == pytest.approx(-0.109485460428, rel=1e-11)


def test_B19_any_depth():
    X, y = np.random.default_rng(0).normal(size=(5, 3)), np.full((5, 2), 0.3)
    for depth in (0, 1, 2, 6):
        widths = [3, *[4] * depth, 2]
        model = nn.MLP(widths, activation="tanh", output_activation="logistic", seed=0, dtype=np.float64)
        f, theta = nn.as_function(model), nn.flatten_parameters(model)
        cr.check_gradients(lambda theta, f=f: nn.half_squared_error(f(theta, X), y, "sum"), theta)


def test_B20_of_many_starts_the_lowest_loss_is_kept():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(64, 2))
    y = (X[:, :1] * X[:, 1:] > 0).astype(float)
    model = nn.MLP([2, 3, 1], activation="logistic", output_activation="logistic", dtype=np.float64)
    loss = nn.half_squared_error
    history = cr.fit(
        model, (X, y), loss=loss, optimizer=optim.Adam(0.05), epochs=60, restarts=6, progress=False
    )
    final = history.loss[:, -1]
    assert history.best == final.argmin() and np.ptp(final) > 0.001
    single = loss(model(X), y).item()
    assert single <= final.min()


def test_B21_a_minibatch_is_distinct_rows_and_its_gradient_a_sum(golden):
    case = golden("BD_minibatch_and_loss_conventions")
    X, y, w = case.inputs.X_with_x0, case.inputs.y, case.inputs.w
    gradient = lambda rows: cr.grad(
        lambda w: nn.half_squared_error(cr.logistic(X[rows] @ w), y[rows], "sum")
    )(w)
    for i, each in enumerate(case.expected.per_sample_grad):
        same(gradient([i]), each)
    for pair, total in zip(case.expected.pairs.astype(int), case.expected.minibatch_sum_grads, strict=True):
        same(gradient(list(pair)), total)
    # fit draws minibatches without replacement: after one epoch each row was used once
    counts = nn.MLP([12, 1], dtype=np.float64)
    nn.unflatten_parameters(counts, np.zeros(13))
    loss = lambda prediction, target: prediction.sum()
    cr.fit(
        counts, (np.eye(12), np.zeros(12)), loss=loss, optimizer=optim.SGD(1.0),
        epochs=1, batch_size=5, progress=False,
    )  # fmt: skip
    same(nn.flatten_parameters(counts), [*[-1.0] * 12, -12.0])


Z = np.random.default_rng(3).normal(2.0, 3.0, size=(6, 4))


def test_B22_moments_before_and_after():
    before, after = nn.BatchNorm1d(4, eps=0.0, dtype=np.float64).moments(Z)
    same(before[0], Z.mean(0))
    same(before[1], Z.var(0))
    same(after[0], np.zeros(4), atol=1e-13)
    same(after[1], np.ones(4))


def normalised(eps=1e-2):
    layer = nn.BatchNorm1d(4, eps=eps, dtype=np.float64)
    rng = np.random.default_rng(4)
    layer.weight.assign(rng.normal(size=4))
    layer.bias.assign(rng.normal(size=4))
    tilde = (Z - Z.mean(0)) / np.sqrt(np.mean((Z - Z.mean(0)) ** 2, 0) + eps)
    return layer, tilde


def test_B23_biased_variance_and_eps_inside_the_root():
    layer, tilde = normalised()
    same(layer(Z), layer.weight.numpy() * tilde + layer.bias.numpy())


def test_B24_backward_through_batch_normalisation():
    layer, tilde = normalised()
    gamma, delta = layer.weight.numpy(), np.random.default_rng(5).normal(size=(6, 4))
    z = cr.tensor(Z, requires_grad=True)
    layer(z).backward(delta)
    root = np.sqrt(Z.var(0) + 1e-2)
    dz = gamma / root * (delta - delta.mean(0) - tilde * (delta * tilde).mean(0))
    same(z.grad, dz, rtol=1e-10, atol=1e-14)
    same(z.grad.numpy().sum(0), np.zeros(4), atol=1e-13)
    same(layer.weight.grad, (delta * tilde).sum(0))
    same(layer.bias.grad, delta.sum(0))
    one = cr.tensor(Z[:1], requires_grad=True)
    layer(one).backward(delta[:1])
    np.testing.assert_array_equal(one.grad.numpy(), np.zeros((1, 4)))
    layer.eval()
    running = (Z - layer.running_mean.numpy()) / np.sqrt(layer.running_var.numpy() + 1e-2)
    same(layer(Z), gamma * running + layer.bias.numpy())

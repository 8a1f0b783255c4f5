"""Lecture C: the gradient theorem, Algorithms 1 and 2, softmax with cross-entropy."""

import itertools
from collections import Counter

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.graph import topological

EXACT = {"rtol": 1e-11, "atol": 1e-15}


def same(got, expected):
    np.testing.assert_allclose(np.asarray(got), expected, **EXACT)


@pytest.fixture
def case(golden):
    return golden("C_algorithm1_and_2_multi_output_regression")


@pytest.fixture
def softmax_case(golden):
    return golden("C_softmax_cross_entropy")


@pytest.fixture
def model(case):
    """The golden net: tanh, logistic, tanh."""
    given = case.inputs
    layers = [nn.Linear(W.shape[1], W.shape[0], dtype=cr.float64) for W in (given.W1, given.W2, given.W3)]
    for layer, W, b in zip(
        layers, (given.W1, given.W2, given.W3), (given.b1, given.b2, given.b3), strict=True
    ):
        layer.weight.assign(W)
        layer.bias.assign(b)
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Logistic(), layers[2], nn.Tanh())


def cost(output, target):
    """Lecture C's: the squared norm of a row, averaged over rows."""
    return nn.squared_error(output, target, "batchmean")


def z_and_a(model, x):
    """Every z_l and a_l of one row."""
    values = [model[: i + 1](x[None]).numpy()[0] for i in range(len(model))]
    return values[0::2], values[1::2]


def deltas(model, x, y):
    """dC/dz_l of one row: the biases' gradients, by the theorem."""
    model.zero_grad()
    cost(model(x[None]), y[None]).backward()
    return [layer.bias.grad.numpy() for layer in list(model)[0::2]]


# The theorem


@pytest.mark.parametrize("widths", [(2, 3, 2, 2), (4, 1), (3, 5, 5, 1), (7, 2, 9)])
def test_C1_theta_is_one_flat_vector(widths, case):
    model = nn.MLP(widths, seed=1, dtype=cr.float64)
    theta = nn.flatten_parameters(model)
    pairs = list(itertools.pairwise(widths))
    assert theta.shape == (sum(p * q + q for p, q in pairs),)
    assert widths != (2, 3, 2, 2) or theta.size == case.expected.dim_theta == 23
    before = model.state_dict()
    nn.unflatten_parameters(model, 2 * theta)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, 2 * before[name])
    x = np.ones((2, widths[0]))
    np.testing.assert_array_equal(nn.as_function(model)(2 * theta, x).numpy(), model(x).numpy())


def test_C2_steepest_descent_goes_down_the_gradient(model, case):
    x, y, theta = case.inputs.X, case.inputs.Y, nn.flatten_parameters(model)
    gradient = cr.grad(lambda theta: cost(nn.as_function(model)(theta, x), y))(theta).numpy()
    cr.fit(
        model, (x, y), loss=cost, optimizer=optim.SGD(0.05), epochs=1, executor="interpreted", progress=False
    )
    np.testing.assert_allclose(nn.flatten_parameters(model), theta - 0.05 * gradient, rtol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [
        optim.SGD(0.1),
        optim.SGD(0.05, momentum=0.9),
        optim.SGD(0.05, momentum=0.9, nesterov=True),
        optim.RMSprop(0.01),
        optim.Adagrad(0.1),
        optim.Adam(0.02),
        optim.AdamW(0.02),
        optim.NAdam(0.02),
        optim.LBFGS(max_iterations=100),
    ],
    ids=lambda o: str(o.describe()["name"]),
)
def test_C2_variations_of_steepest_descent(optimizer, model, case):
    data = (case.inputs.X, case.inputs.Y)
    before = cost(model(data[0]), data[1]).item()
    cr.fit(model, data, loss=cost, optimizer=optimizer, epochs=100, executor="interpreted", progress=False)
    assert cost(model(data[0]), data[1]).item() < 0.5 * before


def test_C3_training_loss_is_the_mean(model, case):
    rows = [cost(model(x[None]), y[None]).item() for x, y in zip(case.inputs.X, case.inputs.Y, strict=True)]
    whole = cost(model(case.inputs.X), case.inputs.Y).item()
    same(whole, case.expected.algorithm2.loss)
    same(np.mean(rows), whole)


def test_C4_activations_act_on_each_element_alone(model, case):
    expected = case.expected.algorithm1_sample0
    z, _ = z_and_a(model, case.inputs.X[0])
    for activation, values, diagonal in zip(
        (cr.tanh, cr.logistic), z, (expected.D1_diag, expected.D2_diag), strict=False
    ):
        D = cr.jacobian(activation)(values).numpy()
        same(np.diag(D), diagonal)
        np.testing.assert_array_equal(D, np.diag(np.diag(D)))


def test_C5_gradients_are_delta_times_a_transposed(model, case):
    expected = case.expected.algorithm1_sample0
    x, y = case.inputs.X[0], case.inputs.Y[0]
    _, a = z_and_a(model, x)
    found = deltas(model, x, y)
    for i, (delta, below) in enumerate(zip(found, (x, a[0], a[1]), strict=True), 1):
        same(delta, getattr(expected, f"delta{i}"))
        weight = list(model)[2 * i - 2].weight.grad.numpy()
        same(weight, getattr(expected, f"dW{i}"))
        same(weight, np.outer(delta, below))
    cr.check_gradients(lambda theta: cost(nn.as_function(model)(theta, x[None]), y[None]), np.ones(23) / 3)


def test_C6_the_recursion_of_delta(model, case):
    expected = case.expected.algorithm1_sample0
    W2, W3 = case.inputs.W2, case.inputs.W3
    delta1, delta2, delta3 = deltas(model, case.inputs.X[0], case.inputs.Y[0])
    same(delta2, np.diag(expected.D2_diag) @ W3.T @ delta3)
    same(delta1, np.diag(expected.D1_diag) @ W2.T @ delta2)


def coupled(z):
    """An output function whose Jacobian is neither diagonal nor symmetric."""
    z0, z1, z2 = z[:, 0], z[:, 1], z[:, 2]
    return cr.stack([z0 * z1, cr.tanh(z1 + 2.0 * z2), z2 + cr.sin(z0)], 1)


LAST = {
    "softmax, squared error": (cr.softmax, lambda g: ((g - 0.2) ** 2).sum()),
    "softmax, probability of a label": (cr.softmax, lambda g: nn.log_loss(g, [2])),
    "softmax, absolute error": (cr.softmax, lambda g: cr.abs(g - 0.2).sum()),
    "unit length, squared error": (lambda z: z / cr.norm(z), lambda g: ((g - 0.2) ** 2).sum()),
    "coupled, squared error": (coupled, lambda g: ((g - 0.2) ** 2).sum()),
}


@pytest.mark.parametrize("name", LAST)
def test_C7_last_layers_with_a_full_jacobian(name):
    S, C = LAST[name]
    z = np.array([[0.4, -1.1, 0.9]])
    J = cr.jacobian(lambda z: S(z)[0])(z).numpy()[:, 0]  # J[i, j] = dS_i/dz_j
    assert np.count_nonzero(np.abs(J - np.diag(np.diag(J))) > 1e-3) >= 3
    dC_dg = cr.grad(C)(S(cr.tensor(z)).numpy()).numpy()[0]
    delta = cr.grad(lambda z: C(S(z)))(z).numpy()[0]
    same(delta, J.T @ dC_dg)  # the lecture's dS/dz is D's Jacobian transposed (erratum 31)
    cr.check_gradients(lambda z: C(S(z)), z)
    if name.startswith("coupled"):
        assert not np.allclose(delta, J @ dC_dg, rtol=0.01)


def test_C7_in_a_network(case):
    # softmax with squared error, which no fused formula covers, as layers of a network
    model = nn.Sequential(nn.Linear(2, 3, seed=0, dtype=cr.float64), nn.Softmax())
    x, y = case.inputs.X, np.eye(3)
    cost(model(x), y).backward()
    z = model[0](x).numpy()
    delta = [
        cr.jacobian(cr.softmax)(row).numpy().T @ (2 * (cr.softmax(row).numpy() - target)) / 3
        for row, target in zip(z, y, strict=True)
    ]
    same(model[0].weight.grad, np.transpose(delta) @ x)


def test_C8_derivative_of_a_linear_map(case):
    W = case.inputs.W2
    numerator_layout = cr.jacobian(lambda z: cr.tensor(W) @ z)(np.ones(3)).numpy()
    np.testing.assert_array_equal(numerator_layout.T, W.T)  # the lecture's denominator layout: W^T


def test_C9_no_diagonal_matrix_is_built():
    n = 64
    z = cr.tensor(np.linspace(-2, 2, n), requires_grad=True)
    a = cr.tanh(z)
    b = np.linspace(0, 1, n)
    same(np.diag(cr.grad(lambda z: cr.tanh(z).sum())(z).numpy()) @ b, cr.vjp(cr.tanh, z)[1](b)[0])
    # every value that the sweep computes is at most as large as z
    _, pullback = cr.vjp(cr.tanh, z)
    assert pullback(b)[0].shape == (n,)
    from chainrule.backward import backward
    from chainrule.graph import as_node

    swept = backward([a.node], [as_node(b)], [z.node])
    assert max(np.prod(node.shape, dtype=int) for node in topological(swept)) == n


# Algorithm 1


def test_C10_algorithm_1_returns_all_gradients_and_the_output(model, case):
    expected, x, y = case.expected.algorithm1_sample0, case.inputs.X[0], case.inputs.Y[0]
    z, a = z_and_a(model, x)
    for i in (1, 2, 3):
        same(z[i - 1], getattr(expected, f"z{i}"))
    same(a[0], expected.a1)
    same(a[1], expected.a2)
    out = model(x[None])
    loss = cost(out, y[None])
    loss.backward()
    same(out.numpy()[0], expected.g)
    same(loss, expected.C)
    for i, layer in enumerate(list(model)[0::2], 1):
        same(layer.weight.grad, getattr(expected, f"dW{i}"))
        same(layer.bias.grad, getattr(expected, f"delta{i}"))


def test_C10_forward_values_are_cached(model, case):
    """The whole graph, gradients included, evaluates each activation once."""
    from chainrule.backward import backward
    from chainrule.graph import as_node

    loss = cost(model(case.inputs.X), case.inputs.Y)
    swept = backward([loss.node], [as_node(1.0, cr.float64)], [p.node for p in model.parameters()])
    activations = Counter(node.op.name for node in topological([loss.node, *swept]) if node.op is not None)
    assert activations["tanh"] == 2 and activations["matmul"] == 3 + 3 + 2
    products = [node.shape for node in topological(swept) if node.op is not None and node.op.name == "matmul"]
    assert (3, 2) in products  # among them delta_2 = delta_3 W_3, for all three rows


def test_C11_nothing_depends_on_z_0(model, case):
    expected, x, y = case.expected.algorithm1_sample0, case.inputs.X[0], case.inputs.Y[0]
    W = [case.inputs.W1, case.inputs.W2, case.inputs.W3]
    slopes = [None, lambda z: 1 - np.tanh(z) ** 2, lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2]

    def algorithm_1(z0):
        """The lecture's loop, with its delta_0."""
        z, a = z_and_a(model, x)
        z, a = [z0, *z], [x, *a]
        delta, found = (1 - a[3] ** 2) * 2 * (a[3] - y), []
        for level in (3, 2, 1):
            found.append((delta, np.outer(delta, a[level - 1])))
            slope = slopes[level - 1] or slopes[1]
            delta = slope(z[level - 1]) * (W[level - 1].T @ delta)
        return found, delta

    first, delta0 = algorithm_1(np.zeros(2))
    second, other0 = algorithm_1(np.array([3.0, -7.0]))
    for (b1, w1), (b2, w2), i in zip(first, second, (3, 2, 1), strict=True):
        np.testing.assert_array_equal(b1, b2)
        np.testing.assert_array_equal(w1, w2)
        same(w1, getattr(expected, f"dW{i}"))
    assert not np.allclose(delta0, other0)
    # the library has no delta_0: what it gives for x is dC/dx = W_1^T delta_1, with no S'(z_0) in it
    given = cr.tensor(x[None], requires_grad=True)
    cost(model(given), y[None]).backward()
    same(given.grad.numpy()[0], expected.dC_dx)
    same(W[0].T @ expected.delta1, expected.dC_dx)


def test_C12_a_minibatch_is_one_product_a_layer(case, model):
    counts = []
    for rows in (1, 3, 300):
        x, y = np.resize(case.inputs.X, (rows, 2)), np.resize(case.inputs.Y, (rows, 2))
        loss = cost(model(x), y)
        counts.append(Counter(node.op.name for node in topological([loss.node]) if node.op is not None))
        model.zero_grad()
        loss.backward()
        batched = [p.grad.numpy() for p in model.parameters()]
    assert counts[0] == counts[1] == counts[2] and counts[0]["matmul"] == 3
    model.zero_grad()
    for row, target in zip(x, y, strict=True):  # the same 300 rows, one by one
        (cost(model(row[None]), target[None]) / 300.0).backward()
    for whole, p in zip(batched, model.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), whole, rtol=1e-11)


def test_C13_the_kink_of_relu(golden):
    case = golden("ABCE_activation_tables")
    slope = cr.grad(lambda z: cr.relu(z).sum())(case.inputs.z).numpy()
    np.testing.assert_array_equal(slope, case.expected.relu_derivative_with_convention_0_at_0)
    assert cr.grad(cr.relu)(np.float64(0)).item() == 0.0
    for tiny in (5e-324, 1e-300):
        assert cr.grad(cr.relu)(np.float64(tiny)).item() == 1.0
        assert cr.grad(cr.relu)(np.float64(-tiny)).item() == 0.0
    zero, truth = np.float64(0), case.expected.identity_relu_x_minus_relu_minus_x_at_0
    assert cr.grad(lambda x: cr.relu(x) - cr.relu(-x))(zero).item() == truth.backprop_with_relu_prime_0
    halves = lambda x: cr.maximum(x, 0.0) - cr.maximum(-x, 0.0)
    assert cr.grad(halves)(zero).item() == truth.backprop_with_relu_prime_half == truth.true_derivative


def test_C13_the_kink_is_met_with_sparse_inputs():
    # erratum 30: 20 inputs of which each is non-zero with probability 5%, no bias
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 20)) * (rng.random((20_000, 20)) < 0.05)
    z = nn.Linear(20, 1, bias=False, seed=0, dtype=cr.float64)(x).numpy()
    assert (z == 0).mean() == pytest.approx(0.95**20, abs=0.01)  # 36%
    model = nn.Sequential(
        nn.Linear(20, 3, seed=0, dtype=cr.float64), nn.ReLU(), nn.Linear(3, 1, dtype=cr.float64)
    )
    nn.squared_error(model(x), np.ones(20_000)).backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_C14_saturation(golden):
    case = golden("ABCE_activation_tables")
    slope = lambda f: cr.grad(lambda z: f(z).sum())(case.inputs.z).numpy()
    np.testing.assert_allclose(slope(cr.logistic), case.expected.logistic_derivative, rtol=1e-11)
    np.testing.assert_allclose(slope(cr.tanh), case.expected.tanh_derivative, rtol=1e-11)
    forty = np.float64(40)
    assert cr.grad(cr.logistic)(forty).item() == pytest.approx(4.24835425529e-18, rel=1e-11)
    assert cr.grad(cr.relu)(forty).item() == 1.0
    naive = cr.logistic(forty) * (1.0 - cr.logistic(forty))
    assert naive.item() == case.expected.naive_logistic_derivative_at_40 == 0.0


@pytest.mark.parametrize("executor", ["interpreted", "compiled"])
def test_C15_algorithm_2_averages_over_the_training_set(model, case, executor):
    expected = case.expected.algorithm2
    loss = lambda theta: cost(nn.as_function(model)(theta, case.inputs.X), case.inputs.Y)
    f = cr.value_and_grad(loss)
    value, gradient = (cr.compile(f) if executor == "compiled" else f)(nn.flatten_parameters(model))
    same(value, expected.loss)
    flat = [getattr(expected, f"d{kind}{i}").ravel() for i in (1, 2, 3) for kind in ("W", "b")]
    np.testing.assert_allclose(gradient.numpy(), np.concatenate(flat), rtol=1e-11)
    each = [
        cr.grad(lambda theta, x=x, y=y: cost(nn.as_function(model)(theta, x[None]), y[None]))(
            nn.flatten_parameters(model)
        ).numpy()
        for x, y in zip(case.inputs.X, case.inputs.Y, strict=True)
    ]
    np.testing.assert_allclose(np.mean(each, 0), gradient.numpy(), rtol=1e-11)


# Multi-logit classification


def test_C16_softmax(softmax_case):
    given, expected = softmax_case.inputs, softmax_case.expected
    same(cr.softmax(given.z), expected.g)
    same(cr.softmax(given.extreme_z), expected.extreme.g)
    same(cr.softmax(np.full(4, 7.0)), expected.equal_scores.g)
    same(cr.jacobian(cr.softmax)(given.z), expected.jacobian)
    with np.errstate(all="ignore"):
        printed = np.exp(given.extreme_z) / np.exp(given.extreme_z).sum()
    assert np.isnan(printed[0])  # the printed form overflows (erratum 28)
    assert nn.Softmax()(given.z[None]).numpy().sum() == pytest.approx(1, rel=1e-15)


def test_C17_cross_entropy(softmax_case):
    given, expected = softmax_case.inputs, softmax_case.expected
    loss = lambda z, y: nn.cross_entropy(np.asarray(z)[None], [y]).item()
    same(loss(given.z, given.y), expected.loss)
    same([loss(given.z, y) for y in range(4)], expected.loss_by_label)
    same(cr.logsumexp(cr.tensor(given.z)), expected.logsumexp)
    same([loss(given.extreme_z, y) for y in range(3)], expected.extreme.loss)
    assert loss(given.extreme_z, 2) == 2000
    same(loss(np.full(4, 7.0), 0), expected.equal_scores.loss)
    same(nn.log_loss(cr.softmax(given.z[None]), [given.y]), expected.loss)
    same(expected.loss, cr.logsumexp(cr.tensor(given.z)).item() - given.z[given.y])


def test_C18_delta_is_the_output_less_the_indicator(softmax_case):
    given, expected = softmax_case.inputs, softmax_case.expected
    z = cr.tensor(given.z[None], requires_grad=True)
    nn.cross_entropy(z, [given.y]).backward()
    delta = z.grad.numpy()[0]
    same(delta, expected.delta_L)
    same(delta, expected.g - np.eye(4)[given.y])
    assert abs(delta.sum()) < 1e-15
    dC_dg = cr.grad(lambda g: nn.log_loss(g, [given.y]))(expected.g[None]).numpy()[0]
    same(dC_dg, expected.dC_dg)
    through = cr.jacobian(cr.softmax)(given.z).numpy().T @ dC_dg
    same(through, expected.jacobian_times_dC_dg)
    same(cr.grad(lambda z: nn.log_loss(cr.softmax(z), [given.y]))(given.z[None]).numpy()[0], expected.delta_L)
    extreme = cr.grad(lambda z: nn.cross_entropy(z, [2]))(given.extreme_z[None]).numpy()[0]
    same(extreme, expected.extreme.delta_for_y2)


def test_C19_reference_class_removed(softmax_case):
    given, expected = softmax_case.inputs, softmax_case.expected.reference_class
    reduced = given.z[1:] - given.z[0]
    same(reduced, expected.z_reduced_minus_z1)
    scores = cr.tensor(reduced[None], requires_grad=True)
    loss = nn.cross_entropy(nn.ReferenceClass()(scores), [given.y])
    loss.backward()
    same(loss, expected.loss)
    same(scores.grad.numpy()[0], expected.delta_reduced)
    g = cr.softmax(nn.ReferenceClass()(reduced[None])).numpy()[0]
    same(g[0], expected.g_1)
    same(g[1:], expected.g_2_to_pL)
    same(g[0], 1 - g[1:].sum())
    same(g[0], 1 / (1 + np.exp(reduced).sum()))  # erratum 29: the denominator is 1 + the sum over k >= 2


def test_C19_two_classes_are_the_logistic_model(softmax_case):
    given, expected = softmax_case.inputs, softmax_case.expected.two_class
    reduced = given.two_class_z[1:] - given.two_class_z[0]
    z = cr.tensor(reduced[None], requires_grad=True)
    loss = nn.binary_cross_entropy(z, [[given.two_class_y]])
    loss.backward()
    same(loss, expected.loss)
    same(z.grad.numpy()[0], expected.delta_reduced)
    same(cr.logistic(reduced), expected.g[1:])
    same(nn.cross_entropy(nn.ReferenceClass()(reduced[None]), [given.two_class_y]), expected.loss)


def test_C19_trains_to_the_probabilities_of_all_classes():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 2)), rng.integers(0, 3, 90)
    models = [
        nn.Linear(2, 3, seed=0, dtype=cr.float64),
        nn.Sequential(nn.Linear(2, 2, seed=1, dtype=cr.float64), nn.ReferenceClass()),
    ]
    for model in models:
        cr.fit(model, (x, y), loss=nn.cross_entropy, optimizer=optim.LBFGS(tolerance=1e-9), progress=False)
    full, reduced = (cr.softmax(model(x)).numpy() for model in models)
    np.testing.assert_allclose(reduced, full, atol=1e-7)
    assert [sum(p.size for p in model.parameters()) for model in models] == [9, 6]


def test_C20_multi_output_regression(model, case):
    expected = case.expected.algorithm1_sample0
    x, y = case.inputs.X[0], case.inputs.Y[0]
    z3, g = expected.z3, expected.g
    same((1 - np.tanh(z3) ** 2) * 2 * (g - y), expected.delta3)
    same(deltas(model, x, y)[2], expected.delta3)
    same(nn.squared_error(g, y, "sum"), expected.C)


# Against PyTorch


@pytest.mark.peers
def test_C5_C15_C18_gradients_of_pytorch(model, case, softmax_case):
    import torch

    parameters = [torch.tensor(p.numpy(), requires_grad=True) for p in model.parameters()]
    a = torch.tensor(case.inputs.X)
    for W, b, S in zip(
        parameters[0::2], parameters[1::2], (torch.tanh, torch.sigmoid, torch.tanh), strict=True
    ):
        a = S(torch.nn.functional.linear(a, W, b))
    ((a - torch.tensor(case.inputs.Y)) ** 2).sum(1).mean().backward()
    cost(model(case.inputs.X), case.inputs.Y).backward()
    for ours, theirs in zip(model.parameters(), parameters, strict=True):
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)
    z = torch.tensor(softmax_case.inputs.z[None], requires_grad=True)
    torch.nn.functional.cross_entropy(z, torch.tensor([softmax_case.inputs.y])).backward()
    same(z.grad.numpy()[0], softmax_case.expected.delta_L)

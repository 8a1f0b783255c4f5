"""Lecture E: feature learning, the multilayer perceptron, computation graphs, non-convexity."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import chainrule as cr
from chainrule import nn, optim
from chainrule.backward import backward
from chainrule.errors import GradientError
from chainrule.graph import as_node, new_leaf, topological
from chainrule.ops import elementwise

BITS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XNOR, AND = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0, 1.0])
EXACT = {"rtol": 1e-11, "atol": 1e-15}


def same(got, expected):
    np.testing.assert_allclose(np.asarray(got), expected, **EXACT)


def linear(weight, bias=None):
    """A layer with these weights [outputs, inputs]."""
    weight = np.asarray(weight, np.float64)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=cr.float64)
    layer.weight.assign(weight)
    if bias is not None:
        layer.bias.assign(np.asarray(bias, np.float64))
    return layer


def full_batch(model, x, y, loss=nn.squared_error, iterations=500, **settings):
    """Train with L-BFGS on all rows."""
    optimizer = optim.LBFGS(iterations, tolerance=1e-9)
    return cr.fit(model, (x, y), loss=loss, optimizer=optimizer, progress=False, **settings)


# Features


def test_E1_linear_in_the_features_only():
    phi, rng = nn.PolynomialFeatures(2, 2), np.random.default_rng(0)
    x, v, w = rng.normal(size=(5, 2)), rng.normal(size=6), rng.normal(size=6)
    f = lambda w, x: nn.Sequential(phi, linear([w]))(x).numpy()[:, 0]
    same(f(2 * v - 3 * w, x), 2 * f(v, x) - 3 * f(w, x))
    same(f(w, x), phi(x).numpy() @ w)
    assert not np.allclose(f(w, 2 * x), 2 * f(w, x), rtol=0.1)
    assert not np.allclose(f(w, 2 * x) - f(w, x), f(w, x) - f(w, 0 * x), rtol=0.1)  # nor affine


def test_E2_kernel_of_the_polynomial_features():
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    phi = nn.PolynomialFeatures(3, 2, kernel=True)
    same(phi(x).numpy() @ phi(other).numpy().T, (1 + x @ other.T) ** 2)
    same(nn.polynomial_kernel(x, other), (1 + x @ other.T) ** 2)
    # ridge regression on the features and on the kernel predict the same
    y, lambda_ = rng.normal(size=4), 0.3
    w = np.linalg.solve(phi(x).numpy().T @ phi(x).numpy() + lambda_ * np.eye(10), phi(x).numpy().T @ y)
    alpha = np.linalg.solve(nn.polynomial_kernel(x, x).numpy() + lambda_ * np.eye(4), y)
    np.testing.assert_allclose(
        nn.polynomial_kernel(other, x).numpy() @ alpha, phi(other).numpy() @ w, rtol=1e-9
    )


def test_E2_xnor_is_linear_in_the_product():
    phi = nn.PolynomialFeatures(2, 2, interactions_only=True)
    assert phi.monomials == [(), (0,), (1,), (0, 1)]
    model = nn.Sequential(phi, nn.Linear(4, 1, bias=False, seed=0, dtype=cr.float64))
    full_batch(model, BITS, XNOR)
    np.testing.assert_allclose(model[1].weight.numpy()[0], [1, -1, -1, 2], atol=1e-6)
    same(1 - BITS[:, 0] - BITS[:, 1] + 2 * BITS[:, 0] * BITS[:, 1], XNOR)
    assert cr.classic.linear_separation(phi(BITS).numpy(), XNOR).separable


def restaurant(rows, seed=0):
    """#dishes, price, wine option, zip code, #seats, size -> food quality, walkable, noisy -> popularity."""
    x = np.random.default_rng(seed).uniform(-1, 1, (rows, 6))
    quality = np.tanh(1.5 * x[:, 0] - x[:, 1] + 0.5 * x[:, 2])
    walkable = np.tanh(2.0 * x[:, 3])
    noisy = np.tanh(x[:, 4] - 2.0 * x[:, 5])
    h = np.column_stack([quality, walkable, noisy])
    return x, h, h @ [1.0, 0.5, -0.8]


def restaurant_model(seed=0):
    mask = nn.group_mask([[0, 1, 2], [3], [4, 5]])
    first = nn.MaskedLinear(mask, seed=(seed, 0), dtype=cr.float64)
    return nn.Sequential(first, nn.Tanh(), nn.Linear(3, 1, seed=(seed, 1), dtype=cr.float64))


@pytest.mark.parametrize(
    "optimizer",
    [optim.SGD(0.1, weight_decay=0.01), optim.Adam(0.02), optim.LBFGS()],
    ids=lambda o: type(o).__name__,
)
def test_E3_the_restaurant(optimizer):
    x, _, y = restaurant(200)
    model = restaurant_model()
    cr.fit(
        model,
        (x, y),
        loss=nn.squared_error,
        optimizer=optimizer,
        penalty=nn.l1(1e-5),
        epochs=3,
        progress=False,
    )
    reads = np.abs(cr.jacobian(lambda x: model[:2](x)[0])(x[:1]).numpy()[:, 0]) > 0
    np.testing.assert_array_equal(reads, [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1]])
    np.testing.assert_array_equal(model[0].matrix().numpy() != 0, reads)
    assert sum(p.size for p in model.parameters()) == 6 + 3 + 4


def test_E3_as_a_graph_of_named_neurons():
    names = ["dishes", "price", "wine", "zip", "seats", "size"]
    groups = {"quality": names[:3], "walkable": names[3:4], "noisy": names[4:]}
    edges = {(source, h): 0.0 for h, group in groups.items() for source in group}
    model, x = restaurant_model(), restaurant(7)[0]
    matrix, top = model[0].matrix().numpy(), model[2].weight.numpy()[0]
    for row, (h, group) in enumerate(groups.items()):
        for source in group:
            edges[source, h] = float(matrix[row, names.index(source)])
        edges[h, "popularity"] = float(top[row])
    activation = {**dict.fromkeys(groups, "tanh"), "popularity": "identity"}
    graph = nn.GraphNetwork(
        edges, inputs=names, outputs=["popularity"], activation=activation, dtype=cr.float64
    )
    assert not graph.bias.numpy().any() and len(graph.edges) == 9
    np.testing.assert_allclose(graph(x).numpy(), model(x).numpy(), rtol=1e-12)


def test_E4_predefined_and_learned_subproblems():
    x, h, y = restaurant(300)
    # predefined: each subproblem is fitted to labels of its own, then a linear predictor on top
    subproblems = []
    for group, label in zip(([0, 1, 2], [3], [4, 5]), h.T, strict=True):
        part = nn.MLP([len(group), 1], output_activation="tanh", seed=0, dtype=cr.float64)
        full_batch(part, x[:, group], label)
        subproblems.append(part(x[:, group]).numpy()[:, 0])
    features = np.column_stack([*subproblems, np.ones(len(x))])
    w = np.linalg.lstsq(features, y, rcond=None)[0]
    np.testing.assert_allclose(w, [1.0, 0.5, -0.8, 0.0], atol=1e-3)
    # learned: only the popularity is known; the same function is found, up to the signs of the units
    model = restaurant_model()
    full_batch(model, x, y, restarts=3)
    assert nn.squared_error(model(x), y).item() < 1e-9
    np.testing.assert_allclose(np.abs(model[2].weight.numpy()[0]), [1.0, 0.5, 0.8], atol=1e-3)
    new, _, expected = restaurant(50, seed=1)
    np.testing.assert_allclose(model(new).numpy()[:, 0], expected, atol=1e-3)


# Logical gates


def gate(w, theta):
    """A perceptron that fires where w.x >= theta."""
    return nn.Sequential(linear(np.atleast_2d(w), np.atleast_1d(-np.asarray(theta, float))), nn.Step())


def test_E5_and_perceptron(golden):
    case = golden("E_logic_gates")
    given = case.inputs.AND
    np.testing.assert_array_equal(BITS @ given.w, case.expected.AND_sum)
    np.testing.assert_array_equal(gate(given.w, given.theta)(BITS).numpy()[:, 0], case.expected.AND_out)
    assert gate([1.0, 1.0], 2.0)([[1.0, 1.0]]).item() == 1  # a tie fires
    assert nn.step(cr.tensor(-1e-300, dtype=cr.float64)).item() == 0


def test_E6_one_perceptron_cannot_be_xnor(golden):
    expected = golden("E_logic_gates").expected
    found = cr.classic.linear_separation(BITS, XNOR)
    assert found.separable is expected.single_perceptron_solvable is False
    # the certificate is the lecture's argument: the two rows that fire and the two that must not add up to
    # 0 >= theta and w1 + w2 >= theta against w1 < theta and w2 < theta (erratum 37)
    signed = found.certificate * np.array([1, -1, -1, 1])
    np.testing.assert_allclose(signed @ np.column_stack([BITS, np.ones(4)]), 0, atol=1e-15)
    np.testing.assert_allclose(found.certificate, 0.5, rtol=1e-12)
    assert cr.classic.linear_separation(BITS, AND).separable
    # of all sixteen functions of two bits exactly two are beyond a perceptron
    tables = list(itertools.product([0, 1], repeat=4))
    beyond = [t for t in tables if not cr.classic.linear_separation(BITS, t).separable]
    assert beyond == [(0, 1, 1, 0), (1, 0, 0, 1)]


def xnor_network():
    hidden = gate([[1.0, 1.0], [-1.0, -1.0]], [2.0, 0.0])
    return nn.Sequential(*hidden, *gate([[1.0, 1.0]], [1.0]))


def test_E7_xnor_network(golden):
    case = golden("E_logic_gates")
    given, expected = case.inputs.XNOR, case.expected
    hidden = gate(np.array([given.h1.w, given.h2.w]), [given.h1.theta, given.h2.theta])
    top = gate(given.o.w, given.o.theta)
    sums = BITS @ np.array([given.h1.w, given.h2.w]).T
    np.testing.assert_array_equal(sums[:, 0], expected.XNOR_h1_in)
    np.testing.assert_array_equal(sums[:, 1], expected.XNOR_h2_in)
    h = hidden(BITS).numpy()
    np.testing.assert_array_equal(h[:, 0], expected.XNOR_h1_out)
    np.testing.assert_array_equal(h[:, 1], expected.XNOR_h2_out)
    np.testing.assert_array_equal(h @ given.o.w, expected.XNOR_o_in)
    np.testing.assert_array_equal(top(h).numpy()[:, 0], expected.XNOR_o)
    np.testing.assert_array_equal(xnor_network()(BITS).numpy()[:, 0], XNOR)
    # erratum 38: with a strict ">" the table breaks
    strict = lambda x, w, theta: (x @ np.transpose(w) > theta).astype(float)
    wrong = strict(strict(BITS, [given.h1.w, given.h2.w], [2, 0]), [given.o.w], [1])[:, 0]
    np.testing.assert_array_equal(wrong, expected.strict_rule_XNOR_WRONG)


def test_E8_the_recoding_is_linearly_separable(golden):
    h = xnor_network()[:2](BITS).numpy()
    np.testing.assert_array_equal(h, [[0, 1], [0, 0], [0, 0], [1, 0]])
    found = cr.classic.linear_separation(h, XNOR)
    assert found.separable is golden("E_logic_gates").expected.linearly_separable_in_h is True
    np.testing.assert_array_equal((h @ found.weights >= found.threshold), XNOR > 0)
    assert not cr.classic.linear_separation(BITS, XNOR).separable


# Hidden units


def test_E9_linear_hidden_units_collapse():
    x = np.random.default_rng(0).normal(size=(5, 3))
    deep = nn.MLP([3, 4, 5, 2], activation="identity", seed=0, dtype=cr.float64)
    for p in deep.parameters():
        p.assign(np.random.default_rng(p.size).normal(size=p.shape))
    W1, b1, W2, b2, W3, b3 = (p.numpy() for p in deep.parameters())
    one = linear(W3 @ W2 @ W1, W3 @ (W2 @ b1 + b2) + b3)
    same(deep(x), one(x))
    curved = nn.MLP([3, 4, 5, 2], activation="tanh", seed=0, dtype=cr.float64)
    curved.load_state_dict(deep.state_dict())
    assert not np.allclose(curved(x).numpy(), one(x).numpy(), rtol=0.1)


def test_E10_sign_and_what_replaces_it(golden):
    case = golden("ABCE_activation_tables")
    z = case.inputs.z
    same(cr.sign(z), case.expected.sign)
    np.testing.assert_array_equal(nn.step(z).numpy(), case.expected.step_ge_0)
    assert not cr.grad(lambda z: cr.sign(z).sum())(z).numpy().any()  # nothing to descend along
    away = z[z != 0]
    for sharpness, limit in ((1, 0.3), (10, 1e-4), (100, 1e-40)):
        assert cr.max(cr.abs(cr.logistic(sharpness * away) - nn.step(away))).item() < limit
        assert cr.max(cr.abs(cr.tanh(sharpness * away) - cr.sign(away))).item() < limit
    same(cr.logistic(z), case.expected.logistic)
    same(cr.tanh(z), case.expected.tanh)


def test_E10_relu_needs_no_exponential():
    def operations(f):
        z = cr.tensor(np.ones(3), requires_grad=True)
        out = f(z)
        swept = backward([out.node], [as_node(np.ones(3))], [z.node])
        return {node.op.name for node in topological([out.node, *swept]) if node.op is not None}

    costly = {"exp", "expm1", "tanh", "logistic", "log", "log1p"}
    assert not operations(cr.relu) & costly
    assert operations(cr.tanh) & costly and operations(cr.logistic) & costly


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
def test_E11_sum_of_k_hidden_units(activation):
    rng = np.random.default_rng(0)
    V, w, x = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(6, 3))
    sigma = nn.activations.find_activation(activation)
    model = nn.Sequential(linear(V), sigma.module(), linear([w]))
    explicit = sum(w[k] * sigma.function(cr.tensor(x @ V[k])).numpy() for k in range(4))
    same(model(x).numpy()[:, 0], explicit)
    same(model[:2](x), np.column_stack([sigma.function(cr.tensor(x @ v)).numpy() for v in V]))


FITS = {  # function, end of the interval, unit of x, activation, restarts, mean squared error
    "square": (np.square, 1.0, 1.0, "tanh", 4, 1e-6),
    "sine on [-1, 1]": (np.sin, 1.0, 1.0, "tanh", 4, 1e-6),
    "sine on [-2 pi, 2 pi]": (np.sin, 2 * np.pi, np.pi, "tanh", 20, 1e-3),
    "sine on [-2 pi, 2 pi], logistic": (np.sin, 2 * np.pi, 1.0, "logistic", 10, 1e-3),
    "absolute": (np.abs, 1.0, 1.0, "tanh", 4, 1e-3),
    "absolute, logistic": (np.abs, 1.0, 1.0, "logistic", 4, 1e-3),
}


@pytest.mark.parametrize("name", FITS)
def test_E12_fits_with_three_hidden_units(name):
    f, end, unit, activation, restarts, limit = FITS[name]
    x = np.linspace(-end, end, 50)[:, None]
    model = nn.MLP([1, 3, 1], activation=activation, dtype=cr.float64)
    history = full_batch(model, x / unit, f(x), iterations=400, restarts=restarts)
    error = np.mean((model.predict(x / unit) - f(x)) ** 2)
    assert error <= limit
    assert error == pytest.approx(np.nanmin(history.loss), rel=1e-6)


# The multilayer perceptron


def tent(levels):
    """The tent map of [0, 1] applied ``levels`` times: two ReLU units a level."""
    first, between = [[1.0], [1.0]], [[2.0, -4.0], [2.0, -4.0]]
    layers = [linear(first, [0.0, -0.5]), nn.ReLU()]
    for _ in range(levels - 1):
        layers += [linear(between, [0.0, -0.5]), nn.ReLU()]
    return nn.Sequential(*layers, linear([[2.0, -4.0]], [0.0]))


def test_E14_wider_and_deeper():
    # deeper: every level doubles the number of straight pieces, for 6 parameters more
    x = np.linspace(0, 1, 4097)[:, None]
    for levels in (1, 2, 5):
        y = tent(levels)(x).numpy()[:, 0]
        turns = np.count_nonzero(np.diff(np.sign(np.diff(y)))) + 1
        assert turns == 2**levels
        assert sum(p.size for p in tent(levels).parameters()) == 6 * levels + 1
    # wider: one hidden layer fits better with more units
    x = np.linspace(-1, 1, 40)[:, None]
    y = np.sin(5 * x)
    errors = []
    for units in (1, 2, 4):
        model = nn.MLP([1, units, 1], activation="tanh", dtype=cr.float64)
        full_batch(model, x, y, restarts=3)
        errors.append(nn.squared_error(model(x), y).item())
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


@pytest.mark.parametrize(("d", "m", "L", "k"), [(3, 4, 1, 2), (5, 7, 3, 1), (2, 2, 5, 4)])
def test_E15_definition_and_parameter_count(d, m, L, k):
    model = nn.MLP([d, *[m] * L, k], activation="tanh", seed=0, dtype=cr.float64)
    assert nn.flatten_parameters(model).size == m * d + m + (L - 1) * (m * m + m) + k * m + k
    x = np.random.default_rng(0).normal(size=(3, d))
    o = x
    for layer in list(model)[0:-1:2]:
        o = np.tanh(o @ layer.weight.numpy().T + layer.bias.numpy())
    top = model[-1]
    same(model(x), o @ top.weight.numpy().T + top.bias.numpy())  # affine, no activation on top
    assert isinstance(top, nn.Linear)


def test_E16_ten_parameters(golden):
    case = golden("E_mlp_10_parameters")
    given, expected = case.inputs, case.expected
    model = nn.Sequential(
        linear(given.v[:, None], given.b), nn.Tanh(), linear([given.w0_to_w3[1:]], given.w0_to_w3[:1])
    )
    assert nn.flatten_parameters(model).size == expected.n_params == 10
    x = given.x[:, None]
    same(model(x).numpy()[:, 0], expected.f)
    loss = nn.squared_error(model(x), x**2)
    same(loss, expected.loss)
    loss.backward()
    same(model[0].bias.grad, expected.grad_b)
    same(model[0].weight.grad.numpy()[:, 0], expected.grad_v)
    same(np.append(model[2].bias.grad, model[2].weight.grad), expected.grad_w)


def test_E16_not_convex():
    x = np.linspace(-1, 1, 9)[:, None]
    y = np.tanh(x)  # = w tanh(v x) for (w, v) = (1, 1) and for (-1, -1)
    model = nn.Sequential(
        nn.Linear(1, 1, False, dtype=cr.float64), nn.Tanh(), nn.Linear(1, 1, False, dtype=cr.float64)
    )
    J = lambda theta: nn.squared_error(nn.as_function(model)(np.array(theta), x), y).item()
    assert J([1.0, 1.0]) == J([-1.0, -1.0]) == 0
    assert J([0.0, 0.0]) > (J([1.0, 1.0]) + J([-1.0, -1.0])) / 2


def blobs():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    return rng.normal(size=(120, 2)) + 1.5 * np.array([[0, 1], [1, -1], [-1, -1]])[y], y


def test_E17_multinomial_logistic_regression():
    x, y = blobs()
    model = nn.Linear(2, 3, seed=0, dtype=cr.float64)
    full_batch(model, x, y, nn.cross_entropy)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(cr.softmax(model(x)).numpy(), peer.predict_proba(x), atol=1e-5)
    # maximising the sum of log softmax is minimising cross-entropy
    likelihood = cr.log_softmax(model(x)).numpy()[np.arange(120), y].sum()
    same(-likelihood, nn.cross_entropy(model(x), y, "sum"))
    assert likelihood == pytest.approx(np.log(peer.predict_proba(x)[np.arange(120), y]).sum(), rel=1e-8)


def test_E17_with_a_penalty():
    x, y = blobs()
    model = nn.Linear(2, 3, seed=0, dtype=cr.float64)
    full_batch(model, x, y, nn.cross_entropy, penalty=nn.l2(1 / (2 * 120 * 0.1)))
    peer = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(model.weight.numpy(), peer.coef_, atol=1e-5)


def test_E17_nonlinear_form():
    x, _ = blobs()
    ring = (np.hypot(*x.T) > 1.7).astype(int)  # inside or outside a circle
    scores = {}
    for name, model in (
        ("linear", nn.Linear(2, 2, seed=0, dtype=cr.float64)),
        ("network", nn.MLP([2, 8, 2], activation="tanh", seed=0, dtype=cr.float64)),
    ):
        cr.fit(model, (x, ring), loss=nn.cross_entropy, optimizer=optim.LBFGS(200), progress=False)
        scores[name] = 1 - nn.zero_one(model(x), ring).item()
    assert scores["network"] == 1.0 and scores["linear"] < 0.85


def test_E18_building_blocks():
    model = nn.Sequential(*nn.MLP([2, 3, 3], activation="relu", seed=0), nn.Softmax())
    assert [type(block).__name__ for block in model] == ["Linear", "ReLU", "Linear", "Softmax"]
    assert [sum(p.size for p in block.parameters()) for block in model] == [9, 0, 12, 0]
    out = model(np.ones((4, 2))).numpy()
    np.testing.assert_allclose(out.sum(1), 1, rtol=1e-6)
    full = nn.MLP([2, 3, 3], output_activation="softmax", seed=0)
    assert isinstance(full[-1], nn.Softmax)


# Derivatives


def test_E19_gradient_checker_finds_a_wrong_derivative():
    x = np.array([0.5, -1.0, 2.0])
    cr.check_gradients(cr.tanh, x)
    # by hand, and wrong: tanh' = 1 - tanh
    wrong = replace(elementwise.tanh, derivative=lambda g, y, x: (g * (1.0 - y),))
    with pytest.raises(GradientError, match="disagrees with finite differences") as caught:
        cr.check_gradients(lambda x: x.apply(wrong, (x,), {}), x)
    assert "argument" in str(caught.value) and "test_e.py" in str(caught.value)
    nearly = replace(elementwise.tanh, derivative=lambda g, y, x: (g * (1.0 - y * y) * 1.0001,))
    with pytest.raises(GradientError):
        cr.check_gradients(lambda x: x.apply(nearly, (x,), {}), x)


def test_E20_graph_node_by_node_and_component_by_component():
    a = cr.tensor(np.array([0.4, -0.3]), requires_grad=True)
    M, c = np.array([[1.0, -2.0], [0.5, 3.0], [0.0, 1.0]]), np.array([0.1, -0.2, 0.3])
    b = cr.tensor(M) @ a + c
    names = [node.op.name for node in topological([b.node]) if node.op is not None]
    assert names[-1] == "add" and "matmul" in names
    # component by component: each b_i is a neuron of its own, each M_ij an edge
    edges = {(f"a{j}", f"b{i}"): M[i, j] for i in range(3) for j in range(2) if M[i, j]}
    graph = nn.GraphNetwork(
        edges, inputs=["a0", "a1"], outputs=["b0", "b1", "b2"], activation="identity", dtype=cr.float64
    )
    order = [name for name in graph.neurons if name not in graph.inputs]
    graph.bias.assign(c[[int(name[1]) for name in order]])
    same(graph(a.numpy()[None]).numpy()[0], b.numpy())
    assert len(graph.edges) == 5  # M has a 0: no edge


def test_E20_drawn():
    M, c = cr.tensor(np.array([[1.0, -2.0], [0.5, 3.0]])), cr.tensor(np.array([0.1, -0.2]))
    a = cr.tensor(np.array([0.4, -0.3]), requires_grad=True)
    b = M @ a + c
    nodes, components = cr.draw(b).svg, cr.draw(b, view="components").svg
    assert "Ma + c" in nodes and "[1.1, −0.9]" in nodes
    for value in ("1.1", "−0.9", "[0]", "[1]"):  # one row an element
        assert value in components
    assert components.count("<path") > nodes.count("<path")


def test_E21_affine_nodes_move_exactly(golden):
    case = golden("E_chain_rule_path_sum_and_sensitivity")
    given = case.inputs
    layer = linear(given.M, given.c)
    b = layer(given.a[None]).numpy()[0]
    same(b, case.expected.b)
    j, d = given.perturb_index, given.delta
    moved = given.a + d * np.eye(2)[j]
    same(layer(moved[None]).numpy()[0], case.expected.affine_b_after_perturb)
    for size in (1e-3, 1.0, 1e3):  # exact however large the change
        moved = given.a + size * np.eye(2)[j]
        np.testing.assert_allclose(layer(moved[None]).numpy()[0], b + given.M[:, j] * size, rtol=1e-12)
    same(cr.jacobian(lambda a: layer(a[None])[0])(cr.tensor(given.a)), given.M)


def test_E22_error_of_the_linear_prediction_is_quadratic(golden):
    case = golden("E_chain_rule_path_sum_and_sensitivity")
    given, expected = case.inputs, case.expected
    f = lambda a: cr.tensor(given.N) @ cr.tanh(cr.tensor(given.M) @ a + given.c)
    direction = np.eye(2)[given.perturb_index]
    value, slope = cr.jvp(f, (given.a,), (direction,))
    predict = lambda d: value.numpy() + d * slope.numpy()
    exact = lambda d: f(cr.tensor(given.a + d * direction)).numpy()
    same(predict(given.delta), expected.c_linear_prediction)
    same(exact(given.delta), expected.c_exact_after)
    errors = np.array([np.abs(exact(d) - predict(d)) for d in (1e-2, 1e-3, 1e-4)])
    np.testing.assert_allclose(errors[:-1] / errors[1:], 100, rtol=0.05)


def test_E23_sum_over_paths(golden):
    case = golden("E_chain_rule_path_sum_and_sensitivity")
    given, expected = case.inputs, case.expected
    a = cr.tensor(given.a)
    b = cr.tensor(given.M) @ a + given.c
    dc_db = cr.jacobian(lambda b: cr.tensor(given.N) @ cr.tanh(b))(b).numpy()
    same(dc_db, expected.dc_dtanh_b_db)
    paths = dc_db[:, None, :] * given.M.T[None]
    same(paths, expected.path_products_i_j_k)
    same(paths.sum(2), expected.jacobian)
    same(
        cr.jacobian(lambda a: cr.tensor(given.N) @ cr.tanh(cr.tensor(given.M) @ a + given.c))(a),
        expected.jacobian,
    )


def test_E23_paths_against_edges():
    # six hidden layers of 10 between one input and one output
    widths = [1, *[10] * 6, 1]
    assert np.prod(widths) == 10**6
    assert sum(a * b for a, b in itertools.pairwise(widths)) == 520
    # all 10^6 products at once: the layers' matrices multiplied out, against one sweep
    model = nn.MLP(widths, activation="tanh", seed=0, dtype=cr.float64)
    x = np.array([[0.3]])
    jacobians = [cr.jacobian(lambda v, m=m: m(v[None])[0])(v).numpy() for m, v in _levels(model, x)]
    total = np.linalg.multi_dot(jacobians[::-1]).item()
    assert cr.grad(lambda x: model(x).sum())(x).item() == pytest.approx(total, rel=1e-11)


def _levels(model, x):
    """Each affine map with its activation, and its input."""
    for i in range(0, len(model), 2):
        yield model[i : i + 2], model[:i](x).numpy()[0] if i else x[0]


# Least squares and ridge regression


@pytest.fixture
def ridge(golden):
    return golden("E_least_squares_and_ridge_graph")


def least_squares_graph(given):
    """y_hat, r and l, and w and b as leaves."""
    w, b = (cr.tensor(np.asarray(v, np.float64), requires_grad=True) for v in (given.w, given.b))
    y_hat = w @ cr.tensor(given.x) + b
    r = given.y - y_hat
    return w, b, y_hat, r, r * r


def test_E24_least_squares_graph(ridge):
    given, expected = ridge.inputs, ridge.expected
    w, b, y_hat, r, loss = least_squares_graph(given)
    same([y_hat.item(), r.item(), loss.item()], [expected.yhat, expected.r, expected.l])
    same(cr.grad(lambda r: r * r)(r), expected.dl_dr)
    same(2 * r.item(), expected.dl_dr)
    same(cr.grad(lambda p: (given.y - p) ** 2)(y_hat.detach()), expected.dl_dyhat)
    loss.backward()
    same(w.grad, expected.dl_dw)
    same(w.grad, -2 * r.item() * given.x)
    same(b.grad, expected.dl_db)
    step = expected.least_squares_sgd_step
    same(given.w - given.eta * w.grad.numpy(), step.w)
    same(given.b - given.eta * b.grad.item(), step.b)
    model = linear([given.w], [given.b])
    cr.fit(
        model,
        (given.x[None], np.array([given.y])),
        loss=nn.squared_error,
        optimizer=optim.SGD(given.eta),
        epochs=1,
        executor="interpreted",
        progress=False,
    )
    same(model.weight.numpy()[0], step.w)
    same(model.bias, [step.b])


def test_E24_explained(ridge):
    w, b, *_ = least_squares_graph(ridge.inputs)
    x = cr.tensor(ridge.inputs.x)
    y_hat = w @ x + b
    r = 1.5 - y_hat
    loss = r * r
    text = str(cr.explain(loss))
    for line in (
        "ŷ = wᵀx + b = −2.25",
        "r = 1.5 − ŷ = 3.75",
        "loss = r² = 14.0625",
        "∂loss/∂r = 2r = 7.5",
        "= −2r = −7.5",
        "= −2r x_j = [−7.5, −15, 3.75]",
    ):
        assert line in text


def test_E25_ridge_graph(ridge):
    given, expected = ridge.inputs, ridge.expected
    w, b, _, _, loss = least_squares_graph(given)
    R = given.lam * (w * w).sum()
    J = loss + R
    same([R.item(), J.item()], [expected.R, expected.J])
    J.backward()
    same(w.grad, expected.dJ_dw)
    same(w.grad, np.asarray(expected.dl_dw) + expected.dR_dw)  # two children: the sum of two paths
    same(b.grad, expected.dJ_db)  # b is not penalised
    same(cr.grad(lambda w: given.lam * (w * w).sum())(w.detach()), expected.dR_dw)
    same([1.0, 1.0], [expected.dJ_dl, expected.dJ_dR])


@pytest.mark.parametrize("executor", ["interpreted", "compiled"])
def test_E25_ridge_in_fit(ridge, executor):
    given, step = ridge.inputs, ridge.expected.ridge_sgd_step
    model = linear([given.w], [given.b])
    cr.fit(
        model,
        (given.x[None], np.array([given.y])),
        loss=nn.squared_error,
        optimizer=optim.SGD(given.eta),
        penalty=nn.l2(given.lam),
        epochs=1,
        executor=executor,
        progress=False,
    )
    same(model.weight.numpy()[0], step.w)
    same(model.bias, [step.b])


def test_E25_ridge_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(40, 3)), rng.normal(size=40)
    y = x @ [1.0, -2.0, 0.5] + 0.7 + 0.1 * noise
    model = nn.Linear(3, 1, seed=0, dtype=cr.float64)
    full_batch(model, x, y, penalty=nn.l2(0.05))
    peer = Ridge(alpha=0.05 * 40, tol=1e-12).fit(x, y)
    np.testing.assert_allclose(model.weight.numpy()[0], peer.coef_, rtol=1e-6)
    assert model.bias.item() == pytest.approx(peer.intercept_, rel=1e-6)


# The two passes


def counting(primitive, calls):
    """The primitive, counting evaluations and derivatives."""

    def value(*args, **settings):
        calls["value"] += 1
        return primitive.value(*args, **settings)

    def derivative(*args, **settings):
        calls["derivative"] += 1
        return primitive.derivative(*args, **settings)

    return replace(primitive, value=value, derivative=derivative)


def test_E26_each_node_is_visited_once():
    calls = Counter()
    double = counting(elementwise.add, calls)
    x = cr.tensor(1.0, dtype=cr.float64, requires_grad=True)
    y = x
    for _ in range(40):  # 2^40 paths
        y = y.apply(double, (y, y), {})
    forward = calls["value"]
    y.backward()
    assert (forward, calls["derivative"]) == (40, 40)
    assert x.grad.item() == 2.0**40


@pytest.mark.parametrize("seed", range(5))
def test_E26_topological_order(seed):
    rng = np.random.default_rng(seed)
    nodes = [new_leaf((), cr.float64, f"x{i}") for i in range(3)]
    for _ in range(30):
        a, b = (nodes[i] for i in rng.integers(0, len(nodes), 2))
        nodes.append([elementwise.add, elementwise.multiply][rng.integers(2)](a, b))
    order = topological([nodes[-1]])
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order)  # once each
    assert all(place[x] < place[node] for node in order for x in node.inputs)


def test_E27_several_children_are_summed_then_multiplied():
    calls = Counter()
    f = counting(elementwise.tanh, calls)
    a = cr.tensor(np.array([0.3, -0.7]), requires_grad=True)
    b = a.apply(f, (a,), {})
    children = [b * 2.0, cr.sin(b), b * b, cr.exp(b)]
    J = sum(child.sum() for child in children[1:]) + children[0].sum()
    J.backward()
    v = b.numpy()
    dJ_db = 2.0 + np.cos(v) + 2 * v + np.exp(v)
    same(a.grad, dJ_db * (1 - np.tanh(a.numpy()) ** 2))
    assert calls["derivative"] == 1  # four children, one product


# What can go wrong


def test_E28_bad_local_minimum_rerun():
    x = np.linspace(-2 * np.pi, 2 * np.pi, 50)[:, None]
    model = nn.MLP([1, 3, 1], activation="tanh", dtype=cr.float64)
    history = full_batch(model, x / np.pi, np.sin(x), iterations=300, restarts=20)
    ends = np.nanmin(history.loss, 1)
    assert (ends > 0.02).sum() >= 3 and ends.min() < 1e-3  # some starts end in bad local minima
    assert history.best == ends.argmin()
    assert nn.squared_error(model(x / np.pi), np.sin(x)).item() == pytest.approx(ends.min(), rel=1e-6)


def test_E29_gradient_descent_stays_at_a_saddle():
    f = lambda p: 0.5 * (p[0] * p[1] - 1.0) ** 2

    def descend(p, steps=700):
        for _ in range(steps):
            p = p - 0.1 * cr.grad(f)(p).numpy()
        return p

    start = np.array([0.5, -0.5])
    stuck = descend(start, 300)
    assert f(stuck) == pytest.approx(0.5, abs=1e-12)
    found = cr.second_derivative_test(f, stuck)
    assert found.kind == "saddle"
    np.testing.assert_allclose(found.eigenvalues, [-1, 1], atol=1e-9)
    nudged = descend(start + np.array([1e-6, 0.0]))
    assert f(nudged) < 1e-20
    assert cr.second_derivative_test(f, nudged).kind == "inconclusive"  # a whole curve w v = 1 of minima
    down = found.directions[0]
    assert f(stuck + 0.1 * down) < 0.5 and f(stuck - 0.1 * down) < 0.5


@pytest.mark.parametrize(
    ("f", "kind"),
    [
        (lambda p: p[0] ** 2 + 3.0 * p[1] ** 2, "minimum"),
        (lambda p: cr.cos(p[0]) + cr.cos(p[1]), "maximum"),
        (lambda p: p[0] ** 2 - p[1] ** 2, "saddle"),
        (lambda p: p[0] ** 4 + p[1] ** 2, "inconclusive"),
    ],
)
def test_E29_second_derivative_test(f, kind):
    assert cr.second_derivative_test(f, np.zeros(2)).kind == kind


def test_E29_a_network_of_zeros_is_at_a_saddle():
    x = np.linspace(-1, 1, 20)[:, None]
    model = nn.MLP([1, 2, 1], activation="tanh", dtype=cr.float64)
    f = nn.as_function(model)
    found = cr.second_derivative_test(lambda theta: nn.squared_error(f(theta, x), x), np.zeros(7))
    assert found.kind == "saddle" and found.gradient_norm < 1e-12


def test_E30_relu_instead_of_a_flat_region():
    z = np.float64(20.0)
    assert cr.grad(cr.logistic)(z).item() < 1e-8 and cr.grad(cr.relu)(z).item() == 1.0


def test_E30_gradient_clipping():
    p = cr.tensor(np.zeros(2), requires_grad=True)
    (p @ cr.tensor(np.array([3.0, -4.0]))).backward()
    assert optim.clip_norm([p], 1.0).item() == 5.0
    np.testing.assert_allclose(p.grad.numpy(), [0.6, -0.8], rtol=1e-15)


@pytest.mark.parametrize(
    "optimizer", [optim.Adam(0.3), optim.RMSprop(0.1), optim.Adagrad(1.0)], ids=lambda o: type(o).__name__
)
def test_E30_adaptive_steps_where_curvatures_differ(optimizer):
    scale = np.array([1.0, 1e4])  # curvatures 1 to 10^8

    def after(optimizer):
        p = cr.tensor(np.ones(2), requires_grad=True)
        optimizer.attach([p])
        for _ in range(200):
            ((p * scale) ** 2).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return np.abs(p.numpy())

    assert after(optimizer)[0] < 0.2
    assert (
        after(optim.SGD(0.9e-8))[0] > 0.99
    )  # the largest learning rate at which plain descent does not blow up


# Against PyTorch


@pytest.mark.peers
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_E31_gradients_and_training_of_pytorch(activation):
    import torch

    x, y = blobs()
    model = nn.MLP([2, 8, 8, 3], activation=activation, seed=0, dtype=cr.float64)
    sigma = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[activation]
    peer = torch.nn.Sequential(
        torch.nn.Linear(2, 8), sigma(), torch.nn.Linear(8, 8), sigma(), torch.nn.Linear(8, 3)
    ).double()
    peer.load_state_dict({name: torch.tensor(value) for name, value in model.state_dict().items()})
    inputs, labels = torch.tensor(x), torch.tensor(y)
    np.testing.assert_allclose(model(x).numpy(), peer(inputs).detach().numpy(), rtol=1e-12)
    optimizer = torch.optim.Adam(peer.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(peer(inputs), labels)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    history = cr.fit(
        model,
        (x, y),
        loss=nn.cross_entropy,
        optimizer=optim.Adam(0.01),
        epochs=60,
        batch_size=120,
        shuffle=False,
        progress=False,
    )
    np.testing.assert_allclose(history.loss[0], losses, rtol=1e-8)
    # and back: the trained network gives the same outputs there
    peer.load_state_dict({name: torch.tensor(value) for name, value in model.state_dict().items()})
    np.testing.assert_allclose(peer(inputs).detach().numpy(), model(x).numpy(), rtol=1e-12)


@pytest.mark.peers
def test_E31_models_go_to_pytorch_and_come_back():
    import torch

    x, _ = blobs()
    model = nn.MLP([2, 5, 3], activation="logistic", seed=0, dtype=cr.float64)
    there = cr.to_torch(model)
    np.testing.assert_allclose(there(torch.tensor(x)).detach().numpy(), model(x).numpy(), rtol=1e-12)
    back = cr.from_torch(there)
    np.testing.assert_allclose(back(x).numpy(), model(x).numpy(), rtol=1e-12)
    for ours, theirs in zip(back.parameters(), model.parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_E31_the_pytorch_checks_exist(request):
    """The comparisons run with ``pytest -m peers``; without PyTorch they are deselected, never skipped."""
    from pathlib import Path

    names = sorted(path.name for path in (Path(__file__).parents[1] / "peers").glob("test_torch_*.py"))
    assert {"test_torch_nn.py", "test_torch_ops.py", "test_torch_optim.py"} <= set(names)

"""Lecture D: empirical risk, message passing on a chain, minibatches."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.backward import backward
from chainrule.graph import as_node, new_leaf
from chainrule.ops import elementwise

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
LABELS = np.array([0, 2, 1, 1, 0, 2])
CHAIN = {"W": [0.7, -1.2, 0.4], "b": [0.1, 0.3, -0.2], "x": 0.8}


def network(outputs=2, seed=0):
    return nn.MLP([3, 4, outputs], activation="tanh", seed=seed, dtype=cr.float64)


def gradients(model, loss):
    """The gradient of every parameter, by name."""
    model.zero_grad()
    loss.backward()
    return {name: p.grad.numpy() for name, p in model.named_parameters()}


def close(got, expected, rtol=1e-12):
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=rtol, atol=1e-15, err_msg=name)


@pytest.mark.parametrize(
    ("loss", "outputs", "targets"),
    [
        (nn.cross_entropy, 3, LABELS),
        (lambda p, t: nn.squared_error(p, t, "batchmean"), 2, Y),
    ],
    ids=["cross_entropy", "squared_error"],
)
def test_D1_risk_is_the_mean_loss_of_a_row(loss, outputs, targets):
    model = network(outputs)
    each = [loss(model(X[i : i + 1]), targets[i : i + 1]).item() for i in range(6)]
    assert loss(model(X), targets).item() == pytest.approx(np.sum(each) / 6, rel=1e-14)
    history = cr.fit(
        model,
        (X, targets),
        loss=loss,
        optimizer=optim.SGD(0.0),
        epochs=1,
        batch_size=6,
        executor="interpreted",
        progress=False,
    )
    assert history.loss[0, 0] == pytest.approx(np.mean(each), rel=1e-12)


@pytest.mark.parametrize("loss", [nn.squared_error, nn.half_squared_error, nn.absolute_error])
def test_D2_gradient_of_the_mean_is_the_mean_of_the_gradients(loss):
    model = network()
    mean = gradients(model, loss(model(X), Y, "batchmean"))
    rows = [gradients(model, loss(model(X[i : i + 1]), Y[i : i + 1], "batchmean")) for i in range(6)]
    assert sorted(mean) == ["0.bias", "0.weight", "2.bias", "2.weight"]  # W and b alike
    close({name: np.mean([row[name] for row in rows], 0) for name in mean}, mean)


def test_D2_for_cross_entropy():
    model = network(3)
    mean = gradients(model, nn.cross_entropy(model(X), LABELS))
    rows = [gradients(model, nn.cross_entropy(model(X[i : i + 1]), LABELS[i : i + 1])) for i in range(6)]
    close({name: np.mean([row[name] for row in rows], 0) for name in mean}, mean)


# A chain of L neurons


def chain():
    """The univariate network F = sigma(W_3 sigma(W_2 sigma(W_1 x + b_1) + b_2) + b_3)."""
    model = nn.MLP([1, 1, 1, 1], activation="tanh", output_activation="logistic", dtype=cr.float64)
    for layer, W, b in zip(list(model)[0::2], CHAIN["W"], CHAIN["b"], strict=True):
        layer.weight.assign([[W]])
        layer.bias.assign([b])
    return model


def forward_pass():
    """F_j and J_j for j = 1..3, with F_0 = x in front."""
    model, x = chain(), np.array([[CHAIN["x"]]])
    F = [CHAIN["x"]] + [model[: i + 1](x).item() for i in (1, 3, 5)]
    slopes = (cr.tanh, cr.tanh, cr.logistic)
    z = [model[: i + 1](x).item() for i in (0, 2, 4)]
    J = [cr.grad(s)(np.float64(u)).item() for s, u in zip(slopes, z, strict=True)]
    return F, J


@pytest.mark.parametrize(("loss", "y"), [(nn.squared_error, 0.3), (nn.binary_cross_entropy, 1.0)])
def test_D3_loss_absorbed_as_the_last_activation(loss, y):
    plain, absorbed = chain(), chain()
    expected = gradients(plain, loss(plain([[CHAIN["x"]]]), [[y]]))
    tilde = nn.Sequential(*absorbed, nn.AbsorbedLoss(loss, [[y]]))
    close(gradients(absorbed, tilde([[CHAIN["x"]]])), expected)
    # and sigma~_3(a) = l(y, sigma_3(a)), written as one function of the last pre-activation (erratum 33)
    head = absorbed[:5]
    last = lambda a: loss(cr.logistic(a), [[y]])
    close(gradients(absorbed, last(head([[CHAIN["x"]]]))), expected)
    F, J = forward_pass()
    slope = cr.grad(lambda p: loss(p, [[y]]))(np.array([[F[3]]])).item()
    assert expected["4.bias"][0] == pytest.approx(slope * J[2], rel=1e-12)


def counted(primitive, products):
    """The same primitive, counting the products that the backward sweep makes through it."""

    def derivative(*args, **settings):
        products[primitive.name] += 1
        return primitive.derivative(*args, **settings)

    return replace(primitive, derivative=derivative)


@pytest.mark.parametrize("L", [1, 3, 10, 100])
def test_D4_products_from_scratch_and_cached(L):
    products = Counter()
    edge, sigma = counted(elementwise.multiply, products), counted(elementwise.tanh, products)
    biases = [new_leaf((), cr.float64, f"b{j}") for j in range(L)]
    F = new_leaf((), cr.float64, "x")
    for b in biases:
        F = sigma(edge(as_node(0.5, cr.float64), F) + b)
    seed = as_node(1.0, cr.float64)
    backward([F], [seed], biases)
    cached = products.total()
    products.clear()
    for b in biases:
        backward([F], [seed], [b])
    assert (products.total(), cached) == (L * L, 2 * L - 1)
    assert L != 100 or (products.total(), cached) == (10_000, 199)


def test_D4_sweep_grows_with_the_chain():
    from chainrule.graph import topological

    def nodes(L):
        b = cr.tensor(np.zeros(L), requires_grad=True)
        F = cr.tensor(0.5, dtype=cr.float64)
        for j in range(L):
            F = cr.tanh(0.5 * F + b[j])
        return len(topological(backward([F.node], [as_node(1.0, cr.float64)], [b.node])))

    ten, twenty, forty = nodes(10), nodes(20), nodes(40)
    assert forty - twenty == 2 * (twenty - ten)  # linear in V + E


def test_D5_forward_pass_gives_F_and_J():
    F, J = forward_pass()
    (W, b), x = (CHAIN["W"], CHAIN["b"]), CHAIN["x"]
    assert F[0] == x
    u1 = W[0] * x + b[0]
    u2 = W[1] * np.tanh(u1) + b[1]
    u3 = W[2] * np.tanh(u2) + b[2]
    sigmoid = 1 / (1 + np.exp(-u3))
    np.testing.assert_allclose(F, [x, np.tanh(u1), np.tanh(u2), sigmoid], rtol=1e-14)
    expected = [1 - np.tanh(u1) ** 2, 1 - np.tanh(u2) ** 2, sigmoid * (1 - sigmoid)]
    np.testing.assert_allclose(J, expected, rtol=1e-13)


def test_D6_backward_pass_of_a_chain():
    model = chain()
    found = gradients(model, model([[CHAIN["x"]]]).sum())
    (F, J), W = forward_pass(), CHAIN["W"]
    # erratum 34: the products end in W_{j+1} J_j F_{j-1}
    d3 = J[2]
    d2 = J[2] * W[2] * J[1]
    d1 = J[2] * W[2] * J[1] * W[1] * J[0]
    for name, delta, below in (("4", d3, F[2]), ("2", d2, F[1]), ("0", d1, F[0])):
        assert found[f"{name}.bias"].item() == pytest.approx(delta, rel=1e-13)
        assert found[f"{name}.weight"].item() == pytest.approx(delta * below, rel=1e-13)
    cr.check_gradients(
        lambda theta: nn.as_function(model)(theta, [[CHAIN["x"]]]), nn.flatten_parameters(model)
    )


def test_D7_products_of_jacobians():
    """(J_L W_L ... J_j)^T F_{j-1}^T for one output; a coordinatewise activation has a diagonal J."""
    model = nn.MLP([3, 4, 4, 1], activation=["tanh", "logistic"], seed=1, dtype=cr.float64)
    x = X[:1]
    found = gradients(model, model(x).sum())
    F = [x[0], *(model[: i + 1](x).numpy()[0] for i in (1, 3))]
    z = [model[: i + 1](x).numpy()[0] for i in (0, 2)]
    J = [cr.jacobian(s)(u).numpy() for s, u in zip((cr.tanh, cr.logistic), z, strict=True)] + [np.eye(1)]
    for jacobian in J:
        np.testing.assert_array_equal(jacobian, np.diag(np.diag(jacobian)))
    W = [model[i].weight.numpy() for i in (0, 2, 4)]
    product = J[2]
    for j in (2, 1, 0):
        np.testing.assert_allclose(found[f"{2 * j}.weight"], product.T @ F[j][None], rtol=1e-12)
        np.testing.assert_allclose(found[f"{2 * j}.bias"], product[0], rtol=1e-12)
        if j:
            product = product @ W[j] @ J[j - 1]


def test_D7_with_several_outputs_it_is_a_vector_jacobian_product():
    # erratum 35: grad_W f(Wa) = J^T a^T conforms for one output only; in general it is (v^T J)^T a^T
    W, a, v = RNG.normal(size=(4, 3)), X[0], np.array([0.3, -2.0, 1.0, 0.5])
    f = lambda W: cr.softmax(W @ cr.tensor(a))
    J = cr.jacobian(cr.softmax)(W @ a).numpy()
    assert np.abs(J - np.diag(np.diag(J))).max() > 0.01  # softmax is not coordinatewise
    np.testing.assert_allclose(cr.vjp(f, W)[1](v)[0].numpy(), np.outer(v @ J, a), rtol=1e-12)
    full = cr.jacobian(f)(W).numpy()
    np.testing.assert_allclose(full, J[:, :, None] * a, rtol=1e-12)  # d f_i / d W_kj = J_ik a_j


# Minibatches


@pytest.mark.parametrize("b", [1, 2, 3, 5, 6])
def test_D8_minibatch_mean_is_unbiased(b):
    model = network()
    loss = lambda rows: nn.squared_error(model(X[rows]), Y[rows], "batchmean")
    full = gradients(model, loss(list(range(6))))
    every = [gradients(model, loss(list(rows))) for rows in itertools.combinations(range(6), b)]
    close({name: np.mean([g[name] for g in every], 0) for name in full}, full)
    assert b == 6 or not np.allclose(every[0]["0.weight"], full["0.weight"], rtol=0.01)


def test_D8_with_replacement_and_golden(golden):
    case = golden("BD_minibatch_and_loss_conventions")
    given, expected = case.inputs, case.expected
    loss = lambda w, rows: 0.5 * ((cr.logistic(given.X_with_x0[rows] @ w) - given.y[rows]) ** 2)
    mean = lambda rows: cr.grad(lambda w: loss(w, list(rows)).mean())(given.w).numpy()
    full = mean(range(4))
    np.testing.assert_allclose(full, expected.full_grad.mean_half_sq, rtol=1e-11)
    without = [mean(rows) for rows in itertools.combinations(range(4), 2)]
    np.testing.assert_allclose(np.mean(without, 0), expected.mean_over_all_pairs_of_mean, rtol=1e-11)
    replaced = [mean(rows) for rows in itertools.product(range(4), repeat=2)]
    np.testing.assert_allclose(
        np.mean(replaced, 0), expected.mean_over_all_16_with_replacement_pairs_of_mean, rtol=1e-11
    )
    np.testing.assert_allclose(np.mean(replaced, 0), full, rtol=1e-11)


def test_D8_wrong_pairs_are_biased():
    # erratum 36: the print pairs y'_i with x_i; then the expectation is another gradient
    model = network()
    every = [
        gradients(model, nn.squared_error(model(X[[i]]), Y[[j]], "batchmean"))
        for i, j in itertools.product(range(6), repeat=2)
    ]
    full = gradients(model, nn.squared_error(model(X), Y, "batchmean"))
    assert not np.allclose(np.mean([g["0.weight"] for g in every], 0), full["0.weight"], rtol=0.05)


def test_D8_minibatches_of_fit_are_drawn_without_bias():
    """Over one epoch, each row is in one minibatch: equal minibatches average to the full gradient exactly."""
    from chainrule.training.batches import epoch_orders

    model = network()
    full = gradients(model, nn.squared_error(model(X), Y, "batchmean"))
    parts = epoch_orders(6, 2, shuffle=True, drop_last=False, key=(0, 0, 0))
    batches = [batch for part in parts for batch in part]
    assert sorted(np.concatenate(batches).tolist()) == list(range(6))
    each = [gradients(model, nn.squared_error(model(X[rows]), Y[rows], "batchmean")) for rows in batches]
    close({name: np.mean([g[name] for g in each], 0) for name in full}, full)


def test_D9_batch_size_can_be_tuned():
    x = np.linspace(-1, 1, 64)[:, None]
    y = np.sin(3 * x)
    scores = {}
    for batch_size in (1, 8, 64):
        history = cr.fit(
            nn.MLP([1, 8, 1], activation="tanh", seed=0),
            (x[::2], y[::2]),
            validation=(x[1::2], y[1::2]),
            loss=nn.squared_error,
            optimizer=optim.SGD(0.05),
            epochs=30,
            batch_size=batch_size,
            progress=False,
        )
        assert history.steps == 30 * -(-32 // min(batch_size, 32))
        scores[batch_size] = history.validation_loss[0, -1]
    assert min(scores, key=scores.get) == 1  # at equal epochs the many steps win here
    assert len(set(scores.values())) == 3


@pytest.mark.peers
def test_D6_chain_of_pytorch():
    import torch

    W, b = ([torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in CHAIN[k]] for k in ("W", "b"))
    F = torch.tensor(CHAIN["x"], dtype=torch.float64)
    for sigma, w, c in zip((torch.tanh, torch.tanh, torch.sigmoid), W, b, strict=True):
        F = sigma(w * F + c)
    F.backward()
    model = chain()
    found = gradients(model, model([[CHAIN["x"]]]).sum())
    for j, name in enumerate("024"):
        assert found[f"{name}.weight"].item() == pytest.approx(W[j].grad.item(), rel=1e-12)
        assert found[f"{name}.bias"].item() == pytest.approx(b[j].grad.item(), rel=1e-12)

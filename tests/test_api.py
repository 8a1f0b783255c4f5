"""The public surface: every name and every call that a user was promised, by what it means."""

import inspect

import networkx
import numpy as np
import pytest
import scipy.sparse

import chainrule as cr
from chainrule import nn, optim

WEIGHTS = np.array([[0.5, -1.0], [0.25, 2.0]])


def parameters_of(function) -> dict[str, object]:
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}


def has_defaults(function, promised) -> None:
    found = parameters_of(function)
    assert {name: found.get(name, "missing") for name in promised} == promised


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)).astype(np.float32)
    return x, (x[:, 0] > x[:, 1]).astype(np.int64) + (x[:, 2] > 0.5)


@pytest.fixture
def net():
    edges = {("x1", "h"): 0.5, ("x2", "h"): -1.0, ("h", "o"): 2.0, ("x1", "o"): 0.25}
    return nn.GraphNetwork(edges, inputs=["x1", "x2"], outputs=["o"], activation="logistic", dtype="float64")


def test_tensors():
    assert cr.tensor([[1.0, 2.0]]).dtype == cr.float32
    assert cr.tensor(np.ones(2)).dtype == cr.float64
    x = cr.tensor([[1.0, 2.0]], dtype=cr.float64, requires_grad=True)
    w, b = cr.tensor(WEIGHTS, requires_grad=True), cr.tensor(np.array([0.1, -0.1]), requires_grad=True)
    y = cr.tanh(x @ w + b).sum()
    assert y.item() == (x @ w + b).tanh().sum().item()
    y.backward()
    slope = 1 - np.tanh(x.numpy() @ WEIGHTS + b.numpy()) ** 2
    np.testing.assert_allclose(x.grad.numpy(), slope @ WEIGHTS.T, rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(x), [[1.0, 2.0]])
    assert not x.detach().requires_grad
    w.grad = None
    (x @ w).backward(np.array([[1.0, 0.0]]))
    np.testing.assert_array_equal(w.grad.numpy(), [[1.0, 0.0], [2.0, 0.0]])
    with cr.no_grad():
        assert not (x @ w).requires_grad
    w.data[...] = 0.0
    np.testing.assert_array_equal((x @ w).numpy(), [[0.0, 0.0]])


def cubes(x):
    return (x**3).sum()


def test_transforms():
    x, v = np.array([1.0, -2.0]), np.array([0.5, 1.0])
    np.testing.assert_allclose(cr.grad(cubes, argnums=0)(x).numpy(), 3 * x**2)
    value, slope = cr.value_and_grad(cubes)(x)
    assert value.item() == -7.0
    np.testing.assert_allclose(slope.numpy(), 3 * x**2)
    out, pullback = cr.vjp(cubes, x)
    np.testing.assert_allclose(np.asarray(pullback(np.array(1.0))[0]), 3 * x**2)
    assert out.item() == -7.0
    out, tangent = cr.jvp(cubes, (x,), (v,))
    assert (out.item(), tangent.item()) == (-7.0, pytest.approx(3 * x**2 @ v))
    np.testing.assert_allclose(cr.jacobian(lambda x: x**3)(x).numpy(), np.diag(3 * x**2))
    np.testing.assert_allclose(cr.hessian(cubes)(x).numpy(), np.diag(6 * x))
    np.testing.assert_allclose(cr.hvp(cubes, x, v).numpy(), 6 * x * v)
    np.testing.assert_allclose(cr.compile(cubes)(x).numpy(), -7.0)
    cr.check_gradients(cubes, x)
    nested = {"w": x, "rest": [v, (v,)]}
    slopes = cr.grad(lambda p: cubes(p["w"]) + p["rest"][1][0].sum())(nested)
    np.testing.assert_array_equal(np.asarray(slopes["rest"][1][0]), np.ones(2))


def test_a_step_compiles(rows):
    def trained(compiled):
        model = nn.MLP([3, 5, 3], activation="relu", seed=1)
        opt = optim.Adam(1e-2)
        opt.attach(model)

        def step(x, y):
            loss = nn.cross_entropy(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            return loss

        run = cr.compile(step) if compiled else step
        losses = [run(*rows).item() for _ in range(3)]
        return losses, nn.flatten_parameters(model)

    (mine, theta), (its, expected) = trained(True), trained(False)
    np.testing.assert_allclose(mine, its, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(theta), np.asarray(expected), atol=1e-5)


def test_modules():
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 10))
    assert sum(p.data.size for p in model.parameters()) == 64 * 128 + 128 + 128 * 10 + 10
    assert {name for name, _ in model.named_parameters()} <= set(model.state_dict())
    other = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 10))
    other.load_state_dict(model.state_dict())
    x = np.ones((2, 64), np.float32)
    np.testing.assert_array_equal(other.eval()(x).numpy(), model.eval()(x).numpy())
    assert other.train().training
    theta = nn.flatten_parameters(model)
    nn.unflatten_parameters(model, np.zeros_like(np.asarray(theta)))
    assert not any(p.data.any() for p in model.parameters())
    assert nn.MLP([64, 128, 10], activation="relu")(x).shape == (2, 10)
    mixed = nn.MLP([64, 5, 4, 10], activation=["relu", "tanh"], output_activation="softmax")
    np.testing.assert_allclose(mixed(x).numpy().sum(axis=1), 1.0, rtol=1e-6)


def test_edges_of_every_kind_give_the_same_network(net):
    graph = networkx.DiGraph()
    graph.add_nodes_from(net.neurons)
    graph.add_edges_from(net.edges)
    place = {name: i for i, name in enumerate(net.neurons)}
    matrix = scipy.sparse.csr_array(
        (np.ones(4), ([place[a] for a, _ in net.edges], [place[b] for _, b in net.edges])), shape=(4, 4)
    )
    assert net.weight.shape == (len(net.edges),)
    assert net.bias.shape == (2,)
    for edges, inputs, outputs in (
        (net.edges, ["x1", "x2"], ["o"]),
        (graph, ["x1", "x2"], ["o"]),
        (matrix, [place["x1"], place["x2"]], [place["o"]]),
    ):
        same = nn.GraphNetwork(edges, inputs=inputs, outputs=outputs, activation="logistic", dtype="float64")
        named = [tuple(place.get(end, end) for end in edge) for edge in same.edges]
        weights = dict(zip(net.edges, net.weight.data, strict=True))
        by_place = {(place[a], place[b]): weight for (a, b), weight in weights.items()}
        same.weight.data[...] = [by_place[edge] for edge in named]
        x = np.array([[0.3, -0.7]])
        np.testing.assert_allclose(same(x).numpy(), net(x).numpy(), rtol=1e-12)


def test_losses():
    for loss in (
        nn.squared_error,
        nn.half_squared_error,
        nn.cross_entropy,
        nn.binary_cross_entropy,
        nn.zero_one,
        nn.absolute_error,
        nn.huber,
    ):
        assert list(parameters_of(loss))[:3] == ["prediction", "target", "reduction"]
        assert parameters_of(loss)["reduction"] == "mean"
        logits = loss is nn.cross_entropy
        prediction = np.random.default_rng(0).normal(size=(4, 3) if logits else (4, 1))
        target = np.array([0, 1, 1, 0]) if logits else np.array([[0.0], [1.0], [1.0], [0.0]])
        each = loss(prediction, target, reduction="none").numpy()
        assert loss(prediction, target).item() == pytest.approx(each.mean())
        assert loss(prediction, target, reduction="sum").item() == pytest.approx(each.sum())


def test_optimizers():
    assert list(parameters_of(optim.SGD))[:4] == ["lr", "momentum", "nesterov", "weight_decay"]
    has_defaults(optim.SGD, {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0})
    rates = [
        optim.InverseTime(0.01, 0.01),
        optim.StepDecay(0.01, 0.5, every=2),
        optim.CosineDecay(0.01, steps=5),
        optim.OneCycle(0.01, steps=5),
        optim.Warmup(0.01, steps=5),
    ]
    for kind in (optim.SGD, optim.RMSprop, optim.Adagrad, optim.Adam, optim.AdamW, optim.NAdam):
        for lr in (0.01, *rates, lambda step: 0.01 / (1 + step)):
            model = nn.Linear(2, 1).initialise(0)
            opt = kind(lr)
            opt.attach(model)
            before = nn.squared_error(model(WEIGHTS.astype(np.float32)), np.ones((2, 1), np.float32))
            before.backward()
            opt.step()
            opt.zero_grad()
            after = nn.squared_error(model(WEIGHTS.astype(np.float32)), np.ones((2, 1), np.float32))
            assert after.item() < before.item()
            assert model.weight.grad is None


def test_fit(rows):
    has_defaults(
        cr.fit,
        {
            "epochs": 20,
            "batch_size": 128,
            "validation": None,
            "shuffle": True,
            "drop_last": False,
            "restarts": 1,
            "penalty": None,
            "clip_norm": None,
            "stop": None,
            "callbacks": (),
            "progress": "auto",
            "seed": 0,
            "threads": None,
            "checkpoint": None,
            "resume": False,
            "executor": "compiled",
        },
    )
    x, y = rows
    model = nn.MLP([3, 8, 3], seed=0)
    history = cr.fit(
        model,
        (x[:60], y[:60]),
        loss=nn.cross_entropy,
        optimizer=optim.Adam(1e-2),
        epochs=4,
        batch_size=20,
        validation=(x[60:], y[60:]),
        restarts=3,
        progress=False,
    )
    assert history.loss.shape == history.validation_loss.shape == (3, 4)
    assert history.best == int(np.argmin(history.validation_loss[:, -1]))
    assert history.steps == 3 * 4 * 3
    with cr.no_grad():
        kept = nn.cross_entropy(model(x[60:]), y[60:]).item()
    assert kept == pytest.approx(history.validation_loss[history.best, -1], rel=1e-5)
    assert history.ensemble().predict(x).shape == (90, 3)


def test_estimators(rows):
    from chainrule.estimators import MLPClassifier, MLPRegressor

    promised = {
        "hidden_layer_sizes": (100,),
        "activation": "relu",
        "solver": "adam",
        "alpha": 1e-4,
        "batch_size": "auto",
        "learning_rate_init": 1e-3,
        "max_iter": 200,
        "early_stopping": False,
        "random_state": None,
        "restarts": 1,
        "ensemble": False,
        "dropout": 0.0,
        "batch_norm": False,
    }
    has_defaults(MLPClassifier, promised | {"class_weight": None})
    has_defaults(MLPRegressor, promised)
    x, y = rows
    classifier = MLPClassifier(
        (8,), learning_rate_init=0.05, random_state=0, max_iter=60, tol=0, n_iter_no_change=60
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        assert classifier.fit(x, y).score(x, y) > 0.8


def test_seeing_inside(net, rows, tmp_path):
    x = cr.tensor(np.array([0.5, -0.25]), requires_grad=True)
    loss = cubes(x)
    drawing = cr.draw(loss)
    drawing.save(tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_text().startswith("<svg")
    assert "<svg" in drawing._repr_svg_()
    assert "<svg" in cr.draw(nn.MLP([2, 3, 1]))._repr_svg_()
    assert str(loss.item())[:6] in str(cr.explain(loss))
    model = nn.MLP([3, 8, 3], seed=0)
    for finding in cr.diagnose(model, rows, nn.cross_entropy).findings:
        assert finding.evidence and finding.remedy
    flat = cr.diagnose(model, (np.ones_like(rows[0]), rows[1]), nn.cross_entropy)
    assert "constant" in str(flat)
    kinds = {"minimum": [1, 2], "maximum": [-1, -2], "saddle": [1, -1], "inconclusive": [1, 0]}
    for kind, scales in kinds.items():
        found = cr.second_derivative_test(lambda p, s=scales: (np.array(s) * p**2).sum(), np.zeros(2))
        assert found.kind == kind
        np.testing.assert_allclose(np.sort(found.eigenvalues), np.sort(2.0 * np.array(scales)))


def test_messages(net):
    seen = net.messages(np.array([[0.3, -0.7]]))
    v = {name: float(np.squeeze(seen.v[name])) for name in ("x1", "h", "o")}
    slope = v["o"] * (1 - v["o"])
    assert float(np.squeeze(seen.S["o"])) == pytest.approx(slope)
    assert float(np.squeeze(seen.S_v["h"])) == pytest.approx(2.0 * slope)
    below = v["h"] * (1 - v["h"])
    assert float(np.squeeze(seen.message[("o", "h")])) == pytest.approx(2.0 * slope * below)
    assert float(np.squeeze(seen.S["h"])) == pytest.approx(2.0 * slope * below)
    assert float(np.squeeze(seen.gradient[("h", "o")])) == pytest.approx(v["h"] * slope)
    assert float(np.squeeze(seen.bias_gradient["o"])) == pytest.approx(slope)
    assert float(np.squeeze(seen.u["h"])) == pytest.approx(0.5 * 0.3 + 0.7)


def test_classic(net):
    x, y = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]), np.array([1, -1, -1, -1])
    found = cr.classic.perceptron(x, y, order="cyclic")
    assert (np.sign(x @ found.weights + found.bias) == y).all()
    assert sum(found.mistakes) == found.updates and found.mistakes[-1] == 0
    rule = cr.classic.delta_rule(x, y, order="cyclic")
    assert (np.sign(x @ rule.weights + rule.bias) == y).all()
    point = np.array([0.3, -0.7])
    expected = net.messages(point)
    for found in (cr.classic.path_sum(net, point), cr.classic.naive_gradient(net, point)):
        assert found.gradient == pytest.approx(expected.gradient, rel=1e-12)
        assert found.bias_gradient == pytest.approx(expected.bias_gradient, rel=1e-12)

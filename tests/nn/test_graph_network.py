"""Networks over graphs: what they are made from, what they refuse, that they train."""

import networkx
import numpy as np
import pytest
import scipy.sparse

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import SettingError, ShapeError
from chainrule.ops.edges import EDGES

EDGES_OF_A_DIAMOND = {("x", "a"): 0.5, ("x", "b"): -1.0, ("a", "o"): 2.0, ("b", "o"): 0.25, ("x", "o"): 3.0}


def dense_pairs(widths):
    """All edges between neighbouring levels of numbered neurons, by upper neuron."""
    starts = np.cumsum([0, *widths])
    pairs = [
        (starts[t] + j, starts[t + 1] + i)
        for t in range(len(widths) - 1)
        for i in range(widths[t + 1])
        for j in range(widths[t])
    ]
    return np.array(pairs), range(widths[0]), range(starts[-2], starts[-1])


def sparse_pairs(levels, width, fan_in, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for t in range(levels - 1):
        for i in range(width):
            found += [(t * width + j, (t + 1) * width + i) for j in rng.choice(width, fan_in, replace=False)]
    return np.array(found), range(width), range((levels - 1) * width, levels * width)


# What it is made from


def test_every_form_of_edges_gives_the_same_network():
    pairs, inputs, outputs = dense_pairs([3, 4, 2])
    weights = np.random.default_rng(0).normal(size=len(pairs)).round(3)
    mapping = {(int(a), int(b)): w for (a, b), w in zip(pairs, weights, strict=True)}
    graph = networkx.DiGraph()
    graph.add_weighted_edges_from((a, b, w) for (a, b), w in mapping.items())
    matrix = scipy.sparse.coo_array((weights, (pairs[:, 0], pairs[:, 1])), shape=(9, 9))
    x = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    expected = nn.GraphNetwork(mapping, inputs, outputs).predict(x)
    for edges in (graph, matrix, matrix.tocsr()):
        net = nn.GraphNetwork(edges, inputs, outputs)
        np.testing.assert_allclose(net.predict(x), expected, rtol=1e-6)
    for edges in (pairs, pairs.tolist(), [tuple(pair) for pair in pairs.tolist()], pairs.astype(np.int32)):
        net = nn.GraphNetwork(edges, inputs, outputs)
        net.weight.assign(cr.tensor(weights.astype(np.float32)))
        np.testing.assert_allclose(net.predict(x), expected, rtol=1e-6)
        assert net.edges == [tuple(pair) for pair in pairs.tolist()]


def test_a_dense_graph_is_a_multilayer_perceptron():
    pairs, inputs, outputs = dense_pairs([4, 7, 3])
    net = nn.GraphNetwork(
        pairs, inputs, outputs, "tanh", output_activation="identity", seed=0, dtype=cr.float64
    )
    model = nn.MLP([4, 7, 3], activation="tanh", dtype=cr.float64)
    weight, bias = net.weight.numpy(), net.bias.numpy()
    parts = weight[:28].reshape(7, 4), bias[:7], weight[28:].reshape(3, 7), bias[7:]
    model.load_state_dict(dict(zip(("0.weight", "0.bias", "2.weight", "2.bias"), parts, strict=True)))
    x = np.random.default_rng(0).normal(size=(6, 4))
    np.testing.assert_allclose(net.predict(x), model.predict(x), rtol=1e-12)
    found, expected = net(x), model(x)
    found.sum().backward()
    expected.sum().backward()
    flat = np.concatenate([model[0].weight.grad.numpy().ravel(), model[2].weight.grad.numpy().ravel()])
    np.testing.assert_allclose(net.weight.grad.numpy(), flat, rtol=1e-11)
    biases = np.concatenate([model[0].bias.grad.numpy(), model[2].bias.grad.numpy()])
    np.testing.assert_allclose(net.bias.grad.numpy(), biases, rtol=1e-11)


def test_weights_and_biases_are_in_the_order_that_is_promised():
    net = nn.GraphNetwork([("b", "o"), ("x", "b"), ("x", "o")], ["x"], ["o"], "identity")
    assert net.edges == [("b", "o"), ("x", "b"), ("x", "o")]
    assert net.neurons == ["x", "b", "o"]
    net.load_state_dict({"weight": np.array([2.0, 3.0, 5.0]), "bias": np.array([0.5, 0.25])})
    np.testing.assert_allclose(net.predict([[1.0]]), [[2 * (3 + 0.5) + 5 + 0.25]])
    constant = nn.GraphNetwork([("b", "o"), ("x", "b")], ["x"], ["o"], bias="constant")
    assert constant.edges == [("b", "o"), ("x", "b"), ("v_0", "b"), ("v_0", "o")]
    assert constant.neurons == ["x", "v_0", "b", "o"]


def test_outputs_may_be_any_neurons_in_any_order():
    net = nn.GraphNetwork(EDGES_OF_A_DIAMOND, ["x"], ["o", "b", "x"], "identity", bias=False)
    np.testing.assert_allclose(net.predict([[2.0]]), [[2 * (1 - 0.25 + 3), -2.0, 2.0]])


def test_activations_by_name_and_by_neuron():
    names = {"a": "relu", "b": "tanh", "o": "identity"}
    net = nn.GraphNetwork(EDGES_OF_A_DIAMOND, ["x"], ["o"], names, bias=False, dtype=cr.float64)
    np.testing.assert_allclose(net.predict([[2.0]]), [[2 * 1 + 0.25 * np.tanh(-2) + 6]])
    top = nn.GraphNetwork(
        EDGES_OF_A_DIAMOND, ["x"], ["o"], "relu", bias=False, output_activation="tanh", dtype=cr.float64
    )
    np.testing.assert_allclose(top.predict([[2.0]]), [[np.tanh(8.0)]])


@pytest.mark.parametrize("bias", [True, False, "constant"])
def test_state_dict_goes_to_another_network(bias):
    pairs, inputs, outputs = sparse_pairs(4, 6, 3)
    net, other = (nn.GraphNetwork(pairs, inputs, outputs, bias=bias, seed=s) for s in (0, 1))
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    assert not np.array_equal(net.predict(x), other.predict(x))
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(net.predict(x), other.predict(x))
    assert net.state_dict().keys() == ({"weight", "bias"} if bias is True else {"weight"})


def test_tied_edges_share_a_weight_and_add_up_its_gradient():
    edges = [("x", "a"), ("x", "b"), ("a", "o"), ("b", "o")]
    tied = {"in": [("x", "a"), ("x", "b")]}
    net = nn.GraphNetwork(edges, ["x"], ["o"], "identity", bias=False, tied=tied)
    assert net.weight.shape == (3,) and net.weight_index.tolist() == [0, 0, 1, 2]
    net.load_state_dict({"weight": np.array([2.0, 3.0, 5.0])})
    net([[1.0]]).sum().backward()
    np.testing.assert_allclose(net.weight.grad.numpy(), [8.0, 2.0, 2.0])
    with pytest.raises(SettingError, match="unknown edges"):
        nn.GraphNetwork(edges, ["x"], ["o"], tied=[[("x", "a"), ("a", "b")]])
    with pytest.raises(SettingError, match="in another group too"):
        nn.GraphNetwork(edges, ["x"], ["o"], tied=[edges[:2], edges[1:3]])
    with pytest.raises(SettingError, match="different weights"):
        nn.GraphNetwork(dict(zip(edges, [1.0, 2.0, 3.0, 4.0], strict=True)), ["x"], ["o"], tied=tied)


def test_weights_are_drawn_for_the_activation_that_they_lead_to():
    pairs, inputs, outputs = dense_pairs([200, 100, 50])
    for name, variance in (
        ("relu", (2 / 200, 2 / 100)),
        ("tanh", (2 / 300, 2 / 150)),
        ("identity", (1 / 200, 1 / 100)),
    ):
        weight = nn.GraphNetwork(pairs, inputs, outputs, name, seed=0).weight.numpy()
        np.testing.assert_allclose([weight[:20000].var(), weight[20000:].var()], variance, rtol=0.05)
    net = nn.GraphNetwork(pairs, inputs, outputs, seed=3)
    first = net.weight.numpy().copy()
    assert not np.array_equal(net.initialise(0, 1).weight.numpy(), first)
    np.testing.assert_array_equal(nn.GraphNetwork(pairs, inputs, outputs, seed=3).weight.numpy(), first)
    assert not net.bias.numpy().any()
    zero = nn.GraphNetwork(pairs, inputs, outputs, bias="constant", seed=0)
    assert not zero.weight.numpy()[len(pairs) :].any()


def test_numbers_of_neurons_may_have_gaps():
    net = nn.GraphNetwork(np.array([[5, 10**9], [7, 10**9]]), [5, 7], [10**9], "identity", bias=False)
    assert net.neurons == [5, 7, 10**9]
    net.load_state_dict({"weight": np.array([2.0, 3.0])})
    np.testing.assert_allclose(net.predict([[1.0, 10.0]]), [[32.0]])


# What it refuses


@pytest.mark.parametrize(
    ("edges", "inputs", "outputs", "message"),
    [
        ([("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "o")], ["x"], ["o"], "a -> b -> c -> a"),
        ([("x", "a"), ("a", "o"), ("x", "a")], ["x"], ["o"], r"edges given twice: \('x', 'a'\)"),
        ([("x", "x"), ("x", "o")], ["x"], ["o"], "feeds itself: 'x'"),
        ([("x", "o")], ["x", "y"], ["o"], "inputs that occur in no edge: 'y'"),
        ([("x", "o")], ["x"], ["p"], "outputs that occur in no edge: 'p'"),
        ([("x", "o")], ["x", "x"], ["o"], "inputs listed twice: 'x'"),
        ([("x", "a"), ("z", "o")], ["x"], ["o"], "no input reaches: 'o'"),
        ([("x", "o"), ("z", "o")], ["x"], ["o"], "without incoming edges that are no inputs: 'z'"),
        ([("x", "y"), ("y", "o")], ["x", "y"], ["o"], "inputs with incoming edges: 'y'"),
        ([], ["x"], ["o"], "there are no edges"),
        (["xo"], ["x"], ["o"], "not an edge"),
        ([("x", "o", 3)], ["x"], ["o"], "not an edge"),
        (networkx.Graph([("x", "o")]), ["x"], ["o"], "must be directed"),
        (scipy.sparse.csr_array(np.ones((2, 3))), [0], [2], "adjacency matrix must be square"),
        (np.ones((3, 3), int), [0], [2], "row per edge"),
        (np.array([[-1, 2]]), [-1], [2], "must not be negative"),
        ({("x", "o"): np.nan}, ["x"], ["o"], "not finite"),
    ],
)
def test_what_is_wrong_is_named(edges, inputs, outputs, message):
    with pytest.raises(SettingError, match=message):
        nn.GraphNetwork(edges, inputs, outputs)


def test_a_long_cycle_is_shown_in_part():
    ring = [(f"n{i}", f"n{(i + 1) % 50}") for i in range(50)]
    with pytest.raises(SettingError, match=r"n\d+ -> \.\.\. -> n\d+.*\n.*\n.*a cycle of 50 neurons"):
        nn.GraphNetwork([("x", "n0"), *ring, ("n3", "o")], ["x"], ["o"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bias": "yes"}, "bias"),
        ({"activation": "tanhh"}, "no activation 'tanhh'"),
        ({"activation": "softmax"}, "softmax"),
        ({"activation": {"a": "tanh", "o": "tanh"}}, "no activation for 'b'"),
        ({"activation": dict.fromkeys("abox", "tanh")}, "inputs have no activation: 'x'"),
        ({"weight_initialiser": "orthogonal"}, "orthogonal"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(SettingError, match=message):
        nn.GraphNetwork(list(EDGES_OF_A_DIAMOND), ["x"], ["o"], **settings)


def test_bad_rows():
    net = nn.GraphNetwork(EDGES_OF_A_DIAMOND, ["x"], ["o", "a"])
    with pytest.raises(ShapeError, match="wrong number of features"):
        net(np.ones((2, 3), np.float32))
    with pytest.raises(ShapeError, match="must be a matrix"):
        net(np.ones(1, np.float32))
    with pytest.raises(ShapeError, match="one row"):
        net.messages(np.ones((2, 1)))
    with pytest.raises(SettingError, match="several outputs"):
        net.messages([1.0])
    with pytest.raises(SettingError, match="'b' is not an output"):
        net.messages([1.0], "b")


# That it trains


@pytest.mark.parametrize("bias", [True, "constant"])
def test_executors_agree(bias):
    pairs, inputs, outputs = sparse_pairs(4, 9, 4)
    skips = np.array([[0, 20], [3, 30], [10, 31]])
    edges = np.concatenate([pairs, skips])[np.random.default_rng(2).permutation(len(pairs) + 3)]
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(48, 9)).astype(np.float32), rng.normal(size=(48, 9)).astype(np.float32)
    found = []
    for executor in ("interpreted", "compiled"):
        net = nn.GraphNetwork(edges, inputs, outputs, "tanh", bias, tied=[edges[:3]], seed=0)
        history = cr.fit(
            net,
            rows,
            loss=nn.squared_error,
            optimizer=optim.Adam(1e-2),
            epochs=4,
            batch_size=20,
            restarts=3,
            validation=rows,
            penalty=nn.l2(1e-3),
            clip_norm=1.0,
            executor=executor,
            progress=False,
        )
        found.append((history.loss, net.predict(rows[0])))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=2e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-4)
    assert (found[1][0][:, -1] < found[1][0][:, 0]).all()


def test_threads_change_no_bit():
    pairs, inputs, outputs = sparse_pairs(4, 300, 20)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(64, 300)).astype(np.float32), rng.normal(size=(64, 300)).astype(np.float32)
    found = []
    for threads in (1, 2):
        net = nn.GraphNetwork(pairs, inputs, outputs, "relu", seed=0)
        cr.fit(
            net,
            rows,
            loss=nn.squared_error,
            optimizer=optim.SGD(0.1),
            epochs=3,
            batch_size=32,
            threads=threads,
            progress=False,
        )
        found.append(net.weight.numpy().copy())
    np.testing.assert_array_equal(*found)


def test_gradients_of_weights_are_joined_not_added():
    """However many levels there are, nothing as long as all weights is added up level by level."""
    from chainrule.compiler.expand import expand
    from chainrule.compiler.simplify import simplify
    from chainrule.graph import topological
    from chainrule.ops import elementwise, movement
    from chainrule.ops.record import Form
    from chainrule.training.step import Objective, gradient_step

    pairs, inputs, outputs = sparse_pairs(6, 5, 3)
    net = nn.GraphNetwork(pairs, inputs, outputs, seed=0)
    form = Form((4, 5), np.dtype(np.float32))
    step = gradient_step(Objective(model=net, loss=nn.squared_error), [form, form])
    nodes = topological(simplify(expand(simplify(list(step.outputs)))))
    long = [node for node in nodes if node.shape == net.weight.shape]
    assert not any(node.op in (elementwise.add, movement.pad) for node in long)
    assert sum(node.op is movement.concat for node in long) == 1
    assert sum(node.op in EDGES for node in nodes) == 5 + 4 + 5


@pytest.mark.slow
def test_a_million_edges_are_laid_out_and_computed():
    """Against SciPy, level by level."""
    pairs, inputs, outputs = [], range(2000), range(4 * 2000, 5 * 2000)
    rng = np.random.default_rng(0)
    matrices = []
    for t in range(4):
        matrix = scipy.sparse.random_array(
            (2000, 2000), density=0.05, rng=rng, data_sampler=rng.standard_normal
        )
        matrices.append(matrix.tocsr())
        upper, lower = matrices[-1].nonzero()
        pairs.append(np.stack([lower + 2000 * t, upper + 2000 * (t + 1)], axis=1))
    net = nn.GraphNetwork(np.concatenate(pairs), inputs, outputs, "relu", bias=False)
    weight = np.concatenate([matrix.data for matrix in matrices]).astype(np.float32) / 10
    net.weight.assign(cr.tensor(weight))
    x = rng.normal(size=(3, 2000))
    v = x.T
    for matrix in matrices:
        v = np.maximum(matrix @ v / 10, 0)
    np.testing.assert_allclose(net.predict(x), v.T, rtol=1e-3, atol=1e-3)

"""Rows about networks as graphs: A1, A4, A20 to A29, E3, E23."""

import itertools

import numpy as np
import pytest
from tests.thorough import slow

import chainrule as cr
from chainrule import nn, optim
from chainrule.classic import naive_gradient, path_sum
from chainrule.compiler.program import Instance
from chainrule.nn.activations import find_activation

NAMES = ("logistic", "tanh", "identity", "softplus")


def same(got, expected, rtol=1e-11, atol=1e-15):
    np.testing.assert_allclose(np.asarray(got, float), expected, rtol=rtol, atol=atol)


def layered(widths, bias=True, activation="logistic", **settings):
    """A network whose neurons (level, number) read the whole level below."""
    levels = [[(t, i) for i in range(width)] for t, width in enumerate(widths)]
    edges = [(j, i) for low, high in itertools.pairwise(levels) for i in high for j in low]
    settings = {"dtype": cr.float64, "seed": 0, **settings}
    return nn.GraphNetwork(edges, levels[0], levels[-1], activation, bias, **settings)


def golden_network(case, bias=True):
    """The lecture's 2-3-2-1 network: omega[to][from], column 0 the constant neuron."""
    net = layered([2, 3, 2, 1], bias)
    omega = {
        t + 1: np.array(w) for t, w in enumerate((case.inputs.omega1, case.inputs.omega2, case.inputs.omega3))
    }
    weights = [omega[i[0]][i[1], 0 if j == "v_0" else j[1] + 1] for j, i in net.edges]
    state = {"weight": np.array(weights)}
    if bias is True:
        state["bias"] = np.array([omega[t][k, 0] for t, k in net.neurons if t > 0])
    net.load_state_dict(state)
    return net


def random_network(seed):
    """A random graph of up to 12 neurons with edges that skip levels, mixed activations, perhaps tied edges."""
    rng = np.random.default_rng(seed)
    inputs, others = int(rng.integers(1, 4)), int(rng.integers(1, 9))
    names = [f"n{i}" for i in range(inputs + others)]
    edges = []
    for i in range(inputs, len(names)):
        count = int(rng.integers(1, min(i, 4) + 1))
        edges += [(names[j], names[i]) for j in sorted(rng.choice(i, count, replace=False).tolist())]
    used = {j for j, _ in edges}
    outputs = [name for name in names[inputs:] if name not in used]
    fed = [name for name in names[:inputs] if name in used]
    order = rng.permutation(len(edges))
    edges = [edges[i] for i in order]
    return nn.GraphNetwork(
        edges,
        fed,
        outputs,
        activation={name: NAMES[int(rng.integers(4))] for name in names[inputs:]},
        bias=[True, False, "constant"][int(rng.integers(3))],
        tied=[edges[:2]] if len(edges) > 3 and rng.random() < 0.3 else (),
        weight_initialiser=lambda rng, shape: rng.normal(size=shape),
        bias_initialiser=lambda rng, shape: rng.normal(size=shape),
        dtype=cr.float64,
        seed=seed,
    )


def edge_weights(net):
    """The weight of each edge, in the order of ``net.edges``."""
    weight = net.weight.numpy()
    return weight if net.weight_index is None else weight[net.weight_index]


def by_hand(net, x):
    """The definition (A4), neuron by neuron: u and v of each."""
    u, v = {}, dict(zip(net.inputs, np.asarray(x, float), strict=True))
    weights = dict(zip(net.edges, edge_weights(net).tolist(), strict=True))
    biases = {}
    if net.bias is not None:
        biases = dict(zip(net.neurons[len(net.inputs) :], net.bias.numpy().tolist(), strict=True))
    activation = {}
    for unit in net.plan.units:
        activation |= dict.fromkeys(net.neurons[unit.start : unit.start + unit.count], unit.activation)
    for neuron in net.neurons:
        if neuron == "v_0":
            v[neuron] = 1.0
        elif neuron not in v:
            u[neuron] = biases.get(neuron, 0.0) + sum(
                w * v[j] for (j, i), w in weights.items() if i == neuron
            )
            v[neuron] = float(find_activation(activation[neuron]).function(cr.tensor(np.float64(u[neuron]))))
    return u, v


def backpropagated(net, x, output):
    """The gradient of one output by ``backward``: of the weights, and of the biases (None without a vector)."""
    net.zero_grad()
    net(np.asarray(x)[None])[0, net.outputs.index(output)].backward()
    return net.weight.grad.numpy(), None if net.bias is None else net.bias.grad.numpy()


def compiled_step(net):
    """Gradient descent on the first output of the first row, with rate 1, as machine code."""
    optimizer = optim.SGD(1.0)
    optimizer.attach(net)

    def step(x):
        optimizer.zero_grad()
        value = net(x)[0, 0]
        value.backward()
        optimizer.step()
        return value

    return cr.compile(step)


def summed(net, gradient):
    """Numbers by edge as numbers by weight: tied edges add up."""
    each = np.array([gradient[edge] for edge in net.edges])
    return each if net.weight_index is None else np.bincount(net.weight_index, each)


def differences(net, x, output, step=1e-6):
    """The gradient of the weights by central differences."""
    at, weight = net.outputs.index(output), net.weight.numpy()
    found = np.empty_like(weight)
    for i, start in enumerate(weight.copy()):
        ends = []
        for value in (start + step, start - step):
            weight[i] = value
            ends.append(net.predict(np.asarray(x)[None])[0, at])
        weight[i] = start
        found[i] = (ends[0] - ends[1]) / (2 * step)
    return found


def test_A1_any_feed_forward_graph_sparse_and_with_edges_that_skip():
    for seed in range(40):
        net = random_network(seed)
        x = np.random.default_rng(seed).normal(size=len(net.inputs))
        _, v = by_hand(net, x)
        same(net.predict(x[None])[0], [v[o] for o in net.outputs])


def test_A4_a_neuron_is_sigma_of_the_weighted_sum():
    net = nn.GraphNetwork({("x1", "v"): 0.5, ("x2", "v"): -2.0}, ["x1", "x2"], ["v"], dtype=cr.float64)
    net.bias.assign(cr.tensor(np.array([0.25])))
    same(net([[3.0, 1.0]]).numpy(), [[1 / (1 + np.exp(0.25))]])


def test_A20_bias_as_a_constant_neuron(golden):
    case = golden("A_sigmoid_net_2_3_2_1_message_passing")
    vector, constant = golden_network(case), golden_network(case, "constant")
    x = np.random.default_rng(0).normal(size=(7, 2))
    np.testing.assert_array_equal(vector.predict(x), constant.predict(x))
    for net in (vector, constant):
        net(x).sum().backward()
    gradient = dict(zip(constant.edges, constant.weight.grad.numpy(), strict=True))
    same([gradient[edge] for edge in vector.edges], vector.weight.grad.numpy(), 1e-13)
    same([gradient["v_0", i] for i in vector.neurons[2:]], vector.bias.grad.numpy(), 1e-13)
    found = constant.messages(case.inputs.x)
    assert "v_0" not in found.S and "v_0" not in found.u and found.v["v_0"] == 1
    assert not any("v_0" in pair for pair in found.message)
    assert not any(to == "v_0" for _, to in constant.edges)
    same(
        [found.gradient["v_0", i] for i in vector.neurons[2:]],
        [vector.messages(case.inputs.x).bias_gradient[i] for i in vector.neurons[2:]],
    )


def test_A21_u_and_v_of_every_neuron(golden):
    case = golden("A_sigmoid_net_2_3_2_1_message_passing")
    found = golden_network(case).messages(case.inputs.x)
    for t, (u, v) in enumerate(((case.expected.u1, case.expected.v1), (case.expected.u2, case.expected.v2))):
        same([found.u[t + 1, i] for i in range(len(u))], u)
        same([found.v[t + 1, i] for i in range(len(v))], v)
    same(found.u[3, 0], case.expected.u3[0])
    same(found.f, case.expected.f)
    assert found.u[0, 0] == found.v[0, 0] == case.inputs.x[0]  # inputs are identity nodes (erratum 7)


def test_A22_derivative_of_a_weight_is_S_times_v(golden):
    case = golden("A_sigmoid_net_2_3_2_1_message_passing")
    found = golden_network(case).messages(case.inputs.x)
    for t, omega in enumerate(
        (case.expected.grad_f.omega1, case.expected.grad_f.omega2, case.expected.grad_f.omega3)
    ):
        for i, row in enumerate(np.array(omega)):
            same(found.bias_gradient[t + 1, i], row[0])
            same([found.gradient[(t, j), (t + 1, i)] for j in range(len(row) - 1)], row[1:])
    for (j, i), value in found.gradient.items():
        assert value == found.S[i] * found.v[j]


def test_A23_the_multivariate_chain_rule(golden):
    """Equation 16.1: du_i/du_n is the sum over k of du_i/du_k du_k/du_n, whatever level the k are of."""
    case = golden("A_sigmoid_net_2_3_2_1_message_passing")
    table = naive_gradient(golden_network(case), case.inputs.x).table
    for n in range(3):
        through = sum(table[(3, 0), (2, k)] * table[(2, k), (1, n)] for k in range(2))
        same(table[(3, 0), (1, n)], through)


def test_A24_direct_derivatives(golden):
    case = golden("A_sigmoid_net_2_3_2_1_message_passing")
    net = golden_network(case)
    found, table = net.messages(case.inputs.x), naive_gradient(net, case.inputs.x).table
    weights = dict(zip(net.edges, net.weight.numpy(), strict=True))
    for (n, i), w in weights.items():
        if n[0] > 0:
            same(table[i, n], w * found.v[n] * (1 - found.v[n]))
    expected = case.expected.naive_table
    same([[table[(2, i), (1, n)] for n in range(3)] for i in range(2)], expected.du2_du1)
    same([[table[(3, 0), (2, n)] for n in range(2)]], expected.du3_du2)
    same([[table[(3, 0), (1, n)] for n in range(3)]], expected.du3_du1)


def test_A25_the_naive_algorithm_gives_the_same_gradient(golden):
    case = golden("A_sigmoid_net_2_3_2_1_message_passing")
    net = golden_network(case)
    naive, messages = naive_gradient(net, case.inputs.x), net.messages(case.inputs.x)
    assert naive.gradient.keys() == messages.gradient.keys()
    same(list(naive.gradient.values()), list(messages.gradient.values()))
    same(list(naive.bias_gradient.values()), list(messages.bias_gradient.values()))


@pytest.mark.parametrize("which", range(4))
def test_A25_operation_counts(golden, which):
    row = golden("A_opcount_naive_vs_backprop").expected.rows[which]
    net = layered([int(width) for width in row.widths])
    found = naive_gradient(net, np.zeros(len(net.inputs)))
    assert (len(net.neurons), len(net.edges)) == (row.V, row.E)
    assert found.multiplications == row.naive_edge_products
    assert (
        found.backpropagation
        == row.backprop_edge_products
        == len(net.messages(np.zeros(len(net.inputs))).message)
    )


def test_A26_algorithm_1_as_message_passing(golden):
    case = golden("A_sigmoid_net_2_3_2_1_message_passing")
    found, expected = golden_network(case).messages(case.inputs.x), case.expected
    for S, message, variant in (
        (found.S, found.message, expected.u_variant),
        (found.S_v, found.message_v, expected.v_variant),
    ):
        for t, name in enumerate(("S_input", "S1", "S2", "S3")):
            values = getattr(variant, name)
            same([S[t, i] for i in range(len(values))], values)
        for t, name in enumerate(("message1_to_input", "message2_to_1", "message3_to_2")):
            rows = getattr(variant, name)
            same([[message[(t + 1, i), (t, k)] for k in range(len(row))] for i, row in enumerate(rows)], rows)
    wrong = expected.AS_PRINTED_WRONG
    assert abs(found.S[2, 0] - wrong.S2_literal[0]) > 0.5  # errata 6 and 7


def test_A27_S_is_the_partial_derivative():
    """Claim 16.2 by finite differences: S is df/du, S_v is df/dv (errata 5 to 7)."""
    net = random_network(5)
    rng = np.random.default_rng(0)
    x = rng.normal(size=len(net.inputs))
    output = net.outputs[0]
    found = net.messages(x, output)
    weights = dict(zip(net.edges, edge_weights(net).tolist(), strict=True))
    u, _ = by_hand(net, x)
    slopes = {}
    for unit in net.plan.units:
        for neuron in net.neurons[unit.start : unit.start + unit.count]:
            slopes[neuron] = unit.activation

    def value(nudged, by, after):
        """The output where one neuron's u, or its v, is moved."""
        v = dict(zip(net.inputs, x, strict=True)) | ({"v_0": 1.0} if "v_0" in net.neurons else {})
        biases = {i: u[i] - sum(w * found.v[j] for (j, k), w in weights.items() if k == i) for i in u}
        for neuron in net.neurons:
            if neuron not in v:
                total = biases[neuron] + sum(w * v[j] for (j, i), w in weights.items() if i == neuron)
                total += by if neuron == nudged and not after else 0.0
                v[neuron] = float(find_activation(slopes[neuron]).function(cr.tensor(np.float64(total))))
            v[neuron] += by if neuron == nudged and (after or neuron in net.inputs) else 0.0
        return v[output]

    for neuron in found.S:
        for S, after in ((found.S, False), (found.S_v, True)):
            slope = (value(neuron, 1e-6, after) - value(neuron, -1e-6, after)) / 2e-6
            same(S[neuron], slope, 1e-6, 1e-9)


def test_A28_one_message_an_edge():
    net = random_network(3)
    found = net.messages(np.zeros(len(net.inputs)), net.outputs[0])
    assert len(found.message) == sum(j != "v_0" for j, _ in net.edges)
    assert set(found.message) == {(i, j) for j, i in net.edges if j != "v_0"}


@pytest.mark.slow
def test_A28_work_is_proportional_to_edges(monkeypatch):
    """Ten times the edges take ten times the work and memory, by the compiler's own count; a dense network's take more.

    ``benchmarks/graph_network.py`` measures the time.
    """
    ran = []
    original = Instance.__call__
    monkeypatch.setattr(
        Instance, "__call__", lambda self, *given: (ran.append(self), original(self, *given))[1]
    )

    def work(net, width):
        step = compiled_step(net)
        step(np.ones((64, width), np.float32))
        return np.array([ran[-1].binary.cycles, ran[-1].arena_bytes])

    def sparse(width):
        rng = np.random.default_rng(0)
        source = np.array([rng.choice(width, 20, replace=False) for _ in range(3 * width)]).reshape(
            3, width, 20
        )
        target = np.broadcast_to(np.arange(width)[:, None], source.shape)
        level = width * np.arange(3)[:, None, None]
        pairs = np.stack([(source + level).ravel(), (target + level + width).ravel()], axis=1)
        net = nn.GraphNetwork(pairs, range(width), range(3 * width, 4 * width), "tanh", seed=0)
        return work(net, width)

    def dense(width):
        return work(nn.MLP([width] * 4, "tanh", seed=0), width)

    assert (sparse(2000) <= 12 * sparse(200)).all()
    assert dense(2000)[0] > 50 * dense(200)[0]  # whose edges are a hundred times as many


def test_A29_gradient_of_the_loss_is_its_slope_times_that_of_f(golden):
    case = golden("A_sigmoid_net_2_3_2_1_message_passing")
    net = golden_network(case)
    loss = nn.squared_error(net(case.inputs.x[None]), np.array([[case.inputs.y]]), reduction="sum")
    same(loss.item(), case.expected.sq_loss)
    loss.backward()
    found = net.messages(case.inputs.x)
    slope = 2 * (found.f - float(case.inputs.y))
    same(slope, case.expected.dloss_df)
    same(net.weight.grad.numpy(), slope * summed(net, found.gradient))
    omegas = case.expected.grad_loss.omega1, case.expected.grad_loss.omega2, case.expected.grad_loss.omega3
    same(net.weight.grad.numpy(), np.concatenate([np.array(omega)[:, 1:].ravel() for omega in omegas]))
    same(net.bias.grad.numpy(), np.concatenate([np.array(omega)[:, 0] for omega in omegas]))


@pytest.mark.parametrize("graphs", [20, slow(200)])
def test_A22_A25_A26_E23_five_ways_to_the_same_gradient(graphs):
    """Back-propagation, messages, the naive table, the path sum and finite differences on 200 random graphs."""
    for seed in range(graphs):
        net = random_network(seed)
        x = np.random.default_rng(seed).normal(size=len(net.inputs))
        output = net.outputs[seed % len(net.outputs)]
        weight, bias = backpropagated(net, x, output)
        ways = (net.messages(x, output), naive_gradient(net, x, output), path_sum(net, x, output))
        scale = max(1.0, np.abs(weight).max())
        for found in ways:
            same(summed(net, found.gradient), weight, 1e-10, 1e-13 * scale)
            if bias is not None:
                hidden = net.neurons[len(net.inputs) :]
                same([found.bias_gradient[i] for i in hidden], bias, 1e-10, 1e-13 * scale)
        same(differences(net, x, output), weight, 1e-5, 1e-7 * scale)


@pytest.mark.parametrize("graphs", [3, slow(12)])
def test_A22_compiled_gives_the_same_gradient(graphs):
    """A compiled step of gradient descent moves every parameter by its gradient."""
    for seed in range(graphs):
        net = random_network(seed)
        x = np.random.default_rng(seed).normal(size=(1, len(net.inputs)))
        weight, bias = backpropagated(net, x[0], net.outputs[0])
        before = net.state_dict()
        compiled_step(net)(x)
        same(before["weight"] - net.weight.numpy(), weight, 1e-9, 1e-13)
        if bias is not None:
            same(before["bias"] - net.bias.numpy(), bias, 1e-9, 1e-13)


def test_E3_absent_edges_stay_absent():
    """The restaurant's units read disjoint groups of inputs; training moves nothing else."""
    groups = {"h1": (0, 1, 2), "h2": (3,), "h3": (4, 5)}
    edges = [(f"x{i}", h) for h, group in groups.items() for i in group] + [(h, "o") for h in groups]
    net = nn.GraphNetwork(
        edges, [f"x{i}" for i in range(6)], ["o"], "logistic", output_activation="identity", seed=0
    )
    assert net.weight.shape == (9,) and net.bias.shape == (4,)
    x = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    cr.fit(
        net,
        (x, x.sum(axis=1, keepdims=True)),
        loss=nn.squared_error,
        optimizer=optim.SGD(0.05),
        epochs=2,
        progress=False,
    )
    u, _ = net.values(cr.tensor(np.eye(6, dtype=np.float32)))
    hidden = u[1].numpy() - net.bias.numpy()[:3, None]
    absent = [(i, j) for i, group in enumerate(groups.values()) for j in range(6) if j not in group]
    assert all(hidden[i, j] == 0 for i, j in absent) and np.count_nonzero(hidden) == 6


def test_E23_path_sum(golden):
    case = golden("E_chain_rule_path_sum_and_sensitivity")
    M, N, c, a = (np.array(getattr(case.inputs, name)) for name in ("M", "N", "c", "a"))
    edges = {(f"a{j}", f"b{k}"): M[k, j] for k in range(3) for j in range(2)}
    edges |= {(f"b{k}", f"c{i}"): N[i, k] for i in range(2) for k in range(3)}
    net = nn.GraphNetwork(
        edges, ["a0", "a1"], ["c0", "c1"], "tanh", output_activation="identity", dtype=cr.float64
    )
    net.bias.assign(cr.tensor(np.r_[c, 0.0, 0.0]))
    same(net.predict(a[None])[0], case.expected.c_out)
    for i in range(2):
        found = path_sum(net, a, f"c{i}")
        assert (found.paths, found.edges) == (6, 12)
        for j in range(2):
            paths = dict(found.paths_from(f"a{j}"))
            assert len(paths) == 3
            products = [paths[f"a{j}", f"b{k}", f"c{i}"] for k in range(3)]
            same(products, np.array(case.expected.path_products_i_j_k)[i, j], atol=1e-13)
            same(found.S[f"a{j}"], case.expected.jacobian[i, j])
            same(sum(products), found.S[f"a{j}"])


@pytest.mark.slow
def test_E23_a_million_paths_against_520_edges():
    net = layered([1, *[10] * 6, 1])
    found = path_sum(net, [0.5])
    assert (found.paths, found.edges) == (10**6, 520)
    same(found.S[0, 0], net.messages([0.5]).S[0, 0], 1e-9)


def test_E23_too_many_paths_are_refused():
    with pytest.raises(cr.errors.SettingError, match="10000000000 paths from"):
        path_sum(layered([1, *[10] * 10, 1]), [0.5])

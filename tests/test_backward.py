"""The reverse sweep: right, linear in the size of the graph, and the same every time."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.backward import backward, repeated_axes, undo_broadcast
from chainrule.graph import Node, as_node, check, listing, new_leaf, topological
from chainrule.interpret import evaluate
from chainrule.ops import contract, elementwise, movement, reduce
from chainrule.ops.record import Primitive

F64 = cr.float64


def scalar(name: str = "") -> Node:
    return new_leaf((), F64, name)


def one() -> Node:
    return as_node(np.ones(()))


def values(nodes: list[Node | None], given: dict[Node, float]) -> list[float]:
    return [v.item() for v in evaluate(nodes, {node: np.asarray(v) for node, v in given.items()})]


def test_several_users_sum_then_multiply() -> None:
    """z = tanh(y) + y y with y = x w: y adds its messages up before it passes one on (row E27)."""
    x, w = scalar("x"), scalar("w")
    y = x * w
    z = elementwise.tanh(y) + y * y
    dx, dw = backward([z], [one()], [x, w])
    y0 = 0.3 * 0.5
    slope = 1 - np.tanh(y0) ** 2 + 2 * y0
    assert values([dx, dw], {x: 0.3, w: 0.5}) == pytest.approx([0.5 * slope, 0.3 * slope], rel=1e-15)
    # the message of y is one node: the sum, which is multiplied by each partial once
    sums = [node for node in topological([dx, dw]) if node.op is elementwise.add and node is not z]
    assert len(sums) == 2  # y has three messages (one from tanh, two from its square)
    assert dx.op is dw.op is elementwise.multiply and dx.inputs[0] is dw.inputs[0] is sums[-1]


def test_operand_used_twice_by_one_node() -> None:
    x = scalar()
    (dx,) = backward([x * x], [one()], [x])
    assert values([dx], {x: 3.0}) == [6.0]


def test_unreached_variables_have_no_cotangent() -> None:
    x, unused = scalar(), scalar()
    y = elementwise.sin(x)
    assert backward([y], [one()], [unused, x])[0] is None
    assert backward([elementwise.sign(y)], [one()], [x]) == [None]
    assert backward([movement.stop_gradient(y)], [one()], [x]) == [None]
    assert backward([movement.cast(y, dtype=cr.int64)], [as_node(np.array(1))], [x]) == [None]


def test_variable_that_is_the_output_or_in_the_middle() -> None:
    x = scalar()
    y = elementwise.sin(x)
    seed = as_node(np.array(2.0))
    assert backward([y], [seed], [y]) == [seed]
    dy, dx = backward([y * y], [one()], [y, x])
    at = 0.7
    assert values([dy, dx], {x: at}) == pytest.approx(
        [2 * np.sin(at), 2 * np.sin(at) * np.cos(at)], rel=1e-15
    )


def test_several_outputs_add_up() -> None:
    x = scalar()
    y = x * x
    (dx,) = backward([y, y, x], [as_node(np.array(v)) for v in (1.0, 10.0, 100.0)], [x])
    assert values([dx], {x: 3.0}) == [11 * 6 + 100]


def test_nothing_is_emitted_for_what_no_variable_needs() -> None:
    x, data = scalar(), new_leaf((3,), F64)
    heavy = elementwise.tanh(elementwise.exp(data))
    (dx,) = backward([reduce.sum(x * heavy, axis=(0,), keepdims=False)], [one()], [x])
    ops = Counter(node.op.name for node in topological([dx]))
    assert ops["logistic"] == 0 and ops["exp"] == 1


@pytest.mark.parametrize(
    ("wide", "narrow", "axes"),
    [
        ((2, 3), (2, 3), ()),
        ((2, 3), (3,), (0,)),
        ((2, 3), (), (0, 1)),
        ((2, 3), (2, 1), (1,)),
        ((5, 2, 1, 3), (2, 1, 1), (0, 3)),
        ((1, 1), (1,), (0,)),
        ((0, 3), (1, 3), (0,)),
    ],
)
def test_broadcasting_is_undone(wide: tuple, narrow: tuple, axes: tuple) -> None:
    assert repeated_axes(wide, narrow) == axes
    message = np.arange(float(np.prod(wide))).reshape(wide)
    node = undo_broadcast(as_node(message), new_leaf(narrow, cr.float32))
    assert (node.shape, node.dtype) == (narrow, cr.float32)
    # what numpy repeats, summed: the adjoint of broadcasting
    basis = np.eye(int(np.prod(narrow))).reshape(-1, *narrow)
    expected = [(message * np.broadcast_to(e, wide)).sum() for e in basis]
    np.testing.assert_allclose(evaluate([node])[0].ravel(), expected)


def test_chain_of_a_hundred_thousand_nodes() -> None:
    x = scalar()
    y = x
    for _ in range(100_000):
        y = elementwise.add(y, x)  # which gives x as many messages
    (dx,) = backward([y], [one()], [x])
    assert values([dx], {x: 2.0}) == [100_001]


def counting(primitive: Primitive, calls: Counter[str]) -> Primitive:
    """The same record, which counts how often its derivative is asked for."""

    def derivative(*args, **params):
        calls[primitive.name] += 1
        return primitive.derivative(*args, **params)

    return replace(primitive, derivative=derivative)


def sweep_of_a_network(layers: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], int, int]:
    """Two neurons a layer, each fed by both below: counts derivative calls, forward nodes and new nodes."""
    calls: Counter[str] = Counter()
    tanh, add = counting(elementwise.tanh, calls), counting(elementwise.add, calls)
    a, b = inputs = [scalar(), scalar()]
    for _ in range(layers):
        a, b = tanh(add(a, b)), tanh(add(b, a))
    top = add(a, b)
    made = 0
    plain = Node.__init__

    def init(self, *args, **kwargs):
        nonlocal made
        made += 1
        plain(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Node, "__init__", init)
        backward([top], [one()], inputs)
    return calls, len(topological([top])), made


def test_work_is_linear_in_nodes_and_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each node's derivative is asked for once, and twice the layers cost twice the nodes (row A28)."""
    calls, forward, made = sweep_of_a_network(100, monkeypatch)
    assert calls == {"tanh": 200, "add": 201}
    calls, forward_twice, made_twice = sweep_of_a_network(200, monkeypatch)
    assert calls == {"tanh": 400, "add": 401}
    assert forward_twice - 3 == 2 * (forward - 3)
    per_layer = (made_twice - made) / 100
    assert made == pytest.approx(100 * per_layer, abs=5) and per_layer < 40


def test_sweep_is_deterministic() -> None:
    def text() -> str:
        x, w = new_leaf((4, 3), F64, "x"), new_leaf((3, 2), F64, "w")
        y = reduce.logsumexp(elementwise.tanh(contract.matmul(x, w)), axis=(1,), keepdims=False)
        return listing(backward([reduce.sum(y * y, axis=(0,), keepdims=False)], [one()], [w, x]))

    assert text() == text()


def test_what_the_sweep_emits_passes_the_checker_and_can_be_swept_again() -> None:
    x = new_leaf((3, 2), cr.float32)
    y = reduce.sum(elementwise.tanh(x) * np.ones(2), axis=(0, 1), keepdims=False)
    (dx,) = backward([y], [one()], [x])
    check([dx])
    total = reduce.sum(dx * dx, axis=(0, 1), keepdims=False)
    (ddx,) = backward([total], [as_node(np.ones((), np.float32))], [x])
    check([ddx])
    assert (ddx.shape, ddx.dtype) == ((3, 2), cr.float32)


def test_derivative_of_a_network_against_the_product_of_its_layers() -> None:
    """The Jacobian of y = W2 tanh(W1 x) is W2 diag(1 - tanh^2) W1 (row C6)."""
    rng = np.random.default_rng(0)
    W1, W2, x0 = rng.normal(size=(5, 4)), rng.normal(size=(3, 5)), rng.normal(size=(4, 1))
    x = new_leaf((4, 1), F64)
    y = contract.matmul(as_node(W2), elementwise.tanh(contract.matmul(as_node(W1), x)))
    rows = [backward([y], [as_node(e.reshape(3, 1))], [x])[0] for e in np.eye(3)]
    expected = W2 @ np.diag(1 - np.tanh(W1 @ x0).ravel() ** 2) @ W1
    np.testing.assert_allclose(np.hstack(evaluate(rows, {x: x0})).T, expected, rtol=1e-12)

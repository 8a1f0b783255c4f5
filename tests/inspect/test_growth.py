"""A derivation and a drawing of n nodes take work in proportion to n, whatever the graph looks like.

Work is counted in calls of functions, which neither the machine nor what else it does changes.
"""

import numpy as np
import pytest
from tests.counted import calls
from tests.thorough import first_ones

import chainrule as cr
from chainrule import nn

FEW, MANY = 200, 800


def one_weight_in_every_layer(nodes):
    w, x = cr.tensor(0.9, requires_grad=True), cr.tensor(0.3)
    for _ in range(nodes // 2):
        x = cr.tanh(w * x)
    return x


def one_matrix_in_every_layer(nodes):
    x, w = cr.tensor(np.ones(3)), cr.tensor(np.eye(3), requires_grad=True)
    for _ in range(nodes // 3):
        x = cr.tanh(w @ x) + x
    return x.sum()


def a_weight_for_every_layer(nodes):
    x = cr.tensor(0.3)
    for _ in range(nodes // 3):
        x = cr.tanh(cr.tensor(0.1, requires_grad=True) * x)
    return x


def a_sum_of_squares(nodes):
    w, total = cr.tensor(0.9, requires_grad=True), cr.tensor(0.0)
    for i in range(nodes // 4):
        total = total + (w * float(i) - 1.0) ** 2
    return total


def many_readers_of_one_quantity(nodes):
    w = cr.tensor(0.9, requires_grad=True)
    parts = [cr.tanh(w * float(i)) for i in range(nodes // 3)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def a_deep_network(nodes):
    model = nn.MLP([3] * (nodes // 4) + [1], "tanh", seed=0)
    return nn.squared_error(model(np.ones((2, 3), np.float32)), np.zeros((2, 1), np.float32))


GRAPHS = [
    one_weight_in_every_layer,
    one_matrix_in_every_layer,
    a_weight_for_every_layer,
    a_sum_of_squares,
    many_readers_of_one_quantity,
    a_deep_network,
]


@pytest.mark.parametrize("graph", first_ones(GRAPHS), ids=lambda graph: graph.__name__)
def test_explaining_and_drawing_take_work_in_proportion(graph):
    def work(end):
        def explain_and_draw():
            found = cr.explain(end)
            assert str(found) and found.markdown() and found.html()
            cr.draw(end)

        return explain_and_draw

    few, many = (calls(work(graph(nodes))) for nodes in (FEW, MANY))
    assert many < 1.25 * few * MANY / FEW

"""What a summary says: shapes, parameters counted once, multiply-adds; nothing is changed by asking."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import SettingError, ShapeError


def test_layers_of_a_network():
    model = nn.MLP([4, 8, 3], dropout=0.1, batch_norm=True)
    found = model.summary()
    assert [(x.name, x.kind, x.shape, x.parameters, x.multiply_adds) for x in found.layers] == [
        ("0", "Linear", "[batch, 8]", 32, 32),
        ("1", "BatchNorm1d", "[batch, 8]", 16, 8),
        ("2", "ReLU", "[batch, 8]", 0, 0),
        ("3", "Dropout", "[batch, 8]", 0, 0),
        ("4", "Linear", "[batch, 3]", 27, 24),
    ]
    assert (found.parameters, found.multiply_adds) == (75, 64)
    assert model.training and "forward" not in vars(model) and "forward" not in vars(model[0])
    assert model[1].running_mean.numpy().tolist() == [0.0] * 8


def test_what_is_shared_counts_once_and_is_multiplied_twice():
    layer = nn.Linear(3, 3)
    found = nn.Sequential(layer, nn.Tanh(), nn.Sequential(layer, nn.Linear(3, 2))).summary()
    assert [(x.name, x.parameters, x.multiply_adds) for x in found.layers] == [
        ("0", 12, 9),
        ("1", 0, 0),
        ("2", 8, 15),
        ("2.0", 0, 9),
        ("2.1", 8, 6),
    ]
    assert (found.parameters, found.multiply_adds) == (20, 24)


def test_a_graph_multiplies_once_an_edge():
    edges = [("a", "h"), ("b", "h"), ("h", "o"), ("a", "o")]
    assert nn.GraphNetwork(edges, inputs=["a", "b"], outputs=["o"]).summary().multiply_adds == len(edges)


def test_an_example_says_what_the_input_is():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    assert model.summary(np.zeros((1, 3, 4))).layers[0].shape == "[batch, 12]"
    with pytest.raises(SettingError, match="example"):
        nn.Tanh().summary()
    with pytest.raises(ShapeError):
        model.summary(np.zeros((1, 5)))


def test_a_module_of_ones_own_is_one_layer():
    class Twice(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return self.inner(cr.tanh(self.inner(x)))

    found = Twice().summary()
    assert [(x.name, x.multiply_adds) for x in found.layers] == [("inner", 32)]
    assert found.multiply_adds == 32


def test_it_prints_as_a_table():
    found = nn.Linear(2, 1).summary()
    assert repr(found).splitlines() == [
        "layer   output      parameters  multiply-adds",
        "Linear  [batch, 1]           3              2",
        "in all                       3              2",
    ]
    assert ">3</td>" in found._repr_html_()

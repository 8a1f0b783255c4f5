"""Nested dicts, lists and tuples."""

from collections import namedtuple

import pytest

from chainrule import tree
from chainrule.errors import ShapeError

Point = namedtuple("Point", "x y")
NEST = {"b": [1, (2, None)], "a": Point(3, {"z": 4}), "empty": []}


def test_leaves_and_rebuild() -> None:
    assert list(tree.leaves(NEST)) == [1, 2, 3, 4]
    doubled = tree.map_leaves(lambda x: 2 * x, NEST)
    assert doubled == {"b": [2, (4, None)], "a": Point(6, {"z": 8}), "empty": []}
    assert isinstance(doubled["a"], Point)
    assert list(tree.leaves(5)) == [5] and list(tree.leaves(None)) == []


def test_names_stand_in_the_order_of_the_leaves() -> None:
    assert list(tree.names(NEST, "p")) == ["p['b'][0]", "p['b'][1][0]", "p['a'][0]", "p['a'][1]['z']"]


def test_leaves_in_the_order_of_another_tree() -> None:
    other = {"empty": [], "a": (30, {"z": 40}), "b": [10, (20, None)]}
    assert list(tree.leaves_like(other, NEST)) == [10, 20, 30, 40]


@pytest.mark.parametrize("other", [5, {"a": 1}, {**NEST, "c": 1}, {**NEST, "b": [1]}, {**NEST, "a": 3}])
def test_trees_that_are_built_differently(other) -> None:
    with pytest.raises(ShapeError, match=r"not built like(.|\n)*test_tree\.py"):
        list(tree.leaves_like(other, NEST))

"""Nodes, their order, the checker and the listing."""

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.backward import backward
from chainrule.errors import ChainruleError, DtypeError, ShapeError
from chainrule.graph import Node, as_node, at_line, check, describe_form, emit, listing, new_leaf, topological
from chainrule.ops import elementwise, movement, reduce

F64 = cr.float64


def chain(length: int) -> tuple[Node, Node]:
    first = node = new_leaf((), F64)
    for _ in range(length):
        node = elementwise.sin(node)
    return first, node


def test_node_knows_shape_dtype_and_line() -> None:
    x = new_leaf((2, 3), F64, "x")
    y = x + np.ones(3)
    assert (y.shape, y.dtype) == ((2, 3), F64)
    assert describe_form(y) == "float64[2, 3]" and repr(y) == "<add float64[2, 3]>"
    assert y.line is not None and y.line[0] == __file__


def test_leaf_of_an_unknown_dtype_is_refused() -> None:
    for dtype in (np.float16, np.complex128, "no dtype"):
        with pytest.raises(DtypeError):
            new_leaf((), dtype)
    assert new_leaf((), ">f8").dtype == F64


def test_error_names_this_line_unless_told_another() -> None:
    x = new_leaf((2, 3), F64)
    with pytest.raises(ShapeError) as caught:
        x + np.ones(2)
    assert caught.value.where.endswith("x + np.ones(2)") and __file__ in caught.value.where
    with pytest.raises(ShapeError) as caught, at_line(("model.py", 7)):
        x + np.ones(2)
    assert caught.value.where == "model.py:7"


def test_derivative_nodes_belong_to_the_line_of_the_forward_node() -> None:
    x = cr.tensor(np.ones(2), requires_grad=True)
    y = cr.tanh(x)
    line = y.node.line
    seed = as_node(np.ones(2))
    (dx,) = backward([y.node], [seed], [x.node])
    made = set(topological([dx])) - set(topological([y.node])) - {seed}
    assert {node.line for node in made if node.inputs} == {line}


def test_mixed_operands_become_explicit_casts() -> None:
    x, y = new_leaf((), cr.float32), new_leaf((), F64)
    total = x + y
    assert [node.op for node in total.inputs] == [movement.cast, y.op]
    assert (x + 1.5).inputs[1].params["value"].dtype == cr.float32


def test_topological_order_has_inputs_first_and_each_node_once() -> None:
    x = new_leaf((), F64)
    y = x * x
    z = elementwise.sin(y) + y
    order = topological([z, y])
    assert len(order) == len(set(order)) == 4
    position = {node: i for i, node in enumerate(order)}
    assert all(position[x] < position[node] for node in order for x in node.inputs)
    assert topological([z, y]) == order


def test_topological_order_stops_where_told() -> None:
    x = new_leaf((), F64)
    y = x * x
    z = elementwise.sin(y)
    assert topological([z], stop=lambda node: node is y) == [y, z]


def test_long_chain_is_ordered_and_freed_without_recursion() -> None:
    first, last = chain(100_000)
    assert len(topological([last])) == 100_001
    freed = weakref.ref(first)
    del first, last
    gc.collect()
    assert freed() is None


def test_checker_accepts_what_emit_makes() -> None:
    x = new_leaf((3, 4), F64)
    check([reduce.sum(elementwise.tanh(x) * 2.0, axis=(0,), keepdims=False)])


def test_checker_finds_a_wrong_shape() -> None:
    y = new_leaf((3, 4), F64) * 2.0
    y.shape = (4, 3)
    with pytest.raises(ChainruleError, match=r"multiply: the node disagrees(.|\n)*float64\[3, 4\]"):
        check([y])


def test_checker_finds_a_cycle() -> None:
    x = new_leaf((), F64)
    y = elementwise.sin(x)
    z = elementwise.cos(y)
    y.inputs = (z,)
    with pytest.raises(ChainruleError, match="cycle"):
        check([z])


def test_listing() -> None:
    x = new_leaf((2,), F64, "x")
    y = reduce.sum(x * np.array([1.0, 2.0]), axis=(0,), keepdims=False)
    assert listing([y, x]).splitlines() == [
        "%0 float64[2] = leaf() x",
        "%1 float64[2] = constant() value=[1. 2.]",
        "%2 float64[2] = multiply(%0, %1)",
        "%3 float64[] = sum(%2) axis=(0,) keepdims=False",
        "return %3, %0",
    ]
    assert f"# {__file__}:" in listing([y], lines=True)


def test_primitive_needs_a_node_or_tensor() -> None:
    with pytest.raises(DtypeError, match="plain values only"):
        elementwise.add(1.0, 2.0)
    assert emit(elementwise.add, (1.0, np.ones(2)), {}).shape == (2,)

"""The interpreter: runs a graph many times, keeps what it must and nothing else."""

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, IndexOutOfRangeError
from chainrule.graph import Node, as_node, new_leaf
from chainrule.interpret import Interpreted, evaluate
from chainrule.ops import elementwise, indexing, movement
from chainrule.ops.record import Form, OwnLoop, Primitive

F64 = cr.float64


def test_runs_many_times() -> None:
    x, y = new_leaf((2,), F64), new_leaf((2,), F64)
    program = Interpreted([x, y], [x * y, elementwise.sin(x) + y])
    for a, b in (([1.0, 2.0], [3.0, 4.0]), ([0.0, -1.0], [5.0, 0.5])):
        product, total = program(np.array(a), np.array(b))
        np.testing.assert_array_equal(product, np.multiply(a, b))
        np.testing.assert_array_equal(total, np.sin(a) + b)


def test_outputs_may_be_inputs_constants_or_repeated() -> None:
    x = new_leaf((), F64)
    y = x + 1.0
    assert [float(v) for v in Interpreted([x], [x, y, as_node(7.0), y])(np.array(2.0))] == [
        2.0,
        3.0,
        7.0,
        3.0,
    ]


def test_given_values_win_and_stop_the_evaluation() -> None:
    x = new_leaf((), F64)
    y = elementwise.log(x)
    z = y * 2.0
    assert evaluate([z], {y: np.array(5.0)})[0] == 10.0
    y.value = np.array(7.0)
    assert evaluate([z])[0] == 14.0
    assert evaluate([z], {y: np.array(5.0)})[0] == 10.0


def test_buffer_of_a_known_leaf_is_read_at_each_run() -> None:
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    program = Interpreted([], [w.node * 3.0])
    w.assign([10.0, 20.0])
    np.testing.assert_array_equal(program()[0], [30.0, 60.0])


def test_leaf_without_a_value_is_named() -> None:
    with pytest.raises(ChainruleError, match="no value was given for the leaf price"):
        evaluate([new_leaf((), F64, "price") * 2.0])


def test_number_of_arrays_must_fit() -> None:
    x = new_leaf((), F64)
    with pytest.raises(ValueError, match="zip"):
        Interpreted([x], [x])()


def test_error_while_running_names_the_line_of_the_node() -> None:
    x, i = new_leaf((3,), F64), new_leaf((1,), cr.int64)
    y = indexing.gather(x, i, axis=0)
    program = Interpreted([x, i], [y])
    with pytest.raises(IndexOutOfRangeError, match=r"y = indexing\.gather"):
        program(np.ones(3), np.array([3]))


def test_nothing_is_printed_where_a_value_is_not_finite() -> None:
    x = new_leaf((3,), F64)
    with np.errstate(all="raise"):
        (value,) = Interpreted([x], [elementwise.log(x) / 0.0])(np.array([0.0, -1.0, 2.0]))
    np.testing.assert_array_equal(value, [-np.inf, np.nan, np.inf])


class Watched(np.ndarray):
    """An array that can be watched being freed."""


def test_intermediate_values_are_dropped_after_their_last_use() -> None:
    living: list[weakref.ref] = []
    most = 0

    def step(x):
        nonlocal most
        result = (np.asarray(x) + 1.0).view(Watched)
        living.append(weakref.ref(result))
        most = max(most, sum(ref() is not None for ref in living))
        return result

    primitive = Primitive(
        "step", lambda x: Form(x.shape, x.dtype), step, None, lambda rng: iter(()), lowering=OwnLoop("given")
    )
    x = y = new_leaf((4,), F64)
    for _ in range(50):
        y = primitive(y)
    np.testing.assert_array_equal(Interpreted([x], [y])(np.zeros(4))[0], np.full(4, 50.0))
    gc.collect()
    assert most <= 3


def test_value_takes_the_dtype_of_its_node() -> None:
    x = new_leaf((2,), cr.float32)
    assert evaluate([elementwise.erf(x)], {x: np.ones(2, np.float32)})[0].dtype == cr.float32
    assert evaluate([movement.cast(x, dtype=cr.int8)], {x: np.ones(2, np.float32)})[0].dtype == cr.int8


def test_long_chain() -> None:
    x = y = new_leaf((), F64)
    for _ in range(20_000):
        y = Node(elementwise.negative, (y,), {})
    assert evaluate([y], {x: np.array(3.0)})[0] == 3.0

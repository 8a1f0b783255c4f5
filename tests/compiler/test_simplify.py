"""What simplifying leaves out changes no bit: constants, neutral elements and duplicates with all the odd numbers."""

import contextlib
import itertools
from functools import partial

import numpy as np
import pytest

from chainrule.compiler.simplify import simplify
from chainrule.errors import ShapeError
from chainrule.graph import Node, new_leaf
from chainrule.interpret import evaluate
from chainrule.ops import elementwise as e
from chainrule.ops import movement
from chainrule.ops.source import constant

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-310])
OPERATIONS = [e.add, e.subtract, e.multiply, e.divide]


def number(value, dtype=np.float64):
    return Node(constant, (), {"value": np.asarray(value, dtype)})


def same_bits(nodes, values):
    expected, got = evaluate(nodes, values), evaluate(simplify(nodes), values)
    for mine, wanted in zip(got, expected, strict=True):
        assert (mine.dtype, mine.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(mine, wanted)
        if wanted.dtype.kind == "f":
            held = ~np.isnan(wanted)
            np.testing.assert_array_equal(np.signbit(mine)[held], np.signbit(wanted)[held])


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
@pytest.mark.parametrize("shape", [(), (1,), (8,), (3, 8)])
def test_an_operand_that_is_a_number(op, shape):
    x, scalar = new_leaf((8,), np.float64), new_leaf((), np.float64)
    with np.errstate(all="ignore"):
        for value in (0.0, -0.0, 1.0, -1.0, 2.0):
            for known in (number(np.full(shape, value)), movement.broadcast(number(value), shape=shape)):
                same_bits([op(x, known), op(known, x)], {x: SPECIAL})
                for special in SPECIAL:
                    same_bits([op(scalar, known), op(known, scalar)], {scalar: np.asarray(special)})


VIEWS = [
    *(partial(movement.transpose, axes=axes) for axes in itertools.permutations(range(3))),
    partial(movement.slice, start=(1, 2, 0), count=(2, 3, 1), step=(-1, -1, 1)),
    partial(movement.slice, start=(0, 0, 1), count=(1, 2, 1), step=(1, 2, -1)),
    partial(movement.reshape, shape=(4, 2, 3)),
    partial(movement.reshape, shape=(1, 2, 3)),
]


@pytest.mark.parametrize("first", VIEWS, ids=str)
def test_views_of_views(first):
    x = new_leaf((2, 3, 4), np.float64)
    for second, third in itertools.product(VIEWS, repeat=2):
        with contextlib.suppress(ShapeError):
            same_bits([third(second(first(x)))], {x: np.arange(24.0).reshape(2, 3, 4)})


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
def test_constants_of_special_values(op):
    """Pairs of them in an array each: zeros of both signs are not one number."""
    x = new_leaf((2,), np.float64)
    with np.errstate(all="ignore"):
        for pair in itertools.product(SPECIAL, repeat=2):
            folded = op(number(pair), number([1.0, 1.0]))
            same_bits([folded, e.multiply(folded, x)], {x: np.array([1.0, 1.0])})


def test_constants_with_the_same_bytes():
    dtypes = [np.float32, np.int32, np.uint32, np.float64, np.int64, np.uint64, np.int8, np.uint8, np.bool_]
    same_bits([node for dtype in dtypes for node in (number(0, dtype), number([0, 1], dtype))], {})

"""``x[...]`` reads as NumPy does, value and gradient, and never past the end."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule as cr
from chainrule.errors import ChainruleError, DtypeError, IndexOutOfRangeError
from chainrule.graph import new_leaf
from chainrule.interpret import Interpreted
from chainrule.tensor import Tensor
from chainrule.trace import tracing

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def shapes_and_basic_indices(draw: Any) -> tuple[tuple[int, ...], Any]:
    shape = draw(SHAPES)
    return shape, draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))


@st.composite
def shapes_and_mixed_indices(draw: Any) -> tuple[tuple[int, ...], Any]:
    """Integers, slices, new axes, an Ellipsis, index arrays that broadcast, and masks, in any order."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    picked = draw(st.sampled_from([(), (1,), (3,), (2, 3), (2, 1)]))
    items: list[Any] = []
    axis = 0
    while axis < len(shape):
        n = shape[axis]
        kind = draw(st.sampled_from(["int", "slice", "array", "array", "mask", "new", "rest"]))
        if kind == "int":
            items.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            items.append(draw(st.slices(n)))
        elif kind == "array":
            dtype = draw(st.sampled_from([np.int8, np.int64, np.uint8, np.uint64]))
            low = 0 if np.dtype(dtype).kind == "u" else -n
            items.append(draw(hnp.arrays(dtype, picked, elements=st.integers(low, n - 1))))
        elif kind == "mask":
            # as many elements as the index arrays have in their last axis, so that they broadcast
            mask = np.zeros(n, bool)
            mask[draw(st.integers(0, n - 1))] = True
            items.append(mask)
        elif kind == "new":
            items.append(None)
            continue
        elif Ellipsis not in [item for item in items if not isinstance(item, np.ndarray)]:
            items.append(Ellipsis)
            axis += draw(st.integers(0, len(shape) - axis)) - 1
        else:
            break
        axis += 1
    return shape, tuple(items)


def check(shape: tuple[int, ...], index: Any) -> None:
    a = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    try:
        expected = np.asarray(a[index])
    except IndexError:
        with pytest.raises(ChainruleError):
            cr.tensor(a)[index]
        return
    x = cr.tensor(a, requires_grad=True)
    got = x[index]
    np.testing.assert_array_equal(got.numpy(), expected, strict=True)
    weights = np.arange(2.0, 2 + expected.size).reshape(expected.shape)
    got.backward(weights)
    gradient = np.zeros_like(a)
    np.add.at(gradient, index, weights)
    np.testing.assert_array_equal(x.grad.numpy(), gradient, strict=True)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(shapes_and_basic_indices())
def test_basic_indices(case: tuple[tuple[int, ...], Any]) -> None:
    check(*case)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(shapes_and_mixed_indices())
def test_mixed_indices(case: tuple[tuple[int, ...], Any]) -> None:
    check(*case)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), st.data())
def test_masks(shape: tuple[int, ...], data: Any) -> None:
    width = data.draw(st.integers(1, len(shape)))
    check(shape, data.draw(hnp.arrays(bool, shape[:width])))


@pytest.mark.parametrize(
    "index",
    [
        [0, 2],
        [[0, 1], [2, 0]],
        [],
        [True, False, True],
        (0, [0, 1]),
        (0, slice(None), [0, 1]),
        ([0, 1], slice(None), 0),
        (slice(None), 1, [0, 1]),
        (slice(None), [0, 1], None, [2, 3]),
        (slice(None), [0, 1], [2, 3]),
        ([0, 1], slice(None), [2, 3]),
        ([0, 1], ..., [2, 3]),
        (np.array(1), slice(None), np.array([2])),
        (np.int64(1), ...),
        (..., np.eye(3, 2, dtype=bool)[:2], slice(None))[:1],
        (np.eye(3, 2, dtype=bool), [0]),
        (slice(None, None, -2), slice(5, 0, -1)),
    ],
    ids=str,
)
def test_by_hand(index: Any) -> None:
    check((3, 2, 4), index)


def test_tensors_as_indices() -> None:
    a = np.arange(12.0).reshape(3, 4)
    x = cr.tensor(a)
    i, j = np.array([0, -1, 1]), np.array([3, 0, -2])
    for dtype in (np.int8, np.int64):
        ti, tj = cr.tensor(i.astype(dtype)), cr.tensor(j.astype(dtype))
        np.testing.assert_array_equal(x[ti].numpy(), a[i])
        np.testing.assert_array_equal(x[:, tj].numpy(), a[:, j])
        np.testing.assert_array_equal(x[ti, tj].numpy(), a[i, j])
        np.testing.assert_array_equal(x[ti, j].numpy(), a[i, j])
    np.testing.assert_array_equal(x[cr.tensor(2)].numpy(), a[2])
    np.testing.assert_array_equal(x[x > 5.0].numpy(), a[a > 5.0])


def test_small_index_dtypes_do_not_overflow() -> None:
    a = np.arange(300.0 * 2).reshape(300, 2)
    i, j = np.array([120, -3], np.int8), np.array([1, 0], np.int8)
    for x, y in ((i, j), (cr.tensor(i), cr.tensor(j))):
        np.testing.assert_array_equal(cr.tensor(a)[x, y].numpy(), a[i, j])


def test_repeated_indices_add_their_gradients() -> None:
    x = cr.tensor(np.ones(3), requires_grad=True)
    x[[0, 0, 2]].backward(np.array([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [11.0, 0.0, 100.0]


@pytest.mark.parametrize(
    "index", [(0, 4), (3, 0), (-4, 0), ([0, 3], [0, 0]), ([0, 0], [0, -5]), [3], (0, [4])], ids=str
)
def test_out_of_range(index: Any) -> None:
    x = cr.tensor(np.ones((3, 4)))
    with pytest.raises(IndexOutOfRangeError, match=r"out of range(.|\n)*test_getitem\.py"):
        x[index]
    if isinstance(index, tuple):
        with pytest.raises(IndexOutOfRangeError, match=r"out of range(.|\n)*test_getitem\.py"):
            x[tuple(cr.tensor(i) for i in index)]


def test_traced_indices_out_of_range_are_found_when_the_graph_runs() -> None:
    x = cr.tensor(np.arange(12.0).reshape(3, 4))
    with tracing():
        i, j = (Tensor(None, new_leaf((2,), cr.int64)) for _ in range(2))
        y = x[i, j]
    program = Interpreted([i.node, j.node], [y.node])
    np.testing.assert_array_equal(program(np.array([0, -1]), np.array([3, -4]))[0], [3.0, 8.0])
    for wrong in (([0, 1], [0, 4]), ([0, 0], [-5, 0]), ([3, 0], [0, 0]), ([-4, 0], [0, 0])):
        with pytest.raises(IndexOutOfRangeError):
            program(*map(np.array, wrong))


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (True, IndexOutOfRangeError),
        (np.ones(2, bool), IndexOutOfRangeError),
        (np.ones((3, 3), bool), IndexOutOfRangeError),
        (np.ones((3, 4, 1), bool), IndexOutOfRangeError),
        ((..., ...), IndexOutOfRangeError),
        ((0, 0, 0), IndexOutOfRangeError),
        (0.0, DtypeError),
        ([0.0, 1.0], DtypeError),
        ("a", DtypeError),
        (([0, 1], [0, 1, 2]), ChainruleError),
    ],
    ids=str,
)
def test_bad_indices(index: Any, error: type[ChainruleError]) -> None:
    with pytest.raises(error, match=r"test_getitem\.py"):
        cr.tensor(np.ones((3, 4)))[index]

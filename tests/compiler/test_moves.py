"""What moves elements, and what moves nothing: one number in the place of many, indices, empty arrays."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.program import Binary, Instance
from chainrule.errors import ChainruleError, IndexOutOfRangeError
from chainrule.graph import new_leaf
from chainrule.interpret import evaluate
from chainrule.ops import indexing, movement, random
from chainrule.tensor import Tensor

LENGTHS = [1, 3, 9, 16, 40]


def agree(f, *arrays):
    """Compiled and interpreted are the same, or fail alike."""
    try:
        expected = f(*map(Tensor.leaf, arrays))
    except ChainruleError as error:
        with pytest.raises(type(error)):
            cr.compile(f)(*arrays)
        return
    got = cr.compile(f)(*arrays)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), 1e-6, 1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("axis", [0, 1])
def test_the_gradient_of_gathered_rows_where_it_is_one_number(axis, length, dtype):
    x = np.ones((4, length), dtype)
    rows = np.array([0, -1, 0])
    for reduce in (cr.mean, cr.sum, lambda y: cr.sum(cr.mean(y, 0)), lambda y: cr.mean(cr.max(y, 1))):
        agree(cr.grad(lambda x, r=reduce: r(cr.take(x, rows, axis))), x)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, bool])
@pytest.mark.parametrize("length", LENGTHS)
def test_one_number_scattered_over_rows(length, dtype):
    one, rows = new_leaf((), dtype), new_leaf((5,), np.int64)
    updates = movement.broadcast(one, shape=(5, length))
    node = indexing.scatter_add(updates, rows, axis=0, size=3)
    arrays = [np.array(1, dtype), np.array([0, 2, 0, -1, 2])]
    (expected,) = evaluate([node], dict(zip((one, rows), arrays, strict=True)))
    np.testing.assert_array_equal(Instance(Binary([one, rows], [node]))(*arrays)[0], expected)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_padded_argmax(length):
    x = np.random.default_rng(0).normal(size=(3, length)).astype(np.float32)
    for axis in (0, 1):
        for reduce in (cr.sum, cr.norm, cr.max, cr.mean):
            agree(lambda x, r=reduce, a=axis: r(cr.pad(cr.argmax(x, a), [(1, 2)])), x)


EMPTY = [(0,), (0, 3), (3, 0), (0, 0)]
FUNCTIONS = {
    "itself": lambda x: x,
    "flipped": cr.flip,
    "transposed and flipped": lambda x: cr.flip((x + 1).T),
    "every second, backwards": lambda x: (2 * x)[::-2],
    "flipped sum": lambda x: cr.flip(x + 1) + x,
    "joined": lambda x: cr.concat([cr.flip(x), x]),
    "joined parts": lambda x: cr.concat([x[:0], x[0:]]) * x,
    "joined and added": lambda x: cr.concat([x, 2.0 * x]) + cr.concat([3.0 * x, x]),
    "stacked": lambda x: cr.stack([x, cr.flip(x)]),
    "padded": lambda x: cr.flip(cr.pad(x, [(1, 0)] * x.ndim)),
    "picked": lambda x: cr.take(x, np.zeros(0, int), 0),
    "product": lambda x: (
        x.reshape(len(x), -1 if x.size else 0) @ cr.flip(x.reshape(len(x), -1 if x.size else 0)).T
    ),
    "sums": lambda x: cr.flip(x.sum(0)),
    "norm": lambda x: cr.norm(cr.flip(x), 0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", EMPTY)
def test_kernels_and_gradients_of_nothing(shape, name):
    f = FUNCTIONS[name]
    for x in (np.ones(shape), np.ones(shape)[::-1], np.flip(np.ones(shape)), np.ones(shape[::-1]).T):
        agree(f, x)
        agree(cr.grad(lambda x: f(x).sum()), x)
    kept = Tensor.leaf(np.flip(np.ones(shape)))
    agree(lambda one: f(kept) * one, np.ones(()))


@pytest.mark.parametrize("index", [-1, 0, 5, -6])
@pytest.mark.parametrize("shape", [(5, 0), (0, 3), (0,), (5,)])
def test_an_index_outside_is_an_error_where_nothing_moves(shape, index):
    agree(lambda x, i: cr.take(x, i, 0), np.ones(shape), np.array([index]))
    agree(lambda x, i: cr.take(x, i, 0), np.ones(shape), np.zeros(0, int))
    x, i = new_leaf((1, *shape[1:]), np.float64), new_leaf((1,), np.int64)
    added = Instance(Binary([x, i], [indexing.scatter_add(x, i, axis=0, size=shape[0])]))
    if -shape[0] <= index < shape[0]:
        assert added(np.ones(x.shape), np.array([index]))[0].shape == shape
    else:
        with pytest.raises(IndexOutOfRangeError):
            added(np.ones(x.shape), np.array([index]))


@pytest.mark.parametrize("step", [1, -1, 2, 3])
def test_a_seed_may_be_part_of_an_array(step):
    seeds, counter = new_leaf((7,), np.uint32), new_leaf((), np.uint32)
    start = 6 if step < 0 else 0
    seed = movement.slice(seeds, start=(start,), count=(2,), step=(step,))
    bits = random.random_bits(seed, counter, shape=(3, 20))
    arrays = [np.arange(7, dtype=np.uint32) * 12345, np.array(3, np.uint32)]
    (expected,) = evaluate([bits], dict(zip((seeds, counter), arrays, strict=True)))
    np.testing.assert_array_equal(Instance(Binary([seeds, counter], [bits]))(*arrays)[0], expected)

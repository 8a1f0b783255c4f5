"""Orders of rows from native code, against the same algorithm in Python, and against chance."""

import itertools

import numpy as np
import pytest
from scipy import stats

from chainrule.compiler.shuffle import FIRST, GOLDEN, SECOND, shuffled

WORD = (1 << 64) - 1


def in_python(key, rows):
    order, state = list(range(rows)), int(key)
    for last in range(rows - 1, 0, -1):
        state = x = (state + GOLDEN) & WORD
        x = (x ^ (x >> 30)) * FIRST & WORD
        x = (x ^ (x >> 27)) * SECOND & WORD
        other = ((x ^ (x >> 31)) >> 32) * (last + 1) >> 32
        order[last], order[other] = order[other], order[last]
    return order


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 257])
def test_the_same_as_in_python(rows):
    keys = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    assert shuffled(keys, rows).tolist() == [in_python(key, rows) for key in keys]


def test_nothing_to_shuffle():
    assert shuffled(np.zeros(0, np.uint64), 5).shape == (0, 5)
    assert shuffled(np.zeros(3, np.uint64), 0).shape == (3, 0)


def test_every_order_is_equally_likely():
    keys = np.random.default_rng(0).integers(0, 1 << 64, 48_000, dtype=np.uint64)
    orders = list(itertools.permutations(range(4)))
    found = dict.fromkeys(orders, 0)
    for order in shuffled(keys, 4).tolist():
        found[tuple(order)] += 1
    assert stats.chisquare(list(found.values())).pvalue > 1e-3


def test_every_row_comes_to_every_place():
    keys = np.random.default_rng(1).integers(0, 1 << 64, 20_000, dtype=np.uint64)
    orders = shuffled(keys, 20)
    counts = np.stack([np.bincount(column, minlength=20) for column in orders.T])
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3

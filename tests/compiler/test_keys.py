"""What machine code is filed under: two graphs that need other code never have the same key."""

import numpy as np
import pytest

from chainrule.compiler import cache
from chainrule.compiler.host import host
from chainrule.compiler.program import Binary
from chainrule.graph import Node, emit, new_leaf
from chainrule.ops import PRIMITIVES
from chainrule.ops.source import constant


class FoundError(Exception):
    """The key that code was looked for under, before anything is compiled."""


@pytest.fixture
def key_of(monkeypatch):
    def found(key):
        raise FoundError(key)

    monkeypatch.setattr(cache, "load", found)

    def key(*arguments, **settings):
        with pytest.raises(FoundError) as caught:
            Binary(*arguments, **settings)
        return str(caught.value)

    return key


def all_differ(keys):
    same = {name: key for name, key in keys.items() if list(keys.values()).count(key) > 1}
    assert not same


def applied(name, case, dtype):
    arrays = [np.asarray(a.astype(dtype) if np.asarray(a).dtype.kind == "f" else a) for a in case.inputs]
    leaves = [new_leaf(a.shape, a.dtype) for a in arrays]
    return leaves, emit(PRIMITIVES[name], leaves, case.params)


@pytest.mark.parametrize("name", sorted(PRIMITIVES.keys() - {"leaf", "constant"}))
def test_every_shape_dtype_and_parameter_of_a_record(name, key_of):
    keys = {}
    for dtype in (np.float64, np.float32):
        for case in PRIMITIVES[name].domain(np.random.default_rng(0)):
            leaves, node = applied(name, case, dtype)
            shapes = [(x.shape, x.dtype.str) for x in leaves]
            params = {k: v.tobytes() if isinstance(v, np.ndarray) else str(v) for k, v in case.params.items()}
            keys[f"{shapes} {params}"] = key_of(leaves, [node])
    all_differ(keys)


def test_constants(key_of):
    x = new_leaf((2,), np.float64)
    keys = {}
    for value in ([0.0, 0.0], [-0.0, 0.0], [0.0, 1.0], [1.0, 0.0], 0.0, 1.0):
        for dtype in (np.float64, np.float32, np.int32, np.int64, np.uint64):
            if dtype in (np.float64, np.float32) or not np.signbit(value).any():
                known = Node(constant, (), {"value": np.asarray(value, dtype)})
                keys[f"{value} {dtype}"] = key_of([x], [known * x])
    all_differ(keys)


def test_how_tensors_lie(key_of):
    whole = np.zeros((8, 8), np.float32)
    views = {
        "in order": np.zeros((4, 4), np.float32),
        "columns": np.zeros((4, 4), np.float32).T,
        "rows of a larger one": whole[:4, :4],
        "every second row": whole[::2, :4],
        "every second column": whole[:4, ::2],
        "reversed": whole[3::-1, 3::-1],
        "rows reversed": whole[3::-1, :4],
        "one row for all": np.broadcast_to(np.zeros(4, np.float32), (4, 4)),
    }
    all_differ(
        {
            name: key_of([], [leaf * 2.0])
            for name, a in views.items()
            for leaf in [new_leaf((4, 4), a.dtype, value=a)]
        }
    )


def test_the_same_nodes_in_other_places(key_of):
    x, y = new_leaf((4, 4), np.float32), new_leaf((4, 4), np.float32)
    t = new_leaf((4, 4), np.float32, value=np.zeros((4, 4), np.float32))
    u = new_leaf((4, 4), np.float32, value=np.zeros((4, 4), np.float32))
    a, b = x - y, x * y
    all_differ(
        {
            "one output": key_of([x, y], [a]),
            "two": key_of([x, y], [a, b]),
            "the other way round": key_of([x, y], [b, a]),
            "twice": key_of([x, y], [a, a]),
            "operands exchanged": key_of([x, y], [a, y - x]),
            "an update": key_of([x, y], [a], [(t, b)]),
            "two updates": key_of([x, y], [a], [(t, b), (u, a)]),
            "two updates exchanged": key_of([x, y], [a], [(t, a), (u, b)]),
            "read and updated": key_of([x, y], [a * t], [(t, b)]),
            "a loop over minibatches": key_of([x, y], [], rows=4),
            "of other rows": key_of([x, y], [], rows=2),
            "for several threads": key_of([x, y], [a], shared=True),
            **{f"for {level}": key_of([x, y], [a], target=host(level)) for level in ("avx2", "sse2")},
        }
    )

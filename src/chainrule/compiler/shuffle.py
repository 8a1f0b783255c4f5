"""Orders of rows drawn in native code: in NumPy that takes longer than the training of a small network.

Fisher and Yates' shuffle (Knuth, The Art of Computer Programming 2, 3.4.2P) with SplitMix64 (Steele, Lea and Flood,
2014). A number below n is taken from the upper 32 bits by a multiplication (Lemire, 2019) without rejection: no row is
likelier than another by more than a factor of 1 + n / 2^32.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np

from chainrule.compiler.codegen.builder import I64, PTR, Function, Value, const, module_text
from chainrule.compiler.host import Target, host
from chainrule.compiler.team import kept_library
from chainrule.ops.record import Array

GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def shuffled(keys: Array, rows: int) -> Array:
    """Row numbers [keys, rows], int64: for each key (uint64) the numbers below ``rows`` in an order of its own."""
    orders = np.empty((len(keys), rows), np.int64)
    if orders.size:
        keys = np.ascontiguousarray(keys, np.uint64)
        order, key = (array.__array_interface__["data"][0] for array in (orders, keys))
        _native(host())(order, key, len(keys), rows)
    return orders


@functools.cache
def _native(target: Target) -> Callable[[int, int, int, int], None]:
    library = kept_library(module_text([_shuffle()], target.attributes), target)
    kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    run = ctypes.CFUNCTYPE(None, *kinds)(library.address("shuffle"))
    run.library = library  # type: ignore[attr-defined]  # whose code it is
    return run


def _shuffle() -> Function:
    """``shuffle(orders, keys, count, rows)``; there is at least one order and one row."""
    f = Function("shuffle", [(PTR, "orders"), (PTR, "keys"), (I64, "count"), (I64, "rows")])
    orders, keys, count, rows = f.parameters
    with f.loop(const(0, I64), count, 1) as each:
        order = f.offset(orders, f.binary("mul", each.index, rows), "i64")
        with f.loop(const(0, I64), rows, 1) as row:
            f.store(row.index, f.offset(order, row.index, "i64"))
        state = f.load(f.offset(keys, each.index, "i64"), I64)
        with f.branch(f.icmp("sgt", rows, const(1, I64))), f.loop(const(1, I64), rows, 1, [state]) as turn:
            last = f.binary("sub", rows, turn.index)
            state = f.binary("add", turn.values[0], _number(GOLDEN))
            below = f.binary("mul", f.binary("lshr", _mixed(f, state), const(32, I64)), f.plus(last, 1))
            places = [f.offset(order, i, "i64") for i in (last, f.binary("lshr", below, const(32, I64)))]
            values = [f.load(place, I64) for place in places]
            for place, value in zip(places, reversed(values), strict=True):
                f.store(value, place)
            turn.values = [state]
    f.ret()
    return f


def _mixed(f: Function, x: Value) -> Value:
    """SplitMix64's output for a state."""
    for shift, factor in ((30, FIRST), (27, SECOND)):
        x = f.binary("mul", f.binary("xor", x, f.binary("lshr", x, const(shift, I64))), _number(factor))
    return f.binary("xor", x, f.binary("lshr", x, const(31, I64)))


def _number(unsigned: int) -> Value:
    return const(unsigned - (1 << 64), I64)

"""Lanes of random bits, by the same function as ``ops/random.py``."""

from __future__ import annotations

from chainrule.compiler.codegen.builder import I32, Function, Value, const
from chainrule.ops import random


def threefry(f: Function, key: tuple[Value, Value], index: Value, counter: Value) -> Value:
    """The bits of elements ``index`` at a step ``counter``, under two words of a seed."""
    word = index.type

    def rotated(x: Value, turn: int) -> Value:
        return f.intrinsic("fshl", x, x, const(turn, word))

    parity = f.binary("xor", f.binary("xor", *key), const(random.PARITY, I32))
    keys = [f.splat(k, word.lanes) for k in (*key, parity)]
    x, y = f.binary("add", index, keys[0]), f.binary("add", counter, keys[1])
    for group in range(5):
        for turn in random.ROTATIONS[group % 2]:
            x = f.binary("add", x, y)
            y = f.binary("xor", rotated(y, turn), x)
        x = f.binary("add", x, keys[(group + 1) % 3])
        y = f.binary("add", y, keys[(group + 2) % 3])
        y = f.binary("add", y, const(group + 1, word))
    return x

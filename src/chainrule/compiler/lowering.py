"""What the compiler asks of the records: which primitives are computed lane by lane, reduced, only viewed."""

from __future__ import annotations

from chainrule.compiler.ir import I32, Function, Value, const
from chainrule.ops import PRIMITIVES, random
from chainrule.ops.instructions import convert, scalar_of
from chainrule.ops.record import Lanes, Reduction, ViewOnly

__all__ = ["ELEMENTWISE", "FAULTY", "REDUCTIONS", "VIEWS", "convert", "scalar_of", "threefry"]

_RECORDS = PRIMITIVES.values()

#: (f, node, *lanes) -> lanes
ELEMENTWISE = {p: p.lowering.write for p in _RECORDS if isinstance(p.lowering, Lanes)}

#: (f, node, *lanes) -> the mask of lanes without a result and the fault, or None
FAULTY = {
    p: p.lowering.faulty for p in _RECORDS if isinstance(p.lowering, Lanes) and p.lowering.faulty is not None
}

#: where a reduction starts, and how two partial results become one
REDUCTIONS = {p: p.lowering for p in _RECORDS if isinstance(p.lowering, Reduction)}

#: primitives that only change how memory is read
VIEWS = {p for p in _RECORDS if isinstance(p.lowering, ViewOnly)}


def threefry(f: Function, key: tuple[Value, Value], index: Value, counter: Value) -> Value:
    """Lanes of random bits, as ``ops/random.py`` computes them."""
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

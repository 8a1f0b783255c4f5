"""How the rows of a tile are handed over: each once, straight from registers, or through memory by a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from chainrule.compiler.codegen.builder import I64, Function, Value, const
from chainrule.compiler.codegen.matmul.pieces import at, difference, smaller

LONG = 200  # lines of code for all results of a tile, beyond which they are written once, in a loop over its rows

HandOver = Callable[[Value, list[Value]], None]  # (row, the vectors of its results)


@dataclass(frozen=True)
class Rows:
    """A tile from row ``base`` on, computed for the sake of the rows from ``first`` to before ``last``.

    ``first`` lies after ``base`` where the tile would else stick out of the product. ``exact``: that never happens.
    ``full``: nor does ``last`` ever cut a tile.
    """

    base: Value
    first: Value
    last: Value
    exact: bool
    full: bool


def hand_over_rows(
    f: Function, rows: Rows, lines: list[list[Value]], each: HandOver, buffer: Value | None
) -> None:
    """Call ``each`` for every row from first to last. ``buffer``: memory for all lines, if there is any."""
    if buffer is not None and len(lines) > 1 and len(lines) * _length(f, lines[0], each) > LONG:
        _by_loop(f, rows, lines, each, buffer)
        return
    before, behind = (difference(f, edge, rows.base) for edge in (rows.first, rows.last))
    for r, line in enumerate(lines):
        if rows.full or (rows.exact and r == 0):
            each(f.plus(rows.base, r), line)
            continue
        wanted = f.icmp("sgt", behind, const(r, I64))
        if not rows.exact:
            wanted = f.binary("and", wanted, f.icmp("sle", before, const(r, I64)))
        with f.branch(wanted):
            each(f.plus(rows.base, r), line)


def _length(f: Function, line: list[Value], each: HandOver) -> int:
    """How many lines of code one row takes: it is written for trial."""
    with f.trial() as lines:
        row = f.op("freeze i64 0", I64)
        each(row, [f.op(f"freeze {const(0, value.type)}", value.type) for value in line])
    return len(lines)


def _by_loop(f: Function, rows: Rows, lines: list[list[Value]], each: HandOver, buffer: Value) -> None:
    """Through memory: what happens to results is written once."""
    types = [value.type for value in lines[0]]
    scalar = types[0].scalar
    *places, width = accumulate((type.lanes for type in types), initial=0)
    for r, line in enumerate(lines):
        for place, value in zip(places, line, strict=True):
            f.store(value, at(f, buffer, r * width + place, 1, scalar))
    stop = const(len(lines), I64)
    if not rows.full:
        stop = smaller(f, difference(f, rows.last, rows.base), stop)
    start = const(0, I64) if rows.exact else difference(f, rows.first, rows.base)
    with f.loop(start, stop, 1) as loop:
        source = at(f, buffer, loop.index, width, scalar)
        loaded = [
            f.load(at(f, source, place, 1, scalar), type) for place, type in zip(places, types, strict=True)
        ]
        each(f.binary("add", rows.base, loop.index), loaded)

"""What the compiler asks of the records: which primitives are computed lane by lane, reduced, only viewed."""

from __future__ import annotations

from chainrule.ops import PRIMITIVES
from chainrule.ops.instructions import convert, scalar_of
from chainrule.ops.record import Elementwise, Reduction, ViewOnly

__all__ = ["ELEMENTWISE", "FAULTY", "REDUCTIONS", "VIEWS", "convert", "scalar_of"]

_RECORDS = PRIMITIVES.values()

#: (f, node, *lanes) -> lanes
ELEMENTWISE = {p: p.lowering.write for p in _RECORDS if isinstance(p.lowering, Elementwise)}

#: (f, node, *lanes) -> the mask of lanes without a result and the fault, or None
FAULTY = {
    p: p.lowering.faulty
    for p in _RECORDS
    if isinstance(p.lowering, Elementwise) and p.lowering.faulty is not None
}

#: where a reduction starts, and how two partial results become one
REDUCTIONS = {p: p.lowering for p in _RECORDS if isinstance(p.lowering, Reduction)}

#: primitives that only change how memory is read
VIEWS = {p for p in _RECORDS if isinstance(p.lowering, ViewOnly)}

"""The primitives. Each is one record: shape rule, value, derivative, test domain (see ``record.py``)."""

from chainrule.ops import contract, edges, elementwise, indexing, movement, random, reduce, source
from chainrule.ops.record import Primitive

_ROOMS = (source, elementwise, reduce, contract, movement, indexing, edges, random)

#: every primitive by name
PRIMITIVES: dict[str, Primitive] = {
    record.name: record for room in _ROOMS for record in vars(room).values() if isinstance(record, Primitive)
}

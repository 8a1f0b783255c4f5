"""Primitives without operands: where values enter a graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.ops.record import (
    Array,
    Case,
    Form,
    OwnLoop,
    Primitive,
    Shape,
)

#: a value fixed when the graph is built
constant: Primitive = Primitive(
    "constant",
    lambda value: Form(value.shape, value.dtype),
    lambda value: value,
    None,
    lambda rng: iter((Case((), {"value": rng.normal(size=(2, 3))}),)),
    lowering=OwnLoop(),
)


def _unbound(shape: Shape, dtype: np.dtype[Any], name: str) -> Array:
    raise LookupError(f"no value was given for the leaf {name or '(unnamed)'}")


def _no_cases(rng: np.random.Generator) -> Iterator[Case]:
    return iter(())


#: a value given when the graph runs: data, parameters, state
leaf: Primitive = Primitive(
    "leaf", lambda shape, dtype, name: Form(shape, dtype), _unbound, None, _no_cases, lowering=OwnLoop()
)

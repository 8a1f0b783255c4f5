"""Primitives without operands: where values enter a graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.ops.notation import Expression, as_expression, symbol
from chainrule.ops.record import (
    Array,
    Case,
    Form,
    OwnLoop,
    Primitive,
    Shape,
)


def _constant_written(node: Any) -> Expression:
    """A single number as itself (to the digits of its dtype), an array as the shape of its values."""
    value = node.params["value"]
    if value.size != 1:
        shape = ", ".join(map(str, value.shape))
        return symbol(f"const[{shape}]", rf"\mathrm{{const}}_{{[{shape}]}}", node.shape)
    return as_expression(float(str(value.reshape(())[()])) if value.dtype.kind == "f" else int(value.item()))


def _leaf_written(node: Any) -> Expression:
    name = node.params["name"] or "leaf"
    return symbol(name, rf"\mathrm{{{name}}}", node.shape)


#: a value fixed when the graph is built
constant: Primitive = Primitive(
    "constant",
    lambda value: Form(value.shape, value.dtype),
    lambda value: value,
    None,
    lambda rng: iter((Case((), {"value": rng.normal(size=(2, 3))}),)),
    lowering=OwnLoop(),
    written=_constant_written,
)


def _unbound(shape: Shape, dtype: np.dtype[Any], name: str) -> Array:
    raise LookupError(f"no value was given for the leaf {name or '(unnamed)'}")


def _no_cases(rng: np.random.Generator) -> Iterator[Case]:
    return iter(())


#: a value given when the graph runs: data, parameters, state
leaf: Primitive = Primitive(
    "leaf",
    lambda shape, dtype, name: Form(shape, dtype),
    _unbound,
    None,
    _no_cases,
    lowering=OwnLoop(),
    written=_leaf_written,
)

"""Primitives without operands: where values enter a graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.ops.notation import Expression, as_expression, symbol
from chainrule.ops.operand import Application, Dtype
from chainrule.ops.record import (
    ZERO,
    Array,
    Case,
    Form,
    OwnLoop,
    Primitive,
    Shape,
)


def _constant_written(node: Application) -> Expression:
    """A single number as itself (to the digits of its dtype), an array as the shape of its values."""
    value = node.params["value"]
    if value.size != 1:
        shape = ", ".join(map(str, value.shape))
        return symbol(f"const[{shape}]", rf"\mathrm{{const}}_{{[{shape}]}}", node.shape)
    return as_expression(float(str(value.reshape(())[()])) if value.dtype.kind == "f" else int(value.item()))


def _leaf_written(node: Application) -> Expression:
    name = node.params["name"] or "leaf"
    return symbol(name, rf"\mathrm{{{name}}}", node.shape)


#: a value fixed when the graph is built
constant: Primitive = Primitive(
    "constant",
    lambda value: Form(value.shape, value.dtype),
    lambda value: value,
    ZERO,
    lambda rng: iter((Case((), {"value": rng.normal(size=(2, 3))}),)),
    lowering=OwnLoop("given"),
    written=_constant_written,
)


def _unbound(shape: Shape, dtype: Dtype, name: str) -> Array:
    raise LookupError(f"no value was given for the leaf {name or '(unnamed)'}")


def _no_cases(rng: np.random.Generator) -> Iterator[Case]:
    return iter(())


#: a value given when the graph runs: data, parameters, state
leaf: Primitive = Primitive(
    "leaf",
    lambda shape, dtype, name: Form(shape, dtype),
    _unbound,
    ZERO,
    _no_cases,
    lowering=OwnLoop("given"),
    written=_leaf_written,
)

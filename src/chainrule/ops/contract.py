"""The matrix product."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.movement import transpose
from chainrule.ops.notation import Expression, product
from chainrule.ops.operand import Application, Operand
from chainrule.ops.record import (
    Array,
    Case,
    Form,
    OwnLoop,
    Primitive,
    broadcast_shapes,
    expect,
    is_float,
)
from chainrule.sums import total

BLOCK = 1024  # terms of a product that are added up by the library that NumPy calls


def _form(a: Operand, b: Operand) -> Form:
    expect(
        len(a.shape) >= 2 and len(b.shape) >= 2 and a.shape[-1] == b.shape[-2],
        ShapeError,
        "matmul: the inner lengths differ",
        expected="[..., M, K] @ [..., K, N]",
        got=f"{a.shape} @ {b.shape}",
        hint="transpose one operand (x.T), or check the number of features",
    )
    return Form((*broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype)


def _transposed(x: Operand) -> Operand:
    n = len(x.shape)
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


def _domain(rng: np.random.Generator) -> Iterator[Case]:
    for a, b in (
        ((2, 3), (3, 4)),
        ((1, 3), (3, 1)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 1, 2, 3), (5, 3, 2)),
    ):
        yield Case((rng.normal(size=a), rng.normal(size=b)))


def _written(node: Application, a: Expression, b: Expression) -> Expression:
    """A matrix product; an ordinary one where a side is a single number."""
    left, right = (math.prod(x.shape) for x in node.inputs)
    return a * b if 1 in (left, right) else product(a, b, node.shape)


def _value(a: Array, b: Array) -> Array:
    """NumPy's product; long sums of floats in blocks, because a library may take them in one accumulator."""
    (rows, terms), columns = a.shape[-2:], b.shape[-1]
    block = max(BLOCK, rows * columns // max(rows + columns, 1))  # no larger than a and b together
    if terms < 2 * block or not is_float(a.dtype):
        return np.matmul(a, b)
    whole = terms // block * block
    left = np.swapaxes(a[..., :whole].reshape(*a.shape[:-1], -1, block), -2, -3)  # [..., blocks, M, block]
    right = b[..., :whole, :].reshape(*b.shape[:-2], -1, block, columns)
    products = np.matmul(left, right)
    result = total(products, (products.ndim - 3,))
    return result + np.matmul(a[..., whole:], b[..., whole:, :]) if whole < terms else result


#: [..., M, K] @ [..., K, N]; leading axes broadcast, and the sweep undoes that
matmul: Primitive = Primitive(
    "matmul",
    _form,
    _value,
    lambda g, y, a, b: (matmul(g, _transposed(b)), matmul(_transposed(a), g)),
    _domain,
    (
        Case((np.ones((2, 3)), np.ones((2, 3)))),
        Case((np.ones(3), np.ones((3, 2)))),
        Case((np.ones((2, 2, 3)), np.ones((4, 3, 2)))),
    ),
    promoted=(0, 2),
    lowering=OwnLoop("product"),
    written=_written,
)

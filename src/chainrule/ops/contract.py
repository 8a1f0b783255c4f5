"""The matrix product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.movement import transpose
from chainrule.ops.notation import Expression, product
from chainrule.ops.record import (
    Case,
    Form,
    OwnLoop,
    Primitive,
    broadcast_shapes,
    expect,
)


def _form(a: Any, b: Any) -> Form:
    expect(
        len(a.shape) >= 2 and len(b.shape) >= 2 and a.shape[-1] == b.shape[-2],
        ShapeError,
        "matmul: the inner lengths differ",
        expected="[..., M, K] @ [..., K, N]",
        got=f"{a.shape} @ {b.shape}",
        hint="transpose one operand (x.T), or check the number of features",
    )
    return Form((*broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype)


def _turned(x: Any) -> Any:
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


def _written(node: Any, a: Expression, b: Expression) -> Expression:
    """A matrix product; an ordinary one where a side is a single number."""
    left, right = (math.prod(x.shape) for x in node.inputs)
    return a * b if 1 in (left, right) else product(a, b, node.shape)


#: [..., M, K] @ [..., K, N]; leading axes broadcast, and the sweep undoes that
matmul: Primitive = Primitive(
    "matmul",
    _form,
    np.matmul,
    lambda g, y, a, b: (matmul(g, _turned(b)), matmul(_turned(a), g)),
    _domain,
    (
        Case((np.ones((2, 3)), np.ones((2, 3)))),
        Case((np.ones(3), np.ones((3, 2)))),
        Case((np.ones((2, 2, 3)), np.ones((4, 3, 2)))),
    ),
    promoted=(0, 2),
    lowering=OwnLoop(),
    written=_written,
)

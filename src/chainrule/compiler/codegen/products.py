"""The kernel of a matrix product: batch axes as plain loops, the product itself from ``matmul.py``."""

from __future__ import annotations

from chainrule.compiler.codegen.builder import I64, Value, const
from chainrule.compiler.codegen.loops import Axis, Key, Lanes, broadcast_strides
from chainrule.compiler.codegen.matmul import Product, about_cycles, emit_product, parts
from chainrule.compiler.codegen.nests import nest
from chainrule.compiler.codegen.points import compute, constants_along, store
from chainrule.compiler.codegen.writer import KernelWriter, Pointers
from chainrule.compiler.lowering import scalar_of
from chainrule.graph import Node

APART_CYCLES = 0.7  # for an element that does not lie beside its neighbour in the vector


def product_of(writer: KernelWriter, root: Node) -> tuple[Product, Node, Node, tuple[int, int]]:
    """The product as it is computed: its two operands, and the axes of the result that are rows and columns.

    It may be the transposed one, C' = B' A': where the result lies transposed in memory, or where that is
    faster by more than it costs to write vectors element by element.
    """
    a, b = root.inputs
    ndim = len(root.shape)
    order = writer.layout.orders[writer.kernel]
    (a_row, a_column), (b_row, b_column) = (writer.reads[x].strides[-2:] for x in (a, b))
    scalar = scalar_of(root.dtype)
    (m, k), n = a.shape[-2:], b.shape[-1]
    straight = Product(m, n, k, (a_row, a_column), (b_row, b_column), scalar)
    transposed = Product(n, m, k, (b_column, b_row), (a_column, a_row), scalar)
    costs = [about_cycles(product, writer.target) for product in (straight, transposed)]
    costs[0 if order[-1] == ndim - 2 else 1] += APART_CYCLES * m * n * len(writer.kernel.stored)
    if costs[1] < costs[0]:
        return transposed, b, a, (ndim - 1, ndim - 2)
    return straight, a, b, (ndim - 2, ndim - 1)


def write_product(writer: KernelWriter, root: Node) -> None:
    """The whole kernel; the elementwise body runs on each vector of results while it is in registers."""
    f, kernel = writer.f, writer.kernel
    product, left, right, (row_axis, column_axis) = product_of(writer, root)
    ndim = len(root.shape)
    strides = writer.body_strides()
    rows, columns = (
        Axis(kernel.space[a], {key: row[a] for key, row in strides.items()}) for a in (row_axis, column_axis)
    )
    for x in root.inputs:  # the product itself walks along the last two axes of its operands
        view = writer.reads[x]
        batch = view._replace(shape=(*view.shape[:-2], 1, 1), strides=(*view.strides[:-2], 0, 0))
        strides[Key(x, "operand")] = broadcast_strides(batch, kernel.space)
    batch_axes = [
        Axis(kernel.space[a], {key: row[a] for key, row in strides.items()}) for a in range(ndim - 2)
    ]
    batch_axes = [axis for axis in batch_axes if axis.length > 1]
    part = parts(product, writer.target)
    outside = writer.bounds(batch_axes[0].length) if batch_axes else None
    inside = None if batch_axes else writer.bounds(part.units, part.step)
    with nest(writer, batch_axes, writer.start(), [], outside) as (here, _):
        known = constants_along(writer, (rows, columns), here)

        def epilogue(f: object, row: Value, column: Value, value: Value, mask: Value | None) -> None:
            lanes = lanes_of(value, mask)
            at: Pointers = writer.moved(writer.moved(here, rows, row), columns, column)
            env = {**known, root: value}
            compute(writer, kernel.body, env, at, columns.strides, lanes)
            store(writer, env, at, columns.strides, lanes)

        emit_product(
            f,
            writer.target,
            product,
            here[Key(left, "operand")],
            here[Key(right, "operand")],
            inside or (const(0, I64), const(part.units, I64)),
            epilogue,
            writer.scratch,
        )


def lanes_of(value: Value, mask: Value | None) -> Lanes:
    """How many lanes a vector of results has, and how many of them count."""
    count = value.type.lanes
    if mask is None:
        return Lanes(count, count)
    assert mask.active is not None  # a literal
    return Lanes(count, mask.active)

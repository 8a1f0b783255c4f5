"""Kernels that only compute element by element."""

from __future__ import annotations

from chainrule.compiler.codegen.builder import Value
from chainrule.compiler.codegen.loops import Axis, Lanes, merged_axes
from chainrule.compiler.codegen.nests import nest, strip_between
from chainrule.compiler.codegen.points import compute, constants_along, store
from chainrule.compiler.codegen.writer import APART, KernelWriter


def write_map(writer: KernelWriter) -> None:
    """The whole kernel."""
    kernel = writer.kernel
    axes = merged_axes(kernel.space, writer.layout.orders[kernel], writer.body_strides())
    body = writer.kernel.body
    inner = axes[-1] if axes else Axis(1, {})
    outside = writer.bounds(axes[0].length) if len(axes) > 1 else None
    inside = writer.bounds(inner.length, APART) if len(axes) <= 1 else None
    with nest(writer, axes[:-1], writer.start(), [], outside) as (outer, _):
        known = constants_along(writer, (inner,), outer)

        def point(index: Value, lanes: Lanes, _: list[Value]) -> list[Value]:
            env, here = dict(known), writer.moved(outer, inner, index)
            compute(writer, body, env, here, inner.strides, lanes)
            store(writer, env, here, inner.strides, lanes)
            return []

        strip_between(writer, inside, inner.length, writer.width, point)

"""The entry: a product's plan carried out."""

from __future__ import annotations

from chainrule.compiler.host import Target
from chainrule.compiler.ir import Function, Type, Value
from chainrule.compiler.matmul.dots import dots_scratch, write_dots
from chainrule.compiler.matmul.plan import Dots, plan
from chainrule.compiler.matmul.product import Epilogue, Product
from chainrule.compiler.matmul.tiles import StripWriter, scratch_parts


def emit_product(
    f: Function,
    target: Target,
    product: Product,
    a: Value,
    b: Value,
    first_row: Value,
    last_row: Value,
    epilogue: Epilogue,
    scratch: Value | None,
) -> None:
    """Write the code of rows [first_row, last_row) of a product.

    ``a`` and ``b`` point to A[0, 0] and B[0, 0]; ``scratch`` to ``scratch_bytes`` of memory that this call may use, each thread
    its own, aligned like the scalar. Rows may be literals or computed; their sharing among calls does not change a bit.
    """
    product = product.normal()
    if not product.M or not product.N:
        return
    way = plan(product, target)
    literal = first_row.name.isdigit() and last_row.name.isdigit()
    if literal and int(first_row.name) >= int(last_row.name):
        return
    if literal:
        _write(f, target, product, way, a, b, first_row, last_row, epilogue, scratch)
    else:
        with f.branch(f.icmp("slt", first_row, last_row)):
            _write(f, target, product, way, a, b, first_row, last_row, epilogue, scratch)


def _write(
    f: Function,
    target: Target,
    product: Product,
    way: tuple[object, ...] | Dots,
    a: Value,
    b: Value,
    first: Value,
    last: Value,
    epilogue: Epilogue,
    scratch: Value | None,
) -> None:
    if isinstance(way, Dots):
        write_dots(f, target, product, way, a, b, first, last, epilogue, scratch)
    else:
        for strip in way:
            StripWriter(f, target, product, strip, epilogue, scratch).write(a, b, first, last)


def scratch_bytes(product: Product, target: Target) -> int:
    """Memory that one call needs for packed operands and partial sums."""
    product = product.normal()
    way = plan(product, target)
    if isinstance(way, Dots):
        return dots_scratch(product, way)
    lanes = target.lanes(Type(product.scalar).bits)
    sizes = [sum(scratch_parts(product, strip, lanes).values()) for strip in way]
    return max(sizes, default=0) * product.bytes


def row_step(product: Product, target: Target) -> int:
    """Rows are best shared among threads in multiples of this many."""
    way = plan(product.normal(), target)
    if isinstance(way, Dots):
        return way.rows
    return max((strip.rows for strip in way), default=1)

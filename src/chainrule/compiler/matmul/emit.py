"""The entry: a product's plan, carried out."""

from __future__ import annotations

from chainrule.compiler.host import Target
from chainrule.compiler.ir import Function, Type, Value
from chainrule.compiler.matmul.dots import dots_parts, write_dots
from chainrule.compiler.matmul.plan import Dots, plan
from chainrule.compiler.matmul.product import Epilogue, Product
from chainrule.compiler.matmul.tiles import StripWriter, strip_parts


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
    """Write the code of the rows from ``first_row`` to before ``last_row`` of a product (i64).

    ``a`` and ``b`` point to A[0, 0] and B[0, 0]; ``scratch`` to ``scratch_bytes`` of memory, aligned like the scalar,
    that only this call uses. Literal rows give shorter code. How rows are shared among calls changes no bit.
    """
    product = product.normal()
    way = plan(product, target)
    if not product.M or not product.N:
        return

    def write() -> None:
        if isinstance(way, Dots):
            write_dots(f, target, product, way, a, b, first_row, last_row, epilogue, scratch)
            return
        for strip in way:
            StripWriter(f, target, product, strip, epilogue, scratch).write(a, b, first_row, last_row)

    if not (first_row.name.isdigit() and last_row.name.isdigit()):
        with f.branch(f.icmp("slt", first_row, last_row)):
            write()
    elif int(first_row.name) < int(last_row.name):
        write()


def scratch_bytes(product: Product, target: Target) -> int:
    """Memory that one call needs: packed operands, sums in progress, the results of a tile."""
    product = product.normal()
    way = plan(product, target)
    if isinstance(way, Dots):
        return sum(dots_parts(product, way)) * product.bytes
    lanes = target.lanes(Type(product.scalar).bits)
    return max((sum(strip_parts(product, s, lanes).values()) for s in way), default=0) * product.bytes


def row_step(product: Product, target: Target) -> int:
    """Rows are best shared among threads in multiples of this many."""
    way = plan(product.normal(), target)
    return way.rows if isinstance(way, Dots) else max((strip.rows for strip in way), default=1)

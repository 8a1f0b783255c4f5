"""Pass 6: kernels -> functions of LLVM's language. Which loop a kernel gets follows from its root's record."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chainrule.compiler.codegen import repeats
from chainrule.compiler.codegen.builder import Function
from chainrule.compiler.codegen.edges import write_edges
from chainrule.compiler.codegen.maps import write_map
from chainrule.compiler.codegen.matmul import scratch_bytes as product_scratch_bytes
from chainrule.compiler.codegen.moves import write_gather, write_join, write_pad, write_scatter
from chainrule.compiler.codegen.products import product_of, write_product
from chainrule.compiler.codegen.reductions import write_reduction
from chainrule.compiler.codegen.writer import KernelWriter
from chainrule.graph import Node
from chainrule.ops import contract
from chainrule.ops.record import OwnLoop, Reduction

#: the loops that records ask for by name
OWN_LOOPS: Mapping[str, Callable[[KernelWriter, Node], None]] = {
    "product": write_product,
    "edges": write_edges,
    "pad": write_pad,
    "join": write_join,
    "gather": write_gather,
    "scatter": write_scatter,
}


def write_kernel(writer: KernelWriter) -> Function:
    """The whole function of a kernel."""
    root, empty = writer.kernel.root, 0 in writer.kernel.space
    lowering = None if root is None else root.op.lowering
    if root is not None and isinstance(lowering, OwnLoop):
        if not empty or lowering.when_empty:
            OWN_LOOPS[lowering.writer](writer, root)
    elif root is not None and isinstance(lowering, Reduction):
        if not empty:
            write_reduction(writer, root)
    elif root is None:
        if not empty:
            write_map(writer)
    else:
        raise TypeError(f"{root.op.name} has no loop of its own: its lowering is {lowering}")
    writer.f.ret()
    return writer.f


def scratch_bytes(writer: KernelWriter) -> int:
    """Memory that a kernel needs for itself while it runs."""
    root = writer.kernel.root
    if root is not None and repeats.is_counted(root):
        return repeats.scratch_bytes(root)
    if root is None or root.op is not contract.matmul or 0 in root.shape:
        return 0
    return product_scratch_bytes(product_of(writer, root)[0], writer.target)

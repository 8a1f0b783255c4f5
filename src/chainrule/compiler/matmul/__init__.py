"""The contraction kernels: C[M, N] = A[M, K] @ B[K, N] as LLVM IR, for shapes and strides known when it is written.

``product.py`` says what is asked for, ``plan.py`` decides how it is done, and the others write it: ``tiles.py`` by
register tiles of rows and vectors of columns, ``dots.py`` by vectors along K where the result is very narrow or has
very few rows, ``packing.py`` copies operands to where the tiles read them fast. ``emit.py`` joins these.
"""

from chainrule.compiler.matmul.emit import emit_product, row_step, scratch_bytes
from chainrule.compiler.matmul.product import Epilogue, Product

__all__ = ["Epilogue", "Product", "emit_product", "row_step", "scratch_bytes"]

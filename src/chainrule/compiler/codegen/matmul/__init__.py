"""The contraction kernels: C[M, N] = A[M, K] @ B[K, N] as LLVM IR, for shapes and strides known when it is written.

``product.py`` says what is asked for, ``plan.py`` decides how it is done, ``emit.py`` carries it out: by ``tiles.py``
(rows times vectors of columns, sums in registers) or ``dots.py`` (vectors along K, for very few columns or rows).
``packing.py`` copies operands to where they are read fast, ``results.py`` hands results over.
"""

from chainrule.compiler.codegen.matmul.emit import Parts, emit_product, parts, scratch_bytes
from chainrule.compiler.codegen.matmul.plan import about_cycles
from chainrule.compiler.codegen.matmul.product import Epilogue, Product

__all__ = ["Epilogue", "Parts", "Product", "about_cycles", "emit_product", "parts", "scratch_bytes"]

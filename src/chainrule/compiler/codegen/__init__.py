"""Code generation: kernels become functions of LLVM's language."""

"""Speed of the contraction kernels: one thread, against OpenBLAS called in the same way, and against the core's peak.

Run ``OPENBLAS_NUM_THREADS=1 python benchmarks/matmul.py`` on a quiet machine; ``--json FILE`` keeps the figures.
Engines take turns; figures are of the fastest round and of the median one, the time ratio is the median of the rounds'
ratios. Loops over calls run in native code, so that no call overhead counts.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from chainrule.compiler.codegen.builder import I64, PTR, Function, Type, Value, const, module_text
from chainrule.compiler.codegen.matmul import Product, emit_product, parts, scratch_bytes
from chainrule.compiler.codegen.matmul.pieces import multiply_add
from chainrule.compiler.host import Library, Target, assemble, host


@dataclass(frozen=True)
class Case:
    """A product, by whether its operands lie transposed in memory."""

    label: str
    M: int
    N: int
    K: int
    a_transposed: bool = False
    b_transposed: bool = False

    def product(self, scalar: str) -> Product:
        a = (1, self.M) if self.a_transposed else (self.K, 1)
        b = (1, self.K) if self.b_transposed else (self.N, 1)
        return Product(self.M, self.N, self.K, a, b, scalar)

    @property
    def work(self) -> int:
        """Floating-point operations."""
        return 2 * self.M * self.N * self.K


def cases() -> list[Case]:
    """The products of the architecture's table, and of a training step of each benchmark network."""
    found = [
        Case("table", 32, 64, 64),
        Case("table", 32, 64, 20),
        Case("table", 64, 64, 32, a_transposed=True),
        Case("table", 128, 128, 64),
        Case("table", 200, 256, 784),
        Case("table", 512, 1024, 1024),
    ]
    networks = [((4, 8, 3), 1), ((20, 64, 64, 10), 32), ((64, 128, 10), 128), ((784, 256, 128, 10), 200)]
    for sizes, batch in [*networks, ((1024, 1024, 1024, 10), 512)]:
        label = "-".join(map(str, sizes))
        for i, (before, after) in enumerate(pairwise(sizes)):
            found.append(Case(f"{label} forward", batch, after, before, b_transposed=True))
            found.append(Case(f"{label} weights", after, before, batch, a_transposed=True))
            if i:
                found.append(Case(f"{label} inputs", batch, before, after))
    for sizes in ((64, 128, 10), (784, 256, 128, 10)):
        for before, after in pairwise(sizes):
            found.append(Case("one row", 1, after, before, b_transposed=True))
    found += [Case("one output", 200, 1, 64, b_transposed=True), Case("one row, transposed", 1, 256, 784)]
    seen: dict[tuple[object, ...], Case] = {}
    for case in found:
        seen.setdefault((case.M, case.N, case.K, case.a_transposed, case.b_transposed), case)
    return list(seen.values())


def peak_function(target: Target, scalar: str) -> Function:
    """Sums in registers that only multiply and add: 12 chains, 2 * 12 * lanes operations a turn."""
    f = Function("peak", [(PTR, "data"), (I64, "turns")])
    data, turns = f.parameters
    type = Type(scalar, target.lanes(Type(scalar).bits))
    x, *sums = (f.load(f.offset(data, const(i * type.lanes, I64), scalar), type) for i in range(13))
    with f.loop(const(0, I64), turns, 1, sums) as loop:
        loop.values = [multiply_add(f, target, x, x, s) for s in loop.values]
    for i, s in enumerate(loop.values):
        f.store(s, f.offset(data, const(i * type.lanes, I64), scalar))
    f.ret()
    return f


def product_functions(product: Product, target: Target) -> list[Function]:
    """The product, stored as it is, and a loop that calls it."""
    kernel = Function("kernel", [(PTR, p) for p in "abcs"])
    a, b, c, scratch = kernel.parameters

    def store(f: Function, row: Value, column: Value, value: Value, mask: Value | None) -> None:
        line = f.offset(c, f.times(row, product.N), product.scalar)
        f.store(value, f.offset(line, column, product.scalar), mask)

    part = const(0, I64), const(parts(product, target).units, I64)
    emit_product(kernel, target, product, a, b, part, store, scratch)
    kernel.ret()
    driver = Function("driver", [*((PTR, p) for p in "abcs"), (I64, "turns")])
    with driver.loop(const(0, I64), driver.parameters[4], 1):
        driver.call(None, "kernel", *driver.parameters[:4])
    driver.ret()
    return [kernel, driver]


def compiled(product: Product, target: Target) -> tuple[Library, float]:
    """Machine code of a product, and the processor's time that LLVM took for it (seconds)."""
    text = module_text(product_functions(product, target), target.attributes)
    begin = time.thread_time()
    code = assemble(text, target)
    return Library(code, target), time.thread_time() - begin


def blas_driver() -> Library:
    """A loop that calls xGEMM: its address, an array of its 13 arguments, and how often."""
    f = Function("driver", [(PTR, "gemm"), (PTR, "arguments"), (I64, "turns")])
    gemm, arguments, turns = f.parameters
    with f.loop(const(0, I64), turns, 1):
        passed = [f.load(f.offset(arguments, const(i, I64), "ptr"), PTR) for i in range(13)]
        f.do(f"call void {gemm.name}({', '.join(map(str, passed))})")
    f.ret()
    return Library(assemble(module_text([f], host().attributes), host()), host())


def blas_address(scalar: str) -> int:
    """Where SciPy publishes OpenBLAS' product."""
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__["sgemm" if scalar == "float" else "dgemm"]
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer(capsule, name(capsule)))


class Bench:
    """One case: its data, and each engine as a call that gives the seconds of one product."""

    def __init__(self, case: Case, scalar: str, target: Target, blas: Library, seconds: float) -> None:
        dtype = np.dtype(np.float32 if scalar == "float" else np.float64)
        rng = np.random.default_rng(0)
        shape_a = (case.K, case.M) if case.a_transposed else (case.M, case.K)
        shape_b = (case.N, case.K) if case.b_transposed else (case.K, case.N)
        self.case = case
        self.a, self.b = (rng.standard_normal(s).astype(dtype) for s in (shape_a, shape_b))
        self.c, self.d = (np.zeros((case.M, case.N), dtype) for _ in range(2))
        product = case.product(scalar)
        self.scratch = np.zeros(scratch_bytes(product, target) + 64, np.uint8)
        self.library, self.compile_seconds = compiled(product, target)
        self.blas, self.gemm = blas, blas_address(scalar)
        self.turns = max(1, int(seconds * 8e10 / case.work))
        self._gemm_arguments(dtype)
        self.own(), self.openblas()
        np.testing.assert_allclose(self.c, self.d, rtol=1e-3, atol=1e-3)

    def _gemm_arguments(self, dtype: np.dtype[np.floating]) -> None:
        """C' = B' A' in the column-major order of BLAS."""
        case = self.case
        ints = np.array([case.N, case.M, case.K, self.b.shape[1], self.a.shape[1], case.N], np.int32)
        flags = np.frombuffer(b"T" * case.b_transposed + b"N" + b"T" * case.a_transposed + b"N", np.uint8)
        factors = np.array([1, 0], dtype)
        at = lambda array, i=0: array.ctypes.data + i * array.itemsize  # noqa: E731
        places = [
            at(flags, 0),
            at(flags, 1 + case.b_transposed),
            at(ints, 0),
            at(ints, 1),
            at(ints, 2),
            at(factors),
        ]
        places += [at(self.b), at(ints, 3), at(self.a), at(ints, 4), at(factors, 1), at(self.d), at(ints, 5)]
        self.arguments = (ctypes.c_void_p * 13)(*places)
        self.kept = ints, flags, factors

    def own(self) -> float:
        run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)(self.library.address("driver"))
        pointers = [x.ctypes.data for x in (self.a, self.b, self.c, self.scratch)]
        begin = time.perf_counter()
        run(*pointers, self.turns)
        return (time.perf_counter() - begin) / self.turns

    def openblas(self) -> float:
        run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
            self.blas.address("driver")
        )
        begin = time.perf_counter()
        run(self.gemm, self.arguments, self.turns)
        return (time.perf_counter() - begin) / self.turns


def peak_seconds(library: Library, operations: int, seconds: float) -> float:
    """Of one operation, in the loop that only multiplies and adds."""
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(library.address("peak"))
    data, turns = np.zeros(2048, np.uint8), int(seconds * 1e11 / operations)
    begin = time.perf_counter()
    run(data.ctypes.data, turns)
    return (time.perf_counter() - begin) / turns / operations


def measure(
    chosen: list[Case], scalar: str, target: Target, rounds: int, seconds: float
) -> dict[str, object]:
    """All cases, engines in turn."""
    blas = blas_driver()
    peak = Library(assemble(module_text([peak_function(target, scalar)], target.attributes), target), target)
    operations = 2 * 12 * target.lanes(Type(scalar).bits)
    benches = [Bench(case, scalar, target, blas, seconds) for case in chosen]
    own: list[list[float]] = [[] for _ in benches]
    other: list[list[float]] = [[] for _ in benches]
    fastest = float("inf")
    for _ in range(rounds):
        for bench, mine, theirs in zip(benches, own, other, strict=True):
            fastest = min(fastest, peak_seconds(peak, operations, seconds / 2))
            mine.append(bench.own())
            theirs.append(bench.openblas())
    rows = [row(b, mine, theirs, 1e-9 / fastest) for b, mine, theirs in zip(benches, own, other, strict=True)]
    return {
        "target": target.cpu,
        "vector_bytes": target.vector_bytes,
        "scalar": scalar,
        "peak": 1e-9 / fastest,
        "products": rows,
    }


def row(bench: Bench, own: list[float], openblas: list[float], peak: float) -> dict[str, object]:
    """The figures of one case: GFLOP/s, ratios, seconds."""
    work = 1e-9 * bench.case.work
    return {
        "case": vars(bench.case),
        "chainrule": {"best": work / min(own), "median": work / float(np.median(own))},
        "openblas": {"best": work / min(openblas), "median": work / float(np.median(openblas))},
        "of peak": work / min(own) / peak,
        "ratio": float(np.median(np.array(openblas) / np.array(own))),
        "compile": bench.compile_seconds,
    }


def table(result: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{result['target']}, {result['scalar']}: measured peak {result['peak']:.1f} GFLOP/s",
        "",
        "| product | M x N x K | chainrule GFLOP/s, best (median) | of peak | OpenBLAS | time ratio | compile ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for found in result["products"]:
        case = found["case"]
        transposed = ", A transposed" * case["a_transposed"] + ", B transposed" * case["b_transposed"]
        shape = f"{case['M']} x {case['N']} x {case['K']}{transposed}"
        own, other = (f"{found[n]['best']:.1f} ({found[n]['median']:.1f})" for n in ("chainrule", "openblas"))
        figures = (
            f"{own} | {found['of peak']:.0%} | {other} | {found['ratio']:.2f} | {1e3 * found['compile']:.1f}"
        )
        lines.append(f"| {case['label']} | {shape} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the contraction kernels.")
    parser.add_argument("--target", choices=["avx512", "avx2", "sse2"], help="leave out what lies above")
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=2e-4, help="of each engine, case and round")
    parser.add_argument("--only", default="", help="part of the labels of the cases to run")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = [case for case in cases() if options.only in case.label]
    scalar = "double" if options.double else "float"
    result = measure(chosen, scalar, host(options.target), options.rounds, options.seconds)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

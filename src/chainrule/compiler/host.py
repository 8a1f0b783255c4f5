"""The machine that code is made for: its processor and vector width; and LLVM's way to code for it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from chainrule.errors import SettingError


@dataclass(frozen=True)
class Target:
    """A processor as the compiler sees it. ``vector_bytes`` is the width of its widest full-speed registers."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int

    def lanes(self, bits: int) -> int:
        """How many numbers of this many bits a register holds."""
        return self.vector_bytes * 8 // bits

    @property
    def fma(self) -> bool:
        """Whether a b + c is one instruction."""
        return "+fma" in self.features.split(",") or self.triple.startswith(("aarch64", "arm64"))

    @property
    def attributes(self) -> str:
        """Function attributes that make LLVM use this width."""
        width = self.vector_bytes * 8
        return (
            f'nounwind "target-cpu"="{self.cpu}" "target-features"="{self.features}" '
            f'"prefer-vector-width"="{width}" "min-legal-vector-width"="{width}" "no-trapping-math"="true"'
        )


_LEVELS = ("avx512", "avx2", "sse2")


@cache
def host(level: str | None = None) -> Target:
    """The present machine; ``level`` (or CHAINRULE_TARGET) "avx2" or "sse2" leaves out what lies above it."""
    import llvmlite.binding as llvm

    initialise()
    features = dict(llvm.get_host_cpu_features())
    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    level = level or os.environ.get("CHAINRULE_TARGET")
    if level is not None and level not in _LEVELS:
        raise SettingError("CHAINRULE_TARGET is not known", expected=", ".join(_LEVELS), got=level)
    if level in ("avx2", "sse2"):
        cpu = "x86-64"
        kept = (
            "64bit",
            "sse",
            "ssse",
            "popcnt",
            "cx",
            "mmx",
            "fxsr",
            "cmov",
            *(("avx", "fma", "bmi") if level == "avx2" else ()),
        )
        features = {
            k: v and k.startswith(kept) and "512" not in k and "10" not in k for k, v in features.items()
        }
    if all(features.get(f"avx512{part}") for part in ("f", "dq", "bw", "vl")):
        width, registers = 64, 32
    elif features.get("avx2") and features.get("fma"):
        width, registers = 32, 16
    else:  # SSE2 or NEON
        width, registers = 16, 32 if triple.startswith(("aarch64", "arm64")) else 16
    flags = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    return Target(triple, cpu, flags, width, registers)


@cache
def initialise() -> None:
    """Make LLVM ready to produce code for this machine."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()  # a waiting thread pauses by an instruction written in assembly


def available_cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def target_machine(target: Target, opt: int = 2) -> Any:
    """A fresh LLVM target machine; an execution engine takes ownership of the one it is given."""
    import llvmlite.binding as llvm

    found = llvm.Target.from_triple(target.triple)
    return found.create_target_machine(
        cpu=target.cpu, features=target.features, opt=opt, reloc="pic", codemodel="jitdefault", jit=True
    )


def assemble(text: str, target: Target, opt: int = 2) -> bytes:
    """The machine code of a module, as an object file. Several threads may do so at the same time."""
    import llvmlite.binding as llvm

    initialise()
    module = llvm.parse_assembly(text, llvm.create_context())
    module.triple = target.triple
    machine = target_machine(target, opt)
    module.data_layout = str(machine.target_data)
    with llvm.ffi.OutputString() as error:
        memory = _emitter()(machine, module, 1, error)
        if not memory:
            raise RuntimeError(str(error))
    try:
        start, size = llvm.ffi.lib.LLVMPY_GetBufferStart(memory), llvm.ffi.lib.LLVMPY_GetBufferSize(memory)
        return ctypes.string_at(start, size)
    finally:
        llvm.ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)


@cache
def _emitter() -> Any:
    """llvmlite's way to object code, without the one lock that it holds during all calls.

    LLVM itself generates code in several threads, as long as each has a context of its own. Where a later llvmlite
    has no such function inside its wrapper, the wrapper will do.
    """
    import llvmlite.binding as llvm

    wrapped = llvm.ffi.lib.LLVMPY_TargetMachineEmitToMemory
    return getattr(wrapped, "_cfn", wrapped)


def assemble_all(texts: Sequence[str], target: Target) -> list[bytes]:
    """The machine code of several modules, made at the same time."""
    if len(texts) == 1:
        return [assemble(texts[0], target)]
    with ThreadPoolExecutor(len(texts), thread_name_prefix="chainrule") as pool:
        return list(pool.map(lambda text: assemble(text, target), texts))


class Library:
    """An object file loaded into this process, by a loader of its own.

    LLVM's loader, given several files of position-independent code, looks for the constants of all of them in the
    first one.
    """

    def __init__(self, code: bytes, target: Target) -> None:
        import llvmlite.binding as llvm

        initialise()
        empty = llvm.parse_assembly("")
        empty.triple = target.triple
        self._engine = llvm.create_mcjit_compiler(empty, target_machine(target))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        return int(self._engine.get_function_address(name))

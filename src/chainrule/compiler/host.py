"""The machine that code is made for: its processor and vector width; and LLVM's way to code for it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chainrule.errors import SettingError
from chainrule.system.threads import in_thread


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
    from chainrule.compiler import llvm

    triple, cpu, features = in_thread(llvm.host).result()
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


def available_cores() -> int:
    """How many processors this process may use, by its container's share of their time as well."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = _share_of_container()
    return usable if share is None else max(1, min(usable, math.ceil(share)))


def _share_of_container(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> float | None:
    """Processors' time in every second (control groups version 2); None without a limit."""
    try:
        limit, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return int(limit) / int(period) if limit.isdigit() and period.isdigit() and int(period) else None


# LLVM works in threads beside the caller's: there Ctrl-C never interrupts it, and here it need not be waited for


def assemble(text: str, target: Target) -> bytes:
    """The machine code of a module, as an object file."""
    return assemble_all([text], target)[0]


def assemble_all(texts: Sequence[str], target: Target) -> list[bytes]:
    """The machine code of several modules, made at the same time."""
    from chainrule.compiler.llvm import object_file

    processor = target.triple, target.cpu, target.features
    made = [in_thread(object_file, text, *processor) for text in texts]
    return [code.result() for code in made]


class Library:
    """An object file loaded into this process, by a loader of its own.

    LLVM's loader, given several files of position-independent code, looks for the constants of all of them in the
    first one.
    """

    def __init__(self, code: bytes, target: Target) -> None:
        from chainrule.compiler.llvm import Engine

        self._engine = in_thread(Engine, code, target.triple, target.cpu, target.features).result()

    def address(self, name: str) -> int:
        """Where a function begins."""
        return self._engine.address(name)

"""Threads that run native code together, and the small program that runs several programs one after the other."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from chainrule.compiler import cache
from chainrule.compiler.codegen.builder import I64, PTR, Function, const, module_text
from chainrule.compiler.driver import FLAG_BYTES, barrier_text
from chainrule.compiler.host import Library, Target, assemble
from chainrule.compiler.pipeline import sources
from chainrule.ops.record import Array
from chainrule.system.threads import Workers, end

_FAR = 1 << 62  # more barriers than there will ever be


class Team:
    """So many threads, the calling one among them, that enter the same native function side by side."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._workers = Workers(threads - 1)
        self._barrier = self._place()

    def _place(self) -> Array:
        """The barrier: the address of the system's yield, then a flag for each thread, in lines of their own."""
        memory = np.zeros((self.threads + 2) * FLAG_BYTES, np.uint8)
        start = -memory.ctypes.data % FLAG_BYTES
        return memory[start : start + (self.threads + 1) * FLAG_BYTES].view(np.int64)

    def run(self, work: Callable[[int, int], None], threads: int) -> None:
        """Call ``work`` (rank, address of the barrier) in this many of the threads; returns when all are done."""
        barrier = self._barrier
        barrier[:] = 0
        barrier[0] = _yield()
        address = barrier.ctypes.data
        others: list[Future[None]] = []
        try:
            for rank in range(1, threads):
                others.append(Future())
                self._workers.submit(rank - 1, others[-1], work, rank, address)
            work(0, address)
            for other in others:
                other.result()
        except BaseException:  # Ctrl-C before the work began: nobody must wait for this thread for ever
            barrier[FLAG_BYTES // 8] = _FAR
            end(others)
            raise


@functools.cache
def _yield() -> int:
    """The address of the system's function that offers the processor to other threads; 0 where there is none."""
    names = ["sched_yield"] if os.name == "posix" else ["SwitchToThread"]
    try:
        library = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("kernel32")
        return ctypes.cast(getattr(library, names[0]), ctypes.c_void_p).value or 0
    except (AttributeError, OSError):
        return 0


#: what a row of the list that ``chain`` works through holds, all of them addresses or int64
PART = ("run", "table", "data", "order", "steps", "records", "partition", "partition_bytes")


class Chain:
    """A native function that runs part after part: ``PART`` says what it reads of each."""

    def __init__(self, target: Target) -> None:
        self._library = kept_library(chain_text(target), target)
        kinds = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
        #: (address of the parts, count, rank, threads, barrier): runs them; all threads call it
        self.run: Callable[[int, int, int, int, int | None], None]
        self.run = ctypes.CFUNCTYPE(None, *kinds)(self._library.address("chain"))


def kept_library(text: str, target: Target) -> Library:
    """A small module, from the cache of machine code or made now."""
    import llvmlite

    key = hashlib.sha256(repr((text, target, llvmlite.__version__, sources())).encode()).hexdigest()
    code = cache.load(key)
    if code is None:
        code = assemble(text, target)
        cache.store(key, code)
    return Library(code, target)


@functools.cache
def chain(target: Target) -> Chain:
    """The same for the whole process."""
    return Chain(target)


def chain_text(target: Target) -> str:
    """``chain(parts, count, rank, threads, barrier)``. A part that one thread can run is run by the first."""
    f = Function("chain", [(PTR, "parts"), (I64, "count"), (I64, "rank"), (I64, "threads"), (PTR, "barrier")])
    parts, count, rank, threads, barrier = f.parameters
    with f.loop(const(0, I64), count, 1) as loop:
        row = f.offset(parts, f.times(loop.index, len(PART)), "i64")
        entry = {
            name: f.load(
                f.offset(row, const(i, I64), "i64"), I64 if name in ("steps", "partition_bytes") else PTR
            )
            for i, name in enumerate(PART)
        }
        partition = f.offset(entry["partition"], f.binary("mul", rank, entry["partition_bytes"]), "i8")
        together = f.icmp("ne", entry["partition_bytes"], const(0, I64))
        with f.branch(f.binary("or", together, f.icmp("eq", rank, const(0, I64)))):
            values = [*(entry[name] for name in PART[1:6]), partition, barrier]
            f.do(f"call void {entry['run'].name}({', '.join(map(str, values))})")
        with f.branch(f.icmp("sgt", threads, const(1, I64))):
            f.call(None, "barrier", barrier, rank, threads)
    f.ret()
    return module_text([f], target.attributes, globals=[barrier_text(target)])

"""Threads that run native code together, and the small program that runs several programs one after the other."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np

from chainrule.compiler import cache
from chainrule.compiler.driver import FLAG_BYTES, meeting_text
from chainrule.compiler.host import Library, Target, assemble
from chainrule.compiler.ir import I64, PTR, Function, const, module_text

_FAR = 1 << 62  # more meetings than there will ever be


class Team:
    """So many threads, the calling one among them, that enter the same native function side by side."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="chainrule") if threads > 1 else None
        self._memory = np.zeros((threads + 2) * FLAG_BYTES, np.uint8)
        start = -self._memory.ctypes.data % FLAG_BYTES
        self._meeting = self._memory[start : start + (threads + 1) * FLAG_BYTES].view(np.int64)

    def run(self, work: Callable[[int, int], None], threads: int) -> None:
        """Call ``work`` (rank, address of the meeting) in this many of the threads; returns when all are done."""
        self._meeting[:] = 0
        self._meeting[0] = _yield()
        address = self._meeting.ctypes.data
        others: list[Future[None]] = []
        try:
            if self._pool is not None:
                for rank in range(1, threads):
                    others.append(self._pool.submit(work, rank, address))
            work(0, address)
            for other in others:
                other.result()
        except BaseException:  # Ctrl-C before the work began: nobody must wait for this thread for ever
            self._meeting[FLAG_BYTES // 8] = _FAR
            wait(others)
            raise

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)


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
PART = ("run", "table", "data", "order", "steps", "records", "shares", "share_bytes")


class Chain:
    """A native function that runs part after part: ``PART`` says what it reads of each."""

    def __init__(self, target: Target) -> None:
        self._library = kept_library(chain_text(target), target)
        kinds = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
        self._run = ctypes.CFUNCTYPE(None, *kinds)(self._library.address("chain"))

    def __call__(self, parts: int, count: int, rank: int, threads: int, meeting: int | None) -> None:
        """Run so many parts from this address on; all threads call it."""
        self._run(parts, count, rank, threads, meeting)


def kept_library(text: str, target: Target) -> Library:
    """A small module, from the cache of machine code or made now."""
    import llvmlite

    key = hashlib.sha256(repr((text, target, llvmlite.__version__)).encode()).hexdigest()
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
    """``chain(parts, count, rank, threads, meeting)``. A part that one thread can run is run by the first."""
    f = Function("chain", [(PTR, "parts"), (I64, "count"), (I64, "rank"), (I64, "threads"), (PTR, "meeting")])
    parts, count, rank, threads, meeting = f.parameters
    with f.loop(const(0, I64), count, 1) as loop:
        row = f.offset(parts, f.times(loop.index, len(PART)), "i64")
        entry = {
            name: f.load(
                f.offset(row, const(i, I64), "i64"), I64 if name in ("steps", "share_bytes") else PTR
            )
            for i, name in enumerate(PART)
        }
        shares = f.offset(entry["shares"], f.binary("mul", rank, entry["share_bytes"]), "i8")
        together = f.icmp("ne", entry["share_bytes"], const(0, I64))
        with f.branch(f.binary("or", together, f.icmp("eq", rank, const(0, I64)))):
            values = [*(entry[name] for name in PART[1:6]), shares, meeting]
            f.do(f"call void {entry['run'].name}({', '.join(map(str, values))})")
        with f.branch(f.icmp("sgt", threads, const(1, I64))):
            f.call(None, "meet", meeting, rank, threads)
    f.ret()
    return module_text([f], target.attributes, globals=[meeting_text(target)])

"""LLVM's functions as this compiler calls them: whatever owns native memory is freed once, in LLVM's order.

llvmlite brings the library. Its own classes are not used, since an exception, such as Ctrl-C between any two steps of
Python, breaks them: a module is freed after its context where the collector frees both (a crash), an object that was
made but not yet kept is never freed, and llvmlite's lock, which is written in Python, stays locked. Here a native
object is an instance of the type that its function returns, and freed as soon as no variable holds it.
``host.py`` calls all this in threads of their own, where no Ctrl-C ever comes.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint64, c_void_p
from functools import cache
from typing import Any

from chainrule.system.forks import no_fork_while_held

_Text = POINTER(c_char_p)


class _Owned(c_void_p):
    """A native object that is freed with this one."""

    _dispose = ""  # LLVM's function for that

    def release(self) -> int | None:
        """Leave the object to somebody else."""
        pointer, self.value = self.value, None
        return pointer

    def __del__(self, _over: Callable[[], bool] = sys.is_finalizing) -> None:  # then this module may be empty
        pointer = self.release()  # first, for after an interruption it must not be freed again
        if pointer and not _over():
            function(self._dispose, None, c_void_p)(pointer)


class _Engine(_Owned):
    _dispose = "LLVMPY_DisposeExecutionEngine"


class _Machine(_Owned):
    _dispose = "LLVMPY_DisposeTargetMachine"


class _Layout(_Owned):
    _dispose = "LLVMPY_DisposeTargetData"


class _ObjectFile(_Owned):
    _dispose = "LLVMPY_DisposeObjectFile"


class _Memory(_Owned):
    _dispose = "LLVMPY_DisposeMemoryBuffer"


class _Context(_Owned):
    """LLVM frees a context's modules with it. The engine that runs one of them must go before, whoever frees them."""

    _dispose = "LLVMPY_ContextDispose"
    engine: _Engine | None = None

    def __del__(self, _over: Callable[[], bool] = sys.is_finalizing) -> None:
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.__del__(
                _over
            )  # not left to its last reference: garbage may hold it, and is freed in any order
        super().__del__(_over)


class _String(c_char_p):
    """A text that LLVM leaves at an address which it is given."""

    def __del__(self, _over: Callable[[], bool] = sys.is_finalizing) -> None:
        if self and not _over():
            function("LLVMPY_DisposeString", None, c_char_p)(self)

    def __str__(self) -> str:
        return (self.value or b"").decode()


# Who may be at work

_TURNS = tuple(threading.RLock() for _ in range(64))
_STARTING = threading.RLock()
no_fork_while_held((_STARTING, *_TURNS))


def turn() -> AbstractContextManager[object]:
    """The lock to hold while LLVM is at work; threads hold different ones, as their contexts are different.

    Two in 64 share one, which costs time and nothing else.
    """
    return _TURNS[threading.get_native_id() % len(_TURNS)]


@atexit.register
def _let_end() -> None:
    """LLVM's own memory goes when the process ends: first let daemon threads come to the end of what they compile."""
    for lock in _TURNS:
        with lock:
            pass


# What is asked of LLVM


@cache
def _library() -> ctypes.CDLL:
    from llvmlite.binding import ffi

    return ctypes.CDLL(ffi.lib._name, handle=ffi.lib._handle)


@cache
def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of LLVM's as llvmlite exports it, which lets other threads run meanwhile.

    Raises RuntimeError where this llvmlite declares another number of arguments.
    """
    from llvmlite.binding import ffi

    declared = getattr(ffi.lib, name).argtypes
    if declared is not None and len(declared) != len(arguments):
        raise RuntimeError(f"llvmlite's {name} takes {len(declared)} arguments, not {len(arguments)}")
    found = _library()[name]  # not the attribute, which all who ask for it share
    found.restype, found.argtypes = result, arguments
    return found


@cache
def initialise() -> None:
    """Make LLVM ready to produce code for this machine."""
    with _STARTING:
        function("LLVMPY_InitializeNativeTarget", c_int)()
        function("LLVMPY_InitializeNativeAsmPrinter", c_int)()
        # a waiting thread pauses by an instruction written in assembly
        function("LLVMPY_InitializeNativeAsmParser", c_int)()


def host() -> tuple[str, str, dict[str, bool]]:
    """This machine: its triple, its processor, and which features of processors that one has."""
    initialise()
    texts = _String(), _String(), _String()
    names = ("LLVMPY_GetProcessTriple", "LLVMPY_GetHostCPUName", "LLVMPY_GetHostCPUFeatures")
    for name, text in zip(names, texts, strict=True):
        function(name, None, _Text)(text)
    triple, cpu, features = map(str, texts)
    return triple, cpu, {flag[1:]: flag[0] == "+" for flag in features.split(",") if flag}


def _machine(triple: str, cpu: str, features: str) -> _Machine:
    error = _String()
    target = function("LLVMPY_GetTargetFromTriple", c_void_p, c_char_p, _Text)(triple.encode(), error)
    if not target:
        raise RuntimeError(f"LLVM: {error}")
    triple += "-elf" if sys.platform == "win32" else ""  # all that MCJIT can load there
    # as LLVM's -O2, for code that may lie anywhere; the zeros and ones: silent, for use in this process
    kinds = (c_void_p, c_char_p, c_char_p, c_char_p, c_int, c_char_p, c_char_p, c_int, c_int, c_char_p)
    create = function("LLVMPY_CreateTargetMachine", _Machine, *kinds)
    names = triple.encode(), cpu.encode(), features.encode()
    made: _Machine = create(target, *names, 2, b"pic", b"jitdefault", 0, 1, b"")
    if not made:
        raise RuntimeError(f"LLVM makes no code for {triple} {cpu} {features}")
    return made


def _parse(text: str, context: _Context) -> int:
    """A module, which is freed with its context, unless an engine takes it before."""
    error = _String()
    parse = function("LLVMPY_ParseAssembly", c_void_p, c_void_p, c_char_p, _Text)
    module: int | None = parse(context, text.encode(), error)
    if error or not module:
        raise RuntimeError(f"LLVM: {error}")
    kinds, error = (c_void_p, _Text), _String()
    if function("LLVMPY_VerifyModule", c_bool, *kinds)(module, error):
        raise RuntimeError(f"LLVM: {error}")
    return module


def object_file(text: str, triple: str, cpu: str, features: str) -> bytes:
    """The machine code of a module in LLVM's language, as an object file."""
    initialise()
    with turn():
        context: _Context = function("LLVMPY_ContextCreate", _Context)()
        module, machine = _parse(text, context), _machine(triple, cpu, features)
        layout, described = function("LLVMPY_CreateTargetMachineData", _Layout, c_void_p)(machine), _String()
        function("LLVMPY_CopyStringRepOfTargetData", None, c_void_p, _Text)(layout, described)
        function("LLVMPY_SetTarget", None, c_void_p, c_char_p)(module, triple.encode())
        function("LLVMPY_SetDataLayout", None, c_void_p, c_char_p)(module, described.value)
        kinds, error = (c_void_p, c_void_p, c_int, _Text), _String()
        memory = function("LLVMPY_TargetMachineEmitToMemory", _Memory, *kinds)(machine, module, 1, error)
        if not memory:
            raise RuntimeError(f"LLVM: {error}")
        start = function("LLVMPY_GetBufferStart", c_void_p, c_void_p)(memory)
        return ctypes.string_at(start, function("LLVMPY_GetBufferSize", c_size_t, c_void_p)(memory))


class Engine:
    """An object file loaded into this process; its functions go when it does."""

    def __init__(self, code: bytes, triple: str, cpu: str, features: str) -> None:
        initialise()
        with turn():
            self._context: _Context = function("LLVMPY_ContextCreate", _Context)()
            module, machine, error = _parse("", self._context), _machine(triple, cpu, features), _String()
            function("LLVMPY_SetTarget", None, c_void_p, c_char_p)(module, triple.encode())
            create = function("LLVMPY_CreateMCJITCompiler", _Engine, c_void_p, c_void_p, c_bool, _Text)
            near = triple.startswith(("aarch64", "arm64"))  # whose code must lie close together
            self._context.engine = create(module, machine.release(), near, error)
            if not self._context.engine:
                raise RuntimeError(f"LLVM: {error}")
            file = function("LLVMPY_CreateObjectFile", _ObjectFile, c_char_p, c_size_t)(code, len(code))
            if not file:
                raise RuntimeError("LLVM: no object file")
            function("LLVMPY_MCJITAddObjectFile", None, c_void_p, c_void_p)(self._context.engine, file)
            function("LLVMPY_FinalizeObject", None, c_void_p)(self._context.engine)

    def address(self, name: str) -> int:
        """Where a function begins."""
        find = function("LLVMPY_GetFunctionAddress", c_uint64, c_void_p, c_char_p)
        return int(find(self._context.engine, name.encode()))

"""Ctrl-C at every line of the compiler's: nothing crashes, nothing is left half done, no memory is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.thorough import slow

import chainrule

SOURCES = str(Path(chainrule.__file__).parent.parent)
START = """
import gc, sys
import numpy as np
import chainrule as cr
from chainrule.compiler import pipeline, program
from chainrule.graph import new_leaf

pipeline.WORTH_A_MODULE, parts = (1, 2) if {threads} else (1000, 1)  # several modules, assembled by several threads
pipeline.available_cores = lambda: parts
DATA = [np.arange(12, dtype=np.float32).reshape(3, 4), np.arange(5, dtype=np.float32)]

def compiled(scale):
    x = [new_leaf(data.shape, data.dtype) for data in DATA]
    results = program.Instance(program.Binary(x, [each * scale + 1.0 for each in x]))(*DATA)
    for result, data in zip(results, DATA, strict=True):
        np.testing.assert_array_equal(result, data * np.float32(scale) + 1)

def counted(code):
    file = code.co_filename
    return ("chainrule" in file or "llvmlite" in file) and any(file.endswith(name) for name in {files})

def interrupted(at, scale):
    \"\"\"Compile, and raise KeyboardInterrupt at this line of those that count; how many there were.\"\"\"
    seen = 0
    def local(frame, event, argument):
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return local
    sys.settrace(lambda frame, *_: local if counted(frame.f_code) else None)
    try:
        compiled(scale)
    except KeyboardInterrupt as error:
        kept = error  # a cycle by its traceback, as a notebook's last error is: the collector frees what it holds
    finally:
        sys.settrace(None)
    return seen

def resident():
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
"""
EVERY_LINE = """
compiled(0.5)
lines = interrupted(0, 1.5)
gc.freeze()
at, step = 1, max(1, lines // {most} - 1)
while at <= lines:
    interrupted(at, 2.0 + at)
    gc.collect()
    at += step
compiled(2.0 + at)
for again in range(1, lines + 1, max(1, lines // 40)):
    compiled(2.0 + again)  # the same as were interrupted: no half of it is served
print("alive after", lines)
"""
OWNERS = (
    "llvm.py",
    "host.py",
    "cache.py",
    "program.py",
    "team.py",
    "threads.py",
    "ffi.py",
    "module.py",
    "targets.py",
)
OWNERS += ("executionengine.py", "object_file.py", "context.py", "shuffle.py")


def run(script, tmp_path, cache="off", **values):
    environment = {**os.environ, "PYTHONPATH": SOURCES, "CHAINRULE_CACHE": cache}
    text = (START + script).format(**{"threads": False, "most": 10**6, "files": OWNERS, **values})
    command = [sys.executable, "-X", "faulthandler", "-c", text]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=600, env=environment, cwd=tmp_path
    )


#: what runs in threads of its own, where no signal is handled; an error may come there all the same
NATIVE = """
import ctypes
from chainrule.compiler import llvm
from chainrule.compiler.host import host

TEXT = "define i64 @f() {{ ret i64 7 }}"
processor = host().triple, host().cpu, host().features
code = llvm.object_file(TEXT, *processor)

def compiled(scale):
    assert llvm.object_file(TEXT, *processor) == code
    engine = llvm.Engine(code, *processor)
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(engine.address("f"))() == 7
lines = interrupted(0, 0)
gc.freeze()
for at in range(1, lines + 1):
    interrupted(at, 0)
    gc.collect()
original = counted
counted = lambda code: original(code) and code.co_name not in ("__del__", "release")  # which Python drops
lines = interrupted(0, 0)
before = resident()
for again in range(3):
    for at in range(1, lines + 1):
        interrupted(at, 0)
        gc.collect()
compiled(0)
grown = (resident() - before) / (3 * lines)
# bytes of an interruption; a module and what makes code of it take 100 times that
assert grown < 4096 or sys.platform != "linux", grown
print("alive after", lines)
"""


def test_at_every_line_of_the_native_work_itself(tmp_path):
    done = run(NATIVE, tmp_path, files=("llvm.py",))
    assert done.returncode == 0 and done.stdout.startswith("alive after"), done.stderr
    assert int(done.stdout.split()[-1]) > 40


@pytest.mark.parametrize(
    ("threads", "cache"), [(False, "off"), slow(True, "cache")], ids=["one module", "several threads"]
)
def test_at_every_line_that_owns_native_memory(tmp_path, threads, cache):
    done = run(EVERY_LINE, tmp_path, cache, threads=threads)
    assert done.returncode == 0 and done.stdout.startswith("alive after"), done.stderr
    assert int(done.stdout.split()[-1]) > 60


def test_at_lines_all_over_the_compiler(tmp_path):
    """What it remembers from one graph for the next is remembered whole or not at all."""
    done = run(EVERY_LINE, tmp_path, most=60, files=(".py",))
    assert done.returncode == 0 and done.stdout.startswith("alive after"), done.stderr
    assert int(done.stdout.split()[-1]) > 5000

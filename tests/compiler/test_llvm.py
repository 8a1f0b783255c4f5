"""What LLVM gives is freed in LLVM's order, whoever holds the Python objects for it."""

import subprocess
import sys

PROGRAM = """
import gc
import chainrule as cr
from chainrule.compiler import llvm

def engine():
    triple, cpu, features = llvm.host()
    text = "define i32 @seven() {\\n ret i32 7\\n}\\n"
    code = llvm.object_file(text, triple, cpu, "")
    return llvm.Engine(code, triple, cpu, "")

held = [engine() for _ in range(4)]
assert all(e.address("seven") for e in held)

# somebody who looks at attributes holds the native engine longer than its context exists
native = held.pop()._context.engine
gc.collect()
assert native.value is None
del native

# and so does garbage, which is freed in any order
class Holder:
    pass

gc.disable()
while held:
    one, holder = held.pop(), Holder()
    holder.parts = [one._context, one._context.engine][:: (1 if len(held) % 2 else -1)]
    holder.parts.append(holder)
    del one, holder
gc.collect()
print("done")
"""


def test_an_engine_goes_before_its_context():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True, timeout=600
    )
    assert done.stdout == "done\n", (done.returncode, done.stderr[-2000:])

"""The compiler: an ordered list of passes from a graph to the text of a module.

simplify -> expand -> simplify -> settle -> fuse -> arrange -> emit. ``CHAINRULE_DUMP=fuse,emit`` (or ``all``) prints
what a pass leaves, on standard error.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from chainrule._version import __version__
from chainrule.compiler import verify
from chainrule.compiler.arrange import ALIGNMENT, arrange
from chainrule.compiler.codegen.builder import Function, module_text
from chainrule.compiler.codegen.dispatch import scratch_bytes, write_kernel
from chainrule.compiler.codegen.writer import KernelWriter
from chainrule.compiler.driver import Arena, Call, Output, Stream, barrier_text, write_run, write_step
from chainrule.compiler.expand import expand
from chainrule.compiler.fuse import fuse
from chainrule.compiler.host import Target, available_cores
from chainrule.compiler.kernels import Layout, OuterLoop, Plan, root_of
from chainrule.compiler.settle import settle
from chainrule.compiler.simplify import simplify
from chainrule.compiler.views import Strides, contiguous
from chainrule.errors import SettingError
from chainrule.graph import Node, check, listing, topological
from chainrule.ops import movement
from chainrule.ops.record import Array
from chainrule.ops.source import constant, leaf

MOST_MODULES = 4  # assembled at the same time
PASSES = ("simplify", "expand", "settle", "fuse", "arrange", "emit")  # of which each can be printed
WORTH_A_MODULE = 1000  # lines of LLVM's language
#: the parts of the package that decide what code a graph becomes
DECIDES = ("compiler", "ops", "graph.py", "interpret.py", "number_text.py", "sums.py")


@dataclass(frozen=True)
class Code:
    """A compiled graph: the text of its module, and what has to lie where when it runs.

    The pointer table holds the memory of ``leaves`` (numbered as they appear in the graph), then that of
    ``constants``, then the arena, then the ``functions``.
    """

    modules: tuple[str, ...]  # their text; ``step`` is in the first
    functions: tuple[tuple[int, str], ...]  # those of other modules that it calls: module, name
    leaves: tuple[int, ...]
    constants: tuple[Array, ...]
    arena: Arena
    outputs: tuple[Output, ...]
    loops: tuple[tuple[int, OuterLoop], ...]  # for each kernel its phase and its outermost loop

    def bytes(self, threads: int) -> int:
        """Size of the arena for so many threads."""
        return self.arena.scratch + threads * self.arena.scratch_bytes


def lower(
    outputs: Sequence[Node],
    updates: Sequence[tuple[Node, Node]],
    strides: Mapping[Node, Strides],
    target: Target,
    stream: Stream | None = None,
    *,
    shared: bool = False,
) -> Code:
    """The module of a graph; ``updates`` are (leaf, new value), ``strides`` those of leaves in unusual order.

    With ``shared`` several threads can run it together.
    """
    count = len(outputs)
    nodes = [*outputs, *(value for _, value in updates)]
    numbers = {node: i for i, node in enumerate(leaves_of(nodes, updates))}
    plan = planned(outputs, updates, strides)
    targets = [leaf for leaf, _ in updates]
    replaced = list(zip(targets, plan.outputs[count:], strict=True))
    layout = arrange(plan, replaced, strides, shared=shared)
    if verify.enabled():
        verify.verify_layout(plan, layout, replaced, shared=shared)
    _dump_text("arrange", lambda: describe_layout(layout))
    code = _emit(layout, plan.outputs[:count], target, stream, numbers, shared)
    _dump_text("emit", lambda: "\n".join(code.modules))
    return code


def planned(
    outputs: Sequence[Node], updates: Sequence[tuple[Node, Node]], strides: Mapping[Node, Strides]
) -> Plan:
    """The kernels of a graph; the plan's outputs are those of the graph, then its updates."""
    given = [*outputs, *(value for _, value in updates)]
    nodes = simplify(given)
    _dump("simplify", nodes)
    _verify(given, nodes)
    nodes = simplify(expand(nodes))
    _dump("expand", nodes)
    _verify(given, nodes)
    ends = [*([None] * len(outputs)), *(target for target, _ in updates)]
    settled = [_computed(n, end, strides) for n, end in zip(nodes, ends, strict=True)]
    nodes = settle(settled, strides)
    check(nodes)
    _dump("settle", nodes)
    _verify(given, nodes)
    plan = fuse(nodes)
    if verify.enabled():
        verify.verify_plan(plan)
    _dump_text("fuse", lambda: describe_plan(plan))
    return plan


def _verify(before: Sequence[Node], after: Sequence[Node]) -> None:
    if verify.enabled():
        verify.verify_graph(before, after)


def leaves_of(nodes: Sequence[Node], updates: Sequence[tuple[Node, Node]]) -> list[Node]:
    """Every leaf that a graph reads or updates, in a fixed order."""
    found = [node for node in topological(nodes) if node.op is leaf]
    return list(dict.fromkeys([*found, *(target for target, _ in updates)]))


def _computed(node: Node, target: Node | None, strides: Mapping[Node, Strides]) -> Node:
    """What is left as a result, under a node of its own where it may not be the node itself.

    So it is for somebody else's memory, which later writes would change, and for an update that is a view of
    another value, or belongs to a leaf in an unusual order, which nobody else should have to read.
    """
    update = target is not None and (
        root_of(node) is not node or strides.get(target, contiguous(target.shape)) != contiguous(target.shape)
    )
    if update or root_of(node).op in (leaf, constant):
        return Node(movement.identity, (node,), {})
    return node


def _emit(
    layout: Layout,
    outputs: Sequence[Node],
    target: Target,
    stream: Stream | None,
    numbers: Mapping[Node, int],
    shared: bool,
) -> Code:
    writers = [KernelWriter(kernel, layout, target, "kernel", shared=shared) for kernel in layout.kernels]
    functions, calls = _written(writers)
    leaves = [node for node in layout.places if node.op is leaf]
    constants = [node for node in layout.places if node.op is constant]
    buffers = [*leaves, *constants]
    own = -(-max([call.scratch for call in calls], default=0) // ALIGNMENT) * ALIGNMENT
    arena = Arena(layout.arena_bytes, layout.arena_bytes + ALIGNMENT, own)
    groups, texts = _grouped(functions), [barrier_text(target)] if shared else []
    away = [(number, f.name) for number, group in enumerate(groups) if number for f in group]
    entries = {name: len(buffers) + 1 + i for i, (_, name) in enumerate(away)}
    ends = [write_step(layout, buffers, calls, entries, arena, shared=shared)]
    found = tuple(_output(layout, node, buffers) for node in outputs)
    if stream is not None:
        ends.append(write_run(stream, buffers, found, shared=shared))
    return Code(
        tuple(
            module_text(
                [*group, *([] if number else ends)], target.attributes, globals=texts if not number else []
            )
            for number, group in enumerate(groups)
        ),
        tuple(away),
        tuple(numbers[node] for node in leaves),
        tuple(np.ascontiguousarray(node.params["value"]) for node in constants),
        arena,
        found,
        tuple((phase, writer.outer_loop) for phase, writer in zip(layout.phases, writers, strict=True)),
    )


def _written(writers: Sequence[KernelWriter]) -> tuple[list[Function], list[Call]]:
    """The functions of kernels, one for all that have the same text, and a call for each kernel."""
    names: dict[str, str] = {}
    functions: list[Function] = []
    calls: list[Call] = []
    for writer, body in [(writer, str(write_kernel(writer))) for writer in writers]:
        if body not in names:
            names[body] = writer.f.name = f"kernel{len(names)}"
            functions.append(writer.f)
        calls.append(Call(names[body], writer, scratch_bytes(writer)))
    return functions, calls


def _grouped(kernels: Sequence[Function]) -> list[list[Function]]:
    """As many modules as processors can assemble at the same time, if it is worth that."""
    lines = sum(len(kernel.lines) for kernel in kernels)
    groups: list[list[Function]] = [
        [] for _ in range(max(1, min(available_cores(), MOST_MODULES, lines // WORTH_A_MODULE)))
    ]
    sizes = [0] * len(groups)
    for kernel in sorted(kernels, key=lambda kernel: -len(kernel.lines)):
        least = sizes.index(min(sizes))
        groups[least].append(kernel)
        sizes[least] += len(kernel.lines)
    return groups


def _output(layout: Layout, node: Node, buffers: Sequence[Node]) -> Output:
    view = layout.view(node)
    place, size = layout.places[view.root], node.dtype.itemsize
    slot = -1 if place.buffer is None else buffers.index(place.buffer)
    if 0 in view.shape:  # a view of nothing may start, and lead, outside its memory
        view = view._replace(offset=0, strides=contiguous(view.shape))
    strides = tuple(s * size for s in view.strides)
    return Output(slot, place.offset + view.offset * size, view.shape, strides, node.dtype.str)


# Looking inside


def _dump(name: str, nodes: Sequence[Node]) -> None:
    _dump_text(name, lambda: listing(nodes, lines=True))


def _dump_text(name: str, text: Callable[[], str]) -> None:
    wanted = {word.strip() for word in os.environ.get("CHAINRULE_DUMP", "").split(",")} - {""}
    if not wanted <= {*PASSES, "all"}:
        raise SettingError(
            "CHAINRULE_DUMP names no pass", expected=", ".join((*PASSES, "all")), got=sorted(wanted)
        )
    if wanted & {name, "all"}:
        print(f"== {name}\n{text()}\n", file=sys.stderr)


def describe_plan(plan: Plan) -> str:
    """Kernels and what each computes, then the reason for every cut."""
    rows = []
    for i, kernel in enumerate(plan.kernels):
        root = f" {kernel.root.op.name}" if kernel.root else ""
        inside = f" of {' '.join(n.op.name for n in kernel.inside)}" if kernel.inside else ""
        body = f" then {' '.join(n.op.name for n in kernel.body)}" if kernel.body else ""
        rows.append(f"kernel {i} over {kernel.space}:{root}{inside}{body}; stores {len(kernel.stored)}")
    return "\n".join([*rows, "cuts:", *plan.cuts])


def describe_layout(layout: Layout) -> str:
    """Where every stored value lies."""
    rows = [
        f"phase {phase}: {kernel.space}" for phase, kernel in zip(layout.phases, layout.kernels, strict=True)
    ]
    rows += [
        f"{node!r}: {'arena' if place.buffer is None else 'own buffer'} + {place.offset}, strides {place.strides}"
        for node, place in layout.places.items()
    ]
    return "\n".join([*rows, f"arena {layout.arena_bytes} bytes, {len(layout.copies)} late copies"])


# What a graph is filed under


def key_of(
    outputs: Sequence[Node],
    updates: Sequence[tuple[Node, Node]],
    strides: Mapping[Node, Strides],
    target: Target,
    stream: Stream | None,
    *,
    shared: bool = False,
) -> str:
    """A digest of everything that the machine code depends on."""
    import llvmlite

    digest = hashlib.sha256(sources())
    versions = (__version__, llvmlite.__version__, np.__version__, sys.implementation.cache_tag)
    digest.update(repr((target, versions, stream and stream.rows, shared, verify.enabled())).encode())
    nodes = [*outputs, *(value for _, value in updates)]
    names: dict[Node, int] = {}
    for node in [*topological(nodes), *(target for target, _ in updates)]:
        if node in names:
            continue
        row: list[object] = [node.op.name, [names[x] for x in node.inputs], node.dtype.str, node.shape]
        if node.op is constant:
            row.append(node.params["value"].tobytes())
        elif node.op is leaf:
            row.append(strides.get(node))
        else:
            row.append(describe_param(node.params))
        digest.update(repr(row).encode())
        names[node] = len(names)
    fed = [] if stream is None else [names.get(node) for node in stream.inputs]
    ends = ([names[n] for n in outputs], [(names[a], names[b]) for a, b in updates], fed)
    digest.update(repr(ends).encode())
    return digest.hexdigest()


def describe_param(value: object) -> object:
    """What tells a parameter of a node from any other: its type, and all of its digits and elements."""
    if isinstance(value, np.ndarray):
        return "array", value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, np.dtype):
        return "dtype", value.str
    if isinstance(value, dict):
        return "dict", sorted((name, describe_param(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return type(value).__name__, [describe_param(item) for item in value]
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | slice | np.generic):
        return type(value).__name__, repr(value)
    raise TypeError(f"a parameter of a node is {type(value).__name__}, which no key can be made of")


@functools.cache
def sources() -> bytes:
    """A digest of what decides the code: compiler, records, graphs, and what folds constants (with SciPy)."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256(version("scipy").encode())
    for name in DECIDES:
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(package)}\n".encode() + file.read_bytes() + b"\0")
    return digest.digest()


def to_bytes(code: Code, objects: Sequence[bytes]) -> bytes:
    """A compiled graph as one file: a line of JSON, the constants, the object files."""
    header = {
        "leaves": code.leaves,
        "constants": [(c.dtype.str, c.shape) for c in code.constants],
        "arena": astuple(code.arena),
        "outputs": [astuple(output) for output in code.outputs],
        "functions": code.functions,
        "objects": [len(machine_code) for machine_code in objects],
        "loops": [(phase, *astuple(loop)) for phase, loop in code.loops],
    }
    return b"\n".join(
        [json.dumps(header).encode(), b"".join([*(c.tobytes() for c in code.constants), *objects])]
    )


def from_bytes(content: bytes) -> tuple[Code, list[bytes]]:
    """The inverse of :func:`to_bytes`; the text is not kept."""
    line, rest = content.split(b"\n", 1)
    header = json.loads(line)
    constants = []
    for dtype, shape in header["constants"]:
        count = int(np.prod(shape, dtype=np.int64))
        constants.append(np.frombuffer(rest, dtype, count).reshape(shape))
        rest = rest[count * np.dtype(dtype).itemsize :]
    outputs = tuple(
        Output(slot, offset, tuple(shape), tuple(strides), dtype)
        for slot, offset, shape, strides, dtype in header["outputs"]
    )
    loops = tuple((phase, OuterLoop(*loop)) for phase, *loop in header["loops"])
    leaves, arena = tuple(header["leaves"]), Arena(*header["arena"])
    objects = []
    for size in header["objects"]:
        objects.append(rest[:size])
        rest = rest[size:]
    functions = tuple((number, name) for number, name in header["functions"])
    return Code((), functions, leaves, tuple(constants), arena, outputs, loops), objects

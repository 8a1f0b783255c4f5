"""Values at one point of a kernel's loops: loaded, computed, stored; and what is the same at many points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.compiler.codegen.builder import I32, I64, Type, Value, const
from chainrule.compiler.codegen.loops import Axis, Key, Lanes, Role, read, write
from chainrule.compiler.codegen.threefry import threefry
from chainrule.compiler.codegen.writer import KernelWriter, Pointers, access, along, element_of, literal
from chainrule.compiler.lowering import ELEMENTWISE, FAULTY
from chainrule.graph import Node
from chainrule.ops import random


def compute(
    writer: KernelWriter,
    nodes: Sequence[Node],
    env: dict[Node, Value],
    pointers: Pointers,
    strides: Mapping[Key, int],
    lanes: Lanes,
    role: Role = "point",
) -> None:
    """Values of nodes at one point, into ``env``; what is read and not yet there is loaded."""
    for node in nodes:
        if node in env:
            continue
        if node.op is random.random_bits:
            env[node] = _bits(writer, node, env, pointers, strides, lanes, role)
            continue
        operands = [fetch(writer, x, env, pointers, strides, lanes, role) for x in node.inputs]
        wide = max((v.type.lanes for v in operands), default=1)
        same = [writer.f.splat(v, wide) if v.type.lanes < wide else v for v in operands]
        if node.op in FAULTY:
            _note_faulty(writer, node, same, lanes)
        env[node] = ELEMENTWISE[node.op](writer.f, node, *same)


def _note_faulty(writer: KernelWriter, node: Node, operands: Sequence[Value], lanes: Lanes) -> None:
    """Note where operands have no result, in the lanes that count."""
    found = FAULTY[node.op](writer.f, node, *operands)
    if found is None:
        return
    mask, fault = found
    if mask.type.lanes > 1 and lanes.mask is not None:
        mask = writer.f.binary("and", mask, lanes.mask)
    writer.note(fault, writer.f.any_lane(mask))


def fetch(
    writer: KernelWriter,
    x: Node,
    env: dict[Node, Value],
    pointers: Pointers,
    strides: Mapping[Key, int],
    lanes: Lanes,
    role: Role,
) -> Value:
    """A node's value at the point: computed before, a literal, or loaded."""
    if x not in env:
        known = literal(x)
        if known is None:
            key = Key(x, role)
            known = read(writer.f, access(x, pointers[key]), along(key, strides, lanes), lanes)
        env[x] = known
    return env[x]


def _bits(
    writer: KernelWriter,
    node: Node,
    env: dict[Node, Value],
    pointers: Pointers,
    strides: Mapping[Key, int],
    lanes: Lanes,
    role: Role,
) -> Value:
    f, (seed, counter) = writer.f, node.inputs
    word, element = Type("i32", lanes.count), element_of(node)
    first = f.convert("trunc", pointers[element], "i32")
    steps = f.binary("mul", f.iota(word), const(along(element, strides, lanes), word))
    index = f.binary("add", f.splat(first, lanes.count), steps)
    base, (apart,) = pointers[Key(seed, "operand")], writer.reads[seed].strides
    key = tuple(f.load(f.offset(base, const(i * apart, I64), "i32"), I32) for i in range(2))
    count = fetch(writer, counter, env, pointers, {}, Lanes(1, 1), role)
    return threefry(f, (key[0], key[1]), index, f.splat(count, lanes.count))


def store(
    writer: KernelWriter,
    env: Mapping[Node, Value],
    pointers: Pointers,
    strides: Mapping[Key, int],
    lanes: Lanes,
) -> None:
    """Write what others read."""
    for node in writer.kernel.stored:
        key = Key(node)
        write(writer.f, env[node], access(node, pointers[key]), along(key, strides, lanes), lanes)


def constants_along(writer: KernelWriter, axes: Sequence[Axis], here: Pointers) -> dict[Node, Value]:
    """Values that are the same along the axes, loaded and computed once before the loops over them."""
    still: set[Node] = set()
    along_more = any(axis.length > 1 for axis in axes)
    for node in writer.kernel.body:
        if node.op is random.random_bits and along_more:
            continue
        if all(stands_still(writer, x, still, axes) for x in node.inputs):
            still.add(node)
    known: dict[Node, Value] = {}
    compute(writer, [n for n in writer.kernel.body if n in still], known, here, {}, Lanes(1, 1))
    return known


def stands_still(writer: KernelWriter, x: Node, still: set[Node], axes: Sequence[Axis]) -> bool:
    """Whether an operand has one value along the axes."""
    if x in still or literal(x) is not None:
        return True
    return x in writer.reads and all(axis.length == 1 or axis.strides[Key(x)] == 0 for axis in axes)

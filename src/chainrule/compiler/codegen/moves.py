"""The kernels of primitives that move elements: joining, padding, picking and adding at indices."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.codegen.builder import I64, Type, Value, const
from chainrule.compiler.codegen.loops import Axis, Key, Lanes, merged_axes, read, write
from chainrule.compiler.codegen.nests import nest, strip
from chainrule.compiler.codegen.repeats import Counted, is_counted
from chainrule.compiler.codegen.writer import KernelWriter, Pointers, access, along, memory_scalar
from chainrule.compiler.lowering import ELEMENTWISE, convert, scalar_of
from chainrule.compiler.views import Strides, View
from chainrule.graph import Node
from chainrule.ops import elementwise, movement
from chainrule.ops.dtypes import int64
from chainrule.ops.faults import Fault


def write_pad(writer: KernelWriter, root: Node) -> None:
    """The whole kernel: the number everywhere, then the elements in their places."""
    out, p = _result(writer, root), root.params
    _fill(writer, out, p["value"])
    start = tuple(p["low"])
    step = tuple(i + 1 for i in p["interior"])
    _copy(writer, root.inputs[0], _part(out, start, root.inputs[0].shape, step))


def _result(writer: KernelWriter, root: Node) -> View:
    return View(root, 0, root.shape, writer.layout.places[root].strides)


def _part(out: View, start: Sequence[int], shape: Sequence[int], step: Sequence[int]) -> View:
    offset = out.offset + sum(a * s for a, s in zip(start, out.strides, strict=True))
    strides = tuple(s * t for s, t in zip(out.strides, step, strict=True))
    return View(out.root, offset, tuple(shape), strides)


def write_join(writer: KernelWriter, root: Node) -> None:
    """The whole kernel: operands one after the other, but those that were computed in their place."""
    out, axis, start = _result(writer, root), root.params["axis"], 0
    for x in root.inputs:
        shape = list(root.shape)
        shape[axis] = x.shape[axis] if root.op is movement.concat else 1
        first = [start if a == axis else 0 for a in range(len(shape))]
        part = _part(out, first, shape, (1,) * len(shape))
        if root.op is movement.stack:
            part = View(
                part.root,
                part.offset,
                x.shape,
                tuple(s for a, s in enumerate(part.strides) if a != axis),
            )
        if not _lies_there(writer, x, part):
            _copy(writer, x, part)
        start += shape[axis]


def _lies_there(writer: KernelWriter, x: Node, part: View) -> bool:
    """Whether a node was computed in its place in the result."""
    source, view = writer.layout.places[writer.reads[x].root], writer.reads[x]
    into = writer.layout.places[part.root]
    offsets = (place.offset + v.offset * x.dtype.itemsize for place, v in ((source, view), (into, part)))
    same_memory = source.buffer is into.buffer and len(set(offsets)) == 1
    return same_memory and view.strides == part.strides


def _base(writer: KernelWriter, node: Node, offset: int) -> Value:
    pointer = writer.start()[Key(node)]
    return writer.f.offset(pointer, const(offset, I64), memory_scalar(node)) if offset else pointer


def _fill(writer: KernelWriter, out: View, number: float) -> None:
    value = const(number, Type(scalar_of(out.root.dtype)))
    key = Key(out.root)
    axes = merged_axes(out.shape, range(len(out.shape)), {key: out.strides})
    _each(writer, axes, {key: _base(writer, out.root, out.offset)}, None, out.root, value)


def _copy(writer: KernelWriter, x: Node, part: View) -> None:
    if 0 in part.shape:
        return
    source, into = Key(x, "operand"), Key(part.root)
    strides = {source: writer.reads[x].strides, into: part.strides}
    axes = merged_axes(part.shape, range(len(part.shape)), strides)
    bases: Pointers = {source: writer.start()[source], into: _base(writer, part.root, part.offset)}
    _each(writer, axes, bases, x, part.root, None)


def _each(
    writer: KernelWriter,
    axes: list[Axis],
    bases: Pointers,
    x: Node | None,
    out: Node,
    value: Value | None,
) -> None:
    """Write a number, or the elements of ``x``, along axes."""
    inner = axes[-1] if axes else Axis(1, {})
    with nest(writer, axes[:-1], bases, []) as (outer, _):

        def point(index: Value, lanes: Lanes, carried: list[Value]) -> list[Value]:
            here = writer.moved(outer, inner, index)
            item = value
            if x is not None:
                source = Key(x, "operand")
                item = read(writer.f, access(x, here[source]), along(source, inner.strides, lanes), lanes)
            assert item is not None
            into = Key(out)
            write(writer.f, item, access(out, here[into]), along(into, inner.strides, lanes), lanes)
            return []

        strip(writer, inner.length, writer.width, [], point)


def _index(writer: KernelWriter, indices: Node, pointer: Value, length: int) -> Value:
    """One index from memory, counted from the start and kept inside; one that lies outside is reported."""
    f = writer.f
    raw = f.load(pointer, Type(memory_scalar(indices)))
    wide = convert(f, raw, indices.dtype, int64)
    from_end = f.binary("add", wide, const(length, I64))
    index = f.select(f.icmp("slt", wide, const(0, I64)), from_end, wide)
    outside = f.icmp("uge", index, const(length, I64))
    writer.note(Fault.INDEX_OUTSIDE, outside)
    return f.select(outside, const(0, I64), index)


def _look_at(writer: KernelWriter, indices: Node, length: int) -> None:
    """Note an index that lies outside, where there is nothing to move."""
    picks = Key(indices, "index")
    axes = merged_axes(indices.shape, range(len(indices.shape)), {picks: writer.reads[indices].strides})
    with nest(writer, axes, writer.start(), []) as (here, _):
        _index(writer, indices, here[picks], length)


def write_gather(writer: KernelWriter, root: Node) -> None:
    """Rows of x at the indices: loops over what lies before, the indices, and what lies behind."""
    out, (x, indices) = _result(writer, root), root.inputs
    axis, count = root.params["axis"], len(indices.shape)
    if 0 in indices.shape:
        return
    if 0 in root.shape or 0 in x.shape:
        _look_at(writer, indices, x.shape[axis])
        return
    source, picked = writer.reads[x], writer.reads[indices]
    ndim = len(root.shape)
    x_strides = (*source.strides[:axis], *(0,) * count, *source.strides[axis + 1 :])
    i_strides = (*(0,) * axis, *picked.strides, *(0,) * (ndim - axis - count))
    row, picks, into = Key(x, "operand"), Key(indices, "index"), Key(root)
    rows: dict[Key, Strides] = {row: x_strides, picks: i_strides, into: out.strides}
    lead = [Axis(root.shape[a], {n: s[a] for n, s in rows.items()}) for a in range(axis + count)]
    behind = merged_axes(root.shape, range(axis + count, ndim), rows)
    with nest(writer, lead, writer.start(), []) as (here, _):
        index = _index(writer, indices, here[picks], x.shape[axis])
        bases = writer.moved(here, Axis(0, {row: source.strides[axis]}), index)
        _each(writer, behind, bases, x, root, None)


def _add_along(writer: KernelWriter, root: Node, outer: Pointers, axis: Axis) -> None:
    """One row of updates added to the row of the result that the pointers lead to."""
    f, updates = writer.f, root.inputs[0]
    row, into = Key(updates, "operand"), Key(root)

    def point(index: Value, lanes: Lanes, carried: list[Value]) -> list[Value]:
        at = writer.moved(outer, axis, index)
        new = read(f, access(updates, at[row]), along(row, axis.strides, lanes), lanes)
        target, stride = access(root, at[into]), along(into, axis.strides, lanes)
        old = read(f, target, stride, lanes)
        new = f.splat(new, old.type.lanes) if new.type.lanes == 1 else new  # one for all
        write(f, ELEMENTWISE[elementwise.add](f, root, old, new), target, stride, lanes)
        return []

    strip(writer, axis.length, writer.width, [], point)


def write_scatter(writer: KernelWriter, root: Node) -> None:
    """Each update is added at its index, one after the other, so that repeated indices add up in order."""
    out, (updates, indices) = _result(writer, root), root.inputs
    if 0 not in root.shape:
        _fill(writer, out, 0)
    axis, count = root.params["axis"], len(indices.shape)
    if 0 in indices.shape:
        return
    if 0 in updates.shape or 0 in root.shape:
        _look_at(writer, indices, root.shape[axis])
        return
    ndim, lead = len(updates.shape), axis + count
    counted = Counted(writer, root, out.strides[axis]) if is_counted(root) else None
    u_strides = writer.reads[updates].strides
    i_strides = (*(0,) * axis, *writer.reads[indices].strides, *(0,) * (ndim - lead))
    o_strides = (*out.strides[:axis], *(0,) * count, *out.strides[axis + 1 :])
    row, picks, into = Key(updates, "operand"), Key(indices, "index"), Key(root)
    rows: dict[Key, Strides] = {row: u_strides, picks: i_strides, into: o_strides}
    if counted:
        rows[counted.key] = counted.strides(lead)
    before = [Axis(updates.shape[a], {n: s[a] for n, s in rows.items()}) for a in range(lead)]
    behind = merged_axes(updates.shape, range(lead, ndim), rows)
    begin = writer.start() | ({counted.key: const(0, I64)} if counted else {})
    with nest(writer, before[:axis], begin, []) as (start, _):
        if counted:
            counted.clear()
        with nest(writer, before[axis:], start, []) as (here, _):
            index = _index(writer, indices, here[picks], root.shape[axis])
            bases = writer.moved(here, Axis(0, {into: out.strides[axis]}), index)
            with nest(writer, behind[:-1], bases, []) as (outer, _):
                _add_along(writer, root, outer, behind[-1] if behind else Axis(1, {}))
            if counted:
                counted.count(index, bases, behind)
        if counted:
            counted.finish(start, behind)

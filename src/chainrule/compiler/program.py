"""Compiled graphs, ready to run: machine code that may be shared, and the memory it works on."""

from __future__ import annotations

import ctypes
import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.array_utils import byte_bounds

from chainrule.compiler import cache
from chainrule.compiler.arrange import ALIGNMENT
from chainrule.compiler.driver import Output, Stream
from chainrule.compiler.host import Library, Target, assemble_all, host
from chainrule.compiler.partition import partition_kernels
from chainrule.compiler.pipeline import Code, from_bytes, key_of, leaves_of, lower, to_bytes
from chainrule.compiler.team import PART, Team, chain
from chainrule.compiler.views import Strides
from chainrule.errors import TracingError, caller_line
from chainrule.graph import Node, topological
from chainrule.ops.faults import Fault
from chainrule.ops.record import Array
from chainrule.ops.source import leaf

Update = tuple[Node, Node]


class Binary:
    """The machine code of one graph. It holds no data: many instances may run it at the same time."""

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        updates: Sequence[Update] = (),
        *,
        rows: int | None = None,
        target: Target | None = None,
        shared: bool = False,
    ) -> None:
        """Take the machine code from the cache, or lower the graph and assemble it.

        With ``rows``, a native loop over minibatches of that many rows of the inputs comes with it. With ``shared``
        several threads can run that loop together.
        """
        self.inputs, self.shared = tuple(inputs), shared
        self.updated = tuple(target for target, _ in updates)
        self.target = target = target or host()
        nodes = [*outputs, *(value for _, value in updates)]
        strides = unusual_strides([*nodes, *(target for target, _ in updates)], set(inputs))
        stream = None if rows is None else Stream(self.inputs, rows)
        key = key_of(outputs, updates, strides, target, stream, shared=shared)
        found = _from_cache(key)
        if found is None:
            code = lower(outputs, updates, strides, target, stream, shared=shared)
            found = code, assemble_all(code.modules, target)
            cache.store(key, to_bytes(*found))
        self.code, objects = found
        leaves = leaves_of(nodes, updates)
        self.leaves = tuple(
            leaves[i] for i in self.code.leaves
        )  # the nodes whose memory the table starts with
        self._libraries = [Library(machine_code, target) for machine_code in objects]
        self.functions = [self._libraries[i].address(name) for i, name in self.code.functions]
        library = self._libraries[0]
        pointer = ctypes.c_void_p
        kinds = (pointer, pointer, pointer) if shared else (pointer,)
        self.step = ctypes.CFUNCTYPE(None, *kinds)(library.address("step"))
        self.run = 0 if stream is None else library.address("run")
        self.cycles = 200 + sum(loop.cycles for _, loop in self.code.loops)  # about, of one step


def _from_cache(key: str) -> tuple[Code, list[bytes]] | None:
    """What the cache has under a key. A dump is asked of the compiler, so then it has nothing."""
    content = None if os.environ.get("CHAINRULE_DUMP") else cache.load(key)
    return None if content is None else from_bytes(content)


def unusual_strides(outputs: Sequence[Node], inputs: set[Node]) -> dict[Node, Strides]:
    """Strides, in elements, of the arrays under leaves that are not inputs."""
    found = {}
    for node in topological(outputs):
        if node.op is leaf and node not in inputs and node.value is not None:
            found[node] = tuple(s // node.value.itemsize for s in node.value.strides)
    return found


class Instance:
    """A binary with memory: an arena of its own, and the arrays that its leaves stand for.

    Updated leaves change in place. ``arrays`` replaces the arrays that leaves had when the graph was made,
    by others with the same strides. ``threads`` is the most that will run it together.
    """

    def __init__(
        self, binary: Binary, arrays: Mapping[Node, Array] | None = None, *, threads: int = 1
    ) -> None:
        self.binary, self._code = binary, binary.code
        constants = self._code.constants
        self._arena = aligned(self._code.bytes(threads if binary.shared else 1))
        self._kept: list[Array | None] = [*([None] * len(binary.leaves)), *constants, self._arena]
        addresses = [0 if x is None else x.ctypes.data for x in self._kept]
        self._table = np.array([*addresses, *binary.functions], np.uint64)
        self._address = self._table.ctypes.data
        at = self._code.arena.status
        self._status = self._arena[at : at + 4].view(np.int32)
        self._slots = {node: i for i, node in enumerate(binary.leaves)}
        self._partitions = (
            {n: partition_kernels(self._code.loops, n) for n in {1, threads}} if binary.shared else {}
        )
        for node in binary.leaves:
            array = node.value if arrays is None else arrays.get(node, node.value)
            if array is not None:
                self.bind(node, array)
        # where memory begins and ends that a run changes; none of it lies in two of these (guarded.py)
        written = [self._kept[self._slots[node]] for node in binary.updated if node in self._slots]
        bounds = sorted(byte_bounds(array) for array in written if array is not None and array.size)
        self._starts, self._ends = [start for start, _ in bounds], [end for _, end in bounds]
        # what lies in the arena stays there; other outputs are looked for after every run
        self._views = [self._view(output) if output.slot < 0 else None for output in self._code.outputs]
        fixed = [view for view in self._views if view is not None]
        self._fixed = fixed if len(fixed) == len(self._views) else []

    @property
    def arena_bytes(self) -> int:
        """Memory for values in between."""
        return int(self._arena.nbytes)

    def bind(self, node: Node, array: Array) -> int:
        """Let a leaf stand for this array's memory; gives its address, or 0 where nothing reads it."""
        slot = self._slots.get(node)
        if slot is None:
            return 0
        self._kept[slot] = array
        address: int = array.__array_interface__["data"][0]  # as address_of, in place: many calls bind
        self._table[slot] = address
        return address

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run once: copies of the outputs.

        Raises as ``check`` does, and TracingError for an input in memory that this run changes.
        """
        for node, array in zip(self.binary.inputs, arrays, strict=True):
            ready = array.dtype == node.dtype and array.flags.c_contiguous
            bound = array if ready else np.ascontiguousarray(array, dtype=node.dtype)
            address = self.bind(node, bound)
            if self._ends:
                i = bisect_right(self._ends, address)  # the first that ends behind the input's beginning
                if i < len(self._starts) and self._starts[i] < address + bound.nbytes:
                    raise TracingError(
                        "an argument shares memory with a tensor that the function updates",
                        expected="arguments in memory of their own, so that the order of the work cannot matter",
                        got=f"{array.dtype}{list(array.shape)}",
                        where=caller_line(),
                        hint="pass a copy, as in f(w.numpy().copy())",
                    )
        return self.again()

    def again(self) -> list[Array]:
        """Run once with what the inputs are bound to: copies of the outputs."""
        if self.binary.shared:
            self.binary.step(self._address, self._partitions[1].ctypes.data, None)
        else:
            self.binary.step(self._address)
        if self._status[0]:
            self.check()
        if self._fixed:
            return [view.copy() for view in self._fixed]
        outputs = zip(self._views, self._code.outputs, strict=True)
        return [(self._view(output) if view is None else view).copy() for view, output in outputs]

    def part(self, data: Sequence[Array], order: Array | None, steps: int, threads: int) -> Part:
        """Work for ``run_parts``: once for each row of ``order`` [steps, rows] of int64 row numbers into ``data``.

        Without an order, minibatches are the rows of ``data`` one after the other. Row numbers are trusted.
        """
        rows = self.binary.inputs[0].shape[0]
        for node in self.binary.inputs if order is not None else ():
            slot = self._slots.get(node)
            if slot is not None:
                memory = self._kept[slot]
                if memory is None:
                    memory = self._kept[slot] = np.empty((rows, *node.shape[1:]), node.dtype)
                self._table[slot] = address_of(memory)
        records = np.empty((steps, len(self._code.outputs)))
        pointers = np.array([address_of(array) for array in data], np.uint64)
        partition = self._partitions.get(threads)
        numbers = (
            self.binary.run,
            self._address,
            address_of(pointers),
            0 if order is None else address_of(order),
            steps,
            address_of(records),
            0 if partition is None else address_of(partition),
            0 if partition is None else partition.strides[0],
        )
        return Part(self, numbers, records, data, order, (pointers, partition))

    def check(self) -> None:
        """Raise what went wrong at an element since the last time, such as an IndexOutOfRangeError."""
        if self._status[0]:
            fault, self._status[0] = Fault(self._status[0]), 0
            raise fault.error()

    def _view(self, output: Output) -> Array:
        if output.slot < 0:
            return np.ndarray(output.shape, output.dtype, self._arena, output.offset, output.strides)
        memory = self._kept[output.slot]
        assert memory is not None
        first = address_of(memory)
        return np.asarray(_Elements(first + output.offset, output))


class _Elements:
    """Memory as NumPy takes it: from an address on, in any order, as an updated leaf may lie."""

    def __init__(self, address: int, output: Output) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": output.shape,
            "strides": output.strides,
            "typestr": output.dtype,
        }


@dataclass(frozen=True)
class Part:
    """A program's share of a longer piece of work: what ``chain`` reads, and where the outputs come to stand."""

    program: Instance
    numbers: tuple[int, ...]
    records: Array  # float64 [steps, outputs]
    data: Sequence[Array]
    order: Array | None
    kept: tuple[object, ...]  # other memory that has to outlive the work


def run_parts(parts: Sequence[Part], team: Team | None = None, threads: int = 1) -> None:
    """Do the work of all parts, one after the other, in native code; Python's lock is released meanwhile.

    All threads of a part's programs have to be ``threads``. Raises what went wrong at an element (``Instance.check``).
    """
    rows = np.array([part.numbers for part in parts if part.numbers[PART.index("steps")]], np.int64)
    if len(rows):
        address = address_of(rows)
        native = chain(parts[0].program.binary.target)  # held: two threads that come first make one each
        if team is None or threads == 1:
            native.run(address, len(rows), 0, 1, None)
        else:
            team.run(lambda rank, barrier: native.run(address, len(rows), rank, threads, barrier), threads)
    for program in {id(part.program): part.program for part in parts}.values():
        program.check()


def run_rounds(parts: Sequence[Part], rounds: int, first: int, count: int) -> None:
    """Of work that is done in so many rounds, an equal share of every part in each, do ``count`` from the first on.

    One thread does it, in native code. Raises what went wrong at an element (``Instance.check``).
    """
    numbers = np.arange(first, first + count)
    table = np.empty((count, len(parts), len(PART)), np.int64)
    pointers = []
    for column, part in zip(table.swapaxes(0, 1), parts, strict=True):
        entry = dict(zip(PART, column.T, strict=True))
        column[...] = part.numbers
        data, order = part.data, part.order
        steps = len(part.records) // rounds
        entry["steps"][...] = steps
        entry["records"] += numbers * (steps * part.records.strides[0])
        if order is not None:
            entry["order"] += numbers * (steps * order.strides[0])
            continue
        rows = steps * part.program.binary.inputs[0].shape[0]
        begins = np.array([[address_of(array) for array in data]])
        own = begins + numbers[:, None] * [rows * array.strides[0] for array in data]
        pointers.append(own)  # until the work is done
        entry["data"][...] = address_of(own) + np.arange(count) * own.strides[0]
    native = chain(parts[0].program.binary.target)  # held: two threads that come first make one each
    native.run(address_of(table), count * len(parts), 0, 1, None)
    for program in {id(part.program): part.program for part in parts}.values():
        program.check()


def address_of(array: Array) -> int:
    """Where its memory begins, in a third of the time of array.ctypes."""
    address: int = array.__array_interface__["data"][0]
    return address


def aligned(count: int) -> Array:
    """Zeroed bytes that start where vectors like to."""
    raw = np.zeros(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]

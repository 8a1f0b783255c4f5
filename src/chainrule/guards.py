"""Whether what a trace has read from outside is still the same.

A traced function runs once, so whatever it looks up in Python (globals, closures, attributes, arrays, parameters)
stays in its graph as it was. ``Guards`` remembers all of it before the trace and tells later, in microseconds,
whether anything has changed. ``reach.py`` finds it; ``guarded.py`` traces under guards.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, repeat
from operator import attrgetter, is_
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from chainrule.ops.record import Array
from chainrule.reach import ABSENT, Reach
from chainrule.trace import Values

H = TypeVar("H", bound=Collection[object])
Reader = tuple[Callable[[], Iterable[object]], Callable[[], Iterable[str]]]


class Guards:
    """Everything that functions and objects read from outside, as it is now; ``hold`` says whether it still is so.

    ``roots`` are functions and objects by the name that a message gives them. Instances of ``modes_of`` may
    change their attribute ``training`` and have gradients left in their parameters. ``unwatched`` names what is read
    but cannot be watched, such as a clock: whoever finds something there has to trace again each time.
    """

    def __init__(self, roots: Mapping[str, object], modes_of: type | None = None) -> None:
        self._reach, self._gradients = Reach(roots, modes_of), modes_of is None
        self.unwatched, self.generators = self._reach.unwatched, self._reach.generators
        self.tensors = self._reach.tensors
        self._note()

    def _note(self) -> None:
        """Remember everything as it is now, in lists that are compared without a loop in Python."""
        self._readers = list(self._read())
        self._before = [list(read()) for read, _ in self._readers]
        self._reads, self._flat = [read for read, _ in self._readers], [*chain.from_iterable(self._before)]
        holders = [*self._reach.whole, *self._reach.lists, *self._reach.sized]
        self._holders, self._holder_labels = [x for x, _ in holders], [label for _, label in holders]
        self._lengths = [*map(len, self._holders)]
        self._values = [Content(array) for array, _ in self._reach.arrays]
        self._states = [pickle.dumps(value) for value, _ in self._reach.pickled]

    def _read(self) -> Iterator[Reader]:
        """Functions that give anew what is compared by identity, each with one that gives its parts' names."""
        reach = self._reach
        for kind, get in ((dict, dict.get), (MappingProxyType, MappingProxyType.get)):
            yield from _by_name(get, [row for row in reach.entries if isinstance(row[0], kind)])
        yield from _by_name(getattr, reach.slots)
        yield from _chained(iter, reach.whole)
        yield from _chained(dict.values, reach.whole)
        yield from _chained(iter, reach.lists)
        yield from _attributes(reach.cells, "cell_contents")
        yield from _attributes(reach.functions, "__code__", "__defaults__", "__kwdefaults__")
        yield from _attributes([*reach.tensors.items()], "_data", "_requires_grad")
        if self._gradients:
            yield from _attributes([*reach.tensors.items()], "_grad")
        if reach.variables:
            variables, labels = map(list, zip(*reach.variables, strict=True))
            yield (lambda: [variable.get(None) for variable in variables]), labels.copy

    def add_values(self, values: Values) -> None:
        """Watch the contents of tensors whose value was asked for, from copies made at that time."""
        for tensor, (value, _) in values.items():
            label = self.tensors.get(tensor)
            if label is not None and tensor._data is not None:
                self._reach.arrays.append((tensor._data, label))
                self._values.append(Content(tensor._data, value))

    def hold(self) -> bool:
        """Whether everything is as it was; false where that cannot be told."""
        if self.unwatched:
            return False
        try:
            return (
                all(map(is_, chain.from_iterable([read() for read in self._reads]), self._flat))
                and [*map(len, self._holders)] == self._lengths
                and (not self._values or all(map(Content.same, self._values)))
                and (
                    not self._states
                    or [pickle.dumps(value) for value, _ in self._reach.pickled] == self._states
                )
            )
        except (ValueError, RuntimeError):
            # a closure's variable was deleted, or a dict changes in another thread
            return False

    def changed(self) -> str:
        """What is not as it was, by name: the first thing found."""
        for (read, labels), before in zip(self._readers, self._before, strict=True):
            for label, now, then in zip(labels(), read(), before, strict=False):
                if now is not then:
                    return label
        for holder, length, label in zip(self._holders, self._lengths, self._holder_labels, strict=True):
            if len(holder) != length:
                return label
        for content, (_, label) in zip(self._values, self._reach.arrays, strict=True):
            if not content.same():
                return label
        for (value, label), state in zip(self._reach.pickled, self._states, strict=True):
            if pickle.dumps(value) != state:
                return label
        return ", ".join(self.unwatched)


class Content:
    """An array together with what it contained."""

    __slots__ = ("_array", "_bytes", "_form", "_memory")

    def __init__(self, array: Array, before: Array | None = None) -> None:
        self._array, self._form = array, (array.shape, array.dtype)
        self._memory: Array | None = None  # the array's own memory as bytes, where it has no gaps
        for each in (array, array.T):
            if self._memory is None and each.flags.c_contiguous:
                self._memory = each.reshape(-1).view(np.uint8)
        self._bytes = bytearray(self._read(array if before is None else before))

    def _read(self, array: Array) -> bytes:
        return array.tobytes("A" if self._memory is not None else "C")

    def same(self) -> bool:
        """Whether it still contains that, in the same form."""
        if (self._array.shape, self._array.dtype) != self._form:
            return False
        if self._memory is None:
            return self._bytes == self._read(self._array)
        return bool(self._bytes == self._memory)  # a bytearray compares by memcmp


def _by_name(get: Callable[..., object], rows: Sequence[tuple[object, object, str]]) -> Iterator[Reader]:
    """Of each (owner, name, label) what the owner has under the name."""
    if rows:
        owners, names, labels = map(list, zip(*rows, strict=True))
        yield partial(map, get, owners, names, repeat(ABSENT)), labels.copy


def _chained(parts: Callable[[H], Iterable[object]], rows: Sequence[tuple[H, str]]) -> Iterator[Reader]:
    """All parts of some holders one after the other, each under its holder's name."""
    if rows:
        holders = [holder for holder, _ in rows]
        yield (
            lambda: chain.from_iterable(map(parts, holders)),
            lambda: chain.from_iterable([label] * len(holder) for holder, label in rows),
        )


def _attributes(rows: Sequence[tuple[object, str]], *names: str) -> Iterator[Reader]:
    """These attributes of some objects."""
    for name in names if rows else ():
        owners, labels = map(list, zip(*rows, strict=True))
        yield partial(map, attrgetter(name), owners), labels.copy

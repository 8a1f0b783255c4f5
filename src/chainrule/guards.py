"""What a trace reads from outside, and whether it is still the same.

A traced function runs once, so whatever it looks up in Python (globals, closures, attributes, arrays, parameters)
stays in its graph as it was. ``Guards`` finds all of it before the trace and tells later, in microseconds,
whether anything has changed. ``reads.py`` says which names a function reads; ``guarded.py`` traces under guards.
"""

from __future__ import annotations

import logging
import os
import pickle
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import chain, repeat
from operator import attrgetter, is_
from pathlib import PurePath
from re import Pattern
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GenericAlias,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from chainrule.ops.record import Array
from chainrule.reads import Reads, is_users, is_users_class, is_users_module, reads_of
from chainrule.tensor import Tensor
from chainrule.trace import Values

MOST = 50_000  # values looked at; a function that reaches more is traced at every call
_ABSENT: Any = object()
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
#: what cannot change, or takes no part in numbers: nothing is looked for in it
_LEAVES = (
    *_PLAIN,
    *(type(Ellipsis), type(NotImplemented), range, slice, np.generic, np.dtype, np.ufunc, CodeType),
    *(date, time, timedelta, tzinfo, Decimal, Fraction, PurePath, Pattern, GenericAlias),
    *(logging.Logger, logging.Handler),
)
_MACHINERY = frozenset(
    {"_thread", "threading", "_io", "weakref", "_weakref", "_abc", "typing", "_contextvars"}
)
#: special methods that nothing calls while it computes
_NOT_CALLED = frozenset(
    "__init__ __new__ __post_init__ __repr__ __str__ __del__ __getstate__ __setstate__".split()
)
_MAKING = frozenset({"__init__", "__new__", "__post_init__"})  # called where an instance is made
_NO_VALUES = frozenset({"__dict__", "__weakref__", "_predictor"})
_GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)


class Guards:
    """Everything that functions and objects read from outside, as it is now; ``hold`` says whether it still is so.

    ``roots`` are functions and objects by the name that a message gives them. Instances of ``modes_of`` may
    change their attribute ``training`` and have gradients left in their parameters. ``blind`` names what is read
    but cannot be watched, such as a clock: whoever finds something there has to trace again each time.
    """

    def __init__(self, roots: Mapping[str, Any], modes_of: type | None = None) -> None:
        self._modes_of = modes_of
        self._attributes: set[str] = set()
        self._any_attribute = False
        while True:  # once more for the attributes of what was seen before the functions that read them
            before = len(self._attributes), self._any_attribute
            self._start()
            self._look(roots)
            if (len(self._attributes), self._any_attribute) == before:
                break
        self._note()

    def _start(self) -> None:
        self.blind: dict[str, None] = {}
        self.generators: dict[str, Any] = {}
        self.tensors: dict[Tensor, str] = {}
        self._seen: dict[int, Any] = {}
        self._waiting: list[tuple[str, Any]] = []
        self._whole: list[tuple[dict[Any, Any], str]] = []  # dicts of which all keys and values count
        self._entries: list[tuple[Mapping[str, Any], str, str]] = []  # of these mappings one key counts
        self._lists: list[tuple[Any, str]] = []
        self._sized: list[tuple[Any, str]] = []  # only as many as they are
        self._cells: list[tuple[CellType, str]] = []
        self._functions: list[tuple[FunctionType, str]] = []
        self._slots: list[tuple[Any, str, str]] = []
        self._arrays: list[tuple[Array, str]] = []
        self._variables: list[tuple[ContextVar[Any], str]] = []
        self._pickled: list[tuple[Any, str]] = []

    # Finding

    def _look(self, roots: Mapping[str, Any]) -> None:
        self._waiting = list(roots.items())
        while self._waiting:
            label, value = self._waiting.pop()
            if id(value) in self._seen or isinstance(value, _LEAVES):
                continue
            self._seen[id(value)] = value
            if len(self._seen) > MOST:
                self.blind[f"more than {MOST} values"] = None
                return
            self._visit(label, value)

    def _visit(self, label: str, value: Any) -> None:
        if isinstance(value, Tensor):
            self._visit_tensor(label, value)
        elif isinstance(value, np.ndarray):
            self._visit_array(label, value)
        elif isinstance(value, FunctionType):
            self._visit_function(label, value)
        elif isinstance(value, type):
            self._visit_class(label, value, made=True)
        elif isinstance(value, ModuleType):
            if is_users_module(value):
                self._watch(label, vars(value), self._named(vars(value)))
        elif isinstance(value, CellType):
            self._visit_cell(label, value)
        elif isinstance(value, MethodType | BuiltinFunctionType):
            self._follow(label, getattr(value, "__self__", None), getattr(value, "__func__", None))
        elif isinstance(value, partial):
            self._follow(label, value.func, value.args, value.keywords)
        elif isinstance(value, property):
            self._follow(label, value.fget)
        elif isinstance(value, staticmethod | classmethod):
            self._follow(label, value.__func__)
        elif isinstance(value, _GENERATORS):
            self.generators[label] = value
        elif isinstance(value, ContextVar):
            self._variables.append((value, label))
            self._follow(label, value.get(None))
        elif type(value).__module__ not in _MACHINERY:
            self._visit_object(label, value)

    def _follow(self, label: str, *values: Any) -> None:
        self._waiting += [(label, value) for value in values]

    def _watch(self, label: str, own: Mapping[str, Any], names: Iterable[str]) -> None:
        """Watch these entries, and what they hold; what was stored by a trace is no value."""
        for name in names:
            value = own.get(name, _ABSENT)
            if not _is_traced(value):
                shown = f"{label}.{name}" if label else name
                self._entries.append((own, name, shown))
                self._waiting.append((shown, value))

    def _watch_whole(self, label: str, own: dict[Any, Any], attributes: bool) -> None:
        shown = "{}.{}" if attributes else "{}[{!r}]"
        if any(map(_is_traced, own.values())):
            self._sized.append((own, label))
            self._entries += [(own, name, label) for name, value in own.items() if not _is_traced(value)]
        else:
            self._whole.append((own, label))
        self._waiting += [(shown.format(label, key), item) for key, item in dict.items(own)]

    def _visit_tensor(self, label: str, tensor: Tensor) -> None:
        self.tensors[tensor] = label
        if self._modes_of is None:
            self._follow(f"{label}.grad", tensor.grad)
        own = getattr(tensor, "__dict__", {})
        self._watch(label, own, [name for name in own if name != "initialiser"])

    def _visit_array(self, label: str, array: Array) -> None:
        if array.dtype.hasobject:  # nothing tells whether an object in it was replaced
            self.blind[label] = None
        else:
            self._arrays.append((array, label))

    def _visit_function(self, label: str, function: FunctionType) -> None:
        self._functions.append((function, label))
        self._follow(label, function.__defaults__, function.__kwdefaults__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._follow(name, cell)
        self._watch(label, vars(function), self._named(vars(function)))
        self._follow(label, vars(function).get("__wrapped__"))
        if is_users(function.__code__.co_filename):
            self._visit_names(reads_of(function.__code__), function.__globals__)

    def _visit_names(self, reads: Reads, names: dict[str, Any]) -> None:
        self._attributes |= reads.attributes
        self._any_attribute |= reads.any_attribute
        self._watch("", names, sorted(reads.globals))
        for name in reads.modules:
            self._follow(name, sys.modules.get(name))
        if reads.environment:
            self._follow("os.environ", os.environ)
        world = reads.world({name: names[name] for name in reads.globals if name in names})
        if world:
            self.blind[world] = None

    def _visit_cell(self, label: str, cell: CellType) -> None:
        try:
            content = cell.cell_contents
        except ValueError:  # nothing in it yet, and so nothing that was read
            return
        if not _is_traced(content):
            self._cells.append((cell, label))
            self._follow(label, content)

    def _visit_class(self, label: str, kind: type, *, made: bool) -> None:
        """Those of its attributes that are read by name, or called by Python or by a library."""
        for each in kind.__mro__:
            if is_users_class(each):
                others = [base for base in each.__mro__ if base is not object and not is_users_class(base)]
                names = [
                    name
                    for name, value in vars(each).items()
                    if (name in _MAKING and made)
                    or (
                        name not in _NOT_CALLED
                        and (
                            self._is_named(name)
                            or (name.startswith("__") and isinstance(value, FunctionType))
                            or any(hasattr(base, name) for base in others if not name.startswith("__"))
                        )
                    )
                ]
                self._watch(label, vars(each), names)

    def _visit_object(self, label: str, value: Any) -> None:
        kind = type(value)
        if isinstance(value, dict):
            self._watch_whole(label, value, attributes=False)
        elif isinstance(value, list | deque | set):
            self._lists.append((value, label))
        if isinstance(value, list | deque | set | tuple | frozenset):
            self._waiting += [(f"{label}[{i}]", item) for i, item in enumerate(value)]
        elif not isinstance(value, dict) and not _has_attributes(value) and not is_users_class(kind):
            self._visit_opaque(label, value)
        self._visit_attributes(label, value)
        self._visit_slots(label, value)
        if is_users_class(kind):
            self._visit_class(kind.__qualname__, kind, made=False)
        if callable(value):
            self._follow(label, getattr(value, "__self__", None))

    def _visit_attributes(self, label: str, value: Any) -> None:
        """Of the user's own objects what is read by name; of a library's, and of heirs of its classes, all."""
        own, kind = getattr(value, "__dict__", None), type(value)
        if not isinstance(own, dict) or own is value:
            return
        if self._modes_of is not None and isinstance(value, self._modes_of):
            self._sized.append((own, label))
            self._watch(label, own, [name for name in own if name != "training"])
        elif kind.__module__ != "types" and any(not is_users_class(k) for k in kind.__mro__[:-1]):
            self._watch_whole(label, own, attributes=True)
        else:
            self._sized.append((own, label))
            self._watch(label, own, self._named(own, kind))

    def _visit_slots(self, label: str, value: Any) -> None:
        for each in type(value).__mro__:
            slots = vars(each).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                found = getattr(value, name, _ABSENT)
                if name not in _NO_VALUES and found is not _ABSENT and not _is_traced(found):
                    self._slots.append((value, name, f"{label}.{name}"))
                    self._follow(f"{label}.{name}", found)

    def _visit_opaque(self, label: str, value: Any) -> None:
        """An object of C: watched by what it would be pickled as, if it can be."""
        if callable(value):
            return
        try:
            pickle.dumps(value)
        except (TypeError, AttributeError, pickle.PicklingError):
            self.blind[f"{label} ({type(value).__name__})"] = None
        else:
            self._pickled.append((value, label))

    def _is_named(self, name: str) -> bool:
        return self._any_attribute or name in self._attributes

    def _named(self, own: Mapping[str, Any], kind: type | None = None) -> list[str]:
        """The names that code reads of an object: those that it has, and those that would hide its class's."""
        if self._any_attribute:
            return list(own)
        return [
            name for name in self._attributes if name in own or (kind is not None and hasattr(kind, name))
        ]

    # Watching

    def _note(self) -> None:
        """Remember everything as it is now, in lists that are compared without a loop in Python."""
        self._streams = list(self._read())
        self._before = [list(read()) for read, _ in self._streams]
        self._reads, self._flat = [read for read, _ in self._streams], [*chain.from_iterable(self._before)]
        holders = [*self._whole, *self._lists, *self._sized]
        self._holders, self._holder_labels = [x for x, _ in holders], [label for _, label in holders]
        self._lengths = [*map(len, self._holders)]
        self._values = [Content(array) for array, _ in self._arrays]
        self._states = [pickle.dumps(value) for value, _ in self._pickled]

    def _read(self) -> Iterator[tuple[Callable[[], Iterable[Any]], Callable[[], Iterable[str]]]]:
        """Functions that give anew what is compared by identity, each with one that gives its parts' names."""
        for kind, get in ((dict, dict.get), (MappingProxyType, MappingProxyType.get)):
            rows = [row for row in self._entries if isinstance(row[0], kind)]
            if rows:
                owners, names, labels = map(list, zip(*rows, strict=True))
                yield partial(map, get, owners, names, repeat(_ABSENT)), labels.copy
        yield from _chained(self._whole, iter)
        yield from _chained(self._whole, dict.values)
        yield from _chained(self._lists, iter)
        if self._slots:
            owners, names, labels = map(list, zip(*self._slots, strict=True))
            yield partial(map, getattr, owners, names, repeat(_ABSENT)), labels.copy
        gradients = ("_grad",) if self._modes_of is None else ()
        for rows, attributes in (
            (self._cells, ("cell_contents",)),
            (self._functions, ("__code__", "__defaults__", "__kwdefaults__")),
            (list(self.tensors.items()), ("_data", "_requires_grad", *gradients)),
        ):
            for attribute in attributes if rows else ():
                yield (
                    partial(map, attrgetter(attribute), [x for x, _ in rows]),
                    [label for _, label in rows].copy,
                )
        if self._variables:
            found = [variable for variable, _ in self._variables]
            yield (
                lambda: [variable.get(None) for variable in found],
                [label for _, label in self._variables].copy,
            )

    def add_values(self, values: Values) -> None:
        """Watch the contents of tensors whose value was asked for, from copies made at that time."""
        for tensor, (value, _) in values.items():
            label = self.tensors.get(tensor)
            if label is not None and tensor._data is not None:
                self._arrays.append((tensor._data, label))
                self._values.append(Content(tensor._data, value))

    def hold(self) -> bool:
        """Whether everything is as it was; false where that cannot be told."""
        if self.blind:
            return False
        try:
            return (
                all(map(is_, chain.from_iterable([read() for read in self._reads]), self._flat))
                and [*map(len, self._holders)] == self._lengths
                and (not self._values or all(map(Content.same, self._values)))
                and (not self._states or [pickle.dumps(value) for value, _ in self._pickled] == self._states)
            )
        except (
            ValueError,
            RuntimeError,
        ):  # a closure's variable was deleted; a dict changes in another thread
            return False

    def changed(self) -> str:
        """What is not as it was, by name: the first thing found."""
        for (read, labels), before in zip(self._streams, self._before, strict=True):
            for label, now, then in zip(labels(), read(), before, strict=False):
                if now is not then:
                    return label
        for holder, length, label in zip(self._holders, self._lengths, self._holder_labels, strict=True):
            if len(holder) != length:
                return label
        for content, (_, label) in zip(self._values, self._arrays, strict=True):
            if not content.same():
                return label
        for (value, label), state in zip(self._pickled, self._states, strict=True):
            if pickle.dumps(value) != state:
                return label
        return ", ".join(self.blind)


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


class RandomStates:
    """Where the sources of random numbers stand: Python's and NumPy's own, and those that a function reaches."""

    def __init__(self, generators: Mapping[str, Any]) -> None:
        numpy_own = getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)
        shared = {"random": random._inst, "np.random": numpy_own}  # type: ignore[attr-defined]
        self._generators = {name: x for name, x in {**shared, **generators}.items() if x is not None}
        self._before = self._states()

    def _states(self) -> dict[str, bytes]:
        return {name: pickle.dumps(_state(x)) for name, x in self._generators.items()}

    def moved(self) -> str:
        """The first source from which numbers were drawn; "" where there is none."""
        return next((name for name, now in self._states().items() if now != self._before[name]), "")


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return getattr(generator, "bit_generator", generator).state


def _chained(
    holders: list[tuple[Any, str]], parts: Callable[[Any], Iterable[Any]]
) -> Iterator[tuple[Callable[[], Iterable[Any]], Callable[[], Iterable[str]]]]:
    """All parts of some holders one after the other, each under its holder's name."""
    if holders:
        alone = [holder for holder, _ in holders]
        yield (
            lambda: chain.from_iterable(map(parts, alone)),
            lambda: chain.from_iterable([label] * len(holder) for holder, label in holders),
        )


def _is_traced(value: Any) -> bool:
    """Whether it is a tensor without a value, which a trace left behind."""
    return isinstance(value, Tensor) and value._data is None


def _has_attributes(value: Any) -> bool:
    return hasattr(value, "__dict__") or any(vars(kind).get("__slots__") for kind in type(value).__mro__)

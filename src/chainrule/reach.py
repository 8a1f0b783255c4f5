"""What a function reaches in Python: everything that it could read while it is traced, found before that.

Values are followed from the function through globals, closures, attributes and items. Of objects of the user's own
classes only attributes whose names some code reads count, as ``reads.py`` finds them in byte code, so that a loop's
counters and lists of losses are no concern of a loss that does not read them. ``guards.py`` watches what is found.
"""

from __future__ import annotations

import io
import logging
import os
import pickle
import random
import sys
import threading
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, partial
from operator import attrgetter, methodcaller
from pathlib import PurePath
from re import Pattern
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GenericAlias,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import numpy as np

from chainrule.ops.record import Array
from chainrule.reads import Reads, is_python_class, is_users, is_users_class, is_users_module, reads_of
from chainrule.tensor import Tensor

MOST = 50_000  # values looked at; a function that reaches more is traced at every call
ABSENT: object = object()
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
#: what cannot change, or takes no part in numbers: nothing is looked for in it
_LEAVES = (
    *_PLAIN,
    *(type(Ellipsis), type(NotImplemented), range, slice, np.generic, np.dtype, np.ufunc, CodeType),
    *(date, time, timedelta, tzinfo, Decimal, Fraction, PurePath, Pattern, GenericAlias),
    *(logging.Logger, logging.Handler),
)
_MACHINERY = frozenset({"_thread", "threading", "_abc", "typing", "_contextvars"})
#: built-in classes whose instances hold nothing but what is looked at here
_UNDERSTOOD = (
    *(object, dict, list, tuple, set, frozenset, deque, OrderedDict, defaultdict),
    *(int, float, complex, str, bytes, type, BaseException, SimpleNamespace, threading.local),
)
#: special methods that nothing calls while it computes
_MAKING = frozenset({"__init__", "__new__", "__post_init__"})  # called where an instance is made
_NOT_CALLED = _MAKING | {"__repr__", "__str__", "__del__", "__getstate__", "__setstate__"}
_NO_VALUES = frozenset({"__dict__", "__weakref__", "_predictor"})


class Reach:
    """Everything that functions and objects reach, by what has to be compared to know that it has not changed.

    ``roots`` and ``modes_of`` are those of ``Guards``.
    """

    def __init__(self, roots: Mapping[str, object], modes_of: type | None = None) -> None:
        self._modes_of = modes_of
        self._attributes: set[str] = set()
        self._any_attribute = False
        while True:  # once more for the attributes of what was seen before the functions that read them
            before = len(self._attributes), self._any_attribute
            self._start()
            self._look(roots)
            if (len(self._attributes), self._any_attribute) == before:
                break
        self._seen.clear()

    def _start(self) -> None:
        self.unwatched: dict[str, None] = {}
        self.generators: dict[str, object] = {}
        self.tensors: dict[Tensor, str] = {}
        self._seen: dict[int, object] = {}
        self._waiting: list[tuple[str, object]] = []
        self.whole: list[tuple[dict[object, object], str]] = []  # dicts of which all keys and values count
        self.entries: list[tuple[Mapping[Any, object], object, str]] = []  # of these mappings one key counts
        self.lists: list[tuple[Collection[object], str]] = []
        self.sized: list[tuple[Collection[object], str]] = []  # only as many as they are
        self.cells: list[tuple[CellType, str]] = []
        self.functions: list[tuple[FunctionType, str]] = []
        self.slots: list[tuple[object, str, str]] = []
        self.arrays: list[tuple[Array, str]] = []
        self.variables: list[tuple[ContextVar[object], str]] = []
        self.pickled: list[tuple[object, str]] = []

    # Finding

    def _look(self, roots: Mapping[str, object]) -> None:
        self._waiting = list(roots.items())
        while self._waiting:
            label, value = self._waiting.pop()
            if id(value) in self._seen or isinstance(value, _LEAVES):
                continue
            self._seen[id(value)] = value
            if len(self._seen) > MOST:
                self.unwatched[f"more than {MOST} values"] = None
                return
            self._visit(label, value)

    def _visit(self, label: str, value: object) -> None:
        for kinds, visit in self._visits:
            if isinstance(value, kinds):
                visit(label, value)
                return
        if type(value).__module__ not in _MACHINERY or isinstance(value, threading.local):
            self._visit_object(label, value)

    @cached_property
    def _visits(self) -> list[tuple[type | tuple[type, ...], Callable[[str, Any], None]]]:
        """What to do with values of these kinds; the first that fits counts."""
        return [
            (Tensor, self._visit_tensor),
            (np.ndarray, self._visit_array),
            (FunctionType, self._visit_function),
            (type, self._visit_class),
            (ModuleType, self._visit_module),
            (CellType, self._visit_cell),
            ((MethodType, BuiltinFunctionType), lambda label, value: self._follow(label, *_bound(value))),
            (partial, lambda label, value: self._follow(label, value.func, value.args, value.keywords)),
            (property, lambda label, value: self._follow(label, value.fget)),
            ((staticmethod, classmethod), lambda label, value: self._follow(label, value.__func__)),
            (_generators(), lambda label, value: self.generators.update({label: value})),
            (ContextVar, self._visit_variable),
            (weakref.ref, lambda label, value: self._follow(label, value())),
            ((attrgetter, methodcaller), self._visit_getter),
            (io.IOBase, lambda label, _: self.unwatched.update({label: None})),
        ]

    def _follow(self, label: str, *values: object) -> None:
        self._waiting += [(label, value) for value in values]

    def _watch(self, label: str, own: Mapping[str, object], names: Iterable[str]) -> None:
        """Watch these entries, and what they hold; what was stored by a trace is no value."""
        for name in names:
            value = own.get(name, ABSENT)
            if not is_traced(value):
                shown = f"{label}.{name}" if label else name
                self.entries.append((own, name, shown))
                self._waiting.append((shown, value))

    def _watch_whole(self, label: str, own: dict[object, object], attributes: bool) -> None:
        shown = "{}.{}" if attributes else "{}[{!r}]"
        if any(map(is_traced, own.values())):
            self.sized.append((own, label))
            self.entries += [(own, name, label) for name, value in own.items() if not is_traced(value)]
        else:
            self.whole.append((own, label))
        self._waiting += [(shown.format(label, key), item) for key, item in dict.items(own)]

    def _visit_tensor(self, label: str, tensor: Tensor) -> None:
        self.tensors[tensor] = label
        if self._modes_of is None:
            self._follow(f"{label}.grad", tensor.grad)
        own = getattr(tensor, "__dict__", {})
        self._watch(label, own, [name for name in own if name != "initialiser"])

    def _visit_array(self, label: str, array: Array) -> None:
        if array.dtype == object and array.ndim == 1:
            self.lists.append((array, label))
            self._waiting += [(f"{label}[{i}]", item) for i, item in enumerate(array)]
        elif array.dtype.hasobject:  # nothing tells whether an object in it was replaced
            self.unwatched[label] = None
        else:
            self.arrays.append((array.view(np.ndarray), label))
        self._visit_attributes(label, array)

    def _visit_module(self, label: str, module: ModuleType) -> None:
        if is_users_module(module):
            self._watch(label, vars(module), self._named(vars(module)))

    def _visit_variable(self, label: str, variable: ContextVar[object]) -> None:
        self.variables.append((variable, label))
        self._follow(label, variable.get(None))

    def _visit_getter(self, label: str, getter: object) -> None:
        """It does not say which attributes it reads."""
        self._any_attribute = True

    def _visit_function(self, label: str, function: FunctionType) -> None:
        if "compiled" in vars(function):  # inside a trace that is the plain function
            self._follow(label, function.__wrapped__)  # type: ignore[attr-defined]
            return
        self.functions.append((function, label))
        self._follow(label, function.__defaults__, function.__kwdefaults__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._follow(name, cell)
        self._watch(label, vars(function), self._named(vars(function)))
        self._follow(label, vars(function).get("__wrapped__"))
        if is_users(function.__code__.co_filename):
            self._visit_names(reads_of(function.__code__), function.__globals__)

    def _visit_names(self, reads: Reads, names: dict[str, object]) -> None:
        self._attributes |= reads.attributes
        self._any_attribute |= reads.any_attribute
        self._watch("", names, sorted(reads.globals))
        for name in reads.modules:
            self._follow(name, sys.modules.get(name))
        if reads.environment:
            self._follow("os.environ", os.environ)
        world = reads.world({name: names[name] for name in reads.globals if name in names})
        if world:
            self.unwatched[world] = None

    def _visit_cell(self, label: str, cell: CellType) -> None:
        try:
            content = cell.cell_contents
        except ValueError:  # nothing in it yet, and so nothing that was read
            return
        if not is_traced(content):
            self.cells.append((cell, label))
            self._follow(label, content)

    def _visit_class(self, label: str, kind: type, *, made: bool = True) -> None:
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
                            or (name.startswith("__") and callable(value))
                            or any(hasattr(base, name) for base in others if not name.startswith("__"))
                        )
                    )
                ]
                self._watch(label, vars(each), names)

    def _visit_object(self, label: str, value: object) -> None:
        kind = type(value)
        if isinstance(value, dict):
            self._watch_whole(label, value, attributes=False)
        elif isinstance(value, list | deque | set):
            self.lists.append((value, label))
        if isinstance(value, list | deque | set | tuple | frozenset):
            self._waiting += [(f"{label}[{i}]", item) for i, item in enumerate(value)]
        elif _has_state_of_its_own(kind):
            self._visit_opaque(label, value)
        self._visit_attributes(label, value)
        self._visit_slots(label, value)
        if is_users_class(kind):
            self._visit_class(kind.__qualname__, kind, made=False)
        if callable(value):
            self._follow(label, getattr(value, "__self__", None))

    def _visit_attributes(self, label: str, value: object) -> None:
        """Of the user's own objects what is read by name; of a library's, and of heirs of its classes, all.

        Of the user's own modules also what may hold parts: ``nn.Module`` looks for those by kind, and not by name.
        """
        own, kind = getattr(value, "__dict__", None), type(value)
        if not isinstance(own, dict) or own is value:
            return
        if self._modes_of is not None and isinstance(value, self._modes_of):
            if any(not is_users_class(k) and k is not self._modes_of for k in kind.__mro__[:-1]):
                self.sized.append((own, label))
                names = set(own)
            else:
                parts = {name for name, part in own.items() if not _is_plain(part)}
                hidden = [name for each in kind.__mro__ if is_users_class(each) for name in vars(each)]
                names = parts.union(self._named(own, kind), hidden, ["forward"])
            self._watch(label, own, sorted(names - {"training"}))
        elif kind.__module__ != "types" and any(not is_users_class(k) for k in kind.__mro__[:-1]):
            self._watch_whole(label, own, attributes=True)
        else:
            self.sized.append((own, label))
            self._watch(label, own, self._named(own, kind))

    def _visit_slots(self, label: str, value: object) -> None:
        for each in type(value).__mro__:
            slots = vars(each).get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                hidden = slot.startswith("__") and not slot.endswith("__")
                name = f"_{each.__name__.lstrip('_')}{slot}" if hidden else slot
                found = getattr(value, name, ABSENT)
                if name not in _NO_VALUES and found is not ABSENT and not is_traced(found):
                    self.slots.append((value, name, f"{label}.{name}"))
                    self._follow(f"{label}.{name}", found)

    def _visit_opaque(self, label: str, value: object) -> None:
        """An object of C: watched by what it would be pickled as, if it can be."""
        if callable(value):
            return
        try:
            pickle.dumps(value)
        except (TypeError, ValueError, AttributeError, NotImplementedError, pickle.PicklingError):
            self.unwatched[f"{label} ({type(value).__name__})"] = None
        else:
            self.pickled.append((value, label))

    def _is_named(self, name: str) -> bool:
        return self._any_attribute or name in self._attributes

    def _named(self, own: Mapping[str, object], kind: type | None = None) -> list[str]:
        """The names that code reads of an object: those that it has, and those that would hide its class's."""
        if self._any_attribute:
            return list(own)
        return [
            name for name in self._attributes if name in own or (kind is not None and hasattr(kind, name))
        ]


def _generators() -> tuple[type, ...]:
    """The classes of random generators; NumPy's only where its module is there, for before that nothing has one.

    Importing it for this would make a fork dangerous: its extension modules cannot be imported a second time, as a
    child must where another thread was importing them.
    """
    numpy_random = sys.modules.get("numpy.random")
    names = ("Generator", "RandomState", "BitGenerator")
    known = [getattr(numpy_random, name, None) for name in names]
    return (random.Random, *(kind for kind in known if kind is not None))


def _bound(method: object) -> tuple[object, object]:
    """The object and the function of a bound method."""
    return getattr(method, "__self__", None), getattr(method, "__func__", None)


def _is_plain(value: object) -> bool:
    """Whether it is a number, a text or the like, or a tuple of such, as a shape is."""
    return isinstance(value, _LEAVES) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def is_traced(value: object) -> bool:
    """Whether it is a tensor without a value, which a trace left behind."""
    return isinstance(value, Tensor) and value._data is None


def _has_state_of_its_own(kind: type) -> bool:
    """Whether its instances hold something that is neither an attribute nor an item, as those written in C."""
    return hasattr(kind, "__array__") or any(
        not is_python_class(each) and each not in _UNDERSTOOD for each in kind.__mro__
    )

"""Whether two objects hold the same: bit for bit, with the same sharing inside, all the way down."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import polars as pl

from chainrule.errors import ChainruleError
from chainrule.inspect.derivation import Line
from chainrule.inspect.steps import Steps
from chainrule.tensor import Tensor

BY_NAME = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, np.ufunc)


def differences(
    a: Any, b: Any, path: str = "it", seen: dict[int, tuple[Any, Any]] | None = None
) -> Iterator[str]:
    """Where two objects differ, in words; nothing if they are the same."""
    seen = {} if seen is None else seen
    if type(a) is not type(b):
        yield f"{path}: {type(a).__name__} became {type(b).__name__}"
    elif isinstance(a, BY_NAME):
        if a is not b:
            yield f"{path}: another {a!r}"
    elif a is None or isinstance(a, str | bytes | bool | int | complex | np.dtype):
        if a != b:
            yield f"{path}: {a!r} became {b!r}"
    elif isinstance(a, float | np.generic):
        if a != b and not (math.isnan(a) and math.isnan(b)):
            yield f"{path}: {a!r} became {b!r}"
    elif id(a) in seen:
        # joblib writes an array as often as it comes, and tuples are equal or not
        if seen[id(a)][1] is not b and not isinstance(a, np.ndarray | tuple):
            yield f"{path}: what was one object became two"
    else:
        seen[id(a)] = a, b  # which also keeps them, so that nothing else takes their places
        yield from _inside(a, b, path, seen)


def _inside(a: Any, b: Any, path: str, seen: dict[int, tuple[Any, Any]]) -> Iterator[str]:
    if isinstance(a, np.ndarray) and a.dtype != object:
        yield from _arrays(a, b, path)
    elif isinstance(a, Tensor):
        yield from _arrays(a.numpy(), b.numpy(), path)
        if order(a.numpy()) != order(b.numpy()):
            yield f"{path}: axes in memory {order(a.numpy())} became {order(b.numpy())}"
        if not (b.numpy().flags.writeable and np.array_equal(b.numpy(), b.node.value, b.dtype.kind == "f")):
            yield f"{path}: not a tensor to work with"
        for name in ("requires_grad", "grad"):
            yield from differences(getattr(a, name), getattr(b, name), f"{path}.{name}", seen)
        if a.requires_grad and not (b.node.owner is not None and b.node.owner() is b):
            yield f"{path}: gradients do not reach it"
        yield from _states(getattr(a, "__dict__", {}), getattr(b, "__dict__", {}), path, seen)
    elif isinstance(a, pl.DataFrame | pl.Series):
        if not a.equals(b):
            yield f"{path}: another table"
    elif isinstance(a, Mapping):
        yield from _states(dict(a), dict(b), path, seen)
    elif isinstance(a, list | tuple | np.ndarray):
        if len(a) != len(b):
            yield f"{path}: {len(a)} items became {len(b)}"
        for i, (x, y) in enumerate(zip(a, b, strict=False)):
            yield from differences(x, y, f"{path}[{i}]", seen)
    elif isinstance(a, set | frozenset):
        if a != b:
            yield f"{path}: another set"
    elif isinstance(a, functools.partial):
        yield from differences(
            [a.func, a.args, a.keywords], [b.func, b.args, b.keywords], f"{path} (partial)", seen
        )
    elif isinstance(a, types.MethodType):
        yield from differences([a.__func__, a.__self__], [b.__func__, b.__self__], f"{path} (method)", seen)
    elif isinstance(a, ChainruleError | PurePath):
        if str(a) != str(b):
            yield f"{path}: {a} became {b}"
    elif isinstance(a, Line):
        for latex in (False, True):
            yield from differences(a.texts(latex), b.texts(latex), path, seen)
        yield from differences([a.value, a.note], [b.value, b.note], path, seen)
    elif isinstance(a, Steps):
        for x, y in zip(a.steps.values(), b.steps.values(), strict=True):
            yield from differences(
                [x.symbol, x.value, x.gradient], [y.symbol, y.value, y.gradient], path, seen
            )
            yield from differences(a.recording.names.get(x.node), b.recording.names.get(y.node), path, seen)
    elif isinstance(a, np.random.Generator):
        yield from differences(a.bit_generator.state, b.bit_generator.state, path, seen)
    else:
        yield from _states(_state(a), _state(b), path, seen)


def _arrays(a: np.ndarray, b: np.ndarray, path: str) -> Iterator[str]:
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        yield f"{path}: {a.dtype}{list(a.shape)} became {b.dtype}{list(b.shape)}"
    elif a.tobytes() != b.tobytes():
        yield f"{path}: another value"


def order(array: np.ndarray) -> list[int]:
    """The axes of more than one element, in the order in which they lie in memory."""
    axes = [i for i, n in enumerate(array.shape) if n > 1]
    return sorted(axes, key=lambda i: -abs(array.strides[i])) if array.size else []


def _states(
    a: dict[Any, Any], b: dict[Any, Any], path: str, seen: dict[int, tuple[Any, Any]]
) -> Iterator[str]:
    if list(a) != list(b):
        yield f"{path}: {list(a)} became {list(b)}"
    for name in a.keys() & b.keys():
        yield from differences(a[name], b[name], f"{path}.{name}", seen)


def _state(thing: Any) -> dict[str, Any]:
    """What an object keeps when it is copied: caches and the like are left out by its class."""
    state = thing.__getstate__() if hasattr(thing, "__getstate__") else vars(thing)
    plain, slots = state if isinstance(state, tuple) else (state, None)
    return {**(plain or {}), **(slots or {})}

"""``cr.compile``: a function or a training step as machine code."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from types import MethodType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from chainrule import tree
from chainrule.errors import (
    GradientError,
    NonFiniteError,
    SettingError,
    TracingError,
    describe_line,
    user_line,
)
from chainrule.graph import Node, new_leaf
from chainrule.nonfinite import NonFinite, first_bad_number
from chainrule.ops.record import Array, is_float
from chainrule.tensor import GRAD_ENABLED, TRACE, Tensor, as_tensor
from chainrule.trace import tracing

if TYPE_CHECKING:
    from chainrule.compiler.program import Instance


@dataclass
class _Variant:
    """The program for arguments of one structure, and what to do around it."""

    program: Instance
    result: Any  # the function's result, with a tensor wherever the program gives an array
    updated: list[Tensor]
    ends: list[Node]  # outputs, then new values of what is updated
    modules: list[Any]  # those that took part
    modes: list[bool]  # and whether each was in training

    def fits(self) -> bool:
        """Whether all modules are in training or at inference as they were."""
        return [module.training for module in self.modules] == self.modes


def compile(f: Callable[..., Any], *, nonfinite: NonFinite = "ignore") -> Callable[..., Any]:
    """The same function, compiled to machine code the first time it is called with arguments of a new form.

    ``f`` takes tensors, arrays, or nested dicts, lists and tuples of them, and gives tensors (or a nest of
    them). It may also be a step that calls ``loss.backward()`` and ``optimizer.step()``: parameters and
    optimizer state change in place, in their own buffers; gradients are not left behind in ``grad``. Another
    shape or dtype makes another variant; numbers, strings and None are part of the form as well, and so is
    whether each module is in training or at inference. Whatever else ``f`` looks up in Python is as it was when
    the variant was made. Threads that call the same compiled function take turns.

    With ``nonfinite="raise"`` a result or an updated tensor that is not finite raises NonFiniteError, which
    names the first node that gave such a number, its line and its inputs' ranges; parameters and state are then
    as they were before the call. "warn" says it in a RuntimeWarning and goes on. Either looks at every result,
    and copies what is about to be updated.

    Raises TracingError where ``f`` asks for a value (``if x > 0``, ``x.item()``), and GradientError where the
    result would be differentiated from outside: compile the gradient instead.

    >>> import chainrule as cr
    >>> fast = cr.compile(cr.grad(lambda x: (x * x).sum()))
    >>> fast(cr.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    if nonfinite not in get_args(NonFinite):
        raise SettingError(
            "nonfinite: not known", expected=" or ".join(get_args(NonFinite)), got=repr(nonfinite)
        )
    variants: dict[Any, list[_Variant]] = {}
    lock = threading.Lock()  # a program works in memory of its own

    def call(*args: Any) -> Any:
        if TRACE.get() is not None:  # inside another trace this is an ordinary function
            return f(*args)
        given = [_as_array(x) for x in tree.leaves(args)]
        key = (_structure(args), tuple(_form(x) for x in given))
        inputs = [x for x in given if isinstance(x, np.ndarray)]
        with lock:
            for variant in variants.get(key, ()):
                if variant.fits():
                    break
            else:
                variant = _trace(f, args, given)
                others = [
                    each
                    for each in variants.get(key, ())
                    if (each.modules, each.modes) != (variant.modules, variant.modes)
                ]
                variants[key] = [*others, variant]
            before = [] if nonfinite == "ignore" else [tensor.numpy().copy() for tensor in variant.updated]
            arrays = variant.program(*inputs)
            if nonfinite != "ignore":
                _check_finite(variant, inputs, before, arrays, nonfinite)
            for tensor in variant.updated:  # graphs made before are outdated now
                tensor.renew()
        results = iter(arrays)
        return tree.map_leaves(
            lambda leaf: Tensor.leaf(next(results)) if isinstance(leaf, Tensor) else leaf, variant.result
        )

    return Compiled(f, call, nonfinite)


class Compiled:
    """What ``compile`` returns. Copies and pickles hold the function alone, whose machine code is made anew."""

    compiled = True  # so that a drawing shows its kernels

    def __init__(self, f: Callable[..., Any], call: Callable[..., Any], nonfinite: NonFinite) -> None:
        update_wrapper(self, f)
        self._call, self._function, self._nonfinite = call, f, nonfinite

    def __call__(self, *args: Any, **named: Any) -> Any:
        """What the function gives."""
        return self._call(*args, **named)

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        """As of a function: an attribute of a class becomes a method."""
        return self if owner is None else MethodType(self, owner)

    def __reduce__(self) -> Any:
        """By name where this stands under its function's name, else by the function that it was made of."""
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        if name and _found(module, name) is self:
            if module != "__main__":
                return name
            # the name in a script is taken; cloudpickle, for which other processes lack it, does not ask for one
            self._function.__qualname__ = f"{name}.__wrapped__"
        return _compile_again, (self._function, self._nonfinite)


def _found(module: str | None, name: str) -> Any:
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _compile_again(f: Callable[..., Any], nonfinite: NonFinite) -> Callable[..., Any]:
    return compile(f, nonfinite=nonfinite)


def _check_finite(
    variant: _Variant, inputs: list[Array], before: list[Array], arrays: list[Array], nonfinite: NonFinite
) -> None:
    """Say what went wrong where a result is not finite: the same call again, node by node."""
    after = [tensor.numpy() for tensor in variant.updated]
    if all(np.isfinite(x).all() for x in (*arrays, *after) if is_float(x.dtype)):
        return
    new = [x.copy() for x in after]
    for memory, value in zip(after, before, strict=True):
        np.copyto(memory, value)
    program = variant.program.binary
    found = first_bad_number(variant.ends, dict(zip(program.inputs, inputs, strict=True)))
    error = found.error() if found else NonFiniteError("a compiled result is not finite; NumPy's would be")
    if nonfinite == "raise":
        raise error
    for memory, value in zip(after, new, strict=True):
        np.copyto(memory, value)
    warnings.warn_explicit(str(error), RuntimeWarning, *(user_line() or ("chainrule", 0)))


def _as_array(x: Any) -> Any:
    """Tensors and arrays as arrays; anything else is part of the form."""
    if isinstance(x, Tensor):
        if x.requires_grad and GRAD_ENABLED.get():
            raise GradientError(
                "a compiled function keeps no history, so nothing can be differentiated through it",
                where=describe_line(user_line()),
                hint="compile the gradient, cr.compile(cr.grad(f)), or call it on x.detach()",
            )
        return x.numpy()
    if isinstance(x, bool | int | float | str):
        return x
    return as_tensor(x).numpy()


def _form(x: Any) -> Any:
    # 1, 1.0 and True are equal, and so are 0.0 and -0.0
    return (x.shape, x.dtype) if isinstance(x, np.ndarray) else (type(x), repr(x))


def _structure(value: Any) -> Any:
    if isinstance(value, dict):
        return ("dict", *((key, _structure(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return (type(value).__name__, *(_structure(item) for item in value))
    return None if value is None else "leaf"


def _trace(f: Callable[..., Any], args: tuple[Any, ...], given: list[Any]) -> _Variant:
    from chainrule.compiler.program import Binary, Instance

    inputs = [new_leaf(x.shape, x.dtype, "argument") if isinstance(x, np.ndarray) else x for x in given]
    nodes = [x for x, array in zip(inputs, given, strict=True) if isinstance(array, np.ndarray)]
    with tracing() as trace:
        stand_ins = iter(
            Tensor(None, x) if isinstance(array, np.ndarray) else x
            for x, array in zip(inputs, given, strict=True)
        )
        result = f(*tree.rebuild(args, stand_ins))
    outputs = []
    for leaf in tree.leaves(result):
        if isinstance(leaf, Tensor):
            outputs.append(leaf.node)
        elif not isinstance(leaf, bool | int | float | str):
            raise TracingError(
                "a compiled function returned something that is no tensor",
                expected="tensors, numbers, or dicts, lists and tuples of them",
                got=type(leaf).__name__,
                where=describe_line(user_line()),
            )
    updates = [(before, after) for _, before, after in trace.updates]
    program = Instance(Binary(nodes, outputs, updates))
    ends = [*outputs, *(after for _, after in updates)]
    modules = list(trace.called.values())
    modes = [module.training for module in modules]
    return _Variant(program, result, [tensor for tensor, _, _ in trace.updates], ends, modules, modes)

"""``cr.compile``: a function or a training step as machine code."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from types import MethodType
from typing import TYPE_CHECKING, Generic, TypeVar, get_args

import numpy as np

from chainrule import tree
from chainrule.claims import check_unclaimed
from chainrule.endings import COMPILED
from chainrule.errors import GradientError, NonFiniteError, SettingError, TracingError, caller_line, user_line
from chainrule.graph import Node, new_leaf, topological
from chainrule.nonfinite import NonFinite, first_bad_number
from chainrule.ops.record import Array, is_float
from chainrule.system.forks import free_in_children
from chainrule.tensor import GRAD_ENABLED, TRACE, Tensor, as_tensor
from chainrule.trace import tracing
from chainrule.tree import Nest

if TYPE_CHECKING:
    from chainrule.compiler.program import Instance
    from chainrule.guarded import Graph
    from chainrule.guards import Guards

R = TypeVar("R")  # a tensor, or a nest of them
Leaf = Array | bool | int | float | str  # an array, or a part of the form


@dataclass
class _Variant:
    """The program for arguments of one structure, and what to do around it."""

    program: Instance
    result: Nest  # the function's result, with a tensor wherever the program gives an array
    cut: list[bool]  # of each of these, whether a history would lead to parameters
    updated: list[Tensor]
    ungraded: list[Tensor]  # in which the function would leave a gradient, which nothing in it uses
    ends: list[Node]  # outputs, then new values of what is updated
    guards: Guards  # over whatever the trace has read from outside


MOST_VARIANTS = 16  # for arguments of one form; the one that was used least recently goes


def compile(f: Callable[..., R], *, nonfinite: NonFinite = "ignore") -> Compiled[R]:
    """The same function, compiled to machine code the first time it is called with arguments of a new form.

    ``f`` takes tensors, arrays, or nested dicts, lists and tuples of them, and gives tensors (or a nest of
    them). It may also be a step that calls ``loss.backward()`` and ``optimizer.step()``: parameters and
    optimizer state change in place, in their own buffers; gradients are not left behind in ``grad``, so none add up
    from call to call. Another
    shape or dtype makes another variant; numbers, strings and None are part of the form as well, and so are
    keyword arguments. Threads that call the same compiled function take turns.

    ``f`` runs as Python only when a variant is made, so everything that it reads there is watched: globals and
    closures, defaults, attributes of objects and modules (``training`` too), lists and dicts, parameters (also one
    that is replaced, or whose ``data``, ``grad`` or ``requires_grad`` is set), the contents of NumPy arrays, and
    whatever the functions that it calls read. A change makes another variant, never an old answer. Contents of
    arrays are compared at each call, about 0.1 ms for each MB: pass large ones as arguments, or as
    ``cr.tensor(array)``, which is read where it lies. An ``f`` that changes in Python what it reads (a counter), or
    reads what cannot be watched (a file, the clock), is traced at each call: right, and slow. What else it does in
    Python, such as printing, it does when it is traced.

    With ``nonfinite="raise"`` a result or an updated tensor that is not finite raises NonFiniteError, which
    names the first node that gave such a number, its line and its inputs' ranges; parameters and state are then
    as they were before the call. "warn" says it in a RuntimeWarning and goes on. Either looks at every result,
    and copies what is about to be updated.

    Raises TracingError where ``f`` asks for a value (``if x > 0``, ``x.item()``), draws random numbers that are
    not the same each time, or updates a tensor whose memory another one shares, and GradientError where the result
    would be differentiated from outside, by an argument or by a parameter that ``f`` reads: compile the gradient
    instead. InTrainingError where ``f`` updates what another thread trains by ``cr.fit``.

    >>> import chainrule as cr
    >>> fast = cr.compile(cr.grad(lambda x: (x * x).sum()))
    >>> fast(cr.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    if nonfinite not in get_args(NonFinite):
        raise SettingError(
            "nonfinite: not known", expected=" or ".join(get_args(NonFinite)), got=repr(nonfinite)
        )
    variants: dict[object, list[_Variant]] = {}  # the one used last comes first
    lock = free_in_children(threading.Lock())  # a program works in memory of its own

    def call(*args: object, **named: object) -> R:
        if TRACE.get() is not None:  # inside another trace this is an ordinary function
            return f(*args, **named)
        every = (args, named) if named else args
        given = [_as_array(x) for x in tree.leaves(every)]
        key = (_structure(every), tuple(_form(x) for x in given), bool(named), GRAD_ENABLED.get())
        inputs = [x for x in given if isinstance(x, np.ndarray)]
        with lock:
            known = variants.setdefault(key, [])
            variant = _still_valid(known)
            if variant is None:
                variant = _trace(f, args, named, given)
                if not variant.guards.unwatched:
                    known.insert(0, variant)
                    del known[MOST_VARIANTS:]
            if variant.updated:
                check_unclaimed("what this compiled step updates", variant.updated)
            before = [] if nonfinite == "ignore" else [tensor.numpy().copy() for tensor in variant.updated]
            arrays = variant.program(*inputs)
            if nonfinite != "ignore":
                _check_finite(variant, inputs, before, arrays, nonfinite)
            for tensor in variant.updated:  # graphs made before are outdated now
                tensor.renew()
            for tensor in variant.ungraded:  # an older gradient would look like this call's
                tensor._grad = None
        results = zip(arrays, variant.cut, strict=True)
        return tree.map_leaves(
            lambda leaf: _result(*next(results)) if isinstance(leaf, Tensor) else leaf, variant.result
        )

    return Compiled(f, call, nonfinite)


def _still_valid(known: list[_Variant]) -> _Variant | None:
    """The first variant for which all that its trace read is as it was; it goes to the front."""
    for i, variant in enumerate(known):
        if variant.guards.hold():
            if i:
                known.insert(0, known.pop(i))
            return variant
    return None


class Compiled(Generic[R]):
    """What ``compile`` returns. Copies and pickles hold the function alone, whose machine code is made anew."""

    compiled = True  # so that a drawing shows its kernels

    def __init__(self, f: Callable[..., R], call: Callable[..., R], nonfinite: NonFinite) -> None:
        update_wrapper(self, f)
        self._call, self._function, self._nonfinite = call, f, nonfinite

    def __call__(self, *args: object, **named: object) -> R:
        """What the function gives."""
        return self._call(*args, **named)

    def __get__(self, owner: object, kind: type | None = None) -> Callable[..., R]:
        """As of a function: an attribute of a class becomes a method."""
        return self if owner is None else MethodType(self, owner)

    def __reduce__(self) -> str | tuple[object, ...]:
        """By name where this stands under its function's name, else by the function that it was made of."""
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        if name and _found(module, name) is self:
            if module != "__main__":
                return name
            # the name in a script is taken; cloudpickle, for which other processes lack it, does not ask for one
            self._function.__qualname__ = f"{name}.__wrapped__"
        return _compile_again, (self._function, self._nonfinite)


def _found(module: str | None, name: str) -> object:
    found: object = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _compile_again(f: Callable[..., R], nonfinite: NonFinite) -> Compiled[R]:
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


def _as_array(x: object) -> Leaf:
    """Tensors and arrays as arrays; anything else is part of the form."""
    if isinstance(x, Tensor):
        if x.requires_grad and GRAD_ENABLED.get():
            raise GradientError(
                "a compiled function keeps no history, so nothing can be differentiated through it",
                where=caller_line(),
                hint="compile the gradient, cr.compile(cr.grad(f)), or call it on x.detach()",
            )
        return x.peek()
    if isinstance(x, bool | int | float | str):
        return x
    return as_tensor(x).numpy()


def _form(x: Leaf) -> tuple[object, object]:
    # 1, 1.0 and True are equal, and so are 0.0 and -0.0
    return (x.shape, x.dtype) if isinstance(x, np.ndarray) else (type(x), repr(x))


def _structure(value: object) -> object:
    if isinstance(value, dict):
        return ("dict", *((type(key), key, _structure(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return (type(value), *(_structure(item) for item in value))
    return None if value is None else "leaf"


def _trace(
    f: Callable[..., object], args: tuple[object, ...], named: dict[str, object], given: list[Leaf]
) -> _Variant:
    from chainrule.compiler.program import Binary, Instance
    from chainrule.guarded import trace_guarded
    from chainrule.guards import Guards

    guards = Guards({getattr(f, "__name__", type(f).__name__): f})
    made = trace_guarded(guards, lambda: _record(f, args, named, given), lambda made: made.graph).made
    program = Instance(Binary(made.graph.inputs, made.outputs, [(a, b) for _, a, b in made.updates]))
    updated = [tensor for tensor, _, _ in made.updates]
    cut = [_is_cut(node) for node in made.outputs]
    return _Variant(program, made.result, cut, updated, made.left, list(made.graph.ends), guards)


def _is_cut(output: Node) -> bool:
    """Whether derivatives would reach a tensor outside that requires a gradient, if there were a history."""
    if not GRAD_ENABLED.get():
        return False
    ends = topological([output], stop=lambda node: bool(node.inputs) and not callable(node.op.derivative))
    return any(node.owner is not None for node in ends)


def _result(array: Array, cut: bool) -> Tensor:
    result = Tensor.leaf(array)
    result._ending = COMPILED if cut else None
    return result


def _check_gradients(old: list[Tensor]) -> None:
    """TracingError where a gradient from before the call is added to: compiled code would do so at every call."""
    if old:
        raise TracingError(
            "gradients from before would be added to those of a compiled function, at every call again",
            expected="no gradients when it is called, for it leaves none behind",
            got=f"a gradient of shape {old[0].shape}" + (f", and {len(old) - 1} more" if old[1:] else ""),
            where=caller_line(),
            hint="optimizer.zero_grad() or model.zero_grad(), in the function or before it is called",
        )


@dataclass(frozen=True)
class _Record:
    """What a call of the function did while it was traced."""

    graph: Graph
    outputs: list[Node]
    updates: list[tuple[Tensor, Node, Node]]
    left: list[Tensor]  # in which gradients remain
    result: Nest


def _record(
    f: Callable[..., object], args: tuple[object, ...], named: dict[str, object], given: list[Leaf]
) -> _Record:
    from chainrule.guarded import Graph, check_closed

    nodes = tuple(new_leaf(x.shape, x.dtype, "argument") for x in given if isinstance(x, np.ndarray))
    with tracing() as trace:
        arguments = iter(nodes)
        stand_ins = (Tensor(None, next(arguments)) if isinstance(x, np.ndarray) else x for x in given)
        new_args, new_named = tree.rebuild((args, named), stand_ins)
        result = f(*new_args, **new_named)
        left = trace.left_gradients()
        _check_gradients([x for x in left if x in trace.used and trace.gradients[x] is not None])
        parts = list(tree.leaves(result))
        outputs = [leaf.node for leaf in parts if isinstance(leaf, Tensor)]
    others = tuple(leaf for leaf in parts if not isinstance(leaf, Tensor))
    for leaf in others:
        if not isinstance(leaf, bool | int | float | str):
            raise TracingError(
                "a compiled function returned something that is no tensor",
                expected="tensors, numbers, or dicts, lists and tuples of them",
                got=type(leaf).__name__,
                where=caller_line(),
            )
    updates = list(trace.updates)
    graph = Graph(nodes, (*outputs, *(after for _, _, after in updates)), others, trace)
    check_closed(nodes, graph.ends, updates)
    return _Record(graph, outputs, updates, left, result)

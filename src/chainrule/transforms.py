"""Functions of functions: derivatives of Python functions of arrays, or of nested dicts, lists and tuples.

Each runs the function on tensors, sweeps the graph that it leaves, and returns tensors. They nest. What they
return has a history only where the function depends on a tensor that requires a gradient, so that ``backward``
reaches it; under ``no_grad`` it has none. Where a function depends on its argument only through operations that
have no derivative (comparisons, ``argmax``, casts to integers), they raise GradientError instead of returning zeros.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from chainrule import tree
from chainrule.backward import backward
from chainrule.endings import SCOPE, need_derivative
from chainrule.errors import GradientError, SettingError, ShapeError, caller_line
from chainrule.functions import stack
from chainrule.graph import Node, as_node, describe_form, new_leaf, topological
from chainrule.interpret import evaluate
from chainrule.ops import elementwise, movement
from chainrule.ops.record import is_float
from chainrule.ops.reduce import sum
from chainrule.tensor import BORROWED, GRAD_ENABLED, TRACE, VARIABLES, Tensor, as_tensor
from chainrule.tree import Nest

R = TypeVar("R")  # a tensor, or a nest of them


@dataclass(frozen=True)
class _Scope:
    """What one call of a transform differentiates by, and where histories ended in the function that it called."""

    variables: list[Tensor]
    ended: list[object] = field(default_factory=list)  # needed until the last sweep; see Ending

    @property
    def nodes(self) -> list[Node]:
        return [variable.node for variable in self.variables]


def _variables(argument: object) -> tuple[Nest, _Scope]:
    """The argument with every leaf replaced by a variable: a tensor under a node of its own."""
    found: list[Tensor] = []

    def fresh(x: object) -> Tensor:
        given = x if isinstance(x, Tensor) else as_tensor(float(x) if isinstance(x, int) else x)
        if not is_float(given.dtype):
            raise GradientError(
                "a derivative was asked for with respect to something that is not a float",
                expected="float32 or float64",
                got=given.dtype,
                where=caller_line(),
                hint="convert it: cr.tensor(x, dtype=cr.float64)",
            )
        traced = TRACE.get() is not None
        tracked = given.requires_grad or given._data is None or traced
        if tracked:  # an outer transform or a trace must see through the variable
            above = given.live() if traced else given.recorded()
        else:  # a history of its own, over a copy, for the pullback may be called much later
            above = new_leaf(given.shape, given.dtype, value=np.array(given._data))
        value = None if traced else above.value
        node = Node(movement.identity, (above,), {}, value=value)
        variable = Tensor(value, node, True, BORROWED)
        if given._ending is not None and given._ending.op is not None:
            variable._ending = given._ending  # an outer transform asks what it depends on
        if not tracked:
            node.owner = weakref.ref(variable)  # backward() inside the function finds it
        found.append(variable)
        return variable

    return tree.map_leaves(fresh, argument), _Scope(found)


def _call(scope: _Scope, f: Callable[..., R], *args: object, **kwargs: object) -> R:
    """``f`` recorded, under ``no_grad`` too: what a transform returns never depends on where it is called.

    Meanwhile no value that depends on the variables may become a plain number, whose derivative would be lost.
    """
    recording = GRAD_ENABLED.set(True)
    watched = VARIABLES.set(VARIABLES.get().union(scope.nodes))
    outer = SCOPE.get()
    if outer is not None:  # whose sweep may have to name the same
        outer.append(scope.ended)
    opened = SCOPE.set(scope.ended)
    try:
        return f(*args, **kwargs)
    finally:
        SCOPE.reset(opened)
        VARIABLES.reset(watched)
        GRAD_ENABLED.reset(recording)


def _sweep(outputs: Sequence[Tensor], cotangents: Sequence[Node], scope: _Scope) -> list[Tensor]:
    """The cotangents of the variables, zero where there is no dependence."""
    nodes = scope.nodes
    swept = backward([out.node for out in outputs], cotangents, nodes)
    _need_derivative(swept, outputs, nodes)
    zeros = [movement.broadcast(as_node(0.0, v.dtype), shape=v.shape) for v in scope.variables]
    return finish([z if node is None else node for node, z in zip(swept, zeros, strict=True)], nodes)


def _need_derivative(
    swept: Sequence[Node | None], outputs: Sequence[Tensor], variables: Sequence[Node]
) -> None:
    """GradientError where no variable has a cotangent because all ways to them end where there is no derivative."""
    if all(node is None for node in swept):
        need_derivative([(out.node, out._ending) for out in outputs], variables)


def finish(nodes: Sequence[Node], own: Sequence[Node]) -> list[Tensor]:
    """Tensors for nodes; they keep their history only if somebody outside may still differentiate them."""
    recording = GRAD_ENABLED.get()
    if TRACE.get() is not None:
        return [Tensor(None, n if recording else movement.stop_gradient(n), recording) for n in nodes]
    for node, value in zip(nodes, evaluate(nodes), strict=True):
        node.value = value
    mine = set(own)
    live = recording and any(
        node.owner is not None and node not in mine and node.owner() is not None
        for node in topological(nodes)
    )
    if not live:
        return [Tensor.leaf(np.array(node.value)) for node in nodes]
    for node, value in zip(order := topological(nodes), evaluate(order), strict=True):
        node.value = value  # the outer sweep reads every value on the way
    return [Tensor(node.value, node, requires_grad=True) for node in nodes]


def _seed(value: float, out: Tensor) -> Node:
    return movement.broadcast(as_node(value, out.dtype), shape=out.shape)


def _need_scalar(out: object) -> Tensor:
    if not isinstance(out, Tensor) or out.shape != () or not is_float(out.dtype):
        raise GradientError(
            "the gradient is that of a scalar",
            expected="a function that returns a scalar float tensor",
            got=describe_form(out.node) if isinstance(out, Tensor) else type(out).__name__,
            where=caller_line(),
            hint="sum or average the result, or use cr.jacobian",
        )
    return out


def _shut(out: Tensor, scope: _Scope) -> Tensor:
    """The output as the caller may keep it: without history unless somebody outside still needs that.

    That some ways to it ended is of no account either, once it had a derivative and no outer transform asks for it.
    """
    shut = finish([movement.identity(out.node)], scope.nodes)[0]
    shut._ending = out._ending if VARIABLES.get() or not out.requires_grad else None
    return shut


def _positions(argnums: int | tuple[int, ...], count: int) -> list[int]:
    chosen = (argnums,) if isinstance(argnums, int) else argnums
    if any(not -count <= i < count for i in chosen):
        raise SettingError(
            "argnums names an argument that was not given",
            expected=f"positions in [{-count}, {count})",
            got=argnums,
            where=caller_line(),
            hint="pass the argument by position, not by keyword",
        )
    return [i % count for i in chosen]


def value_and_grad(
    f: Callable[..., object], argnums: int | tuple[int, ...] = 0
) -> Callable[..., tuple[Tensor, Nest]]:
    """A function that returns the value of ``f``, a scalar, and its gradient with respect to the arguments ``argnums``.

    The gradient is built as the argument is. Raises GradientError where ``f`` returns no float scalar, or depends on
    the arguments only through operations that have no derivative.

    >>> import chainrule as cr
    >>> value, gradient = cr.value_and_grad(lambda p: (p["w"] * p["w"]).sum())({"w": cr.tensor([1.0, 3.0])})
    >>> value.item(), gradient["w"]
    (10.0, tensor([2., 6.]))
    """
    return partial(_value_and_grad, f, argnums)  # which can be pickled if f can


def _value_and_grad(
    f: Callable[..., object], argnums: int | tuple[int, ...], /, *args: object, **kwargs: object
) -> tuple[Tensor, Nest]:
    chosen = _positions(argnums, len(args))
    replaced, scope = _variables(tuple(args[i] for i in chosen))
    places = dict(zip(chosen, replaced, strict=True))
    out = _need_scalar(_call(scope, f, *(places.get(i, arg) for i, arg in enumerate(args)), **kwargs))
    gradients = iter(_sweep([out], [_seed(1.0, out)], scope))
    result = tree.rebuild(replaced, gradients)
    return _shut(out, scope), result[0] if isinstance(argnums, int) else result


def grad(f: Callable[..., object], argnums: int | tuple[int, ...] = 0) -> Callable[..., Nest]:
    """A function that returns the gradient of a scalar function; see :func:`value_and_grad`.

    >>> import chainrule as cr
    >>> cr.grad(cr.grad(lambda x: x**3))(2.0).item()
    12.0
    """
    return partial(_grad, f, argnums)


def _grad(
    f: Callable[..., object], argnums: int | tuple[int, ...], /, *args: object, **kwargs: object
) -> Nest:
    return _value_and_grad(f, argnums, *args, **kwargs)[1]


def vjp(f: Callable[..., R], *args: object) -> tuple[R, Callable[[object], tuple[Nest, ...]]]:
    """``f(*args)`` and its pullback, which maps output cotangents to argument cotangents in one reverse sweep.

    >>> import chainrule as cr
    >>> out, pullback = cr.vjp(lambda x: x * x, cr.tensor([1.0, 2.0]))
    >>> pullback(cr.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    replaced, scope = _variables(args)
    out = tree.map_leaves(as_tensor, _call(scope, f, *replaced))
    outputs = list(tree.leaves(out))

    def pullback(cotangent: object) -> tuple[Nest, ...]:
        given = _match(tree.leaves_like(cotangent, out), outputs)
        return tuple(tree.rebuild(replaced, iter(_sweep(outputs, given, scope))))

    return tree.map_leaves(lambda o: _shut(o, scope), out), pullback


def _match(given: Iterable[object], like: Sequence[Tensor]) -> list[Node]:
    """Cotangents or tangents as nodes of the same shapes and dtypes as the values that they belong to."""
    nodes = [x.node if TRACE.get() is not None else x.recorded() for x in map(as_tensor, given)]
    if [node.shape for node in nodes] != [x.shape for x in like]:
        raise ShapeError(
            "cotangents or tangents do not have the shapes of their values",
            expected=", ".join(str(x.shape) for x in like),
            got=", ".join(str(node.shape) for node in nodes),
            where=caller_line(),
        )
    return [as_node(node, x.dtype) for node, x in zip(nodes, like, strict=True)]


def jvp(f: Callable[..., R], primals: Sequence[object], tangents: Sequence[object]) -> tuple[R, R]:
    """``f(*primals)`` and its directional derivative along ``tangents``.

    The reverse sweep is linear in its cotangent, so sweeping the sweep gives the forward derivative.

    >>> import chainrule as cr
    >>> cr.jvp(lambda x: x * x, (cr.tensor([1.0, 2.0]),), (cr.tensor([1.0, 10.0]),))[1]
    tensor([ 2., 40.])
    """
    replaced, scope = _variables(tuple(primals))
    directions = _match(tree.leaves_like(tuple(tangents), tuple(primals)), scope.variables)
    out = tree.map_leaves(as_tensor, _call(scope, f, *replaced))
    outputs = list(tree.leaves(out))
    dummies = [new_leaf(o.shape, o.dtype, value=np.zeros(o.shape, o.dtype)) for o in outputs]
    swept = backward([o.node for o in outputs], dummies, scope.nodes)
    _need_derivative(swept, outputs, scope.nodes)
    parts = [
        sum(elementwise.multiply(g, d), axis=tuple(range(len(g.shape))), keepdims=False)
        for g, d in zip(swept, directions, strict=True)
        if g is not None
    ]
    found: list[Node | None] = [None] * len(dummies)
    if parts:
        found = backward(parts, [as_node(1.0, part.dtype) for part in parts], dummies)
    nodes = [_seed(0.0, o) if n is None else n for n, o in zip(found, outputs, strict=True)]
    results = finish(nodes, scope.nodes)
    return tree.map_leaves(lambda o: _shut(o, scope), out), tree.rebuild(out, iter(results))


def jacobian(f: Callable[..., object]) -> Callable[..., Nest]:
    """A function that returns the Jacobian by the first argument: [*output, *input], one sweep a row.

    >>> import chainrule as cr
    >>> cr.jacobian(lambda x: x * x)(cr.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])

    Lectures: C7.
    """
    return partial(_jacobian, f)


def _jacobian(f: Callable[..., object], x: object, *rest: object) -> Nest:
    replaced, scope = _variables(x)
    out = as_tensor(_call(scope, f, replaced, *rest))
    rows = []
    for i in range(out.size):
        basis = np.zeros(out.size, out.dtype)
        basis[i] = 1.0
        rows.append(_sweep([out], [as_node(basis.reshape(out.shape))], scope))
    blocks = [
        stack([row[k] for row in rows]).reshape((*out.shape, *v.shape))
        if rows
        else Tensor.leaf(np.zeros((*out.shape, *v.shape), v.dtype))
        for k, v in enumerate(scope.variables)
    ]
    return tree.rebuild(replaced, iter(blocks))


def hessian(f: Callable[..., object]) -> Callable[..., Nest]:
    """A function that returns the Hessian of a scalar function of one array: [*input, *input].

    >>> import chainrule as cr
    >>> cr.hessian(lambda x: x[0] * x[0] * x[1])(cr.tensor([1.0, 2.0]))
    tensor([[4., 2.],
            [2., 0.]])

    Lectures: E29.
    """
    return jacobian(grad(f))


def hvp(f: Callable[..., object], x: object, v: object) -> Nest:
    """The product of a scalar function's Hessian at ``x`` with ``v``, without forming the Hessian.

    >>> import chainrule as cr
    >>> cr.hvp(lambda x: (x * x * x).sum(), cr.tensor([1.0, 2.0]), cr.tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """
    return jvp(grad(f), (x,), (v,))[1]

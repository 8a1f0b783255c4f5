"""Functions of functions: derivatives of Python functions of arrays, or of nested dicts, lists and tuples.

Each runs the function on tensors, sweeps the graph that it leaves, and returns tensors. They nest. What they
return has a history only where the function depends on a tensor that requires a gradient, so that ``backward``
reaches it; under ``no_grad`` it has none.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.backward import backward
from chainrule.errors import GradientError, SettingError, ShapeError, describe_line, user_line
from chainrule.functions import stack
from chainrule.graph import Node, as_node, describe_form, new_leaf, topological
from chainrule.interpret import evaluate
from chainrule.ops import elementwise, movement
from chainrule.ops.record import is_float
from chainrule.ops.reduce import sum
from chainrule.tensor import BORROWED, GRAD_ENABLED, TRACE, VARIABLES, Tensor, as_tensor


def _variables(argument: Any) -> tuple[Any, list[Tensor]]:
    """The argument with every leaf replaced by a variable: a tensor under a node of its own."""
    found: list[Tensor] = []

    def fresh(x: Any) -> Tensor:
        given = x if isinstance(x, Tensor) else as_tensor(float(x) if isinstance(x, int) else x)
        if not is_float(given.dtype):
            raise GradientError(
                "a derivative was asked for with respect to something that is not a float",
                expected="float32 or float64",
                got=given.dtype,
                where=describe_line(user_line()),
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
        if not tracked:
            node.owner = weakref.ref(variable)  # backward() inside the function finds it
        found.append(variable)
        return variable

    return tree.map_leaves(fresh, argument), found


def _call(variables: Sequence[Tensor], f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``f`` recorded, under ``no_grad`` too: what a transform returns never depends on where it is called.

    Meanwhile no value that depends on the variables may become a plain number, whose derivative would be lost.
    """
    recording = GRAD_ENABLED.set(True)
    watched = VARIABLES.set(VARIABLES.get() | {variable.node for variable in variables})
    try:
        return f(*args, **kwargs)
    finally:
        VARIABLES.reset(watched)
        GRAD_ENABLED.reset(recording)


def _sweep(
    outputs: Sequence[Tensor], cotangents: Sequence[Node], variables: Sequence[Tensor]
) -> list[Tensor]:
    """The cotangents of the variables, zero where there is no dependence."""
    nodes = [variable.node for variable in variables]
    swept = backward([out.node for out in outputs], cotangents, nodes)
    zeros = [movement.broadcast(as_node(0.0, v.dtype), shape=v.shape) for v in variables]
    return finish([z if node is None else node for node, z in zip(swept, zeros, strict=True)], nodes)


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


def _need_scalar(out: Any) -> Tensor:
    if not isinstance(out, Tensor) or out.shape != () or not is_float(out.dtype):
        raise GradientError(
            "the gradient is that of a scalar",
            expected="a function that returns a scalar float tensor",
            got=describe_form(out.node) if isinstance(out, Tensor) else type(out).__name__,
            where=describe_line(user_line()),
            hint="sum or average the result, or use cr.jacobian",
        )
    return out


def _shut(out: Tensor, own: Sequence[Tensor]) -> Tensor:
    """The output as the caller may keep it: without history unless somebody outside still needs that."""
    return finish([movement.identity(out.node)], [v.node for v in own])[0]


def _positions(argnums: int | tuple[int, ...], count: int) -> list[int]:
    chosen = (argnums,) if isinstance(argnums, int) else argnums
    if any(not -count <= i < count for i in chosen):
        raise SettingError(
            "argnums names an argument that was not given",
            expected=f"positions in [{-count}, {count})",
            got=argnums,
            where=describe_line(user_line()),
            hint="pass the argument by position, not by keyword",
        )
    return [i % count for i in chosen]


def value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0
) -> Callable[..., tuple[Tensor, Any]]:
    """The function that returns ``f``'s scalar value and its gradient by the argument(s) ``argnums``.

    >>> import chainrule as cr
    >>> value, gradient = cr.value_and_grad(lambda p: (p["w"] * p["w"]).sum())({"w": cr.tensor([1.0, 3.0])})
    >>> value.item(), gradient["w"]
    (10.0, tensor([2., 6.]))
    """
    return partial(_value_and_grad, f, argnums)  # which can be pickled if f can


def _value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...], /, *args: Any, **kwargs: Any
) -> tuple[Tensor, Any]:
    chosen = _positions(argnums, len(args))
    replaced, variables = _variables(tuple(args[i] for i in chosen))
    places = dict(zip(chosen, replaced, strict=True))
    out = _need_scalar(_call(variables, f, *(places.get(i, arg) for i, arg in enumerate(args)), **kwargs))
    gradients = iter(_sweep([out], [_seed(1.0, out)], variables))
    result = tree.rebuild(replaced, gradients)
    return _shut(out, variables), result[0] if isinstance(argnums, int) else result


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The gradient of a scalar function; see :func:`value_and_grad`.

    >>> import chainrule as cr
    >>> cr.grad(cr.grad(lambda x: x**3))(2.0).item()
    12.0
    """
    return partial(_grad, f, argnums)


def _grad(f: Callable[..., Any], argnums: int | tuple[int, ...], /, *args: Any, **kwargs: Any) -> Any:
    return _value_and_grad(f, argnums, *args, **kwargs)[1]


def vjp(f: Callable[..., Any], *args: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    """``f(*args)`` and its pullback: output cotangents to argument cotangents (one sweep a call).

    >>> import chainrule as cr
    >>> out, pullback = cr.vjp(lambda x: x * x, cr.tensor([1.0, 2.0]))
    >>> pullback(cr.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    replaced, variables = _variables(args)
    out = tree.map_leaves(as_tensor, _call(variables, f, *replaced))
    outputs = list(tree.leaves(out))

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given = _match(tree.leaves_like(cotangent, out), outputs)
        return tuple(tree.rebuild(replaced, iter(_sweep(outputs, given, variables))))

    return tree.map_leaves(lambda o: _shut(o, variables), out), pullback


def _match(given: Iterable[Any], like: Sequence[Tensor]) -> list[Node]:
    """Cotangents or tangents as nodes of the same shapes and dtypes as the values that they belong to."""
    nodes = [x.node if TRACE.get() is not None else x.recorded() for x in map(as_tensor, given)]
    if [node.shape for node in nodes] != [x.shape for x in like]:
        raise ShapeError(
            "cotangents or tangents do not have the shapes of their values",
            expected=", ".join(str(x.shape) for x in like),
            got=", ".join(str(node.shape) for node in nodes),
            where=describe_line(user_line()),
        )
    return [as_node(node, x.dtype) for node, x in zip(nodes, like, strict=True)]


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``f(*primals)`` and its directional derivative along ``tangents``.

    The reverse sweep is linear in its cotangent, so sweeping the sweep gives the forward derivative.

    >>> import chainrule as cr
    >>> cr.jvp(lambda x: x * x, (cr.tensor([1.0, 2.0]),), (cr.tensor([1.0, 10.0]),))[1]
    tensor([ 2., 40.])
    """
    replaced, variables = _variables(tuple(primals))
    directions = _match(tree.leaves_like(tuple(tangents), tuple(primals)), variables)
    out = tree.map_leaves(as_tensor, _call(variables, f, *replaced))
    outputs = list(tree.leaves(out))
    dummies = [new_leaf(o.shape, o.dtype, value=np.zeros(o.shape, o.dtype)) for o in outputs]
    swept = backward([o.node for o in outputs], dummies, [v.node for v in variables])
    parts = [
        sum(elementwise.multiply(g, d), axis=tuple(range(len(g.shape))), keepdims=False)
        for g, d in zip(swept, directions, strict=True)
        if g is not None
    ]
    found: list[Node | None] = [None] * len(dummies)
    if parts:
        found = backward(parts, [as_node(1.0, part.dtype) for part in parts], dummies)
    nodes = [_seed(0.0, o) if n is None else n for n, o in zip(found, outputs, strict=True)]
    results = finish(nodes, [v.node for v in variables])
    return tree.map_leaves(lambda o: _shut(o, variables), out), tree.rebuild(out, iter(results))


def jacobian(f: Callable[..., Any]) -> Callable[..., Any]:
    """All partials of ``f``'s output by its first argument: [*output, *input], row by row (row C7).

    >>> import chainrule as cr
    >>> cr.jacobian(lambda x: x * x)(cr.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    return partial(_jacobian, f)


def _jacobian(f: Callable[..., Any], x: Any, *rest: Any) -> Any:
    replaced, variables = _variables(x)
    out = as_tensor(_call(variables, f, replaced, *rest))
    rows = []
    for i in range(out.size):
        basis = np.zeros(out.size, out.dtype)
        basis[i] = 1.0
        rows.append(_sweep([out], [as_node(basis.reshape(out.shape))], variables))
    blocks = [
        stack([row[k] for row in rows]).reshape((*out.shape, *v.shape))
        if rows
        else Tensor.leaf(np.zeros((*out.shape, *v.shape), v.dtype))
        for k, v in enumerate(variables)
    ]
    return tree.rebuild(replaced, iter(blocks))


def hessian(f: Callable[..., Any]) -> Callable[..., Any]:
    """All second partials of a scalar function of one array: [*input, *input] (row E29).

    >>> import chainrule as cr
    >>> cr.hessian(lambda x: x[0] * x[0] * x[1])(cr.tensor([1.0, 2.0]))
    tensor([[4., 2.],
            [2., 0.]])
    """
    return jacobian(grad(f))


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """The Hessian of a scalar function at ``x`` times ``v``, without forming it: one sweep over a sweep.

    >>> import chainrule as cr
    >>> cr.hvp(lambda x: (x * x * x).sum(), cr.tensor([1.0, 2.0]), cr.tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """
    return jvp(grad(f), (x,), (v,))[1]

"""Records what is drawn or explained: a graph with the value and the gradient of every node."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule import tree
from chainrule.backward import backward
from chainrule.errors import GradientError, SettingError, caller_line
from chainrule.graph import Node, as_node, new_leaf, topological
from chainrule.inspect.names import Named, names_of_nodes
from chainrule.interpret import evaluate
from chainrule.ops import movement
from chainrule.ops.record import Array, is_float
from chainrule.ops.source import leaf
from chainrule.tensor import Tensor, TensorLike, as_tensor
from chainrule.trace import tracing


@dataclass
class Recording:
    """A graph with its values, and the gradients of ``target`` with respect to the nodes it depends on.

    ``tracked`` holds the nodes that depend on something that requires a gradient.
    """

    outputs: list[Node]
    order: list[Node]
    values: dict[Node, Array]
    target: Node | None
    gradients: dict[Node, Array]
    names: dict[Node, str]
    tracked: set[Node]
    updates: dict[Node, Node] = field(default_factory=dict)  # new value -> the leaf that it is assigned to
    #: data that entered the graph in another shape, in the user's shape
    shown: dict[Node, Array] = field(default_factory=dict)


def record_tensor(
    tensor: Tensor,
    names: Mapping[str, Named] | None,
    variables: Mapping[str, object],
    gradient: TensorLike | None = None,
    *,
    everything: bool = False,
) -> Recording:
    """Record the history of a computed tensor; with ``everything``, include gradients of the data."""
    if tensor._data is None:
        raise SettingError(
            "a tensor has no values to show while its function is traced",
            where=caller_line(),
            hint="draw or explain it outside the compiled function",
        )
    order = topological([tensor.node])
    wanted = [n for n in order if n.owner is not None or (everything and n.op is leaf and is_float(n.dtype))]
    called, shown = names_of_nodes(order, names, variables)
    recording = finish([tensor.node], {}, called, wanted, gradient)
    recording.shown.update(shown)
    return recording


def record_call(
    f: Callable[..., object],
    args: Sequence[object],
    names: Mapping[Node, str] | None = None,
    gradient: TensorLike | None = None,
    *,
    variables: Mapping[str, object] | None = None,
    everything: bool = False,
) -> Recording:
    """Record what a function computes from example arguments. It is only traced, so no tensor of the user's changes.

    With ``everything``, include gradients of all data that it reads, not only of its arguments and parameters.
    """
    settings = (str, int, bool)  # static arguments, as in a compiled function
    given = [None if isinstance(x, settings) else as_tensor(x) for x in tree.leaves(args)]
    leaves = [None if x is None else new_leaf(x.shape, x.dtype, "argument", value=x.numpy()) for x in given]
    with tracing() as trace:
        stand_ins = iter(
            x if node is None else Tensor(None, node, is_float(node.dtype))
            for x, node in zip(tree.leaves(args), leaves, strict=True)
        )
        result = f(*tree.rebuild(tuple(args), stand_ins))
    outputs = [x.node for x in tree.leaves(result) if isinstance(x, Tensor)]
    updates = {after: before for _, before, after in trace.updates}
    if not outputs and not updates:
        raise SettingError(
            "the function returns no tensor, so there is nothing to show",
            expected="a function of tensors that returns a tensor",
            got=type(result).__name__,
            where=caller_line(),
        )
    every = topological([*outputs, *updates])
    called, shown = names_of_nodes(every, None, {**variables_of(f), **(variables or {})})
    called |= names or {}
    for node, name in zip(leaves, argument_names(f, args), strict=True):
        if node is not None:
            called[node] = name
    data = [n for n in every if n.op is leaf] if everything else [n for n in leaves if n is not None]
    inputs = [node for node in data if is_float(node.dtype)]
    wanted = [*([] if is_step(updates) else inputs), *(node for node in every if node.owner is not None)]
    recording = finish(outputs, updates, called, wanted, gradient)
    recording.shown.update({node: array for node, array in shown.items() if node not in leaves})
    return recording


def variables_of(f: Callable[..., object]) -> dict[str, object]:
    """The variables that a function uses from outside: those of enclosing functions, and globals."""
    try:
        seen = inspect.getclosurevars(f)
    except TypeError:  # not written in Python
        return {}
    return {**seen.globals, **seen.nonlocals}


def argument_names(f: Callable[..., object], args: Sequence[object]) -> list[str]:
    """The names of the function's parameters, with a key for each part of a nested argument."""
    try:
        bound = list(inspect.signature(f).bind(*args).arguments.items())
    except (TypeError, ValueError):
        bound = [(f"x{i + 1}", arg) for i, arg in enumerate(args)]
    named: list[str] = []
    for name, arg in bound:
        variadic = isinstance(arg, tuple) and len(bound) != len(args)
        parts = [f"{name}{i + 1}" for i in range(len(arg))] if variadic else [name]
        for part, value in zip(parts, arg if variadic else [arg], strict=True):
            named += [x.replace("'", "") for x in tree.names(value, part)]
    return named


def finish(
    outputs: list[Node],
    updates: dict[Node, Node],
    names: dict[Node, str],
    wanted: Sequence[Node],
    gradient: TensorLike | None,
) -> Recording:
    """Compute every value and every gradient of a graph."""
    order = topological([*outputs, *updates])
    values = dict(zip(order, evaluate(order), strict=True))
    differentiable = outputs and is_float(outputs[0].dtype) and not is_step(updates)
    target = outputs[0] if differentiable else None
    gradients: dict[Node, Array] = {}
    tracked: set[Node] = set(wanted)
    for node in order:
        if is_float(node.dtype) and any(x in tracked for x in node.inputs):
            tracked.add(node)
    if target is not None:
        known = {node: _frozen(node, values[node]) for node in order}
        gradients = sweep(target, order, tracked, known, gradient)
    return Recording(outputs, order, values, target, gradients, names, tracked, updates)


def is_step(updates: Mapping[Node, Node]) -> bool:
    """Whether parameters are updated, so that the graph contains gradients as nodes. Running moments do not count."""
    return any(before.owner is not None for before in updates.values())


def _frozen(node: Node, value: Array) -> Node:
    """Store the value in the node if it has none, for the nodes of the reverse sweep to read."""
    if node.value is None:
        node.value = value
    return node


def sweep(
    target: Node,
    order: Sequence[Node],
    tracked: set[Node],
    known: Mapping[Node, Node],
    gradient: TensorLike | None,
) -> dict[Node, Array]:
    """Compute the gradient of the target at every tracked node in one reverse sweep."""
    seed = as_node(1.0 if gradient is None else as_tensor(gradient).node, target.dtype)
    if gradient is None:
        seed = movement.broadcast(seed, shape=target.shape)
    if seed.shape != target.shape:
        raise GradientError(
            "the cotangent has the wrong shape",
            expected=f"shape {target.shape}",
            got=f"shape {seed.shape}",
            where=caller_line(),
        )
    below = [node for node in order if node in tracked]
    swept = backward([target], [seed], below)
    found = [(node, message) for node, message in zip(below, swept, strict=True) if message is not None]
    return dict(
        zip([node for node, _ in found], map(np.asarray, evaluate([m for _, m in found])), strict=True)
    )


def is_leaf(node: Node) -> bool:
    """Whether the node's value is given rather than computed."""
    return node.op is leaf or not node.inputs

"""Tracing under guards: what a trace has read from outside is known, and what no trace can hold is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.lib.array_utils import byte_bounds

from chainrule.errors import SourceLine, TracingError, describe_line
from chainrule.graph import Node, describe_form, topological
from chainrule.guards import Guards
from chainrule.ops.record import Array
from chainrule.ops.source import constant, leaf
from chainrule.random_states import RandomStates
from chainrule.tensor import Tensor
from chainrule.trace import Trace

T = TypeVar("T")
MOST_TRACES = 3  # until Python objects that a trace changes have settled


@dataclass(frozen=True)
class Graph:
    """What a trace made: inputs, outputs with the new values of updated tensors last, other results."""

    inputs: tuple[Node, ...]
    ends: tuple[Node, ...]
    others: tuple[object, ...] = ()
    trace: Trace = field(default_factory=Trace)


@dataclass(frozen=True)
class Guarded(Generic[T]):
    """What was traced under which guards, and what in Python the trace itself has changed ("" for nothing)."""

    made: T
    guards: Guards
    changed: str


def trace_guarded(guards: Guards, trace: Callable[[], T], graph_of: Callable[[T], Graph]) -> Guarded[T]:
    """Trace under guards made just before, which then also watch the values that the trace has asked for.

    Where it draws random numbers, or reads what cannot be watched, it is traced a second time: TracingError
    where that gives another graph. The guards never hold where a later use has to trace again.
    """
    states = RandomStates(guards.generators)
    made = trace()
    drawn = states.moved()
    graph = graph_of(made)
    guards.add_values(graph.trace.values)
    if not _is_reached(graph, guards):
        guards.unwatched["a tensor that was not found beforehand"] = None
    if drawn or guards.unwatched:
        line = difference(graph, graph_of(trace()), guards)
        if line is not None:
            source = f"numbers drawn from {drawn}" if drawn else f"what {next(iter(guards.unwatched))} gives"
            raise TracingError(
                "what is traced is not the same each time, and compiled code would keep one of its values for good",
                expected="a function of its arguments, and of what stays as it is",
                got=source,
                where=describe_line(line[0]),
                hint="pass the numbers as an argument; in a model, nn.Dropout draws anew in every step",
            )
    changed = "" if guards.unwatched or guards.hold() else guards.changed()
    for reason in (drawn, changed):
        if reason:
            guards.unwatched[reason] = None
    return Guarded(made, guards, changed)


def trace_settled(
    make_guards: Callable[[], Guards], trace: Callable[[], T], graph_of: Callable[[T], Graph]
) -> Guarded[T]:
    """The same for a graph that runs many times before anybody looks again.

    So it must not change what it reads: TracingError where it does, unless that settles without a difference.
    """
    first = found = trace_guarded(make_guards(), trace, graph_of)
    for _ in range(MOST_TRACES - 1):
        if not found.changed:
            return found
        before, found = found, trace_guarded(make_guards(), trace, graph_of)
        line = difference(graph_of(first.made), graph_of(found.made), found.guards)
        if line is not None:
            raise _changes(before.changed, line[0])
    if found.changed:
        raise _changes(found.changed, None)
    return found


def _changes(name: str, line: SourceLine | None) -> TracingError:
    return TracingError(
        f"{name} is changed by what is traced, which happens while tracing and not in every step",
        expected="a model and a loss that only compute",
        where=describe_line(line),
        hint="make it a buffer, nn.Buffer.made(value), and count with its assign; or pass it with the data",
    )


def _is_reached(graph: Graph, guards: Guards) -> bool:
    """Whether all tensors that it reads, or whose value was asked for, are watched or were made by it."""
    known = {*graph.inputs, *graph.trace.made, *(tensor.node for tensor in guards.tensors)}
    leaves = {node for node in topological(graph.ends) if node.op is leaf}
    return known >= leaves and known >= {tensor.node for tensor in graph.trace.values}


def difference(one: Graph, other: Graph, guards: Guards) -> tuple[SourceLine | None] | None:
    """Where two graphs compute something else: the line of the first such node; None if they are the same."""
    known = {tensor.node for tensor in guards.tensors}
    orders = topological(one.ends), topological(other.ends)
    numbers = [
        {node: i for i, node in enumerate([*dict.fromkeys([*g.inputs, *o])])}
        for g, o in zip((one, other), orders, strict=True)
    ]
    for a, b in zip(*orders, strict=False):
        if a in known or b in known:
            same = a is b
        else:
            same = (
                (a.op, a.shape, a.dtype) == (b.op, b.shape, b.dtype)
                and [numbers[0][x] for x in a.inputs] == [numbers[1][x] for x in b.inputs]
                and _same_params(a, b)
            )
        if not same:
            return (_line_of(a, orders[0]),)
    ends = [[count[node] for node in graph.ends] for count, graph in zip(numbers, (one, other), strict=True)]
    others = [[(type(x), repr(x)) for x in graph.others] for graph in (one, other)]
    return (
        None
        if len(orders[0]) == len(orders[1]) and ends[0] == ends[1] and others[0] == others[1]
        else (None,)
    )


def _same_params(a: Node, b: Node) -> bool:
    from chainrule.compiler.pipeline import describe_param

    if a.op is leaf:
        return (a.value is None and b.value is None) or _content(a.value) == _content(b.value)
    if a.op is constant:
        return _content(a.params["value"]) == _content(b.params["value"])
    return describe_param(a.params) == describe_param(b.params)


def _content(value: Array | None) -> bytes | None:
    return None if value is None else value.tobytes()


def _line_of(node: Node, order: Sequence[Node]) -> SourceLine | None:
    """The user's line for a node; that of the first which reads it where it has none, as constants."""
    return node.line or next((user.line for user in order if node in user.inputs and user.line), None)


def check_closed(
    inputs: Sequence[Node], ends: Sequence[Node], updates: Sequence[tuple[Tensor, Node, Node]]
) -> None:
    """TracingError where a graph reads a tensor of another trace, or updates memory that another leaf reads too."""
    given = set(inputs)
    order = topological(ends)
    for node in order:
        if node.inputs and node.value is not None:
            raise TracingError(
                "a tensor is used that was computed before the trace, with its history, which would be computed anew",
                expected="tensors that hold values, or what is computed inside",
                got=describe_form(node),
                where=describe_line(node.line),
                hint="compute it in the function, or use its value alone: y.detach()",
            )
    leaves = [node for node in order if node.op is leaf and node not in given]
    for node in leaves:
        if node.value is None:
            raise TracingError(
                "a tensor of an earlier trace is used, which has no value",
                got=describe_form(node),
                where=describe_line(next((n.line for n in order if node in n.inputs), None)),
                hint="return what is needed later, or keep it in a buffer: nn.Buffer.made(value), buffer.assign(new)",
            )
    written = {before: tensor for tensor, before, _ in updates}
    arrays = [(node, node.value) for node in dict.fromkeys([*leaves, *written]) if node.value is not None]
    ranges = sorted(((*byte_bounds(array), i) for i, (_, array) in enumerate(arrays)))
    reach: list[tuple[int, int]] = []  # (end, index) of those that may still overlap
    for low, high, i in ranges:
        reach = [(end, j) for end, j in reach if end > low]
        for _, j in reach:
            (a, one), (b, other) = arrays[i], arrays[j]
            if (a in written or b in written) and np.shares_memory(one, other):
                raise TracingError(
                    "two tensors share memory and one of them is updated, so the order of the work would matter",
                    expected="each updated tensor in memory of its own",
                    got=f"{describe_form(a)} and {describe_form(b)} over the same memory",
                    hint="use one tensor in both places, or copy: cr.tensor(array)",
                )
        reach.append((high, i))

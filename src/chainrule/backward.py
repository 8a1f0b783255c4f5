"""The reverse sweep: back-propagation as message passing on the graph.

Nodes are visited once each, users before inputs. A node first adds up the messages (cotangents) that its
users sent it, then its record's derivative turns the sum into one message per input. Messages are ordinary
nodes, so the result compiles, and can be differentiated again. Work is proportional to nodes plus edges.

Lectures: A26, E26, E27.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence

from chainrule.endings import no_derivative
from chainrule.graph import Node, at_line, topological
from chainrule.ops.elementwise import add
from chainrule.ops.movement import cast, reshape
from chainrule.ops.record import Shape, Undefined, is_float
from chainrule.ops.reduce import sum


def backward(
    outputs: Sequence[Node], cotangents: Sequence[Node], variables: Sequence[Node]
) -> list[Node | None]:
    """The cotangent of each variable, given those of the outputs; None where no output depends on it.

    GradientError where one arrives at an operation that has no derivative.
    """
    wanted = set(variables)  # and, after the loop, all that depends on them: only these receive messages
    order = topological(outputs)
    for node in order:
        if is_float(node.dtype) and any(x in wanted for x in node.inputs):
            wanted.add(node)
    messages: dict[Node, Node] = {}

    def send(node: Node, message: Node) -> None:
        message = undo_broadcast(message, node)
        messages[node] = add(messages[node], message) if node in messages else message

    for node, cotangent in zip(outputs, cotangents, strict=True):
        send(node, cotangent)
    found = dict.fromkeys(variables)
    with at_line(None) as set_line:  # what a node sends belongs to the line that the node was written on
        for node in reversed(order):
            message = messages.pop(node, None)
            if message is None or node not in wanted:
                continue
            if node in found:
                found[node] = message
            derivative = node.op.derivative
            if isinstance(derivative, Undefined):
                raise no_derivative(node.op, node.line)
            if callable(derivative):
                set_line(node.line)
                sent = derivative(message, node, *node.inputs, **node.params)
                for x, part in zip(node.inputs, typing.cast("tuple[Node | None, ...]", sent), strict=True):
                    if part is not None and x in wanted:
                        send(x, part)
    return [found[node] for node in variables]


def undo_broadcast(message: Node, node: Node) -> Node:
    """The message in the node's own dtype and shape: summed over every axis along which it was repeated."""
    if message.dtype != node.dtype:
        message = cast(message, dtype=node.dtype)
    if message.shape == node.shape:
        return message
    axes = repeated_axes(message.shape, node.shape)
    return reshape(sum(message, axis=axes, keepdims=False), shape=node.shape)


def repeated_axes(wide: Shape, narrow: Shape) -> tuple[int, ...]:
    """The axes of ``wide`` along which something of shape ``narrow`` was repeated."""
    lead = len(wide) - len(narrow)
    return tuple(i for i, n in enumerate(wide) if i < lead or (narrow[i - lead] == 1 and n != 1))

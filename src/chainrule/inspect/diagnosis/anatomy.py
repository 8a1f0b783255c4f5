"""A network's layers as places in its graph: where each one's input, output and parameters are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from operator import is_

from chainrule.errors import place_in_short
from chainrule.graph import Node, as_node, new_leaf, topological
from chainrule.inspect.module_view import watched
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.modes import at_inference
from chainrule.nn.module import Module
from chainrule.ops import movement
from chainrule.ops.record import Form, is_float
from chainrule.tensor import Tensor
from chainrule.trace import tracing
from chainrule.training.step import Loss, Penalty

#: classes of activations that work elementwise, and whether their values are bounded on both sides
ELEMENTWISE = {
    type(activation.module()).__name__: max(map(abs, activation.bounds)) < float("inf")
    for name, activation in ACTIVATIONS.items()
    if name not in ("identity", "softmax")
}
#: the same for primitives, where a network applies them itself
PRIMITIVES = {"tanh": True, "logistic": True, "relu": False, "sign": True}


@dataclass(frozen=True)
class Layer:
    """One application of a layer, [batch, inputs] -> [batch, units].

    ``activation`` says whether it works elementwise, ``bounded`` whether its values then are.
    """

    name: str
    kind: str
    input: Node
    output: Node
    activation: bool = False
    bounded: bool = False
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Anatomy:
    """A network's loss on a minibatch as a graph, with its layers in the order of the forward pass."""

    x: Node
    y: Node
    output: Node
    loss: Node  # with the penalty
    layers: tuple[Layer, ...]
    parameters: dict[str, Node]


def anatomy(model: Module, loss: Loss, penalty: Penalty | None, forms: tuple[Form, Form]) -> Anatomy:
    """Trace a network at inference, and its loss, for a minibatch of these forms (x, y)."""
    with at_inference(model), tracing():
        x, y = (Tensor(None, new_leaf(*form, name)) for form, name in zip(forms, "xy", strict=True))
        with watched(model) as calls:
            output = model(x)
        calls.append((f": {type(model).__name__}", x.node, output.node))  # it may be a single layer itself
        value = loss(output, y)
        if penalty is not None:
            value = value + penalty(model)
        parameters = {name: p.node for name, p in model.named_parameters()}
    leaves = _calls_of_leaves(model, calls)
    layers = [*_named(leaves), *_bare(output.node, leaves)]
    place = {node: i for i, node in enumerate(topological([value.node]))}
    layers = sorted((layer for layer in layers if layer.output in place), key=lambda s: place[s.output])
    return Anatomy(x.node, y.node, output.node, value.node, tuple(layers), parameters)


def _calls_of_leaves(
    model: Module, calls: list[tuple[str, Node | None, Node]]
) -> list[tuple[str, Module, Node, Node]]:
    """The calls of layers that contain no other: name, layer, input, output."""
    modules = {f"{name}: {type(module).__name__}": (name, module) for name, module in model.named_modules()}
    found = [(*modules[label], before, after) for label, before, after in calls if before is not None]
    return [call for call in found if sum(1 for _ in call[1].named_modules()) == 1]


def _named(calls: list[tuple[str, Module, Node, Node]]) -> list[Layer]:
    seen: Counter[str] = Counter()
    layers = []
    for name, module, before, after in calls:
        seen[name] += 1
        kind = type(module).__name__
        again = f", call {seen[name]}" if seen[name] > 1 else ""
        layers.append(
            Layer(
                f"{name}: {kind}{again}" if name else kind,
                kind,
                before,
                after,
                kind in ELEMENTWISE,
                ELEMENTWISE.get(kind, False),
                tuple(f"{name}.{p}" if name else p for p, _ in module.named_parameters()),
            )
        )
    return layers


def _bare(output: Node, calls: list[tuple[str, Module, Node, Node]]) -> list[Layer]:
    """Activations that the network applies as functions, not as layers of their own."""
    inside: set[Node] = set()
    for _, module, before, after in calls:
        if type(module).__name__ not in ELEMENTWISE:
            continue
        inside |= set(topological([after], stop=partial(is_, before))) - {before}
    layers = []
    for node in topological([output]):
        if (
            node.op.name in PRIMITIVES
            and node not in inside
            and is_float(node.dtype)
            and len(node.shape) == 2
        ):
            line = f" at {place_in_short(node.line)}" if node.line else ""
            layers.append(
                Layer(
                    f"{node.op.name}{line}",
                    node.op.name,
                    node.inputs[0],
                    node,
                    True,
                    PRIMITIVES[node.op.name],
                )
            )
    return layers


def ones(node: Node) -> Node:
    """A cotangent of ones for a node."""
    return movement.broadcast(as_node(1.0, node.dtype), shape=node.shape)

"""Views a module as a network of neurons: its layers or its graph, and what every neuron computes for one row."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.graph import Node
from chainrule.inspect.network_view import Layer, Net, net_of_graph, net_of_layers
from chainrule.inspect.recording import Recording, record_call
from chainrule.nn.graph_network import GraphNetwork
from chainrule.nn.layers import Flatten, Linear, Sequential
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, TensorLike, as_tensor
from chainrule.training.step import Loss

Inputs = tuple[TensorLike, ...]
Forward = Callable[[Tensor], Tensor]
#: u and v of every unit of a graph network
Values = tuple[list[Tensor | None], list[Tensor]]


@dataclass
class _Stage:
    """A Linear and the modules up to the next one; u and v are set once the model has run."""

    linear: Linear | None
    rest: list[Module]
    u: Node | None = None
    v: Node | None = None


def stages_of(model: Module) -> list[_Stage] | None:
    """The layers of a network of the form Linear, activation, Linear, ...; None for any other."""
    parts = _flat(model)
    if parts is None or not any(isinstance(part, Linear) for part in parts):
        return None
    stages = [_Stage(None, [])]
    for part in parts:
        if isinstance(part, Linear):
            stages.append(_Stage(part, []))
        else:
            stages[-1].rest.append(part)
    return stages


def _flat(model: Module) -> list[Module] | None:
    """The modules of nested Sequentials in order; None if another kind of module contains modules."""
    if isinstance(model, Sequential):
        inner = [_flat(part) for part in model]
        return None if any(x is None for x in inner) else [p for x in inner if x is not None for p in x]
    holds_some = any(part is not model for _, part in model.named_modules())
    return None if holds_some else [model]


def is_network(model: Module) -> bool:
    """Whether the model can be drawn as neurons and weights."""
    return isinstance(model, GraphNetwork) or stages_of(model) is not None


def net_of_module(
    model: Module, args: Inputs, loss: Loss | None, row: int, gradient: TensorLike | None
) -> Net:
    """The network with its weights and, given an input, what every neuron computes for one of its rows."""
    if isinstance(model, GraphNetwork):
        return _graph(model, args, loss, row, gradient)
    stages = stages_of(model)
    assert stages is not None, "is_network is true"
    recording = None
    if args:
        recording = _record(model, args, loss, gradient, _run(stages))
    title = f"{type(model).__name__} {', '.join(str(s.linear.out_features) for s in stages if s.linear)}"
    first = next(stage.linear for stage in stages if stage.linear)
    layers = [_input_layer(first.in_features, stages[0], recording, row)]
    layers += [_layer(stage, recording, row) for stage in stages[1:]]
    return net_of_layers(title, layers, _caption(args, loss, row, recording))


def _caption(args: Inputs, loss: Loss | None, row: int, recording: Recording | None) -> str:
    if recording is None or recording.target is None:
        return ""
    rows = len(as_tensor(args[0]))
    of = "the loss" if loss is not None else "the output"
    if loss is None and int(np.prod(recording.target.shape)) > 1:
        of = "the sum of all outputs"
    which = f"row {row} of {rows}" if rows > 1 else "one row"
    return f"in the discs: outputs for {which}; u: before the activation; ∂: derivative of {of} by u"


def _run(stages: list[_Stage]) -> Forward:
    """The model's forward pass, which notes the nodes of u and v in each stage."""

    def forward(x: Tensor) -> Tensor:
        for stage in stages:
            if stage.linear is not None:
                x = stage.linear(x)
                stage.u = x.node
            for part in stage.rest:
                x = part(x)
            stage.v = x.node
        return x

    return forward


def _record(
    model: Module,
    args: Inputs,
    loss: Loss | None,
    gradient: TensorLike | None,
    forward: Forward,
) -> Recording:
    """Record a forward pass in the model's current mode, training or inference."""
    if loss is None:
        return record_call(forward, (_input(model, args[0]),), {}, gradient)
    return record_call(
        lambda x, target: loss(forward(x), target), (_input(model, args[0]), *args[1:]), {}, gradient
    )


def _input(model: Module, x: TensorLike) -> Tensor:
    return model._as_input(x)


def _at(found: dict[Node, Array], node: Node | None, row: int) -> Array | None:
    value = None if node is None else found.get(node)
    return None if value is None else np.reshape(value[row] if value.ndim > 1 else value, -1)


def _input_layer(count: int, stage: _Stage, recording: Recording | None, row: int) -> Layer:
    layer = Layer(f"input\n{count}", count, names=[f"x{i}" for i in range(count)] if count <= 10 else ())
    if recording is not None:
        layer.v = _at(recording.values, stage.v, row)
        layer.gradient = _at(recording.gradients, stage.v, row)
    return layer


def _layer(stage: _Stage, recording: Recording | None, row: int) -> Layer:
    linear = stage.linear
    assert linear is not None, "only the first stage has no Linear"
    kinds = [type(part).__name__ for part in stage.rest if not isinstance(part, Flatten)]
    heading = "\n".join([*_wrapped(["Linear", *kinds]), str(linear.out_features)])
    bias = None if linear.bias is None else linear.bias.numpy()
    layer = Layer(heading, linear.out_features, (), linear.weight.numpy(), None, bias)
    if recording is not None:
        layer.u = _at(recording.values, stage.u, row) if stage.v is not stage.u else None
        layer.v = _at(recording.values, stage.v, row)
        layer.gradient = _at(recording.gradients, stage.u, row)
        layer.weight_gradient = recording.gradients.get(linear.weight.node)
    return layer


def _wrapped(names: list[str]) -> list[str]:
    """Join names with commas, in lines of at most 16 characters if possible."""
    lines = [names[0]]
    for name in names[1:]:
        if len(lines[-1]) + len(name) > 14:
            lines[-1] += ","
            lines.append(name)
        else:
            lines[-1] += f", {name}"
    return lines


def _graph(
    model: GraphNetwork, args: Inputs, loss: Loss | None, row: int, gradient: TensorLike | None
) -> Net:
    """A GraphNetwork with u, v and df/du of every neuron."""
    facts: dict[str, dict[Hashable, float]] = {}
    neurons, bias = model.neurons, model.bias
    entering = {upper for _, upper in model.edges}
    computed = [n for n in neurons if n in entering]
    if bias is not None:
        facts["bias"] = dict(zip(computed, bias.numpy().tolist(), strict=True))
    recording = None
    if args:
        noted: list[Values] = []
        recording = _record(model, args, loss, gradient, _noting(model, noted))
        (us, vs) = noted[0]
        facts["v"] = _by_neuron(neurons, [v.node for v in vs], recording.values, row)
        facts["u"] = _by_neuron(
            neurons, [None if u is None else u.node for u in us], recording.values, row, vs
        )
        at = [v.node if u is None else u.node for u, v in zip(us, vs, strict=True)]
        facts["gradient"] = _by_neuron(neurons, at, recording.gradients, row, vs)
    index = model.weight_index
    weights = model.weight.numpy() if index is None else model.weight.numpy()[index]
    title = repr(model)
    return net_of_graph(
        title, neurons, model.edges, weights, facts, model.outputs, _caption(args, loss, row, recording)
    )


def _noting(model: GraphNetwork, noted: list[Values]) -> Forward:
    """The model's forward pass, which notes u and v of its units."""

    def values(x: Tensor) -> Values:
        noted.append(model.values(x))
        return noted[-1]

    observed = copy.copy(model)  # with the same parameters; the user's own object stays as it is
    vars(observed)["values"] = values
    return observed.forward


def _by_neuron(
    neurons: list[Hashable],
    nodes: Sequence[Node | None],
    found: dict[Node, Array],
    row: int,
    like: list[Tensor] | None = None,
) -> dict[Hashable, float]:
    """Pick one number per neuron from consecutive arrays [neurons of a unit, batch]."""
    result: dict[Hashable, float] = {}
    place = 0
    for number, node in enumerate(nodes):
        value = None if node is None else found.get(node)
        count = like[number].shape[0] if like is not None else 0 if node is None else node.shape[0]
        if value is not None:
            result.update(zip(neurons[place : place + count], value[:, row].tolist(), strict=True))
        place += count
    return result

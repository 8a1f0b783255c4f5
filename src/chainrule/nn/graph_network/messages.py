"""Back-propagation as message passing, with one message per edge: lecture A's Algorithm 1.

Lectures: A26.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.missing import as_array
from chainrule.nn.activations import find_activation
from chainrule.nn.graph_network.reading import Edge
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, TensorLike, as_tensor, no_grad
from chainrule.transforms import grad

if TYPE_CHECKING:
    from chainrule.nn.graph_network.network import GraphNetwork


@dataclass(frozen=True)
class ForwardPass:
    """The forward values that Algorithm 1 starts from, at one x. Neurons and edges are in the order of computation.

    Inputs count as identity neurons: u equals v, with slope 1. The constant neuron is 1, with slope 0.

    Lectures: erratum 7.
    """

    neurons: list[Hashable]
    u: Array  # [neurons], pre-activations
    v: Array  # [neurons], outputs of the activation
    slope: Array  # [neurons], sigma'(u)
    lower: Array  # [edges], the index in ``neurons`` of the neuron that each edge leaves
    upper: Array  # [edges], and of the one that it enters
    weight: Array  # [edges]
    constant: int  # index of the constant neuron, or -1
    inputs: int  # number of inputs, which come first
    output: int  # index of the output that is differentiated


def forward_pass(net: GraphNetwork, x: TensorLike, output: Hashable = None) -> ForwardPass:
    """Compute u, v and sigma'(u) of every neuron for one row ``x`` [inputs] or [1, inputs].

    ``output`` is the output neuron to differentiate; it may be omitted if there is only one. Raises SettingError for
    any other neuron, ShapeError for several rows.
    """
    row = as_array(x.numpy() if isinstance(x, Tensor) else x, net.dtype, "x")
    if row.ndim == 2 and len(row) == 1:
        row = row[0]
    if row.ndim != 1:
        raise ShapeError(
            "messages are computed for one row",
            expected="[inputs] or [1, inputs]",
            got=row.shape,
            hint="pass x[i]",
        )
    if output is None and len(net.outputs) > 1:
        raise SettingError(
            "this network has several outputs", expected="output= one of them", got=repr(net.outputs)
        )
    chosen = net.outputs[0] if output is None else output
    if chosen not in net.outputs:
        raise SettingError(
            f"{chosen!r} is not an output of this network",
            expected=f"one of {net.outputs!r}",
            got=repr(chosen),
        )
    plan = net.plan
    with no_grad():
        u_parts, v_parts = net.values(as_tensor(row[None]))
        weight = net.ordered_weights().numpy()
    v = np.concatenate([part.numpy()[:, 0] for part in v_parts])
    u, slope = v.copy(), np.ones_like(v)
    for unit, part in zip(plan.units, u_parts, strict=True):
        if part is not None and unit.activation is not None:
            own = slice(unit.start, unit.start + unit.count)
            function = find_activation(unit.activation).function
            u[own] = part.numpy()[:, 0]
            slope[own] = grad(lambda t, function=function: function(t).sum())(u[own]).numpy()
    constant = net.constant
    if constant >= 0:
        slope[constant] = 0
    neurons = net.neurons
    inputs = len(net.inputs)
    return ForwardPass(
        neurons, u, v, slope, plan.lower, plan.upper, weight, constant, inputs, neurons.index(chosen)
    )


@dataclass(frozen=True, eq=False)
class Messages:
    """All numbers of Algorithm 1 at one x, by neuron and by edge.

    ``u`` and ``v`` are the pre-activation and the output of each neuron (inputs count as identity neurons). ``S``
    is df/du, the sum of the messages that a neuron receives; at the output itself it is sigma'(u). This is Claim
    16.2 with messages S du_i/du_k. ``S_v`` is df/dv, with messages S_v dv_i/dv_k and seed 1. ``message`` and
    ``message_v`` hold the messages of both variants by (upper, lower) neuron; the constant neuron receives none and
    has no S. ``gradient`` is df/dw by (from, to): S of the upper neuron times v of the lower one. ``bias_gradient``
    is df/db by neuron. The gradient of a loss is l'(f, y) times the gradient of f.

    Lectures: A22, A29; errata 5 to 7.
    """

    f: float
    u: dict[Hashable, float]
    v: dict[Hashable, float]
    S: dict[Hashable, float]
    S_v: dict[Hashable, float]
    message: dict[Edge, float]
    message_v: dict[Edge, float]
    gradient: dict[Edge, float]
    bias_gradient: dict[Hashable, float]


def pass_messages(net: GraphNetwork, x: TensorLike, output: Hashable = None) -> Messages:
    """Run Algorithm 1: from the output down, each neuron sends one message along each of its incoming edges."""
    at = forward_pass(net, x, output)
    names, count = at.neurons, len(at.neurons)
    entering: list[list[int]] = [[] for _ in range(count)]
    for edge, upper in enumerate(at.upper.tolist()):
        entering[upper].append(edge)
    u, v, slope, weight, lower = (array.tolist() for array in (at.u, at.v, at.slope, at.weight, at.lower))
    S, S_v = [0.0] * count, [0.0] * count
    S[at.output], S_v[at.output] = slope[at.output], 1.0
    message, message_v, gradient = {}, {}, {}
    for i in reversed(range(count)):
        for edge in entering[i]:
            k = lower[edge]
            gradient[names[k], names[i]] = S[i] * v[k]
            if k == at.constant:
                continue
            sent, sent_v = S[i] * weight[edge] * slope[k], S_v[i] * slope[i] * weight[edge]
            message[names[i], names[k]], message_v[names[i], names[k]] = sent, sent_v
            S[k] += sent
            S_v[k] += sent_v
    alive = [i for i in range(count) if i != at.constant]
    has_bias = net.bias is not None or at.constant >= 0
    fed = [i for i in alive if i >= at.inputs] if has_bias else []
    return Messages(
        f=v[at.output],
        u={names[i]: u[i] for i in alive},
        v=dict(zip(names, v, strict=True)),
        S={names[i]: S[i] for i in alive},
        S_v={names[i]: S_v[i] for i in alive},
        message=message,
        message_v=message_v,
        gradient=dict(sorted(gradient.items(), key=_order_of(net))),
        bias_gradient={names[i]: S[i] for i in fed},
    )


def _order_of(net: GraphNetwork) -> Callable[[tuple[Edge, float]], int]:
    """A sort key that orders (edge, value) pairs like ``net.edges``."""
    place = {edge: i for i, edge in enumerate(net.edges)}
    return lambda item: place[item[0]]

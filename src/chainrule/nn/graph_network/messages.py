"""Back-propagation as message passing, one message an edge, written out (row A26, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.nn.activations import find_activation
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, as_tensor, no_grad
from chainrule.transforms import grad

if TYPE_CHECKING:
    from chainrule.nn.graph_network.network import GraphNetwork


@dataclass(frozen=True)
class ForwardPass:
    """What Algorithm 1 needs to know at one x. Neurons and edges are in the order of computation.

    Inputs are identity nodes: their u is their v, their slope 1 (erratum 7). The constant neuron is 1 and its slope
    0: nothing depends on anything through it.
    """

    neurons: list[Any]
    u: Array  # [neurons], what enters the activation
    v: Array  # [neurons], what leaves it
    slope: Array  # [neurons], sigma'(u)
    lower: Array  # [edges], places in ``neurons``
    upper: Array  # [edges]
    weight: Array  # [edges]
    constant: int  # the place of the constant neuron, or -1
    inputs: int  # the first so many neurons
    output: int  # the place of the output that is differentiated


def forward_pass(net: GraphNetwork, x: Any, output: Any = None) -> ForwardPass:
    """u, v and sigma'(u) of every neuron for one row ``x`` [inputs] or [1, inputs].

    ``output`` names the output to be differentiated, where there are several. Raises SettingError and ShapeError.
    """
    row = np.asarray(x.numpy() if isinstance(x, Tensor) else x, net.dtype)
    if row.ndim == 2 and len(row) == 1:
        row = row[0]
    if row.ndim != 1:
        raise ShapeError(
            "messages are those of one row",
            expected="[inputs] or [1, inputs]",
            got=row.shape,
            hint="pass x[i]",
        )
    if output is None and len(net.outputs) > 1:
        raise SettingError(
            "this network has several outputs", expected="output=, one of them", got=repr(net.outputs)
        )
    chosen = net.outputs[0] if output is None else output
    if chosen not in net.outputs:
        raise SettingError(
            f"{chosen!r} is no output of this network", expected=f"one of {net.outputs!r}", got=repr(chosen)
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
    """Every number of Algorithm 1 at one x: of each neuron, and of each edge.

    ``u`` and ``v`` are the pre-activation and the output of each neuron (inputs are identity nodes). ``S`` is
    df/du, the sum of the messages that a neuron received (at the output itself, sigma'(u)): Claim 16.2 with
    messages S du_i/du_k. ``S_v`` is df/dv, with messages S_v dv_i/dv_k and seed 1 (errata 5 to 7). ``message`` and
    ``message_v`` are those of both variants by (upper, lower) neuron; the constant neuron receives none and has no
    S. ``gradient`` is df/dw by (from, to), S of the upper neuron times v of the lower one (row A22);
    ``bias_gradient`` is df/db by neuron. The gradient of a loss is l'(f, y) times that of f (row A29).
    """

    f: float
    u: dict[Any, float]
    v: dict[Any, float]
    S: dict[Any, float]
    S_v: dict[Any, float]
    message: dict[tuple[Any, Any], float]
    message_v: dict[tuple[Any, Any], float]
    gradient: dict[tuple[Any, Any], float]
    bias_gradient: dict[Any, float]


def pass_messages(net: GraphNetwork, x: Any, output: Any = None) -> Messages:
    """Algorithm 1, from the output's level down to the inputs: each neuron sends one message along each edge."""
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


def _order_of(net: GraphNetwork) -> Any:
    """A key that sorts edges as ``net.edges`` has them."""
    place = {edge: i for i, edge in enumerate(net.edges)}
    return lambda item: place[item[0]]

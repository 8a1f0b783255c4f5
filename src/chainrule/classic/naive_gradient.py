"""The gradient by a table of all derivatives between neurons, which back-propagation replaced (row A25)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule.nn.graph_network import GraphNetwork, forward_pass


@dataclass(frozen=True, eq=False)
class NaiveGradient:
    """The gradient, the table behind it, and what it cost.

    ``gradient`` is df/dw by (from, to), ``bias_gradient`` df/db by neuron, ``table`` du_i/du_n by (i, n) for every
    neuron n that is no input and every i that it reaches. ``multiplications`` counts one for each edge and each
    n below it: O(|V||E|); ``backpropagation`` counts one message for each edge.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> edges = {("x", "a"): 2.0, ("x", "b"): 3.0, ("a", "o"): 5.0, ("b", "o"): 7.0}
    >>> net = nn.GraphNetwork(edges, ["x"], ["o"], "identity")
    >>> found = cr.classic.naive_gradient(net, [1.0])
    >>> found.gradient["x", "a"], found.table["o", "a"]
    (5.0, 5.0)
    """

    gradient: dict[tuple[Any, Any], float]
    bias_gradient: dict[Any, float]
    table: dict[tuple[Any, Any], float]
    multiplications: int
    backpropagation: int


def naive_gradient(net: GraphNetwork, x: Any, output: Any = None) -> NaiveGradient:
    """The gradient of one output at one row ``x`` [inputs], from du_i/du_n of all pairs of neurons (row A24, A25).

    For every neuron n the multivariate chain rule (eq. 16.1) gives du_i/du_n of all neurons above it, one
    multiplication an edge; edges right above n are the direct derivatives w sigma'(u), which all n share. The
    numbers are those of back-propagation. ``output`` names the output, where there are several. Raises SettingError
    and ShapeError as ``net.messages`` does.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layers = [["x"], ["a", "b"], ["c", "d"], ["o"]]
    >>> edges = [(j, i) for low, high in zip(layers, layers[1:]) for j in low for i in high]
    >>> found = cr.classic.naive_gradient(nn.GraphNetwork(edges, ["x"], ["o"], seed=0), [1.0])
    >>> found.multiplications, found.backpropagation
    (12, 8)
    """
    at = forward_pass(net, x, output)
    names, level = at.neurons, _levels(len(at.neurons), at.lower.tolist(), at.upper.tolist())
    edges = [
        (k, i, w * s)
        for k, i, w, s in zip(
            at.lower.tolist(), at.upper.tolist(), at.weight.tolist(), at.slope[at.lower].tolist(), strict=True
        )
        if k != at.constant
    ]
    count = len(edges)  # the direct derivatives du_i/du_k = w sigma'(u_k)
    table: dict[tuple[int, int], float] = {}
    for n in range(at.inputs, len(names)):
        if n == at.constant:
            continue
        for k, i, direct in edges:  # lower neurons first
            if k == n:
                table[i, n] = table.get((i, n), 0.0) + direct
            elif level[k] > level[n]:
                count += 1
                if (k, n) in table:
                    table[i, n] = table.get((i, n), 0.0) + direct * table[k, n]
    top = float(at.slope[at.output])
    S = {n: top * table.get((at.output, n), float(n == at.output)) for n in range(at.inputs, len(names))}
    place = dict(
        zip(zip(at.lower.tolist(), at.upper.tolist(), strict=True), range(len(at.lower)), strict=True)
    )
    by_name = {(names[k], names[i]): S[i] * float(at.v[k]) for k, i in place}
    has_bias = net.bias is not None or at.constant >= 0
    return NaiveGradient(
        {edge: by_name[edge] for edge in net.edges},
        {names[n]: S[n] for n in S if n != at.constant} if has_bias else {},
        {(names[i], names[n]): value for (i, n), value in table.items()},
        count,
        len(edges),
    )


def _levels(count: int, lower: list[int], upper: list[int]) -> list[int]:
    """Levels of neurons whose edges come in the order of computation."""
    level = [0] * count
    for k, i in zip(lower, upper, strict=True):
        level[i] = max(level[i], level[k] + 1)
    return level

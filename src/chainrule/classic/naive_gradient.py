"""The gradient from the derivatives between all pairs of neurons, which back-propagation replaced.

Lectures: A25.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from numpy.typing import ArrayLike

from chainrule.nn.graph_network import ForwardPass, GraphNetwork, forward_pass


@dataclass(frozen=True, eq=False)
class NaiveGradient:
    """The gradient of one output f, the table that it was computed from, and the number of multiplications.

    ``gradient`` maps (from, to) to df/dw, ``bias_gradient`` each neuron to df/db, and ``table`` maps (i, n) to
    du_i/du_n for every neuron n that is not an input and every neuron i that n reaches. ``multiplications`` counts one
    for each edge and each n below it, O(|V||E|); ``backpropagation`` counts one message for each edge.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> edges = {("x", "a"): 2.0, ("x", "b"): 3.0, ("a", "o"): 5.0, ("b", "o"): 7.0}
    >>> net = nn.GraphNetwork(edges, ["x"], ["o"], "identity")
    >>> found = cr.classic.naive_gradient(net, [1.0])
    >>> found.gradient["x", "a"], found.table["o", "a"]
    (5.0, 5.0)
    """

    gradient: dict[tuple[Hashable, Hashable], float]
    bias_gradient: dict[Hashable, float]
    table: dict[tuple[Hashable, Hashable], float]
    multiplications: int
    backpropagation: int


def naive_gradient(net: GraphNetwork, x: ArrayLike, output: Hashable = None) -> NaiveGradient:
    """Compute the gradient of one output at one row ``x`` [inputs] from du_i/du_n of all pairs.

    For every neuron n the multivariate chain rule (eq. 16.1) gives du_i/du_n of all neurons i above it, with one
    multiplication per edge; an edge that leaves n itself has the direct derivative w sigma'(u), computed once for all
    n. The result is that of back-propagation. ``output`` names the output where there are several. Raises the errors
    of ``net.messages``.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> layers = [["x"], ["a", "b"], ["c", "d"], ["o"]]
    >>> edges = [(j, i) for low, high in zip(layers, layers[1:]) for j in low for i in high]
    >>> found = cr.classic.naive_gradient(nn.GraphNetwork(edges, ["x"], ["o"], seed=0), [1.0])
    >>> found.multiplications, found.backpropagation
    (12, 8)

    Lectures: A24, A25.
    """
    at = forward_pass(net, x, output)
    names, edges = at.neurons, _direct_derivatives(at)
    table, multiplications = _derivatives(at, edges)
    top = float(at.slope[at.output])
    S = {n: top * table.get((at.output, n), float(n == at.output)) for n in range(at.inputs, len(names))}
    by_name = {
        (names[k], names[i]): S[i] * float(at.v[k])
        for k, i in zip(at.lower.tolist(), at.upper.tolist(), strict=True)
    }
    has_bias = net.bias is not None or at.constant >= 0
    return NaiveGradient(
        {edge: by_name[edge] for edge in net.edges},
        {names[n]: S[n] for n in S if n != at.constant} if has_bias else {},
        {(names[i], names[n]): value for (i, n), value in table.items()},
        multiplications,
        len(edges),
    )


def _direct_derivatives(at: ForwardPass) -> list[tuple[int, int, float]]:
    """The edges (k, i), but those of the constant neuron, with du_i/du_k = w sigma'(u_k); lower neurons first."""
    ends = zip(at.lower.tolist(), at.upper.tolist(), strict=True)
    values = zip(at.weight.tolist(), at.slope[at.lower].tolist(), strict=True)
    return [(k, i, w * s) for (k, i), (w, s) in zip(ends, values, strict=True) if k != at.constant]


def _derivatives(
    at: ForwardPass, edges: list[tuple[int, int, float]]
) -> tuple[dict[tuple[int, int], float], int]:
    """du_i/du_n by (i, n), and how many multiplications that took, those of the direct derivatives included."""
    level = _levels(len(at.neurons), at.lower.tolist(), at.upper.tolist())
    count = len(edges)
    table: dict[tuple[int, int], float] = {}
    for n in range(at.inputs, len(at.neurons)):
        if n == at.constant:
            continue
        for k, i, direct in edges:
            if k == n:
                table[i, n] = table.get((i, n), 0.0) + direct
            elif level[k] > level[n]:
                count += 1
                if (k, n) in table:
                    table[i, n] = table.get((i, n), 0.0) + direct * table[k, n]
    return table, count


def _levels(count: int, lower: list[int], upper: list[int]) -> list[int]:
    """The level of each neuron; the edges come in the order of computation."""
    level = [0] * count
    for k, i in zip(lower, upper, strict=True):
        level[i] = max(level[i], level[k] + 1)
    return level

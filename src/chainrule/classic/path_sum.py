"""The chain rule as it reads: a product of partial derivatives along every path, all of them summed (row E23)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.errors import SettingError
from chainrule.nn.graph_network import ForwardPass, GraphNetwork, forward_pass
from chainrule.ops.record import Array

#: paths from one neuron that are held at a time
MOST = 20_000_000


@dataclass(frozen=True, eq=False)
class PathSum:
    """Derivatives of one output, each a sum over paths.

    ``S`` is df/du of each neuron (of an input df/dx): the sum over all paths from it to the output. ``gradient``
    is df/dw by (from, to), ``bias_gradient`` df/db by neuron. ``paths`` is the number of paths from inputs to the
    output, ``edges`` that of edges, where back-propagation sends one message each.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> edges = {("x", "a"): 2.0, ("x", "b"): 3.0, ("a", "o"): 5.0, ("b", "o"): 7.0}
    >>> net = nn.GraphNetwork(edges, ["x"], ["o"], "identity")
    >>> found = cr.classic.path_sum(net, [1.0])
    >>> found.S["a"], found.gradient["x", "a"]
    (5.0, 5.0)
    """

    S: dict[Any, float]
    gradient: dict[tuple[Any, Any], float]
    bias_gradient: dict[Any, float]
    paths: int
    edges: int
    _net: _Steps = field(repr=False)

    def paths_from(self, neuron: Any) -> Iterator[tuple[tuple[Any, ...], float]]:
        """Every path from a neuron to the output, with the product of the partial derivatives along it."""
        return self._net.named_paths(neuron)


class _Steps:
    """Partial derivatives du_i/du_k along the edges, by the neuron that they leave."""

    def __init__(self, at: ForwardPass) -> None:
        self.at, count = at, len(at.neurons)
        keep = at.lower != at.constant
        lower, self.upper = at.lower[keep], at.upper[keep]
        order = np.argsort(lower, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(lower, minlength=count))])
        self.upper = self.upper[order]
        self.partial = (at.weight[keep] * at.slope[lower])[order]
        self.number = self._counted()

    def _counted(self) -> list[int]:
        """How many paths lead from each neuron to the output."""
        found = [0] * len(self.at.neurons)
        for k in reversed(range(len(found))):
            above = self.upper[self.starts[k] : self.starts[k + 1]].tolist()
            found[k] = int(k == self.at.output) + sum(found[i] for i in above)
        return found

    def products(self, neuron: int) -> Array:
        """The product along every path from a neuron to the output, as they are found level by level."""
        if self.number[neuron] > MOST:
            raise SettingError(
                f"path_sum: there are {self.number[neuron]} paths from {self.at.neurons[neuron]!r} to the output",
                expected=f"at most {MOST}",
                hint="net.messages(x) gives the same gradient with one message an edge",
            )
        at, product = np.array([neuron]), np.ones(1, self.partial.dtype)
        finished = []
        useful = np.array([n > 0 for n in self.number])
        while len(at):
            finished.append(product[at == self.at.output])
            counts = self.starts[at + 1] - self.starts[at]
            path = np.repeat(np.arange(len(at)), counts)
            step = (
                np.arange(len(path)) - np.repeat(np.cumsum(counts) - counts, counts) + self.starts[at][path]
            )
            goes_on = useful[self.upper[step]]
            path, step = path[goes_on], step[goes_on]
            at, product = self.upper[step], product[path] * self.partial[step]
        return np.concatenate(finished) * self.at.slope[self.at.output]

    def named_paths(self, neuron: Any) -> Iterator[tuple[tuple[Any, ...], float]]:
        names = self.at.neurons
        if neuron not in names:
            raise SettingError(f"path_sum: there is no neuron {neuron!r}", expected=f"one of {names!r}")
        top = float(self.at.slope[self.at.output])
        stack: list[tuple[tuple[int, ...], float]] = [((names.index(neuron),), 1.0)]
        while stack:
            path, product = stack.pop()
            if path[-1] == self.at.output:
                yield tuple(names[i] for i in path), product * top
            for step in reversed(range(self.starts[path[-1]], self.starts[path[-1] + 1])):
                upper = int(self.upper[step])
                if self.number[upper]:
                    stack.append(((*path, upper), product * float(self.partial[step])))


def path_sum(net: GraphNetwork, x: Any, output: Any = None) -> PathSum:
    """The gradient of one output at one row ``x`` [inputs] as a sum over paths (row A23, E23).

    The numbers are those of back-propagation; the number of paths is a product over levels where that of edges is
    a sum. ``output`` names the output, where there are several. Raises SettingError beyond 20 million paths from
    one neuron, and as ``net.messages`` does.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> edges = {("x", "a"): 2.0, ("x", "b"): 3.0, ("a", "o"): 5.0, ("b", "o"): 7.0}
    >>> found = cr.classic.path_sum(nn.GraphNetwork(edges, ["x"], ["o"], "identity"), [1.0])
    >>> found.S["x"], found.paths, found.edges  # 2 * 5 + 3 * 7
    (31.0, 2, 4)
    >>> dict(found.paths_from("x"))
    {('x', 'a', 'o'): 10.0, ('x', 'b', 'o'): 21.0}
    """
    at = forward_pass(net, x, output)
    steps = _Steps(at)
    names = at.neurons
    living = [n for n in range(len(names)) if n != at.constant]
    S = {n: float(steps.products(n).sum()) for n in living}
    by_name = {
        (names[k], names[i]): S[i] * float(at.v[k])
        for k, i in zip(at.lower.tolist(), at.upper.tolist(), strict=True)
    }
    has_bias = net.bias is not None or at.constant >= 0
    return PathSum(
        {names[n]: S[n] for n in living},
        {edge: by_name[edge] for edge in net.edges},
        {names[n]: S[n] for n in living if n >= at.inputs} if has_bias else {},
        sum(steps.number[: at.inputs]),
        len(steps.upper),
        steps,
    )

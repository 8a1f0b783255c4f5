"""The chain rule path by path: the partial derivatives multiplied along each path, summed over all paths.

Lectures: E23.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from chainrule.errors import SettingError
from chainrule.foreign_text import quoted
from chainrule.nn.graph_network import ForwardPass, GraphNetwork, forward_pass
from chainrule.ops.record import Array

#: the neurons of a path, in order, and the product of the partial derivatives along it
Path: TypeAlias = tuple[tuple[Hashable, ...], float]
MOST = 20_000_000  # paths from one neuron, which are all in memory at once


@dataclass(frozen=True, eq=False)
class PathSum:
    """Derivatives of one output f, each a sum over paths.

    ``S`` maps each neuron to df/du (each input to df/dx), the sum over all paths from it to the output. ``gradient``
    maps (from, to) to df/dw, ``bias_gradient`` each neuron to df/db. ``paths`` counts the paths from the inputs to
    the output, ``edges`` the edges, along each of which back-propagation sends one message.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> edges = {("x", "a"): 2.0, ("x", "b"): 3.0, ("a", "o"): 5.0, ("b", "o"): 7.0}
    >>> net = nn.GraphNetwork(edges, ["x"], ["o"], "identity")
    >>> found = cr.classic.path_sum(net, [1.0])
    >>> found.S["a"], found.gradient["x", "a"]
    (5.0, 5.0)
    """

    S: dict[Hashable, float]
    gradient: dict[tuple[Hashable, Hashable], float]
    bias_gradient: dict[Hashable, float]
    paths: int
    edges: int
    _net: _Steps = field(repr=False)

    def paths_from(self, neuron: Hashable) -> Iterator[Path]:
        """Iterate over the paths from a neuron to the output, each with the product of its partial derivatives."""
        return self._net.named_paths(neuron)


class _Steps:
    """The partial derivatives du_i/du_k along the edges, sorted by the neuron k that an edge leaves."""

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
        """Count the paths from each neuron to the output."""
        found = [0] * len(self.at.neurons)
        for k in reversed(range(len(found))):
            above = self.upper[self.starts[k] : self.starts[k + 1]].tolist()
            found[k] = int(k == self.at.output) + sum(found[i] for i in above)
        return found

    def products(self, neuron: int) -> Array:
        """Compute the product along every path from a neuron to the output, level by level."""
        if self.number[neuron] > MOST:
            raise SettingError(
                f"path_sum: there are {self.number[neuron]} paths from {quoted(self.at.neurons[neuron])} to the output",
                expected=f"at most {MOST}",
                hint="net.messages(x) gives the same gradient with one message per edge",
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

    def named_paths(self, neuron: Hashable) -> Iterator[Path]:
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


def path_sum(net: GraphNetwork, x: ArrayLike, output: Hashable = None) -> PathSum:
    """Compute the gradient of one output at one row ``x`` [inputs] as a sum over paths.

    The result is that of back-propagation, at another cost: from level to level the numbers of paths multiply, while
    the numbers of edges add up. ``output`` names the output where there are several. Raises SettingError where one
    neuron has more than 20 million paths to the output, and the errors of ``net.messages``.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> edges = {("x", "a"): 2.0, ("x", "b"): 3.0, ("a", "o"): 5.0, ("b", "o"): 7.0}
    >>> found = cr.classic.path_sum(nn.GraphNetwork(edges, ["x"], ["o"], "identity"), [1.0])
    >>> found.S["x"], found.paths, found.edges  # 2 * 5 + 3 * 7
    (31.0, 2, 4)
    >>> dict(found.paths_from("x"))
    {('x', 'a', 'o'): 10.0, ('x', 'b', 'o'): 21.0}

    Lectures: A23, E23.
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

"""Networks over any feed-forward graph."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError
from chainrule.nn.activations import find_activation
from chainrule.nn.graph_network.blocks import Block, Unit, plan_of
from chainrule.nn.graph_network.initial import spread
from chainrule.nn.graph_network.levels import levels_of
from chainrule.nn.graph_network.messages import Messages, pass_messages
from chainrule.nn.graph_network.reading import EdgeList, listed, read_edges
from chainrule.nn.initialisers import Initialiser, find_initialiser
from chainrule.nn.layers import need_features
from chainrule.nn.module import Module, Parameter, Seed, seed_key
from chainrule.ops.edges import edge_sum
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, tensor

#: the neuron that is always 1 where biases are weights (row A20)
CONSTANT = "v_0"


class GraphNetwork(Module):
    """A network over any directed graph without cycles: N_(V,E),sigma with weights on E, biases on V (row A1).

    ``edges`` are (from, to) pairs, a mapping {(from, to): weight}, a networkx.DiGraph (with its edges'
    ``weight``, if they have one), a scipy.sparse adjacency matrix (entry [i, j] is the weight of the edge from
    i to j) or an integer array [edges, 2]. Neurons have names or numbers and are known by their edges. Edges
    may skip levels. ``x`` is [batch, inputs] in the order of ``inputs``, the result [batch, outputs].

    Every neuron that is no input computes sigma(sum of w v + b) (row A4). ``activation`` is one name for all
    of them or a mapping {neuron: name}; ``output_activation`` is another name for the outputs. ``bias`` is
    True (a vector), False, or "constant": b_i is the weight of an edge from a neuron ``"v_0"`` that is always
    1 (the same numbers; it has no incoming edge and receives no message; row A20). ``tied`` are groups of
    edges that share one weight: a mapping {name: edges} or a list of lists of edges.

    ``weight`` [edges] is in the order of ``net.edges``, which is the order that the edges came in, then those
    of the constant neuron; with ``tied`` edges it has one number for each group (``weight_index`` says which
    edge has which). ``bias`` [neurons that are no inputs] is in the order of ``net.neurons``, which is that of
    computation: inputs, then level by level. Weights are drawn for the activation that they lead to (as those
    of MLP; fan in and fan out are those of the edge's ends), or by ``weight_initialiser``; weights that came
    with the edges are the first values, and what restarts draw is drawn anew. float32 unless ``dtype`` says
    otherwise. Work is proportional to neurons plus edges, times the minibatch (row A28).

    Raises SettingError for cycles (shown as a path), self loops, edges given twice, unknown neurons, inputs
    with incoming edges, and neurons or outputs that no input reaches.

    >>> from chainrule import nn
    >>> net = nn.GraphNetwork(
    ...     [("x1", "h"), ("x2", "h"), ("h", "o"), ("x1", "o")],  # the last one skips a level
    ...     inputs=["x1", "x2"], outputs=["o"], activation={"h": "tanh", "o": "identity"}, seed=0,
    ... )
    >>> net
    GraphNetwork(2 inputs, 1 output, 4 neurons, 4 edges, 3 levels)
    >>> net([[1.0, -1.0]]).shape
    (1, 1)
    """

    def __init__(
        self,
        edges: Any,
        inputs: Iterable[Hashable],
        outputs: Iterable[Hashable],
        activation: str | Mapping[Any, str] = "logistic",
        bias: bool | str = True,
        dtype: Any = None,
        *,
        output_activation: str | None = None,
        tied: Mapping[str, Iterable[Any]] | Iterable[Iterable[Any]] = (),
        weight_initialiser: str | Initialiser | None = None,
        bias_initialiser: str | Initialiser = "zeros",
        seed: Seed = None,
    ) -> None:
        if not (isinstance(bias, bool) or bias == "constant"):
            raise SettingError("GraphNetwork: bias", expected='True, False or "constant"', got=repr(bias))
        found = read_edges(edges)
        ins, outs = found.where(inputs, "inputs"), found.where(outputs, "outputs")
        given = len(found.source)
        if not (len(ins) and len(outs)):
            raise SettingError("GraphNetwork: it needs at least one input and one output")
        if bias == "constant":
            found = _with_constant(found, ins)
        fed = ins if bias != "constant" else np.append(ins, len(found.labels) - 1)
        level = levels_of(found, fed, outs)
        names, which = _activations(found, activation, output_activation, ins, outs, level)
        self._labels, self._source, self._target = found.labels, found.source, found.target
        self.plan = plan_of(found, level, ins, which, names)
        self._inputs = len(ins)
        #: the place of the constant neuron among ``neurons``; -1 if there is none
        self.constant = len(ins) if bias == "constant" else -1
        place = np.empty(len(level), np.int64)
        place[self.plan.neurons] = np.arange(len(level))
        self._outputs = place[outs]
        self._levels = int(level.max()) + 1
        self._names: list[Any] | None = None
        self._pairs: list[tuple[Any, Any]] | None = None
        self.weight_index = self._tie(tied)
        self._weight_order = self._computed_order()
        key = seed_key(seed)
        self.weight = self._drawn_weight(weight_initialiser, names, which, given, (*key, 0), dtype)
        self.bias: Parameter | None = None
        if bias is True:
            first = find_initialiser(bias_initialiser)
            count = len(level) - self._inputs
            kind = np.float32 if dtype is None else dtype
            self.bias = Parameter.drawn((count,), first, (*key, 1), dtype=kind, penalised=False)
        if found.weights is not None:
            self._take_weights(found.weights)

    # What it is made of

    @property
    def neurons(self) -> list[Any]:
        """All neurons in the order of computation: inputs (then "v_0"), then level by level."""
        if self._names is None:
            self._names = self._labels[self.plan.neurons].tolist()
        return self._names

    @property
    def edges(self) -> list[tuple[Any, Any]]:
        """All edges, (from, to), in the order of ``weight``."""
        if self._pairs is None:
            lower, upper = (self._labels[ends].tolist() for ends in (self._source, self._target))
            self._pairs = list(zip(lower, upper, strict=True))
        return self._pairs

    @property
    def inputs(self) -> list[Any]:
        """The neurons that the data feed, in the order of the columns of ``x``."""
        return self._labels[self.plan.neurons[: self._inputs]].tolist()

    @property
    def outputs(self) -> list[Any]:
        """The neurons whose values are the result, in the order of its columns."""
        return self._labels[self.plan.neurons[self._outputs]].tolist()

    def messages(self, x: Any, output: Any = None) -> Messages:
        """Algorithm 1 at one row ``x`` [inputs]: u, v, S and the message on every edge (row A26, Claim 16.2).

        ``output`` names the output to be differentiated, where there are several. See :class:`Messages`. Raises
        SettingError for another output, ShapeError for several rows.

        >>> from chainrule import nn
        >>> net = nn.GraphNetwork({("x", "h"): 2.0, ("h", "o"): 3.0}, ["x"], ["o"], "identity", bias=False)
        >>> found = net.messages([1.0])
        >>> found.v["o"], found.S["h"], found.message["o", "h"], found.gradient["x", "h"]
        (6.0, 3.0, 3.0, 3.0)
        """
        return pass_messages(self, x, output)

    def describe(self) -> str:
        """Counts of its parts (row A16)."""
        parts = [(self._inputs, "input"), (len(self._outputs), "output")]
        parts += [(len(self._labels), "neuron"), (len(self._source), "edge"), (self._levels, "level")]
        return ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for count, name in parts)

    def _tie(self, tied: Any) -> Array | None:
        """Which weight each edge has, where some share one; weights are numbered by their first edge."""
        groups = tied if isinstance(tied, Mapping) else dict(enumerate(tied))
        if not groups:
            return None
        number = {edge: i for i, edge in enumerate(self.edges)}
        first = np.arange(len(number))
        seen: dict[Any, Any] = {}
        for name, members in groups.items():
            group = [tuple(edge) for edge in members]
            unknown = [edge for edge in group if edge not in number]
            twice = [edge for edge in group if edge in seen]
            if unknown or twice:
                what = "edges that there are not" if unknown else "edges in two groups"
                raise SettingError(f"GraphNetwork: tied {name!r} has {what}: {listed(unknown or twice)}")
            seen |= dict.fromkeys(group, name)
            first[[number[edge] for edge in group]] = min((number[edge] for edge in group), default=0)
        return np.unique(first, return_inverse=True)[1].reshape(-1)

    def _drawn_weight(
        self,
        given: str | Initialiser | None,
        names: tuple[str, ...],
        which: Array,
        own: int,
        seed: Seed,
        dtype: Any,
    ) -> Parameter:
        """Weights for all edges, or one for each group; those of the constant neuron are biases and start at 0."""
        count = len(self._source)
        enter = np.bincount(self._target[:own], minlength=len(self._labels))[self._target]
        leave = np.bincount(self._source, minlength=len(self._labels))[self._source]
        kind = which[self._target]
        if own < count:
            enter = np.where(np.arange(count) < own, enter, np.inf)  # of variance 0
            leave = np.where(np.arange(count) < own, leave, np.inf)
        if self.weight_index is not None:
            _, first = np.unique(self.weight_index, return_index=True)
            enter, leave, kind, count = enter[first], leave[first], kind[first], len(first)
        by_activation = [find_activation(name).initialiser for name in names]
        initialiser = spread(given, by_activation, kind, enter, leave)
        dtype = np.float32 if dtype is None else dtype
        return Parameter.drawn((count,), initialiser, seed, dtype=dtype)

    def _take_weights(self, weights: Array) -> None:
        """First values that came with the edges."""
        value = self.weight.numpy().copy()
        if self.weight_index is None:
            value[: len(weights)] = weights
        else:
            index = self.weight_index[: len(weights)]
            value[index[::-1]] = weights[::-1]
            apart = np.flatnonzero(value[index] != weights.astype(value.dtype))
            if len(apart):
                edge = self.edges[int(apart[0])]
                raise SettingError(
                    f"GraphNetwork: tied edges came with different weights, such as {edge!r}",
                    expected=f"{value[index[apart[0]]]:g}, as the first of its group",
                    got=f"{weights[apart[0]]:g}",
                )
        self.weight.assign(Tensor.leaf(value))

    # What it computes

    def forward(self, x: Tensor) -> Tensor:
        """[batch, inputs] -> [batch, outputs]."""
        return self._picked(self.values(x)[1])

    def values(self, x: Tensor) -> tuple[list[Tensor | None], list[Tensor]]:
        """u and v of every unit, each [neurons of the unit, batch]; inputs have no u (row A21)."""
        if len(x.shape) != 2:
            raise ShapeError(
                f"{self!r}: the input is no table", expected=f"[batch, {self._inputs}]", got=x.shape
            )
        need_features(self, x, self._inputs)
        rows = f.transpose(x)
        if self.constant >= 0:
            ones = tensor(np.ones((1, x.shape[0]), x.dtype))
            rows = f.concat([rows, ones], axis=0)
        weights = self.ordered_weights()
        incoming: dict[int, list[Block]] = {}
        for block in self.plan.blocks:
            incoming.setdefault(block.upper, []).append(block)
        u: list[Tensor | None] = []
        v: list[Tensor] = []
        for number, unit in enumerate(self.plan.units):
            if unit.activation is None:
                u.append(None)
                v.append(rows[unit.start : unit.start + unit.count])
                continue
            total = self._biased(
                unit, [edge_sum(v[b.lower], weights, *b.incidence, first=b.first) for b in incoming[number]]
            )
            u.append(total)
            v.append(find_activation(unit.activation).function(total))
        return u, v

    def _biased(self, unit: Unit, sums: list[Tensor]) -> Tensor:
        total = sums[0]
        for more in sums[1:]:
            total = total + more
        if self.bias is None:
            return total
        start = unit.start - self._inputs
        return total + self.bias[start : start + unit.count].reshape((unit.count, 1))

    def ordered_weights(self) -> Tensor:
        """One weight for each edge in the order of computation."""
        return self.weight if self._weight_order is None else f.take(self.weight, self._weight_order)

    def _computed_order(self) -> Tensor | None:
        """Which weight each edge has, edges in the order of computation; None where it is the weights' own."""
        index = self.plan.order if self.weight_index is None else self.weight_index[self.plan.order]
        if self.weight_index is None and (index[1:] > index[:-1]).all():
            return None
        return Tensor.leaf(index.astype(np.int32))

    def _picked(self, v: list[Tensor]) -> Tensor:
        """The values of the outputs, [batch, outputs]."""
        starts = np.array([unit.start for unit in self.plan.units])
        unit_of = np.searchsorted(starts, self._outputs, side="right") - 1
        parts, order = [], []
        for number in np.unique(unit_of).tolist():
            wanted = np.flatnonzero(unit_of == number)
            inside = self._outputs[wanted] - starts[number]
            whole = np.array_equal(inside, np.arange(v[number].shape[0]))
            parts.append(v[number] if whole else f.take(v[number], tensor(inside), axis=0))
            order.extend(wanted.tolist())
        joined = parts[0] if len(parts) == 1 else f.concat(parts, axis=0)
        back = np.argsort(order)
        if not np.array_equal(back, np.arange(len(back))):
            joined = f.take(joined, tensor(back), axis=0)
        return f.transpose(joined)


def _with_constant(edges: EdgeList, inputs: Array) -> EdgeList:
    """With a neuron that is 1, and an edge from it to every neuron that is no input."""
    if CONSTANT in edges.labels.tolist():
        raise SettingError(
            f"GraphNetwork: {CONSTANT!r} is the name of the constant neuron",
            hint="rename it, or use bias=False if it is your own constant input",
        )
    count = len(edges.labels)
    labels = np.empty(count + 1, object)
    labels[:] = [*edges.labels.tolist(), CONSTANT]
    others = np.setdiff1d(np.unique(edges.target), inputs)
    weights = None if edges.weights is None else np.r_[edges.weights, np.zeros(len(others))]
    source = np.r_[edges.source, np.full(len(others), count)]
    return EdgeList(labels, source, np.r_[edges.target, others], weights)


def _activations(
    edges: EdgeList,
    activation: str | Mapping[Any, str],
    output_activation: str | None,
    inputs: Array,
    outputs: Array,
    level: Array,
) -> tuple[tuple[str, ...], Array]:
    """Names of activations, and which of them each neuron has."""
    names: list[str] = []

    def number(name: str) -> int:
        if find_activation(name) is find_activation("softmax"):
            raise SettingError(
                "GraphNetwork: softmax is no activation of a single neuron",
                hint="let the outputs be the identity, and use nn.cross_entropy or cr.softmax on them",
            )
        if name not in names:
            names.append(name)
        return names.index(name)

    which = np.zeros(len(level), np.int64)
    if isinstance(activation, Mapping):
        order = edges.where(activation, "activations of neurons")
        if (level[order] == 0).any():
            raise SettingError(
                f"GraphNetwork: inputs have no activation: {listed(edges.labels[order[level[order] == 0]].tolist())}"
            )
        which[order] = [number(name) for name in activation.values()]
        named = np.zeros(len(level), bool)
        named[order] = True
        named[level == 0] = True
        if output_activation is not None:
            named[outputs] = True
        if not named.all():
            raise SettingError(
                f"GraphNetwork: no activation for {listed(edges.labels[~named].tolist())}",
                expected="one name for all neurons, or a mapping with every neuron that is no input",
            )
    else:
        which[:] = number(activation)
    if output_activation is not None:
        which[outputs] = number(output_activation)
    return tuple(names), which

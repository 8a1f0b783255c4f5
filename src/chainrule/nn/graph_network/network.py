"""``GraphNetwork``: a network over any feed-forward graph."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

import numpy as np
from numpy.typing import DTypeLike

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError
from chainrule.foreign_text import quoted
from chainrule.nn.activations import find_activation
from chainrule.nn.graph_network.blocks import Block, Unit, plan_of
from chainrule.nn.graph_network.initial import spread
from chainrule.nn.graph_network.levels import levels_of
from chainrule.nn.graph_network.messages import Messages, pass_messages
from chainrule.nn.graph_network.reading import Edge, EdgeList, Edges, listed, read_edges
from chainrule.nn.initialisers import Initialiser
from chainrule.nn.layers import bias_parameter, need_features
from chainrule.nn.module import Module, Parameter, Seed, seed_key
from chainrule.ops.edges import edge_sum
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, TensorLike, tensor

#: edges that share a weight, by name or in a list
Groups = Mapping[str, Iterable[Edge]] | Iterable[Iterable[Edge]]

#: name of the constant neuron, whose outgoing weights are the biases under bias="constant" (row A20)
CONSTANT = "v_0"


class GraphNetwork(Module):
    """A network over any directed acyclic graph: N_(V,E),sigma with weights on E and biases on V.

    ``edges`` are (from, to) pairs, a mapping {(from, to): weight}, a networkx.DiGraph (edge attributes ``weight`` are
    used if present), a scipy.sparse adjacency matrix (entry [i, j] is the weight of the edge from i to j) or an
    integer array [edges, 2]. Neurons are names or numbers; they exist through their edges, which may skip levels.
    ``x`` is [batch, inputs] in the order of ``inputs``; the result is [batch, outputs].

    Every neuron that is not an input computes sigma(sum of w v + b). ``activation`` is one name for all of them, or
    a mapping {neuron: name}; ``output_activation`` overrides it for the outputs. ``bias`` is True (a vector),
    False, or "constant", which makes b_i the weight of an edge from a neuron ``"v_0"`` that is always 1: the same
    numbers, but stored as weights. ``tied`` lists groups of edges that share one weight, as a mapping {name: edges}
    or a list of lists of edges.

    ``weight`` [edges] is in the order of ``net.edges``: the order given, then the edges of the constant neuron.
    With ``tied`` it has one entry per group, and ``weight_index`` maps edges to entries. ``bias`` [neurons that are
    not inputs] is in the order of ``net.neurons``: inputs, then level by level. The initialiser of a weight depends
    on the activation of the neuron it enters, as in ``nn.MLP``, with the fan in and fan out of the edge's ends;
    ``weight_initialiser`` overrides it. Weights given with the edges are the initial values; restarts draw new
    ones. The dtype is float32 unless ``dtype`` is given. The cost is proportional to (neurons + edges) * batch.

    Raises SettingError for cycles (shown as a path), self loops, repeated edges, unknown neurons, inputs with
    incoming edges, and neurons or outputs that no input reaches.

    >>> from chainrule import nn
    >>> net = nn.GraphNetwork(
    ...     [("x1", "h"), ("x2", "h"), ("h", "o"), ("x1", "o")],  # the last one skips a level
    ...     inputs=["x1", "x2"], outputs=["o"], activation={"h": "tanh", "o": "identity"}, seed=0,
    ... )
    >>> net
    GraphNetwork(2 inputs, 1 output, 4 neurons, 4 edges, 3 levels)
    >>> net([[1.0, -1.0]]).shape
    (1, 1)

    Lectures: A1, A4, A20, A28.
    """

    def __init__(
        self,
        edges: Edges,
        inputs: Iterable[Hashable],
        outputs: Iterable[Hashable],
        activation: str | Mapping[Hashable, str] = "logistic",
        bias: bool | str = True,
        dtype: DTypeLike | None = None,
        *,
        output_activation: str | None = None,
        tied: Groups = (),
        weight_initialiser: str | Initialiser | None = None,
        bias_initialiser: str | Initialiser = "zeros",
        seed: Seed = None,
    ) -> None:
        if not (isinstance(bias, bool) or bias == "constant"):
            raise SettingError("GraphNetwork: bias", expected='True, False or "constant"', got=quoted(bias))
        found = read_edges(edges)
        ins, outs = found.where(inputs, "inputs"), found.where(outputs, "outputs")
        given = len(found.source)
        if not (len(ins) and len(outs)):
            raise SettingError("GraphNetwork needs at least one input and one output")
        if bias == "constant":
            found = _with_constant(found, ins)
        fed = ins if bias != "constant" else np.append(ins, len(found.labels) - 1)
        level = levels_of(found, fed, outs)
        names, which = _activations(found, activation, output_activation, outs, level)
        self._labels, self._source, self._target = found.labels, found.source, found.target
        self.plan = plan_of(found, level, ins, which, names)
        self._set_positions(level, outs, len(ins), bias)
        self.weight_index = self._tie(tied)
        self._weight_order = self._computed_order()
        key = seed_key(seed)
        dtype = np.float32 if dtype is None else dtype
        self.weight = self._drawn_weight(weight_initialiser, names, which, given, (*key, 0), dtype)
        self.bias = bias_parameter(len(level) - self._inputs, bias is True, bias_initialiser, key, dtype)
        if found.weights is not None:
            self._take_weights(found.weights)

    def _set_positions(self, level: Array, outputs: Array, inputs: int, bias: bool | str) -> None:
        """Note where inputs, outputs and the constant neuron are in the order of computation."""
        self._inputs = inputs
        #: index of the constant neuron in ``neurons``; -1 if there is none
        self.constant = inputs if bias == "constant" else -1
        place = np.empty(len(level), np.int64)
        place[self.plan.neurons] = np.arange(len(level))
        self._outputs = place[outputs]
        self._levels = int(level.max()) + 1
        self._names: list[Hashable] | None = None
        self._pairs: list[Edge] | None = None

    # Its structure

    @property
    def neurons(self) -> list[Hashable]:
        """All neurons in the order of computation: inputs, "v_0" if there is one, then level by level."""
        if self._names is None:
            self._names = self._labels[self.plan.neurons].tolist()
        return self._names

    @property
    def edges(self) -> list[Edge]:
        """All edges (from, to), in the order of ``weight``."""
        if self._pairs is None:
            lower, upper = (self._labels[ends].tolist() for ends in (self._source, self._target))
            self._pairs = list(zip(lower, upper, strict=True))
        return self._pairs

    @property
    def inputs(self) -> list[Hashable]:
        """The input neurons, in the order of the columns of ``x``."""
        return self._labels[self.plan.neurons[: self._inputs]].tolist()

    @property
    def outputs(self) -> list[Hashable]:
        """The output neurons, in the order of the columns of the result."""
        return self._labels[self.plan.neurons[self._outputs]].tolist()

    def messages(self, x: TensorLike, output: Hashable = None) -> Messages:
        """Run Algorithm 1 at one row ``x`` [inputs]: u, v, S and the message on every edge (Claim 16.2).

        ``output`` is the output neuron to differentiate; it may be omitted if there is only one. See
        :class:`Messages`. Raises SettingError for any other neuron, ShapeError for several rows.

        >>> from chainrule import nn
        >>> net = nn.GraphNetwork({("x", "h"): 2.0, ("h", "o"): 3.0}, ["x"], ["o"], "identity", bias=False)
        >>> found = net.messages([1.0])
        >>> found.v["o"], found.S["h"], found.message["o", "h"], found.gradient["x", "h"]
        (6.0, 3.0, 3.0, 3.0)

        Lectures: A26.
        """
        return pass_messages(self, x, output)

    def describe(self) -> str:
        """The numbers of inputs, outputs, neurons, edges and levels.

        Lectures: A16.
        """
        parts = [(self._inputs, "input"), (len(self._outputs), "output")]
        parts += [(len(self._labels), "neuron"), (len(self._source), "edge"), (self._levels, "level")]
        return ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for count, name in parts)

    def _tie(self, tied: Groups) -> Array | None:
        """The index of each edge's weight, or None if no edges are tied. Weights are numbered by their first edge."""
        groups = tied if isinstance(tied, Mapping) else dict(enumerate(tied))
        if not groups:
            return None
        number = {edge: i for i, edge in enumerate(self.edges)}
        first = np.arange(len(number))
        seen: dict[Edge, object] = {}
        for name, members in groups.items():
            group = [tuple(edge) for edge in members]
            unknown = [edge for edge in group if edge not in number]
            twice = [edge for edge in group if edge in seen]
            if unknown or twice:
                what = "unknown edges" if unknown else "edges that are in another group too"
                raise SettingError(
                    f"GraphNetwork: the tied group {quoted(name)} has {what}: {listed(unknown or twice)}"
                )
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
        dtype: DTypeLike,
    ) -> Parameter:
        """Draw a weight per edge or tied group. Weights of the constant neuron are biases, so they start at 0."""
        count = len(self._source)
        enter = np.bincount(self._target[:own], minlength=len(self._labels))[self._target]
        leave = np.bincount(self._source, minlength=len(self._labels))[self._source]
        kind = which[self._target]
        if own < count:
            enter = np.where(np.arange(count) < own, enter, np.inf)  # makes the variance 0
            leave = np.where(np.arange(count) < own, leave, np.inf)
        if self.weight_index is not None:
            _, first = np.unique(self.weight_index, return_index=True)
            enter, leave, kind, count = enter[first], leave[first], kind[first], len(first)
        by_activation = [find_activation(name).initialiser for name in names]
        initialiser = spread(given, by_activation, kind, enter, leave)
        return Parameter.drawn((count,), initialiser, seed, dtype=dtype)

    def _take_weights(self, weights: Array) -> None:
        """Assign the weights that were given with the edges."""
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
                    f"GraphNetwork: tied edges were given different weights, such as {quoted(edge)}",
                    expected=f"{value[index[apart[0]]]:g}, the weight of the group's first edge",
                    got=f"{weights[apart[0]]:g}",
                )
        self.weight.assign(Tensor.leaf(value))

    # The forward pass

    def forward(self, x: Tensor) -> Tensor:
        """[batch, inputs] -> [batch, outputs]."""
        return self._picked(self.values(x)[1])

    def values(self, x: Tensor) -> tuple[list[Tensor | None], list[Tensor]]:
        """Compute u and v of every unit, each [neurons of the unit, batch]; inputs have no u.

        Lectures: A21.
        """
        if len(x.shape) != 2:
            raise ShapeError(
                f"{self!r}: the input must be a matrix", expected=f"[batch, {self._inputs}]", got=x.shape
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
        """The weight of each edge, in the order of computation."""
        return self.weight if self._weight_order is None else f.take(self.weight, self._weight_order)

    def _computed_order(self) -> Tensor | None:
        """The index of each edge's weight, in the order of computation; None if that is the order of ``weight``."""
        index = self.plan.order if self.weight_index is None else self.weight_index[self.plan.order]
        if self.weight_index is None and (index[1:] > index[:-1]).all():
            return None
        return Tensor.leaf(index.astype(np.int32))

    def _picked(self, v: list[Tensor]) -> Tensor:
        """Gather the outputs, [batch, outputs], from the units' values."""
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
    """Add the constant neuron, with an edge to every neuron that is not an input."""
    if CONSTANT in edges.labels.tolist():
        raise SettingError(
            f"GraphNetwork: the name {CONSTANT!r} is reserved for the constant neuron",
            hint="rename the neuron, or use bias=False if it is your own constant input",
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
    activation: str | Mapping[Hashable, str],
    output_activation: str | None,
    outputs: Array,
    level: Array,
) -> tuple[tuple[str, ...], Array]:
    """Return the names of the activations in use, and the index of each neuron's in them."""
    which = np.full(len(level), -1, np.int64)
    names: dict[str, int] = {}
    if isinstance(activation, Mapping):
        order = edges.where(activation, "activations of neurons")
        if (level[order] == 0).any():
            inputs = edges.labels[order[level[order] == 0]].tolist()
            raise SettingError(f"GraphNetwork: inputs have no activation: {listed(inputs)}")
        which[order] = [_numbered(name, names) for name in activation.values()]
    else:
        which[:] = _numbered(activation, names)
    if output_activation is not None:
        which[outputs] = _numbered(output_activation, names)
    missing = (which < 0) & (level > 0)
    if missing.any():
        raise SettingError(
            f"GraphNetwork: no activation for {listed(edges.labels[missing].tolist())}",
            expected="one name for all neurons, or a mapping with every neuron that is not an input",
        )
    return tuple(names), np.maximum(which, 0)


def _numbered(name: str, names: dict[str, int]) -> int:
    """The number of an activation, in the order in which they first occur."""
    if find_activation(name) is find_activation("softmax"):
        raise SettingError(
            "GraphNetwork: softmax cannot be the activation of a single neuron",
            hint='use "identity" for the outputs, and apply nn.cross_entropy or cr.softmax to them',
        )
    return names.setdefault(name, len(names))

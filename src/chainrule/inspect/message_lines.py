"""Derives a graph network's gradient as messages between neurons: lecture A's Algorithm 1, line by line."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from chainrule.foreign_text import clipped
from chainrule.inspect.derivation import Line, Said, Written
from chainrule.inspect.names import latex_name, symbol_for
from chainrule.inspect.values import number
from chainrule.nn.graph_network import GraphNetwork
from chainrule.nn.graph_network.messages import ForwardPass, Messages, forward_pass, pass_messages
from chainrule.tensor import TensorLike

MOST_LINES = 200  # of one part


@dataclass(frozen=True)
class NetworkDerivation:
    """The lines of the forward and the backward pass, and their numbers."""

    forward: list[Line]
    messages: list[Line]
    gradients: list[Line]
    numbers: Messages


def derive_messages(net: GraphNetwork, x: TensorLike, output: Hashable = None) -> NetworkDerivation:
    """Derive every u and v of the forward pass, every message and S of the backward pass, every weight's derivative."""
    at, found = forward_pass(net, x, output), pass_messages(net, x, output)
    writer = _Writer(net, at, found)
    return NetworkDerivation(_cut(writer.forward()), _cut(writer.messages()), _cut(writer.gradients()), found)


def _cut(lines: Iterable[Line]) -> list[Line]:
    """Keep the first lines, and add a line that says how many more there are."""
    every = list(lines)
    if len(every) <= MOST_LINES:
        return every
    text = f"and {len(every) - MOST_LINES} more"
    return [*every[:MOST_LINES], Line((Said(text, rf"\text{{{text}}}"),))]


class _Writer:
    """Writes lines about neurons, given by their index in the order of computation."""

    def __init__(self, net: GraphNetwork, at: ForwardPass, found: Messages) -> None:
        self.at, self.found = at, found
        self.bias = (
            {} if net.bias is None else dict(zip(at.neurons[at.inputs :], net.bias.numpy(), strict=True))
        )
        self.activation = {}
        for unit in net.plan.units:
            if unit.activation is not None:
                for place in range(unit.start, unit.start + unit.count):
                    self.activation[place] = unit.activation
        self.entering: list[list[int]] = [[] for _ in at.neurons]
        for edge, upper in enumerate(at.upper.tolist()):
            self.entering[upper].append(edge)

    def name(self, place: int, latex: bool) -> str:
        """A neuron's name, which stands for its output."""
        label = clipped(self.at.neurons[place])
        if label.isdigit():
            return f"v_{{{label}}}" if latex else f"v[{label}]"
        symbol = symbol_for(label) if label.isidentifier() else None
        if symbol is None:
            return latex_name(label) if latex else label
        return symbol.latex if latex else symbol.text

    def of(self, what: str, place: int) -> Written:
        """u, S or b of a neuron."""
        return lambda latex: (
            rf"{what}_{{{self.name(place, True)}}}" if latex else f"{what}[{self.name(place, False)}]"
        )

    def weight(self, edge: int) -> Written:
        """The weight of an edge, with indices (to, from) as in the lectures."""
        upper, lower = int(self.at.upper[edge]), int(self.at.lower[edge])
        return lambda latex: (
            rf"w_{{{self.name(upper, True)},{self.name(lower, True)}}}"
            if latex
            else f"w[{self.name(upper, False)}, {self.name(lower, False)}]"
        )

    def slope(self, place: int) -> Written:
        """sigma'(u) of a neuron."""
        kind = self.activation.get(place, "identity")
        sign = {"logistic": ("σ′", r"\sigma'")}.get(kind, (f"{kind}′", rf"\mathrm{{{kind}}}'"))
        return lambda latex: f"{sign[latex]}({self.of('u', place)(latex)})"

    def value(self, place: int) -> Written:
        """sigma(u) of a neuron."""
        kind = self.activation.get(place, "identity")
        sign = {"logistic": ("σ", r"\sigma")}.get(kind, (kind, rf"\mathrm{{{kind}}}"))
        return lambda latex: f"{sign[latex]}({self.of('u', place)(latex)})"

    def forward(self) -> Iterable[Line]:
        at = self.at
        for place in range(len(at.neurons)):
            if place < at.inputs or place == at.constant:
                yield Line((self._named(place),), np.asarray(at.v[place]))
                continue
            edges = self.entering[place]
            terms = [_joined(" ", r" \, ", self.weight(e), self._named(int(at.lower[e]))) for e in edges]
            put_in = [_product(at.weight[e], at.v[at.lower[e]]) for e in edges]
            if at.neurons[place] in self.bias:
                terms.append(self.of("b", place))
                put_in.append(_plain(self.bias[at.neurons[place]]))
            parts = (self.of("u", place), _sum(terms), _sum(put_in))
            yield Line(parts, np.asarray(at.u[place]))
            yield Line((self._named(place), self.value(place)), np.asarray(at.v[place]))

    def _named(self, place: int) -> Written:
        return lambda latex: self.name(place, latex)

    def messages(self) -> Iterable[Line]:
        at = self.at
        above: list[list[int]] = [[] for _ in at.neurons]
        for edge, lower in enumerate(at.lower.tolist()):
            above[lower].append(edge)
        reached = {at.output}
        for place in reversed(range(len(at.neurons))):
            senders = [e for e in above[place] if int(at.upper[e]) in reached]
            if place == at.constant or (place != at.output and not senders):
                continue
            reached.add(place)
            yield self._received(place, senders)
            yield from (self._sent(edge) for edge in self.entering[place] if at.lower[edge] != at.constant)

    def _received(self, place: int, senders: list[int]) -> Line:
        """S of a neuron: the sum of the messages it received; at the output, sigma'(u)."""
        total = np.asarray(self.found.S[self.at.neurons[place]])
        sums = [self.message(e) for e in senders]
        sent = [_plain(self._message_value(e)) for e in senders]
        if place == self.at.output:
            sums.insert(0, self.slope(place))
            sent.insert(0, _plain(self.at.slope[place]))
        parts = [self.of("S", place), _sum(sums)]
        if len(sums) > 1:
            parts.append(_sum(sent))
        return Line(tuple(parts), total)

    def message(self, edge: int) -> Written:
        """The message along an edge, from its upper to its lower end."""
        upper, lower = int(self.at.upper[edge]), int(self.at.lower[edge])
        return lambda latex: (
            rf"m_{{{self.name(upper, True)} \to {self.name(lower, True)}}}"
            if latex
            else f"m[{self.name(upper, False)} → {self.name(lower, False)}]"
        )

    def _message_value(self, edge: int) -> float:
        names = self.at.neurons
        return self.found.message[names[self.at.upper[edge]], names[self.at.lower[edge]]]

    def _sent(self, edge: int) -> Line:
        at = self.at
        upper, lower = int(at.upper[edge]), int(at.lower[edge])
        factors: list[Written] = [self.of("S", upper), self.weight(edge)]
        numbers = [self.found.S[at.neurons[upper]], at.weight[edge]]
        if lower >= at.inputs:
            factors.append(self.slope(lower))
            numbers.append(at.slope[lower])
        parts = (self.message(edge), _joined(" ", r" \, ", *factors), _product(*numbers))
        return Line(parts, np.asarray(self._message_value(edge)))

    def gradients(self) -> Iterable[Line]:
        at = self.at
        for edge in range(len(at.upper)):
            upper, lower = int(at.upper[edge]), int(at.lower[edge])
            parts = (
                self._by(self.weight(edge)),
                _joined(" ", r" \, ", self.of("S", upper), self._named(lower)),
                _product(self.found.S[at.neurons[upper]], at.v[lower]),
            )
            yield Line(parts, np.asarray(self.found.gradient[at.neurons[lower], at.neurons[upper]]))
        for neuron in self.bias:
            place = at.neurons.index(neuron)
            value = (self._by(self.of("b", place)), self.of("S", place))
            yield Line(value, np.asarray(self.found.bias_gradient[neuron]))

    def _by(self, variable: Written) -> Written:
        target = self._named(self.at.output)
        return lambda latex: (
            rf"\frac{{\partial {target(True)}}}{{\partial {variable(True)}}}"
            if latex
            else f"∂{target(False)}/∂{variable(False)}"
        )


def _joined(text: str, latex: str, *parts: Written) -> Written:
    return lambda in_latex: (latex if in_latex else text).join(part(in_latex) for part in parts)


def _plain(value: float) -> Written:
    return lambda latex: number(float(value)).replace("−", "-") if latex else number(float(value))


def _product(*factors: float) -> Written:
    def written(latex: bool) -> str:
        texts = [_plain(x)(latex) for x in factors]
        texts = [texts[0], *(f"({t})" if t.startswith(("-", "−")) else t for t in texts[1:])]
        return (r" \cdot " if latex else " · ").join(texts)

    return written


def _sum(parts: list[Callable[[bool], str]]) -> Written:
    def written(latex: bool) -> str:
        text = " + ".join(part(latex) for part in parts) if parts else "0"
        return text.replace("+ −", "− ").replace("+ -", "- ")

    return written

"""Writes the lines of a derivation: one per quantity, one per partial derivative, one per gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import place_in_short
from chainrule.foreign_text import clipped
from chainrule.graph import Node
from chainrule.inspect.steps import Edge, Step, Steps, adjoint_symbol
from chainrule.ops.notation import (
    Chain,
    Expression,
    Style,
    Symbol,
    Total,
    added,
    as_expression,
    atoms_in,
    bracketed,
    can_index,
    of_atom,
    replaced,
    write,
)
from chainrule.ops.record import Array

#: writes something as text, or as LaTeX if the argument is true
Written = Callable[[bool], str]


@dataclass(frozen=True)
class Said:
    """A piece that is already written, as text and as LaTeX."""

    text: str
    latex: str

    def __call__(self, in_latex: bool) -> str:
        """Return the text, or the LaTeX."""
        return self.latex if in_latex else self.text


@dataclass(frozen=True)
class Line:
    """A chain of equal expressions and their value; ``note`` says where a quantity without a name comes from."""

    parts: tuple[Written, ...]
    value: Array | None = None
    note: str = ""

    def texts(self, latex: bool) -> list[str]:
        """The expressions as written, without repetitions."""
        return list(dict.fromkeys(part(latex) for part in self.parts))

    def __reduce__(self) -> Any:
        """Pickle the texts, since the functions that write them have no names."""
        return Line, (tuple(Said(part(False), part(True)) for part in self.parts), self.value, self.note)


@dataclass(frozen=True)
class Derivation:
    """All lines of a derivation, in reading order."""

    forward: list[Line]
    partials: list[Line]
    backward: list[Line]


def derive(told: Steps) -> Derivation:
    """Derive every value, partial derivative and gradient."""
    target = told.recording.target
    assert target is not None, "explain() has checked that there is one"
    writer = _Writer(told, told.steps[target].symbol)
    forward = [writer.forward(step) for step in told.steps.values()]
    below = [step for step in reversed(told.steps.values()) if step.node in told.edges]
    gradients = [writer.gradient(step) for step in below]
    partials = [
        writer.partial(edge) for step in told.steps.values() for edge in told.edges.get(step.node, ())
    ]
    return Derivation(forward, partials, gradients)


class _Writer:
    """Writes lines, and keeps the gradients that are short enough to be substituted into later formulas."""

    def __init__(self, told: Steps, target: Symbol) -> None:
        self.told, self.target = told, target
        node = told.recording.target
        self.short: dict[Node, Expression] = {} if node is None else {node: as_expression(1)}

    def adjoint(self, node: Node) -> Symbol:
        return adjoint_symbol(self.target, self.told.steps[node].symbol)

    def forward(self, step: Step) -> Line:
        name = of_atom(step.symbol)
        note = ""
        if step.formula is not None and step.node not in self.told.recording.names and step.line:
            note = clipped(place_in_short(step.line))
        parts: list[Written] = [lambda latex: write(name, Style(latex))]
        formula = step.formula
        if formula is not None:
            parts.append(lambda latex: write(formula, Style(latex)))
        return Line(tuple(parts), step.value, note)

    def partial(self, edge: Edge) -> Line:
        upper, lower = self.told.steps[edge.upper].symbol, self.told.steps[edge.lower].symbol
        local = adjoint_symbol(upper, lower)
        if edge.partial is None:
            return self._sent(edge, local)
        style = style_for(lower, [edge.partial])
        formula = edge.partial
        return Line(
            (
                lambda latex: write_partial(local, style(latex)),
                lambda latex: write(formula, style(latex)),
            ),
            _value(edge.partial_value),
        )

    def _sent(self, edge: Edge, local: Symbol) -> Line:
        """The message along an edge whose gradient is not a product with a partial: formula and value."""
        lower = self.told.steps[edge.lower].symbol
        upper = self.told.steps[edge.upper].symbol

        def sent(latex: bool) -> str:
            return rf"{lower.latex} \leftarrow {upper.latex}" if latex else f"{lower.text} ← {upper.text}"

        return Line((sent, lambda latex: write(edge.message, Style(latex))), edge.message_value)

    def gradient(self, step: Step) -> Line:
        """A gradient as a sum over the readers: chain rule, factors substituted, simplified, value."""
        edges = self.told.edges[step.node]
        lhs = self.adjoint(step.node)
        whole = added(self._put_in(edge) for edge in edges)
        partials = [edge.partial for edge in edges]
        indexable = [whole, *(p for p in partials if p is not None)] if None not in partials else None
        style = style_for(step.symbol, indexable)
        self._remember(step.node, whole)
        parts: list[Written] = [lambda latex: write_partial(lhs, style(latex))]
        direct = len(edges) == 1 and edges[0].upper is self.told.recording.target
        if not direct:
            parts.append(lambda latex: _sum([self._chain(edge, style(latex)) for edge in edges]))
            if None not in partials:
                parts.append(lambda latex: _sum([self._factors(edge, style(latex)) for edge in edges]))
        parts.append(lambda latex: write(whole, style(latex)))
        return Line(tuple(parts), _value(step.gradient) if style(False).index else step.gradient)

    def _put_in(self, edge: Edge) -> Expression:
        """The message, with the formula of the upper gradient substituted if it is short."""
        known = self.short.get(edge.upper)
        adjoint = self.adjoint(edge.upper)
        if known is None:
            return edge.message
        if edge.partial is not None:
            return known * edge.partial
        return replaced(edge.message, adjoint, known)

    def _remember(self, node: Node, whole: Expression) -> None:
        atoms = list(atoms_in(whole))
        simple = not any(
            isinstance(atom, Chain | Total) or "∂" in getattr(atom, "text", "") for atom in atoms
        )
        if len(whole.terms) <= 1 and len(atoms) <= 4 and simple:
            self.short[node] = whole

    def _chain(self, edge: Edge, style: Style) -> str:
        """∂J/∂y · ∂y/∂x, or the message where it is not a product."""
        if edge.partial is None:
            return write(edge.message, style)
        upper, lower = self.told.steps[edge.upper].symbol, self.told.steps[edge.lower].symbol
        local = write_partial(adjoint_symbol(upper, lower), style)
        if edge.upper is self.told.recording.target:
            return write(edge.partial, style)
        above = write_partial(self.adjoint(edge.upper), style)
        return rf"{above} \, {local}" if style.latex else f"{above} · {local}"

    def _factors(self, edge: Edge, style: Style) -> str:
        """(−2r)(1): the upper gradient and the partial derivative, substituted."""
        assert edge.partial is not None
        if edge.upper is self.told.recording.target:
            return write(edge.partial, style)
        above = self.short.get(edge.upper, of_atom(self.adjoint(edge.upper)))
        return in_brackets(above, style, first=True) + in_brackets(edge.partial, style)


def in_brackets(x: Expression, style: Style, first: bool = False) -> str:
    """A factor in brackets, except for a plain symbol that is not the first factor."""
    text = write(x, style)
    plain = isinstance(x.atom, Symbol) and not first
    space = " " if plain and not style.latex else ""
    return f"{space}{text}" if plain else bracketed(text, style)


def _sum(parts: list[str]) -> str:
    return " + ".join(parts).replace("+ −", "− ").replace("+ -", "- ")


def style_for(of: Symbol, expressions: list[Expression] | None) -> Callable[[bool], Style]:
    """The style of a line: by elements, such as w_j, if all of its expressions allow that."""
    length = of.shape[0] if len(of.shape) == 1 else 0
    by_element = length > 1 and expressions is not None and all(can_index(x, length) for x in expressions)
    return lambda latex: Style(latex, "j" if by_element else "", length if by_element else 0)


def write_partial(symbol: Symbol, style: Style) -> str:
    """∂J/∂w_j if written by elements, else ∂J/∂w."""
    return write(of_atom(symbol), style)


def _value(value: Array | None) -> Array | None:
    """One number for an array whose elements are all equal, else the array."""
    if value is not None and value.size > 1 and math.prod(value.shape) and np.all(value == value.flat[0]):
        return np.asarray(value.flat[0])
    return value

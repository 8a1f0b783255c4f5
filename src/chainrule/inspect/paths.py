"""The chain rule path by path: the product of partial derivatives along each path, and their sum.

Lectures: E23.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chainrule.data.describe import list_some
from chainrule.errors import SettingError, caller_line
from chainrule.foreign_text import clipped
from chainrule.graph import Node
from chainrule.inspect.components import Jacobians
from chainrule.inspect.derivation import Line, Written, in_brackets, style_for
from chainrule.inspect.names import latex_name
from chainrule.inspect.steps import Edge, Step, Steps
from chainrule.inspect.values import number
from chainrule.ops.notation import Style, as_expression, write
from chainrule.ops.record import Array


@dataclass(frozen=True)
class PathSum:
    """The paths from one quantity to the target: a line for each, and their number."""

    title: str
    lines: list[Line]
    count: int
    #: the contribution of each path listed, in order
    contributions: list[Array]


def path_sum(told: Steps, name: str, limit: int) -> PathSum:
    """Write out the paths from the quantity of that name; a name such as ``w[1]`` follows a single element."""
    step = told.find(name)
    match = re.fullmatch(r"(.+)\[([\d, ]+)\]", name, re.DOTALL) if step is None else None
    if match is not None:
        step = told.find(match[1])
    if step is None or step.node not in told.edges:
        known = [told.steps[node].symbol.text for node in told.steps if node in told.edges]
        raise SettingError(
            f"no path leads from {clipped(name)} to the target",
            expected=f"one of {list_some(known, limit=20)}",
            got=clipped(name),
            where=caller_line(),
        )
    if match is None:
        return _by_quantities(told, step, limit)
    index = tuple(int(part) for part in match[2].split(","))
    if len(index) != len(step.value.shape) or any(
        i >= n for i, n in zip(index, step.value.shape, strict=True)
    ):
        raise SettingError(
            f"{clipped(name)} is not an element", expected=f"an index into {step.value.shape}", got=index
        )
    return _by_elements(told, step, int(np.ravel_multi_index(index, step.value.shape)), limit)


def paths_from(told: Steps, node: Node) -> Iterator[list[Edge]]:
    """Iterate over the paths from a quantity to the target, each as a list of edges."""
    stack: list[tuple[Node, list[Edge]]] = [(node, [])]
    while stack:
        at, path = stack.pop()
        if at is told.recording.target:
            yield path
        for edge in reversed(told.edges.get(at, [])):
            stack.append((edge.upper, [*path, edge]))


def count_paths(told: Steps, start: Node) -> int:
    """Count the paths from a quantity to the target, without following each."""
    counts: dict[Node, int] = {}
    for node in reversed(told.steps):
        above = sum(counts[edge.upper] for edge in told.edges.get(node, ()))
        counts[node] = 1 if node is told.recording.target else above
    return counts[start]


def _by_quantities(told: Steps, step: Step, limit: int) -> PathSum:
    count = count_paths(told, step.node)
    lines, contributions = [], []
    for path, _ in zip(paths_from(told, step.node), range(limit), strict=False):
        value = along(told, path)
        contributions.append(value)
        lines.append(_path_line(told, step, path, value))
    if count <= limit:
        lines.append(Line((lambda latex: r"\text{sum}" if latex else "sum",), step.gradient))
    else:
        lines.append(_rest(count, limit, len(told.edges)))
    return PathSum(_title(step.symbol.text, count), lines, count, contributions)


def _title(name: str, count: int) -> str:
    return f"{'The only path' if count == 1 else f'The {count} paths'} from {name}"


def _rest(count: int, shown: int, edges: int) -> Line:
    text = f"and {count - shown} more; the backward pass adds all of them up along {edges} quantities"
    return Line((lambda latex: rf"\text{{{text}}}" if latex else text,))


def along(told: Steps, path: list[Edge]) -> Array:
    """The contribution of one path to the gradient: the seed passed down its edges."""
    target = told.recording.target
    assert target is not None
    sent: Array = np.ones(target.shape, target.dtype)
    for edge in reversed(path):
        sent = edge.send(sent)
    return sent


def _path_line(told: Steps, step: Step, path: list[Edge], value: Array) -> Line:
    stations = [step.symbol, *(told.steps[edge.upper].symbol for edge in path)]

    def route(latex: bool) -> str:
        arrow = r" \to " if latex else " → "
        return arrow.join(s.latex if latex else s.text for s in stations)

    partials = [edge.partial for edge in path if edge.partial is not None]
    parts: list[Written] = [route]
    if len(partials) == len(path):
        whole = as_expression(1)
        for partial in reversed(partials):
            whole = whole * partial
        style = style_for(step.symbol, [whole, *partials])

        def factors(latex: bool) -> str:
            chosen: Style = style(latex)
            return "".join(in_brackets(p, chosen, first=True) for p in reversed(partials))

        parts += [factors, lambda latex: write(whole, style(latex))]
    return Line(tuple(parts), value)


# By single elements


def _by_elements(told: Steps, step: Step, element: int, limit: int) -> PathSum:
    jacobians = Jacobians(told)
    count = jacobians.count_paths(step.node, element)
    lines, contributions = [], []
    for route, _ in zip(jacobians.paths(step.node, element), range(limit), strict=False):
        product = 1.0
        for _, _, partial in route:
            product *= partial
        contributions.append(np.asarray(product))
        lines.append(_element_line(told, step, element, route))
    name = _element_name(step, element)
    if count <= limit:
        whole = np.asarray(step.gradient).reshape(-1)[element] if step.gradient is not None else None
        lines.append(Line((lambda latex: r"\text{sum}" if latex else "sum",), np.asarray(whole)))
    else:
        lines.append(_rest(count, limit, len(told.edges)))
    return PathSum(_title(name, count), lines, count, contributions)


def _element_name(step: Step, element: int) -> str:
    shape = step.value.shape
    if step.value.size == 1:
        return step.symbol.text
    return f"{step.symbol.text}[{', '.join(str(int(i)) for i in np.unravel_index(element, shape))}]"


def _element_line(told: Steps, step: Step, element: int, route: list[tuple[Node, int, float]]) -> Line:
    names = [_element_name(step, element), *(_element_name(told.steps[n], i) for n, i, _ in route)]
    product = 1.0
    for _, _, partial in route:
        product *= partial

    def written(latex: bool) -> str:
        return r" \to ".join(latex_name(n) for n in names) if latex else " → ".join(names)

    def factors(latex: bool) -> str:
        return "".join(f"({number(partial)})" for _, _, partial in reversed(route))

    return Line((written, factors), np.asarray(product))

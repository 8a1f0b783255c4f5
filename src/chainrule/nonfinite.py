"""The first number of a computation that is not finite: which node made it, of what, and on which line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from chainrule.errors import NonFiniteError, describe_line
from chainrule.graph import Node, topological
from chainrule.interpret import value_of
from chainrule.number_text import significant
from chainrule.ops.record import Array, is_float
from chainrule.ops.source import constant, leaf

#: what a computation does about a number that is not finite
NonFinite = Literal["raise", "warn", "ignore"]
_GENERAL = "a smaller learning rate, clip_norm=1.0, standardised inputs, or float64"


@dataclass(frozen=True)
class BadNumber:
    """A node whose value is not finite although all its inputs are; ``index`` is its first bad element."""

    node: Node
    value: Array
    inputs: tuple[Array, ...]
    name: str = ""  # of a leaf
    behind: str = ""  # the parameter read last on the way to it

    @property
    def index(self) -> tuple[int, ...]:
        """Where the first bad element is."""
        return tuple(int(i) for i in np.argwhere(~np.isfinite(self.value))[0])

    def rows(self) -> Array:
        """Along the first axis, where there are bad elements."""
        bad = ~np.isfinite(self.value)
        return np.flatnonzero(bad.any(axis=tuple(range(1, bad.ndim)))) if bad.ndim else np.zeros(0, np.int64)

    def what(self) -> str:
        """In half a sentence."""
        if self.node.op in (leaf, constant):
            return f"{self.name or 'an input'} holds {self.value[self.index]}"
        return f"{self.node.op.name} gave {self.value[self.index]}"

    def details(self) -> list[str]:
        """Where in the value, and the ranges of the inputs."""
        bad = int(np.count_nonzero(~np.isfinite(self.value)))
        at = f" at [{', '.join(map(str, self.index))}]" if self.index else ""
        first = f", first{at}" if at and bad > 1 else at
        many = f" in {bad} of {self.value.size} elements" if self.value.size > 1 else ""
        lines = [f"{self.value[self.index]}{many} of {_form(self.value)}{first}"]
        lines += [self._input(i) for i in range(len(self.inputs))]
        if self.behind:
            lines.append(f"behind {self.behind}, the parameter read last before it")
        return lines

    def _input(self, number: int) -> str:
        """One input: where it came from, its range, and the element that belongs to the bad one."""
        node, value = self.node.inputs[number], self.inputs[number]
        which = f"input {number + 1} of {len(self.inputs)}" if len(self.inputs) > 1 else "its input"
        source = "" if node.op in (leaf, constant) else f" from {node.op.name}"
        if value.size == 0:
            return f"{which}: {_form(value)}{source}, empty"
        there = (
            f", {_number(value[self.index])} there" if value.shape == self.value.shape and value.ndim else ""
        )
        span = (
            f"from {_number(value.min())} to {_number(value.max())}"
            if value.size > 1
            else _number(value.flat[0])
        )
        return f"{which}: {_form(value)}{source}, {span}{there}"

    def hint(self) -> str:
        """One thing to try."""
        return self.node.op.hint or _GENERAL

    def error(self) -> NonFiniteError:
        """The error that says all this."""
        return NonFiniteError(
            f"{self.what()}, the first number that is not finite",
            expected="finite numbers",
            got="\n".join(self.details()),
            where=describe_line(self.node.line),
            hint=self.hint(),
        )


def first_bad_number(
    ends: Sequence[Node],
    given: Mapping[Node, Array],
    names: Mapping[Node, str] | None = None,
    data: Sequence[Node] = (),
) -> BadNumber | None:
    """Where the non-finite values in the ``ends`` come from: of all such nodes the first; None if all is well.

    ``given`` are values of leaves; a leaf that is not among them has its own. ``names`` says what leaves are
    called, and ``data`` which of them are no parameters. Values that are not finite but reach no end, such as those
    that ``where`` masks, do not count.
    """
    order = topological(ends)
    values: dict[Node, Array] = {}
    with np.errstate(all="ignore"):
        for node in order:
            value = given.get(node, node.value)
            values[node] = value_of(node, [values[x] for x in node.inputs]) if value is None else value
    bad = {node for node in order if is_float(node.dtype) and not np.isfinite(values[node]).all()}
    reached, waiting = set(), [node for node in ends if node in bad]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting.extend(x for x in node.inputs if x in bad)
    for node in order:
        if node in reached and not any(x in bad for x in node.inputs):
            names = names or {}
            read = [x for x in topological([node]) if x in names and x is not node and x not in data]
            inputs = tuple(values[x] for x in node.inputs)
            name = names.get(node, node.params.get("name", ""))
            return BadNumber(node, values[node], inputs, name, names[read[-1]] if read else "")
    return None


def _form(value: Array) -> str:
    return f"{value.dtype}[{', '.join(map(str, value.shape))}]"


def _number(value: object) -> str:
    return significant(float(value)) if isinstance(value, float | np.floating) else str(value)

"""``cr.explain``: the derivation of every number of a forward and a backward pass."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.errors import GradientError, SettingError, describe_line, user_line
from chainrule.graph import describe_form
from chainrule.inspect import values
from chainrule.inspect.derivation import Line, derive
from chainrule.inspect.message_lines import derive_messages
from chainrule.inspect.names import variables_of_caller
from chainrule.inspect.paths import PathSum, path_sum
from chainrule.inspect.recording import record_tensor
from chainrule.inspect.steps import Step, Steps, steps_of
from chainrule.nn.graph_network import GraphNetwork
from chainrule.nn.graph_network.messages import Messages
from chainrule.ops.record import is_float
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class Explanation:
    """A derivation: ``str()`` gives plain text, ``markdown()`` LaTeX, ``html()`` a fragment of a page.

    ``explanation["w"]`` is the step of that name: its ``value`` and ``gradient`` are arrays. ``paths`` are those
    that were asked for. Of a network, ``messages`` are the numbers (see ``GraphNetwork.messages``).

    >>> import chainrule as cr
    >>> w, x = cr.tensor(0.5, requires_grad=True), cr.tensor(2.0)
    >>> loss = (3.0 - w * x) ** 2
    >>> found = cr.explain(loss)
    >>> float(found["w"].gradient)
    -8.0
    """

    sections: tuple[tuple[str, list[Line]], ...]
    steps: Steps | None = None
    paths: tuple[PathSum, ...] = ()
    messages: Messages | None = None

    def __getitem__(self, name: str) -> Step:
        step = None if self.steps is None else self.steps.find(name)
        if step is None:
            known = [] if self.steps is None else [s.symbol.text for s in self.steps.steps.values()]
            raise SettingError(
                f"nothing in this derivation is called {name}", expected=", ".join(known), got=name
            )
        return step

    def __str__(self) -> str:
        blocks = []
        for title, lines in self.sections:
            rows = [f"  {_line_text(line)}" for line in lines]
            blocks.append("\n".join([title, *rows]))
        return "\n\n".join(blocks)

    def markdown(self) -> str:
        """Markdown with a LaTeX formula a line."""
        blocks = []
        for title, lines in self.sections:
            rows = [rf"{_aligned(line)}" for line in lines]
            body = " \\\\\n".join(rows)
            blocks.append(f"**{title}**\n\n$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$")
        return "\n\n".join(blocks)

    def html(self) -> str:
        """A table for each part, for a page of one's own; it needs no script and no style sheet."""
        blocks = []
        for title, lines in self.sections:
            rows = "".join(_row(line) for line in lines)
            blocks.append(f"<h3>{html.escape(title)}</h3><table>{rows}</table>")
        return f'<div class="chainrule-explanation">{"".join(blocks)}</div>'

    def _repr_markdown_(self) -> str:
        return self.markdown()


def explain(
    loss: Tensor | GraphNetwork,
    x: Any = None,
    *,
    paths: str | Sequence[str] = (),
    names: Mapping[str, Any] | None = None,
    output: Any = None,
    limit: int = 20,
) -> Explanation:
    """The derivation of a scalar and of its gradients, as a person would write it (row E24, E25, A22-A27).

    Forward: every quantity's formula and value. Partials: every local derivative as formula and value; where
    a gradient is not a product with it (matrix products), what is sent down instead. Backward: for every
    quantity that leads to something that requires a gradient, the sum over what it enters.

    Quantities are called as the caller's local variables are; what has no name is written inside the formula
    that needs it, or is v1, v2 ... where that would be long. ``names`` ({"w": w}) adds names or replaces
    them. ``paths`` names one or several quantities whose gradient is also told path by path, the first
    ``limit`` of them: "w" along quantities, "w[1]" along the single elements.

    A GraphNetwork and one row ``x`` [inputs] are told as lecture A does: u and v of every neuron, the message
    on every edge, S, and the derivative of ``output`` (a neuron, if there are several) by every weight.

    Raises GradientError for what is not a float scalar, or depends on nothing that requires a gradient.

    >>> import chainrule as cr
    >>> w, x = cr.tensor(0.5, requires_grad=True), cr.tensor(2.0)
    >>> r = 3.0 - w * x
    >>> loss = r ** 2
    >>> print(cr.explain(loss))
    Forward
      w = 0.5
      x = 2
      r = 3 − w x = 2
      loss = r² = 4
    <BLANKLINE>
    Partials
      ∂r/∂w = −x = −2
      ∂loss/∂r = 2r = 4
    <BLANKLINE>
    Backward
      ∂loss/∂r = 2r = 4
      ∂loss/∂w = ∂loss/∂r · ∂r/∂w = (2r)(−x) = −2r x = −8
    """
    if isinstance(loss, GraphNetwork):
        told_net = derive_messages(loss, x, output)
        parts = (
            ("Forward", told_net.forward),
            ("Messages", told_net.messages),
            ("Weights", told_net.gradients),
        )
        return Explanation(parts, messages=told_net.numbers)
    if not isinstance(loss, Tensor) or loss.shape != () or not is_float(loss.dtype):
        raise GradientError(
            "a derivation ends in one number",
            expected="a scalar float tensor, such as a loss",
            got=describe_form(loss.node) if isinstance(loss, Tensor) else type(loss).__name__,
            where=describe_line(user_line()),
            hint="take one element (y[0]), or sum first",
        )
    if not loss.requires_grad:
        raise GradientError(
            "nothing that this tensor depends on requires a gradient",
            where=describe_line(user_line()),
            hint="make a leaf with cr.tensor(..., requires_grad=True)",
        )
    recording = record_tensor(loss, names, variables_of_caller())
    told = steps_of(recording)
    wanted = (paths,) if isinstance(paths, str) else tuple(paths)
    found = tuple(path_sum(told, name, limit) for name in wanted)
    d = derive(told)
    sections = (("Forward", d.forward), ("Partials", d.partials), ("Backward", d.backward))
    return Explanation((*sections, *((path.title, path.lines) for path in found)), told, found)


def _line_text(line: Line) -> str:
    parts = line.texts(latex=False)
    value = "" if line.value is None else values.array(line.value)
    if value and value != parts[-1]:
        parts.append(value)
    note = f"   # {line.note}" if line.note else ""
    return " = ".join(parts) + note


def _aligned(line: Line) -> str:
    first, *rest = line.texts(latex=True)
    value = "" if line.value is None else values.array(line.value).replace(values.MINUS, "-")
    if value and (not rest or value != rest[-1]):
        rest.append(_latex_value(value))
    return f"{first} &= {' = '.join(rest)}" if rest else first


def _latex_value(text: str) -> str:
    power = re.sub(r"(?<=\d)e(-?\d+)", r" \\cdot 10^{\1}", text)
    return re.sub(r"(from|to|all|not finite|empty|nan|inf)", r"\\text{ \1 }", power)


def _row(line: Line) -> str:
    first, *rest = line.texts(latex=False)
    value = "" if line.value is None else values.array(line.value)
    if value and (not rest or value != rest[-1]):
        rest.append(value)
    cells = "".join(
        f"<td>{'= ' if i else ''}{_subscripts(part)}</td>" for i, part in enumerate([first, *rest])
    )
    note = f"<td><small>{html.escape(line.note)}</small></td>" if line.note else ""
    return f"<tr>{cells}{note}</tr>"


def _subscripts(text: str) -> str:
    return re.sub(r"_([a-z])\b", r"<sub>\1</sub>", html.escape(text))

"""``cr.explain``: derives every number of a forward and a backward pass."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from chainrule.data.describe import list_some
from chainrule.errors import GradientError, SettingError, caller_line
from chainrule.foreign_text import clipped
from chainrule.graph import describe_form
from chainrule.inspect import values
from chainrule.inspect.derivation import Line, derive
from chainrule.inspect.message_lines import derive_messages
from chainrule.inspect.names import Named, variables_of_caller
from chainrule.inspect.paths import PathSum, path_sum
from chainrule.inspect.recording import record_tensor
from chainrule.inspect.steps import Step, Steps, steps_of
from chainrule.markup import Markup, element, escape, table
from chainrule.nn.graph_network import GraphNetwork
from chainrule.nn.graph_network.messages import Messages
from chainrule.number_text import MINUS
from chainrule.ops.record import is_float
from chainrule.tensor import Tensor, TensorLike


@dataclass(frozen=True)
class Explanation:
    """A derivation: ``str()`` gives plain text, ``markdown()`` LaTeX, ``html()`` a fragment of a page.

    ``explanation["w"]`` is the step of that name, with the arrays ``value`` and ``gradient``. ``paths`` holds the
    paths that were asked for. For a graph network, ``messages`` holds the numbers; see ``GraphNetwork.messages``.

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
                f"no quantity of this derivation has the name {clipped(name)}",
                expected=list_some(known, limit=20),
                got=clipped(name),
            )
        return step

    def __repr__(self) -> str:
        parts = [f"{clipped(title)} {len(lines)}" for title, lines in self.sections]
        return f"<explanation of so many lines: {list_some(parts)}>"

    def __str__(self) -> str:
        blocks = []
        for title, lines in self.sections:
            rows = [f"  {_line_text(line)}" for line in lines]
            blocks.append("\n".join([title, *rows]))
        return "\n\n".join(blocks)

    def markdown(self) -> str:
        """The derivation as Markdown, with a LaTeX formula per line."""
        blocks = []
        for title, lines in self.sections:
            rows = [rf"{_aligned(line)}" for line in lines]
            body = " \\\\\n".join(rows)
            blocks.append(
                f"**{_markdown_text(title)}**\n\n$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$"
            )
        return "\n\n".join(blocks)

    def html(self) -> str:
        """The derivation as HTML: a table for each part, without scripts or a style sheet."""
        blocks: list[Markup] = []
        for title, lines in self.sections:
            blocks += [element("h3", title), table([], [_row(line) for line in lines])]
        return element("div", *blocks, class_="chainrule-explanation")

    def _repr_markdown_(self) -> str:
        return self.markdown()


def explain(
    loss: Tensor | GraphNetwork,
    x: TensorLike | None = None,
    *,
    paths: str | Sequence[str] = (),
    names: Mapping[str, Named] | None = None,
    output: Hashable = None,
    limit: int = 20,
) -> Explanation:
    """Derive a scalar and its gradients step by step, as one would by hand.

    The part "Forward" has the formula and value of every quantity, "Partials" every local derivative as formula and
    value (for matrix products, the message that is sent down instead), and "Backward" the gradient of every quantity
    on the way to something that requires a gradient, as a sum over its readers.

    Quantities are named after the caller's local variables; ``names`` ({"w": w}) adds or replaces names. What has no
    name is written inside the formula that uses it, or becomes v1, v2 ... if that would be long. ``paths`` names
    quantities whose gradient is also written as a sum over paths, up to ``limit`` of them: "w" follows whole
    quantities, "w[1]" single elements.

    A GraphNetwork with one row ``x`` [inputs] is derived as in lecture A: u and v of every neuron, the message on
    every edge, S, and the derivative of ``output`` (the output neuron, if there are several) by every weight.

    Raises GradientError unless ``loss`` is a float scalar that depends on something that requires a gradient,
    SettingError for unknown names.

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

    Lectures: E24, E25, A22 to A27.
    """
    if isinstance(loss, GraphNetwork):
        if x is None:
            raise SettingError(
                "explain: a network is explained for one input row",
                expected="cr.explain(net, x)",
                where=caller_line(),
            )
        told_net = derive_messages(loss, x, output)
        parts = (
            ("Forward", told_net.forward),
            ("Messages", told_net.messages),
            ("Weights", told_net.gradients),
        )
        return Explanation(parts, messages=told_net.numbers)
    if not isinstance(loss, Tensor) or loss.shape != () or not is_float(loss.dtype):
        raise GradientError(
            "explain needs a scalar",
            expected="a scalar float tensor, such as a loss",
            got=describe_form(loss.node) if isinstance(loss, Tensor) else type(loss).__name__,
            where=caller_line(),
            hint="take one element (y[0]), or sum first",
        )
    if not loss.requires_grad:
        raise GradientError(
            "nothing that this tensor depends on requires a gradient",
            where=caller_line(),
            hint="make a leaf with cr.tensor(..., requires_grad=True)",
        )
    recording = record_tensor(loss, names, variables_of_caller())
    told = steps_of(recording)
    wanted = (paths,) if isinstance(paths, str) else tuple(paths)
    found = tuple(path_sum(told, name, limit) for name in wanted)
    d = derive(told)
    sections = (("Forward", d.forward), ("Partials", d.partials), ("Backward", d.backward))
    return Explanation((*sections, *((path.title, path.lines) for path in found)), told, found)


def _markdown_text(text: str) -> str:
    """Escape a text so that Markdown finds no markup in it."""
    return "".join(c if c.isalnum() or c in " .,()/" else f"&#{ord(c)};" for c in text)


def _line_text(line: Line) -> str:
    parts = line.texts(latex=False)
    value = "" if line.value is None else values.array(line.value)
    if value and value != parts[-1]:
        parts.append(value)
    note = f"   # {line.note}" if line.note else ""
    return " = ".join(parts) + note


def _aligned(line: Line) -> str:
    first, *rest = line.texts(latex=True)
    value = "" if line.value is None else values.array(line.value).replace(MINUS, "-")
    if value and (not rest or value != rest[-1]):
        rest.append(_latex_value(value))
    return f"{first} &= {' = '.join(rest)}" if rest else first


def _latex_value(text: str) -> str:
    power = re.sub(r"(?<=\d)e(-?\d+)", r" \\cdot 10^{\1}", text)
    return re.sub(r"(from|to|all|not finite|empty|nan|inf)", r"\\text{ \1 }", power)


def _row(line: Line) -> list[Markup]:
    """The cells of a line's row in an HTML table."""
    first, *rest = line.texts(latex=False)
    value = "" if line.value is None else values.array(line.value)
    if value and (not rest or value != rest[-1]):
        rest.append(value)
    cells = [element("td", _subscripts(first)), *(element("td", "= ", _subscripts(part)) for part in rest)]
    note = [element("td", element("small", line.note))] if line.note else []
    return [*cells, *note]


def _subscripts(text: str) -> Markup:
    return Markup(re.sub(r"_([ijk])\b", r"<sub>\1</sub>", escape(text)))

"""Summarises a network: the output shape, parameters and multiply-adds of each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from chainrule.foreign_text import clipped
from chainrule.graph import Node, new_leaf, topological
from chainrule.nn.inputs import row_form
from chainrule.nn.modes import at_inference
from chainrule.notebook import html_table
from chainrule.number_text import readable
from chainrule.ops.contract import matmul
from chainrule.ops.edges import EDGES, products
from chainrule.ops.elementwise import multiply
from chainrule.ops.record import Shape
from chainrule.ops.source import leaf
from chainrule.tensor import Tensor, TensorLike, no_grad
from chainrule.trace import tracing

if TYPE_CHECKING:
    from chainrule.nn.module import Module

ROWS = 2  # of the traced example: a layer may treat a single row as a special case


#: for each module, the input and the output of each call
Calls: TypeAlias = "dict[Module, list[tuple[Node, Node]]]"


@dataclass(frozen=True)
class LayerSummary:
    """One module of a summary: its dotted name (empty for the model itself), class, output shape and costs.

    ``output`` is [batch, ...], where the first length is that of the example. ``parameters`` counts parameters not
    listed further up; ``multiply_adds`` are per row, over all calls. Both include the modules inside.
    """

    name: str
    kind: str
    output: Shape
    parameters: int
    multiply_adds: int

    @property
    def shape(self) -> str:
        """The output's shape as text, such as [batch, 3]."""
        return f"[{', '.join(['batch', *map(str, self.output[1:])])}]" if self.output else "[]"


@dataclass(frozen=True)
class Summary:
    """A network's layers and totals; prints as a table.

    Shared parameters count once. ``multiply_adds`` are per row at inference: those of matrix products, and of
    products with a parameter.

    >>> from chainrule import nn
    >>> nn.MLP([2, 3, 1]).summary()
    layer       output      parameters  multiply-adds
      0 Linear  [batch, 3]           9              6
      1 ReLU    [batch, 3]           0              0
      2 Linear  [batch, 1]           4              3
    in all                          13              9
    """

    layers: tuple[LayerSummary, ...]
    parameters: int
    multiply_adds: int

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        for layer in self.layers:
            name = f"{clipped(layer.name.rpartition('.')[2])} {clipped(layer.kind)}".strip()
            label = "  " * min(layer.name.count(".") + bool(layer.name), DEEPEST) + name
            yield label, layer.shape, readable(layer.parameters), readable(layer.multiply_adds)
        yield "in all", "", readable(self.parameters), readable(self.multiply_adds)

    def __repr__(self) -> str:
        table = [TITLES, *self._rows()]
        widths = [max(len(row[i]) for row in table) for i in range(len(TITLES))]
        return "\n".join(
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip()
            for a, b, c, d in table
        )

    def _repr_html_(self) -> str:
        return html_table(TITLES, list(self._rows()), texts=2)


DEEPEST = 20  # levels of nesting that are indented
TITLES = ("layer", "output", "parameters", "multiply-adds")


def summary(model: Module, example: TensorLike | None = None) -> Summary:
    """Describe a network layer by layer, without running it.

    ``example`` [rows, ...] is needed only if the first layer does not fix the shape of the input. Raises ShapeError
    for an example that the network does not accept, SettingError where one is needed and missing.

    >>> from chainrule import nn
    >>> nn.summary(nn.MLP([4, 8, 3]))
    layer       output      parameters  multiply-adds
      0 Linear  [batch, 8]          40             32
      1 ReLU    [batch, 8]           0              0
      2 Linear  [batch, 3]          27             24
    in all                          67             56
    """
    form = row_form(model, example)
    calls: Calls = {}
    with at_inference(model), no_grad(), tracing(), _recorded(model, calls):
        given = new_leaf((ROWS, *form.shape), form.dtype, "x")
        output = model.forward(Tensor(None, given))
    total = sum(p.size for p in model.parameters())
    return Summary(tuple(_layers(model, calls)), total, _multiply_adds([output.node], [given]) // ROWS)


def _layers(model: Module, calls: Calls) -> Iterator[LayerSummary]:
    """One row per name of a module; the model itself only if it has no modules inside."""
    owned: set[int] = set()
    named = list(model.named_modules())
    for name, module in named[1:] or named:
        new = [p for p in module.parameters() if id(p) not in owned]
        if len(list(module.named_modules())) == 1:
            owned |= {id(p) for p in new}
        own = calls.get(module, [])
        names = [other for other, found in named if found is module]
        if len(names) == len(own):  # called once under each of its names
            own = [own[names.index(name)]]
        shape = own[-1][1].shape if own else ()
        cost = sum(_multiply_adds([after], [before]) for before, after in own)
        yield LayerSummary(name, type(module).__name__, shape, sum(p.size for p in new), cost // ROWS)


@contextmanager
def _recorded(model: Module, calls: Calls) -> Iterator[None]:
    """Record the input and output of every ``forward`` call inside the block."""
    modules = list(dict.fromkeys(module for _, module in model.named_modules()))

    def recorder(module: Module, forward: Callable[..., object]) -> Callable[..., object]:
        def call(x: object, *more: object) -> object:
            result = forward(x, *more)
            if isinstance(x, Tensor) and isinstance(result, Tensor):
                calls.setdefault(module, []).append((x.node, result.node))
            return result

        return call

    for module in modules:
        vars(module)["forward"] = recorder(module, module.forward)
    try:
        yield
    finally:
        for module in modules:
            del vars(module)["forward"]


def _multiply_adds(outputs: list[Node], inputs: list[Node]) -> int:
    """Count the multiply-adds on the way from the inputs to the outputs."""
    known = set(inputs)
    order = topological(outputs, stop=lambda node: node in known)
    fixed: set[Node] = set()  # depends on parameters alone, so it is computed once for all rows
    count = 0
    for node in order:
        if node in known:
            continue
        if node.op is leaf or all(x in fixed for x in node.inputs):
            fixed.add(node)
        elif node.op is matmul:
            count += math.prod(node.shape) * node.inputs[0].shape[-1]
        elif node.op in EDGES:
            count += products(node)
        elif node.op is multiply and any(_of_parameters(x, fixed) for x in node.inputs):
            count += math.prod(node.shape)
    return count


def _of_parameters(node: Node, fixed: set[Node]) -> bool:
    """Whether a node depends on parameters and not on the input (constants alone do not count)."""
    return node in fixed and any(x.op is leaf for x in topological([node]))

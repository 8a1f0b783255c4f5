"""What a network consists of: for each layer its output's shape, its parameters and its multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chainrule.graph import Node, new_leaf, topological
from chainrule.nn.inputs import row_form
from chainrule.nn.module import Module, at_inference
from chainrule.notebook import html_table
from chainrule.ops.contract import matmul
from chainrule.ops.edges import EDGES, products
from chainrule.ops.elementwise import multiply
from chainrule.ops.record import Shape
from chainrule.ops.source import leaf
from chainrule.tensor import Tensor, no_grad
from chainrule.trace import tracing

ROWS = 2  # a layer may treat a single row as a special case


#: of each module, what each call took and gave
Calls = dict[Module, list[tuple[Node, Node]]]


@dataclass(frozen=True)
class LayerSummary:
    """One module: its dotted name (the model's own is empty), class, output's shape and costs.

    ``output`` is [batch, ...], with the number of rows in the example as the first length. ``parameters`` counts
    what no module above it in the summary has; ``multiply_adds`` are for one row, all calls together. A module with
    others in it includes them in both.
    """

    name: str
    kind: str
    output: Shape
    parameters: int
    multiply_adds: int

    @property
    def shape(self) -> str:
        """The output's shape as text."""
        return f"[{', '.join(['batch', *map(str, self.output[1:])])}]" if self.output else "[]"


@dataclass(frozen=True)
class Summary:
    """The layers of a network and its totals, shared parameters counted once; prints as a table.

    ``multiply_adds`` are for one row at inference: those of matrix products, and products with a parameter.

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
            name = f"{layer.name.rpartition('.')[2]} {layer.kind}".strip()
            label = "  " * (layer.name.count(".") + bool(layer.name)) + name
            yield label, layer.shape, f"{layer.parameters:,}", f"{layer.multiply_adds:,}"
        yield "in all", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"

    def __repr__(self) -> str:
        table = [TITLES, *self._rows()]
        widths = [max(len(row[i]) for row in table) for i in range(len(TITLES))]
        return "\n".join(
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip()
            for a, b, c, d in table
        )

    def _repr_html_(self) -> str:
        return html_table(TITLES, list(self._rows()), texts=2)


TITLES = ("layer", "output", "parameters", "multiply-adds")


def summary(model: Module, example: Any = None) -> Summary:
    """Describe a network, layer by layer, without running it.

    ``example`` [rows, ...] shows what the input looks like, where the first layer does not say so. Raises ShapeError
    for one that does not fit, SettingError where it is needed.

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
    """A row for each name that a module has; the model itself only where it has no modules in it."""
    owned: set[int] = set()
    named = list(model.named_modules())
    for name, module in named[1:] or named:
        new = [p for p in module.parameters() if id(p) not in owned]
        if len(list(module.named_modules())) == 1:
            owned |= {id(p) for p in new}
        own = calls.get(module, [])
        names = [other for other, found in named if found is module]
        if len(names) == len(own):  # one call under each of its names
            own = [own[names.index(name)]]
        shape = own[-1][1].shape if own else ()
        cost = sum(_multiply_adds([after], [before]) for before, after in own)
        yield LayerSummary(name, type(module).__name__, shape, sum(p.size for p in new), cost // ROWS)


@contextmanager
def _recorded(model: Module, calls: Calls) -> Iterator[None]:
    """While this lasts, every module notes what its ``forward`` takes and gives."""
    modules = list(dict.fromkeys(module for _, module in model.named_modules()))

    def recorder(module: Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Any, *more: Any) -> Any:
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
    """Products that the outputs take, from the inputs on."""
    known = set(inputs)
    order = topological(outputs, stop=lambda node: node in known)
    fixed: set[Node] = set()  # what depends on parameters alone is the same for every row
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
    """Whether a node is made of leaves (not of constants alone) that do not depend on the input."""
    return node in fixed and any(x.op is leaf for x in topological([node]))

"""``cr.draw``: computation graphs and networks as pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

from chainrule.errors import SettingError, caller_line
from chainrule.files import write_atomically
from chainrule.foreign_text import clipped, quoted
from chainrule.inspect.cards import paint
from chainrule.inspect.component_view import scene_of_components
from chainrule.inspect.groups import Label, board_of_groups, label_by_line, label_by_step
from chainrule.inspect.kernel_view import board_of_kernels
from chainrule.inspect.module_view import labels_of, record_module, watched
from chainrule.inspect.names import Named, variables_of_caller
from chainrule.inspect.network_view import scene_of_network
from chainrule.inspect.networks import is_network, net_of_module
from chainrule.inspect.node_view import board_of_nodes, title_of
from chainrule.inspect.recording import Recording, record_call, record_tensor, variables_of
from chainrule.inspect.scene import Scene
from chainrule.inspect.scene_svg import write_svg
from chainrule.inspect.steps import steps_of
from chainrule.nn.module import Module
from chainrule.tensor import Tensor, TensorLike
from chainrule.training.step import Loss

#: a tensor, a module, or a function; the latter may have been compiled
Drawable = Tensor | Module | Callable[..., object]

FEW_GROUPS = 4  # with fewer, a long graph is grouped by its quantities instead
MOST_NODES = 400  # up to which the partial derivative of every edge is computed


@dataclass(frozen=True)
class Drawing:
    """A drawing. Notebooks show it; ``save`` writes it to a file.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> cr.draw(nn.MLP([2, 3, 1], seed=0)).svg[:4]
    '<svg'
    """

    scene: Scene

    @cached_property
    def svg(self) -> str:
        """The drawing as the text of an SVG file, which adapts to light and dark pages."""
        return write_svg(self.scene)

    def save(self, path: str | PathLike[str]) -> None:
        """Write an .svg, .png or .pdf file; the latter two need matplotlib (``chainrule[plot]``).

        Raises SettingError for another ending or without matplotlib, FileWriteError if the file cannot be written.
        """
        kind = Path(path).suffix.lower()
        if kind == ".svg":
            write_atomically(path, self.svg.encode())
        elif kind in (".png", ".pdf"):
            from chainrule.inspect.scene_figure import figure_bytes

            write_atomically(path, figure_bytes(self.scene, kind[1:]))
        else:
            raise SettingError(
                "a drawing can be saved as SVG, PNG or PDF only",
                expected="a file name that ends in .svg, .png or .pdf",
                got=str(path),
                where=caller_line(),
            )

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.svg}</div>'

    def __repr__(self) -> str:
        return f"<drawing: {self.scene.title}, {self.scene.width:.0f} x {self.scene.height:.0f}>"


VIEWS = ("auto", "nodes", "components", "network", "groups", "kernels")


def draw(
    thing: Drawable,
    *args: TensorLike,
    view: str = "auto",
    path: str | Sequence[str] | None = None,
    names: Mapping[str, Named] | None = None,
    loss: Loss | None = None,
    gradient: TensorLike | None = None,
    row: int = 0,
    direction: str = "auto",
    limit: int = 40,
) -> Drawing:
    """Draw a computation graph or a network, with the value and the gradient of every node.

    ``thing`` is a tensor (its history is drawn), a function with example arguments, a module with or without an
    input, or a function compiled by ``cr.compile`` with arguments. Functions are only traced, so nothing of the
    user's changes, even if the function is a training step. ``view`` is one of

    - "nodes": a card for each quantity with its formula, and the partial derivatives on the edges;
    - "components": a row for each element of each quantity (lecture E's second view);
    - "network": neurons and weights, for a GraphNetwork or a network of Linear layers. The middle of wide layers is
      omitted. Given an input, it shows u, v and the derivative by u for row ``row``;
    - "groups": a card for each submodule or line of code;
    - "kernels": the loops of the compiled program, and what is fused into each;
    - "auto": "network" or "kernels" where they apply, else "nodes", or "groups" for more than ``limit`` cards.

    ``path`` highlights the paths from a quantity ("w") to the target, or through several (["w", "J"]). Quantities
    are named after the caller's local variables; ``names`` ({"w": w}) adds names. Gradients are those of the first
    output, summed over its elements unless ``gradient`` is its cotangent; for a module, ``loss`` is applied to the
    output and the second argument. ``direction`` is "right", "down" or "auto". Raises SettingError for a view that
    does not apply, TracingError for functions that ask for a value.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> cr.draw(loss)
    <drawing: Computation graph of loss, ... x ...>

    Lectures: E20, E24, A21.
    """
    if view not in VIEWS or direction not in ("auto", "right", "down"):
        raise SettingError(
            "draw: unknown view or direction",
            expected=f"a view of {', '.join(VIEWS)}; a direction of auto, right, down",
            got=(view, direction),
        )
    if isinstance(thing, Module) and (view == "network" or (view == "auto" and is_network(thing))):
        if not is_network(thing):
            raise _no_view("network", "a GraphNetwork, or a sequence of Linear layers and activations")
        return Drawing(scene_of_network(net_of_module(thing, args, loss, row, gradient)))
    compiled = getattr(thing, "compiled", False) is True
    if view == "kernels" or (compiled and view == "auto"):
        if not callable(thing):
            raise _no_view("kernels", "a function and its arguments")
        f = getattr(thing, "__wrapped__", thing) if compiled else thing
        return Drawing(paint(board_of_kernels(f, args, limit, variables_of_caller()), direction))
    recording, label = _recorded(thing, args, names, loss, gradient, everything=view == "components")
    if view == "components":
        return Drawing(scene_of_components(steps_of(recording), path))
    told = steps_of(recording, partials=len(recording.order) <= MOST_NODES)
    if view == "nodes" or (view == "auto" and len(told.steps) <= limit):
        return Drawing(paint(board_of_nodes(told, path), direction))
    title = f"{title_of(told)}, in groups"
    board = board_of_groups(recording, label, title, limit)
    if view == "auto" and len(board.cards) < FEW_GROUPS:
        board = board_of_groups(recording, label_by_step(told), title, limit)
    return Drawing(paint(board, direction))


def _recorded(
    thing: Drawable,
    args: tuple[TensorLike, ...],
    names: Mapping[str, Named] | None,
    loss: Loss | None,
    gradient: TensorLike | None,
    everything: bool,
) -> tuple[Recording, Label]:
    """Record the graph with its values, and choose what its nodes are grouped by."""
    if isinstance(thing, Tensor):
        found = record_tensor(thing, names, variables_of_caller(), gradient, everything=everything)
        return found, label_by_line(found)
    if isinstance(thing, Module):
        if not args:
            raise SettingError(
                "this module can only be drawn as a graph, which needs an input",
                expected="cr.draw(model, x)",
                where=caller_line(),
            )
        with watched(thing) as calls:
            recording = record_module(thing, args, loss, gradient, everything=everything)
        labels = labels_of(calls)
        rest = "loss" if loss is not None else clipped(type(thing).__name__)
        return recording, lambda node: labels.get(node, rest)
    if callable(thing):
        given = {} if names is None else {v.live(): k for k, v in names.items() if isinstance(v, Tensor)}
        f = getattr(thing, "__wrapped__", thing)
        variables = {**variables_of(f), **variables_of_caller()}
        with ExitStack() as stack:
            models = {id(m): (name, m) for name, m in variables.items() if isinstance(m, Module)}
            watched_calls = [stack.enter_context(watched(m, f"{name}.")) for name, m in models.values()]
            recording = record_call(f, args, given, gradient, variables=variables, everything=everything)
        labels = {node: text for calls in watched_calls for node, text in labels_of(calls).items()}
        by_line = label_by_line(recording)
        return recording, lambda node: labels.get(node) or by_line(node)
    raise SettingError(
        "draw: this cannot be drawn",
        expected="a tensor, a function with its arguments, a module, or a compiled function",
        got=type(thing).__name__,
        where=caller_line(),
    )


def _no_view(view: str, needs: str) -> SettingError:
    return SettingError(
        f"draw: the view {quoted(view)} does not apply",
        expected=needs,
        where=caller_line(),
        hint='use view="nodes"',
    )

"""``cr.draw``: computation graphs and networks as pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from chainrule.errors import SettingError, describe_line, user_line
from chainrule.files import write_atomically
from chainrule.inspect.cards import paint
from chainrule.inspect.component_view import scene_of_components
from chainrule.inspect.groups import Label, board_of_groups, label_by_line, label_by_step
from chainrule.inspect.kernel_view import board_of_kernels
from chainrule.inspect.module_view import labels_of, record_module, watched
from chainrule.inspect.names import variables_of_caller
from chainrule.inspect.network_view import scene_of_network
from chainrule.inspect.networks import is_network, net_of_module
from chainrule.inspect.node_view import board_of_nodes, title_of
from chainrule.inspect.recording import Recording, record_call, record_tensor, variables_of
from chainrule.inspect.scene import Scene
from chainrule.inspect.scene_svg import write_svg
from chainrule.inspect.steps import steps_of
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

FEW_GROUPS = 4  # below which a long graph is told by its quantities instead
MOST_NODES = 400  # up to which partial derivatives are worked out for every edge


@dataclass(frozen=True)
class Drawing:
    """A picture: shown by notebooks as it is, written to a file by ``save``.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> cr.draw(nn.MLP([2, 3, 1], seed=0)).svg[:4]
    '<svg'
    """

    scene: Scene

    @cached_property
    def svg(self) -> str:
        """The picture as the text of an SVG file; it adapts to light and dark pages."""
        return write_svg(self.scene)

    def save(self, path: str | PathLike[str]) -> None:
        """Write an .svg, .png or .pdf file; the latter two need matplotlib (``chainrule[plot]``)."""
        kind = Path(path).suffix.lower()
        if kind == ".svg":
            write_atomically(path, self.svg.encode())
        elif kind in (".png", ".pdf"):
            from chainrule.inspect.scene_figure import figure_bytes

            write_atomically(path, figure_bytes(self.scene, kind[1:]))
        else:
            raise SettingError(
                "a drawing is written as SVG, PNG or PDF",
                expected="a name that ends in .svg, .png or .pdf",
                got=str(path),
                where=describe_line(user_line()),
            )

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.svg}</div>'

    def __repr__(self) -> str:
        return f"<drawing: {self.scene.title}, {self.scene.width:.0f} x {self.scene.height:.0f}>"


VIEWS = ("auto", "nodes", "components", "network", "groups", "kernels")


def draw(
    thing: Any,
    *args: Any,
    view: str = "auto",
    path: str | Sequence[str] | None = None,
    names: Mapping[str, Any] | None = None,
    loss: Callable[..., Any] | None = None,
    gradient: Any = None,
    row: int = 0,
    direction: str = "auto",
    limit: int = 40,
) -> Drawing:
    """A picture of a computation, with the value of every node and the gradient at it (row E20, E24, A21).

    ``thing`` is a tensor (its history), a function with example arguments (it is only traced: nothing of the
    user's changes, a training step included), a module, with or without an input, or what ``cr.compile``
    returned with arguments. ``view`` is one of

    - "nodes": a card for each quantity with its formula, and the partial derivatives on the edges,
    - "components": a row for each element of each quantity (lecture E's second view),
    - "network": neurons and weights, where a module is a GraphNetwork or made of Linear layers; wide layers
      are elided. Shown are u, v and the derivative by u for row ``row`` of the input,
    - "groups": a card for each submodule or line of code: what "auto" takes for more than ``limit`` cards,
    - "kernels": what the compiler fuses into one loop each.

    ``path`` highlights the paths from a quantity ("w") to the target, or through several (["w", "J"]). Names
    are those of the caller's local variables, and ``names``. Gradients are those of the first output, of the
    sum of its elements unless ``gradient`` is its cotangent; with a module, ``loss`` takes its output and the
    second argument. ``direction`` is "right", "down" or "auto". Raises SettingError for a view that the thing
    does not have, and TracingError for functions that ask for a value.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> cr.draw(loss)
    <drawing: Computation graph of loss, ... x ...>
    """
    if view not in VIEWS or direction not in ("auto", "right", "down"):
        raise SettingError(
            "draw: no such view or direction", expected=", ".join(VIEWS), got=(view, direction)
        )
    if isinstance(thing, Module) and (view == "network" or (view == "auto" and is_network(thing))):
        if not is_network(thing):
            raise _no_view("network", "a GraphNetwork, or Linear layers and activations in a row")
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
    thing: Any,
    args: tuple[Any, ...],
    names: Mapping[str, Any] | None,
    loss: Callable[..., Any] | None,
    gradient: Any,
    everything: bool,
) -> tuple[Recording, Label]:
    """The graph with its values, and what its nodes are grouped by."""
    if isinstance(thing, Tensor):
        found = record_tensor(thing, names, variables_of_caller(), gradient, everything=everything)
        return found, label_by_line(found)
    if isinstance(thing, Module):
        if not args:
            raise SettingError(
                "this module is drawn as a graph, for which it needs an input",
                expected="cr.draw(model, x)",
                where=describe_line(user_line()),
            )
        with watched(thing) as calls:
            recording = record_module(thing, args, loss, gradient, everything=everything)
        labels = labels_of(calls)
        rest = "loss" if loss is not None else type(thing).__name__
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
        "this is nothing that can be drawn",
        expected="a tensor, a function with its arguments, a module, or a compiled function",
        got=type(thing).__name__,
        where=describe_line(user_line()),
    )


def _no_view(view: str, needs: str) -> SettingError:
    return SettingError(
        f"this has no view {view!r}",
        expected=needs,
        where=describe_line(user_line()),
        hint='use view="nodes"',
    )

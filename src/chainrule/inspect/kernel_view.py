"""Draws a compiled program: its kernels in order, what is fused into each, and the values passed between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chainrule.compiler.kernels import Kernel, Plan, root_of
from chainrule.foreign_text import clipped
from chainrule.graph import Node
from chainrule.inspect.cards import Arrow, Board, Card
from chainrule.inspect.names import symbol_for
from chainrule.inspect.recording import Recording, record_call
from chainrule.inspect.scene import shortened
from chainrule.inspect.values import shape_text
from chainrule.ops.record import Reduction
from chainrule.ops.source import constant, leaf


def board_of_kernels(
    f: Callable[..., object], args: tuple[object, ...], limit: int, variables: Mapping[str, object]
) -> Board:
    """Make a card for each kernel of the program for these arguments. No tensor of the user's changes."""
    from chainrule.compiler.pipeline import planned
    from chainrule.compiler.program import unusual_strides

    recording = record_call(f, args, variables=variables)
    updates = [(before, after) for after, before in recording.updates.items()]
    for node in recording.order:  # the compiler plans from the graph alone
        if node.inputs:
            node.value = None
    nodes = [*recording.outputs, *(after for _, after in updates)]
    inputs = {node for node in recording.order if node.op is leaf and node.params["name"] == "argument"}
    strides = unusual_strides([*nodes, *(before for before, _ in updates)], inputs)
    plan = planned(recording.outputs, updates, strides)
    return _board(plan, recording, getattr(f, "__name__", "a function"), limit)


def _board(plan: Plan, recording: Recording, name: str, limit: int) -> Board:
    kernels = plan.kernels
    board = Board(f"Kernels of {clipped(name)}")
    hidden = range(0)
    if len(kernels) > limit:
        hidden = range(limit // 2, len(kernels) - (limit - limit // 2 - 1))
    home: dict[Node, int] = {}
    arrows: dict[tuple[int, int], list[str]] = {}
    leaves: dict[Node, int] = {}
    numbers = _leaf_cards(board, kernels, recording, leaves)
    place: dict[int, int] = {}
    for i, kernel in enumerate(kernels):
        if i in hidden and i != hidden.start:
            place[i] = place[hidden.start]
        else:
            place[i] = len(board.cards)
            board.cards.append(_card(i, kernel, plan) if i not in hidden else _more(len(hidden)))
        for node in kernel.reads():
            source = root_of(node)
            start = numbers.get(source) if source.op is leaf else home.get(source)
            if start is not None and start != place[i]:
                arrows.setdefault((start, place[i]), []).append(
                    f"{source.op.name} {shape_text(source.shape)}"
                )
        for node in kernel.stored:
            home[node] = place[i]
    for (u, v), read in arrows.items():
        board.arrows.append(Arrow(u, v, title="\n".join(read)))
    fused = sum(len(kernel.nodes) for kernel in kernels)
    board.caption = f"{fused} operations in {len(kernels)} kernels"
    return board


def _leaf_cards(
    board: Board, kernels: list[Kernel], recording: Recording, numbers: dict[Node, int]
) -> dict[Node, int]:
    """Make a card for each input and parameter that kernels read; one card for all parameters if there are many."""
    read = dict.fromkeys(root_of(x) for kernel in kernels for x in kernel.reads())
    leaves = [node for node in read if node.op is leaf]
    named = [node for node in leaves if recording.names.get(node)]
    others = [node for node in leaves if node not in named]
    shown = leaves if len(leaves) <= 12 else named
    for node in shown:
        numbers[node] = len(board.cards)
        kind = "parameter" if node.owner is not None else "data"
        name = recording.names.get(node)
        title = symbol_for(name).text if name else "parameter" if node.owner is not None else "state"
        lines = ((title, "name"), (f"{node.dtype} {shape_text(node.shape)}", "muted"))
        board.cards.append(Card(lines, kind))
    if len(shown) < len(leaves):
        numbers |= dict.fromkeys(others, len(board.cards))
        text = f"{sum(node.value.size for node in others if node.value is not None)} numbers"
        board.cards.append(
            Card(((f"{len(others)} parameters and states", "name"), (text, "muted")), "parameter")
        )
    return numbers


def _card(i: int, kernel: Kernel, plan: Plan) -> Card:
    """A card with the kernel's number and loop, its root, what is fused into it, and what it stores."""
    space = shape_text(kernel.space) if kernel.space else "one number"
    lines = [(f"kernel {i} over {space}", "name")]
    if kernel.root is not None:
        kind = "reduction" if isinstance(kernel.root.op.lowering, Reduction) else "loop"
        lines.append(
            (f"{kernel.root.op.name} ({kind})" if kernel.root.op.name != "matmul" else "matmul", "value")
        )
    if kernel.inside:
        lines.append((f"inside: {_counted(kernel.inside)}", "plain"))
    if kernel.body:
        lines.append((f"{'then: ' if kernel.root else ''}{_counted(kernel.body)}", "plain"))
    stored = ", ".join(shape_text(node.shape) if node.shape else "a number" for node in kernel.stored)
    lines.append((f"stores {shortened(stored, 32)}", "muted"))
    outputs = {root_of(node) for node in plan.outputs}
    role = "target" if any(node in outputs for node in kernel.stored) else "group"
    listed = "\n".join(f"{node.op.name} {shape_text(node.shape)}" for node in kernel.nodes)
    return Card(tuple(lines), role, listed)


def _more(count: int) -> Card:
    return Card(((f"⋯ {count} more kernels", "name"),), "more")


def _counted(nodes: list[Node]) -> str:
    """The names of operations, with their counts."""
    counts: dict[str, int] = {}
    for node in nodes:
        if node.op is not constant:
            counts[node.op.name] = counts.get(node.op.name, 0) + 1
    text = ", ".join(name if n == 1 else f"{n} {name}" for name, n in counts.items())
    return shortened(text, 44)

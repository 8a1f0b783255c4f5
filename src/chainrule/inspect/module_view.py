"""Records a module's graph and which submodule made each node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chainrule.graph import Node, topological
from chainrule.inspect.names import parameter_names
from chainrule.inspect.recording import Recording, record_call
from chainrule.nn.module import Module
from chainrule.tensor import Tensor, TensorLike
from chainrule.training.step import Loss


def record_module(
    model: Module,
    args: tuple[object, ...],
    loss: Loss | None = None,
    gradient: TensorLike | None = None,
    *,
    everything: bool = False,
) -> Recording:
    """Record a model's output for an input; with ``loss`` and a target, the loss of that output."""
    names = parameter_names(model)
    if loss is None:
        return record_call(model, args, names, gradient, everything=everything)

    def with_loss(x: Tensor, target: Tensor) -> Tensor:
        return loss(model(x), target)

    return record_call(with_loss, args, names, gradient, everything=everything)


@contextmanager
def watched(model: Module, prefix: str = "") -> Iterator[list[tuple[str, Node | None, Node]]]:
    """Record every call of a submodule inside the block: its name, its input's node and its output's node."""
    calls: list[tuple[str, Node | None, Node]] = []
    named = [(part, name) for name, part in model.named_modules() if name]
    parts = [
        (name, part) for part, name in dict(reversed(named)).items()
    ]  # a shared module once, by its first name
    for name, part in parts:
        vars(part)["forward"] = _noting(part.forward, f"{prefix}{name}: {type(part).__name__}", calls)
    try:
        yield calls
    finally:
        for _, part in parts:
            del vars(part)["forward"]


def _noting(
    forward: Callable[..., object], name: str, calls: list[tuple[str, Node | None, Node]]
) -> Callable[..., object]:
    def call(*args: object, **kwargs: object) -> object:
        result = forward(*args, **kwargs)
        if isinstance(result, Tensor):
            given = args[0].node if args and isinstance(args[0], Tensor) else None
            calls.append((name, given, result.node))
        return result

    return call


def labels_of(calls: list[tuple[str, Node | None, Node]]) -> dict[Node, str]:
    """For each node, the innermost submodule that made it."""
    labels: dict[Node, str] = {}
    for name, given, result in calls:  # inner calls end before those around them
        inside = topological([result], stop=_same_as(given))
        for node in inside:
            if node is not given and node.inputs:
                labels.setdefault(node, name)
    return labels


def _same_as(given: Node | None) -> Callable[[Node], bool]:
    return lambda node: node is given

"""What a network's outputs are, as its loss shows: logits, of which averages mean little, or predictions."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import copy_context

from chainrule.graph import Node, new_leaf, topological
from chainrule.nn.modes import at_inference
from chainrule.ops import elementwise as e
from chainrule.ops import movement as m
from chainrule.ops.record import Form
from chainrule.ops.reduce import logsumexp
from chainrule.tensor import Tensor
from chainrule.trace import tracing
from chainrule.training.ensemble import OutputKind
from chainrule.training.step import Objective

_SAME_NUMBERS = (m.reshape, m.expand, m.squeeze, m.cast, m.identity)


def output_kind(objective: Objective, forms: Sequence[Form]) -> OutputKind:
    """What the outputs are for the loss of a minibatch of these forms (x, y).

    They are "class logits" if the loss takes the logsumexp of them over the last axis, as ``nn.cross_entropy`` does,
    and "logits" if it takes softplus(z) and softplus(-z) of them, as ``nn.binary_cross_entropy`` does: so also for a
    loss that calls these, or is written out by hand. Otherwise, as where a loss first divides them by a temperature,
    they are "numbers".
    """
    try:
        return copy_context().run(_found, objective, forms)
    except Exception:  # whatever is wrong with model or loss, training says it better
        return "numbers"


def _found(objective: Objective, forms: Sequence[Form]) -> OutputKind:
    with at_inference(objective.model), tracing():
        x, y = (Tensor(None, new_leaf(*form, name)) for form, name in zip(forms, "xy", strict=True))
        prediction = objective.model(x)
        loss = objective.loss(prediction, y)
    return _kind_of(prediction.node, loss.node)


def _kind_of(prediction: Node, loss: Node) -> OutputKind:
    """What a prediction is, by what is computed from it on the way to the loss."""
    same, opposite = {prediction}, set()
    sides = set()
    for node in topological([loss]):
        first = node.inputs[0] if node.inputs else None
        if node.op in _SAME_NUMBERS and first in same:
            same.add(node)
        elif node.op is e.subtract and first in same and node.inputs[1].shape[-1:] == (1,) != node.shape[-1:]:
            same.add(node)  # less a number for the whole row, as log_softmax does
        elif node.op is e.negative and first in same:
            opposite.add(node)
        elif node.op is e.softplus and (first in same or first in opposite):
            sides.add(first in same)
        elif node.op is logsumexp and first in same and _takes_classes(node, prediction):
            return "class logits"
    return "logits" if len(sides) == 2 else "numbers"


def _takes_classes(node: Node, prediction: Node) -> bool:
    """Whether a reduction is over the last axis, which is that of the prediction."""
    shape = node.inputs[0].shape
    return node.params["axis"] == (len(shape) - 1,) and shape[-1] == prediction.shape[-1]

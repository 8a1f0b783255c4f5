"""One training step as one graph: forward, loss, penalty, backward, clipping and update, joined by tracing.

The step is what a user would write by hand; running it eagerly gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from chainrule.errors import SettingError
from chainrule.graph import Node, describe_form, new_leaf
from chainrule.guarded import Graph, check_closed
from chainrule.nn.module import Module, Parameter, at_inference
from chainrule.nn.normalisation import BatchNorm1d
from chainrule.ops.record import Form
from chainrule.optim.clipping import clip_norm as clip_gradients
from chainrule.optim.clipping import gradient_norm
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor
from chainrule.trace import Trace, tracing

Loss = Callable[[Tensor, Tensor], Tensor]
Penalty = Callable[[Module], Tensor]
Update = Literal["joint", "two-step"]


@dataclass(frozen=True)
class Objective:
    """What training makes small: a model's loss, and a penalty that is not part of the reported losses."""

    model: Module
    loss: Loss
    penalty: Penalty | None = None
    at_inference: tuple[Module, ...] = ()  # those of the model's parts that stay there while it trains

    @classmethod
    def of(cls, model: Module, loss: Loss, penalty: Penalty | None = None) -> Objective:
        """The objective of a model as it is given: in one that is in training, some parts may be at inference."""
        parts = [module for _, module in model.named_modules() if model.training and not module.training]
        return cls(model, loss, penalty, tuple(parts))

    def train(self) -> None:
        """Switch the model to training, but for the parts that stay at inference."""
        self.model.train()
        for part in self.at_inference:
            part.training = False

    def traced(self, forms: Sequence[Form]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inside a trace: x and y of these forms, the loss, and the loss with the penalty."""
        x, y = (Tensor(None, new_leaf(*form, name)) for form, name in zip(forms, "xy", strict=True))
        return x, y, *self.at(x, y)

    def at(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a minibatch, and the loss with the penalty."""
        value = self.loss(self.model(x), y)
        return value, value if self.penalty is None else value + self.penalty(self.model)


@dataclass(frozen=True)
class Step:
    """A traced computation: what goes in, what comes out, and which tensors it updates in place."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Tensor, Node, Node], ...] = ()
    trace: Trace = field(default_factory=Trace)  # what else is known of how it was made

    @property
    def graph(self) -> Graph:
        """What it computes, without what that is for."""
        ends = (*self.outputs, *(after for _, _, after in self.updates))
        return Graph(self.inputs, ends, trace=self.trace)

    def checked(self) -> Step:
        """The step itself; TracingError where it is none that can run on its own."""
        check_closed(self.inputs, self.graph.ends, self.updates)
        return self


def training_step(
    objective: Objective,
    optimizer: Optimizer,
    clip_norm: float | None,
    forms: Sequence[Form],
    update: Update = "joint",
) -> Step:
    """The step for a minibatch of these forms (x, y); its outputs are the loss and the gradient's norm.

    With ``update="two-step"`` the scales and shifts of batch normalisation are updated first, and everything
    else by gradients taken at their new values (row B25). The loss is the one before either.
    """
    model = objective.model
    objective.train()
    model.zero_grad()
    with tracing() as trace:
        x, y, loss, penalised = objective.traced(forms)
        norm = _backward(penalised, model, clip_norm)
        _check_all_known(trace, model)
        if update == "two-step":
            scales = normalisation_parameters(model)
            _update_only(scales, model, optimizer, trace)
            norm = _backward(objective.at(x, y)[1], model, clip_norm)
            for p in scales:
                p.grad = None
        optimizer.step()
    return Step((x.node, y.node), (loss.node, norm.node), tuple(trace.updates), trace).checked()


def _backward(loss: Tensor, model: Module, clip_norm: float | None) -> Tensor:
    """Leave gradients in the parameters, clipped where that is wanted; gives their norm."""
    loss.backward()
    parameters = model.parameters()
    return gradient_norm(parameters) if clip_norm is None else clip_gradients(parameters, clip_norm)


def _check_all_known(trace: Trace, model: Module) -> None:
    """SettingError where the loss depends on something that requires a gradient and would not be trained."""
    known = {id(p) for p in model.parameters()}
    strays = [t for t in trace.gradients if t.requires_grad and id(t) not in known]
    if strays:
        raise SettingError(
            "the loss depends on tensors that require a gradient, and the model does not have them",
            expected="parameters of the model: attributes of it or of the modules in it",
            got=", ".join(describe_form(t.node) for t in strays),
            hint="make them attributes, self.layers = [...] or self.w = nn.Parameter(array), or detach() them",
        )


def normalisation_parameters(model: Module) -> list[Parameter]:
    """Scale and shift (the lectures' gamma and beta) of every batch normalisation that is not frozen."""
    layers = [module for _, module in model.named_modules() if isinstance(module, BatchNorm1d)]
    return [p for layer in layers for p in (layer.weight, layer.bias) if p is not None and p.requires_grad]


def _update_only(chosen: list[Parameter], model: Module, optimizer: Optimizer, trace: Trace) -> None:
    """Step the chosen parameters alone; the rest of the state, such as moments and counters, is as before."""
    others = (*model.buffers(), *optimizer.counters())
    before = {tensor: trace.assigned.get(tensor, tensor.node) for tensor in others}
    for p in model.parameters():
        if not any(p is other for other in chosen):
            p.grad = None
    optimizer.step()
    for tensor, node in before.items():
        tensor.assign(Tensor(None, node))
    model.zero_grad()


def loss_step(objective: Objective, forms: Sequence[Form]) -> Step:
    """The loss of a minibatch at inference, without any update."""
    with at_inference(objective.model), tracing() as trace:
        x, y, loss, _ = objective.traced(forms)
    return Step((x.node, y.node), (loss.node,), trace=trace).checked()


def gradient_step(objective: Objective, forms: Sequence[Form]) -> Step:
    """The loss with the penalty at inference and its gradient, one output per parameter."""
    model = objective.model
    model.zero_grad()
    with at_inference(model), tracing() as trace:
        x, y, _, penalised = objective.traced(forms)
        penalised.backward()
        gradients = [
            Tensor.leaf(np.zeros(p.shape, p.dtype)) if p.grad is None else p.grad for p in model.parameters()
        ]
    outputs = (penalised.node, *(g.node for g in gradients))
    return Step((x.node, y.node), outputs, trace=trace).checked()

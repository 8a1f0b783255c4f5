"""One training step as one graph: forward, loss, penalty, backward, clipping and update, joined by tracing.

The step is what a user would write by hand; running it eagerly gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from chainrule.endings import has_no_derivative, without_gradient
from chainrule.errors import GradientError, SettingError, describe_line, place_in_short
from chainrule.graph import Node, describe_form, new_leaf
from chainrule.guarded import Graph, check_closed
from chainrule.nn.modes import at_inference
from chainrule.nn.module import Module, Parameter
from chainrule.nn.normalisation import BatchNorm1d
from chainrule.ops.record import Form
from chainrule.optim.clipping import clip_norm as clip_gradients
from chainrule.optim.clipping import gradient_norm
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor
from chainrule.trace import Trace, tracing
from chainrule.training.parts import MeanOfParts, mean_of

Loss = Callable[[Tensor, Tensor], Tensor]
Penalty = Callable[[Module], Tensor]
Update = Literal["joint", "two-step"]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What training minimises: a model's loss plus a penalty, which is not part of the losses that are reported."""

    model: Module
    loss: Loss
    penalty: Penalty | None = None
    at_inference: tuple[Module, ...] = ()  # the model's parts that stay in inference mode while it trains

    @classmethod
    def of(cls, model: Module, loss: Loss, penalty: Penalty | None = None) -> Objective:
        """The objective of a model as given: parts that are in inference mode while the model trains stay there."""
        if isinstance(loss, MeanOfParts):
            loss.check(model)
        parts = [module for _, module in model.named_modules() if model.training and not module.training]
        return cls(model=model, loss=loss, penalty=penalty, at_inference=tuple(parts))

    def train(self) -> None:
        """Switch the model to training mode, except for the parts that stay in inference mode."""
        self.model.train()
        for part in self.at_inference:
            part.training = False

    def traced(self, forms: Sequence[Form]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inside a trace: x and y of these forms, the loss, and the loss with the penalty."""
        x, y = _leaves(forms)
        return x, y, *self.at(x, y)

    def at(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a minibatch, and the loss with the penalty."""
        value = self.loss(self.model(x), y)
        return value, value if self.penalty is None else value + self.penalty(self.model)

    def losses(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """The loss of a minibatch and, if it is the mean of losses of the model's parts, those."""
        outputs = self.model(x)
        if not isinstance(self.loss, MeanOfParts):
            return (self.loss(outputs, y),)
        each = self.loss.each(outputs, y)
        return mean_of(each), *each


def _leaves(forms: Sequence[Form]) -> tuple[Tensor, Tensor]:
    """Inside a trace: x and y of these forms."""
    x, y = (Tensor(None, new_leaf(*form, name)) for form, name in zip(forms, "xy", strict=True))
    return x, y


@dataclass(frozen=True)
class Step:
    """A traced computation: what goes in, what comes out, and which tensors it updates in place."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Tensor, Node, Node], ...] = ()
    trace: Trace = field(default_factory=Trace)  # what else is known of how it was made
    untrained: tuple[str, ...] = ()  # sentences on parameters that get no gradient

    @property
    def graph(self) -> Graph:
        """The computation as a plain graph: outputs and updated values alike."""
        ends = (*self.outputs, *(after for _, _, after in self.updates))
        return Graph(self.inputs, ends, trace=self.trace)

    def checked(self) -> Step:
        """The step itself; TracingError if it depends on anything that is not one of its inputs or a leaf."""
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

    With ``update="two-step"`` the scales and shifts of batch normalisation are updated first, and everything else
    by gradients taken at their new values. The loss is the one before either.

    Lectures: B25.
    """
    model = objective.model
    objective.train()
    model.zero_grad()
    with tracing() as trace:
        x, y, loss, penalised = objective.traced(forms)
        untrained = _untrained(penalised, model)
        norm = _backward(penalised, model, clip_norm)
        _check_all_known(trace, model)
        if update == "two-step":
            scales = normalisation_parameters(model)
            _update_only(scales, model, optimizer, trace)
            norm = _backward(objective.at(x, y)[1], model, clip_norm)
            for p in scales:
                p.grad = None
        optimizer.step()
    outputs = (loss.node, norm.node)
    return Step((x.node, y.node), outputs, tuple(trace.updates), trace, untrained).checked()


def _untrained(loss: Tensor, model: Module) -> tuple[str, ...]:
    """What to say of parameters that would silently stay as they are; GradientError where that is all of them.

    Where no derivative leads to any, ``backward`` says so itself.
    """
    trainable = {p.node: name for name, p in model.named_parameters() if p.requires_grad}
    missed = without_gradient(loss.node, trainable)
    zero = next((at for at in missed.values() if at is not None and not has_no_derivative(at)), None)
    if len(missed) == len(trainable) and zero is not None:
        raise GradientError(
            f"the loss's gradient is 0 everywhere: it depends on the parameters only through {zero.op.name}",
            expected="a path of operations whose derivatives are not 0 from the parameters to the loss",
            where=describe_line(zero.line),
            hint=f"leave {zero.op.name} out, or use a smooth function in its place, such as cr.tanh for cr.sign",
        )
    return tuple(_reason(trainable[node], at) for node, at in missed.items())


def _reason(name: str, at: Node | None) -> str:
    """Why a parameter is not trained."""
    if at is None:
        return f"parameter {name} gets no gradient: the loss does not depend on it"
    line = f" ({place_in_short(at.line)})" if at.line else ""
    what = "has no derivative" if has_no_derivative(at) else "has the derivative 0"
    return f"parameter {name} gets no gradient: the loss depends on it only through {at.op.name}{line}, which {what}"


def _backward(loss: Tensor, model: Module, clip_norm: float | None) -> Tensor:
    """Compute the gradients of the parameters, clip them if ``clip_norm`` is given, and return their norm."""
    loss.backward()
    parameters = model.parameters()
    return gradient_norm(parameters) if clip_norm is None else clip_gradients(parameters, clip_norm)


def _check_all_known(trace: Trace, model: Module) -> None:
    """SettingError if the loss depends on a tensor that requires a gradient but is not one of the model's."""
    known = {id(p) for p in model.parameters()}
    strays = [t for t in trace.gradients if t.requires_grad and id(t) not in known]
    if strays:
        raise SettingError(
            "the loss depends on tensors that require a gradient but are not parameters of the model",
            expected="parameters that are attributes of the model or of modules in it",
            got=", ".join(describe_form(t.node) for t in strays),
            hint="make them attributes, self.layers = [...] or self.w = nn.Parameter(array), or detach() them",
        )


def normalisation_parameters(model: Module) -> list[Parameter]:
    """Scale and shift (the lectures' gamma and beta) of every batch normalisation that is not frozen."""
    layers = [module for _, module in model.named_modules() if isinstance(module, BatchNorm1d)]
    return [p for layer in layers for p in (layer.weight, layer.bias) if p is not None and p.requires_grad]


def _update_only(chosen: list[Parameter], model: Module, optimizer: Optimizer, trace: Trace) -> None:
    """Update the chosen parameters alone and leave all other state, such as moments and counters, as it was."""
    others = (*model.buffers(), *optimizer.counters())
    before = {tensor: trace.assigned.get(tensor, tensor.node) for tensor in others}
    for p in model.parameters():
        if not any(p is other for other in chosen):
            p.grad = None
    optimizer.step()
    for tensor, node in before.items():
        tensor.assign(Tensor(None, node))
    model.zero_grad()


def rate_step(optimizer: Optimizer) -> Step:
    """Set the learning rate of an optimizer without a schedule to the number that comes in [1]."""
    with tracing() as trace:
        given = Tensor(None, new_leaf((1,), np.dtype(np.float64), "rate"))
        rate = given.reshape(())
        optimizer.base_rate.assign(rate)
    return Step((given.node,), (rate.node,), tuple(trace.updates), trace).checked()


def loss_step(objective: Objective, forms: Sequence[Form]) -> Step:
    """The loss of a minibatch at inference and the losses of the model's parts, if any, without any update."""
    with at_inference(objective.model), tracing() as trace:
        x, y = _leaves(forms)
        losses = objective.losses(x, y)
    return Step((x.node, y.node), tuple(loss.node for loss in losses), trace=trace).checked()


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

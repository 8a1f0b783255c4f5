"""Several networks as one: their outputs are averaged, or where these are logits, the probabilities behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from chainrule import functions as f
from chainrule.nn.module import Module
from chainrule.ops.record import Array
from chainrule.tensor import Tensor

#: what a network's outputs are: logits [..., classes], a logit each, or the prediction itself
OutputKind = Literal["class logits", "logits", "numbers"]


class Ensemble(Module):
    """Several models as one, whose prediction is the mean of theirs.

    ``averages`` says of what: "outputs" if the models' outputs are the predictions, as for numbers, and
    "probabilities" if they are logits. Then this model's outputs are logits too, those of the mean probabilities:
    ``cr.softmax`` (for one logit a label ``cr.logistic``) of them is the mean of the members', and whatever takes a
    member's outputs takes these, such as the loss that they were trained with. ``members`` are the models, of which a
    single one is left as it is.
    """

    kind: OutputKind = "numbers"  # of ensembles in pickles of before there were others

    def __init__(self, members: list[Module], kind: OutputKind = "numbers") -> None:
        self.members = members
        self.kind = kind
        self.eval()

    @property
    def averages(self) -> Literal["probabilities", "outputs"]:
        """What is averaged."""
        return "outputs" if self.kind == "numbers" else "probabilities"

    def forward(self, x: Tensor) -> Tensor:
        """The prediction for a minibatch ``x`` [batch, features], in the form of a member's outputs."""
        outputs = [member(x) for member in self.members]
        return outputs[0] if len(outputs) == 1 else _COMBINED[self.kind](outputs)

    def __repr__(self) -> str:
        said = f"Ensemble(  # the mean of {len(self.members)} models' {self.averages}"
        return super().__repr__().replace("Ensemble(", said, 1)


def _mean(outputs: Sequence[Tensor]) -> Tensor:
    total = outputs[0]
    for output in outputs[1:]:
        total = total + output
    return total / float(len(outputs))


def _mean_class_logits(outputs: Sequence[Tensor]) -> Tensor:
    """The logarithms of the mean probabilities [..., classes]."""
    return _log_sum([f.log_softmax(output, -1) for output in outputs]) - math.log(len(outputs))


def _mean_logits(outputs: Sequence[Tensor]) -> Tensor:
    """log p - log(1 - p) for the mean p of the probabilities."""
    yes, no = (_log_sum([-f.softplus(sign * output) for output in outputs]) for sign in (-1.0, 1.0))
    return yes - no


def _log_sum(logarithms: Sequence[Tensor]) -> Tensor:
    """The logarithm of the sum of what these are the logarithms of."""
    return f.logsumexp(f.stack(logarithms, 0), 0)


_COMBINED: dict[OutputKind, Callable[[Sequence[Tensor]], Tensor]] = {
    "numbers": _mean,
    "class logits": _mean_class_logits,
    "logits": _mean_logits,
}


def predictions(outputs: Array, kind: OutputKind) -> Array:
    """What the outputs predict, as float64 of the same shape: probabilities where they are logits."""
    wide = outputs.astype(np.float64)
    if kind == "numbers":
        return wide
    from scipy.special import expit, softmax  # which takes a while to import

    return np.asarray(softmax(wide, -1) if kind == "class logits" else expit(wide))

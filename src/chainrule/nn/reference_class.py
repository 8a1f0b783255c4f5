"""The reference class as a layer."""

from __future__ import annotations

from chainrule.nn.losses import with_reference_class
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class ReferenceClass(Module):
    """Prepends class 0, with the fixed logit 0, to the logits of classes 1 to p - 1.

    Append it to a last ``Linear(..., p - 1)`` and train with ``nn.cross_entropy``. The probabilities are those of
    a network with p logits, with one unit less and without the redundant direction in which all logits shift
    together. For p = 2 it is the logistic model. Without it every class has a logit, as in other libraries, and
    penalties treat all classes alike.

    >>> from chainrule import nn
    >>> nn.Sequential(nn.Linear(4, 2, seed=0), nn.ReferenceClass())([[0.0, 0.0, 0.0, 0.0]]).tolist()
    [[0.0, 0.0, 0.0]]

    Lectures: C19; erratum 29.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[..., classes - 1] -> [..., classes]."""
        return with_reference_class(x)

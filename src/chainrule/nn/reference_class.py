"""The reference class as a layer."""

from __future__ import annotations

from chainrule.nn.losses import with_reference_class
from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class ReferenceClass(Module):
    """Scores for classes 1 to p - 1, with a score of 0 put in front for class 0 (row C19, erratum 29).

    Put it behind the last ``Linear(..., p - 1)`` and train with ``nn.cross_entropy``: the same probabilities
    with one unit less, and no direction left in which all scores can move together. For p = 2 it is
    the logistic model. The default is a score for every class, which treats all classes alike (penalties
    included) and is what other libraries store.

    >>> from chainrule import nn
    >>> nn.Sequential(nn.Linear(4, 2, seed=0), nn.ReferenceClass())([[0.0, 0.0, 0.0, 0.0]]).tolist()
    [[0.0, 0.0, 0.0]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """[..., classes - 1] -> [..., classes]."""
        return with_reference_class(x)

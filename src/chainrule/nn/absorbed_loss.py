"""The loss as the last activation of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.nn.module import Module
from chainrule.tensor import Tensor


class AbsorbedLoss(Module):
    """A loss and its target as an activation: a -> loss(a, target) (row D3, erratum 33).

    Put behind a network F it makes the network F~(x) = loss(F(x), y), whose gradient is that of the loss: a
    loss is nothing that back-propagation has to know about. The target [batch] or [batch, outputs] belongs to
    the rows that are passed in, all of them and in their order. ``cr.fit`` keeps loss and network apart,
    since it passes the rows in minibatches.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> net = nn.Linear(2, 1, weight_initialiser=nn.initialisers.constant(1.0))
    >>> absorbed = nn.Sequential(net, nn.AbsorbedLoss(nn.squared_error, [[1.0]]))
    >>> absorbed([[2.0, 3.0]]).backward()
    >>> net.weight.grad
    tensor([[16., 24.]])
    """

    def __init__(self, loss: Callable[[Tensor, Any], Tensor], target: Any) -> None:
        self.loss, self.target = loss, target

    def forward(self, x: Tensor) -> Tensor:
        """What the loss makes of the network's output: a scalar, or one number a row."""
        return self.loss(x, self.target)

    def describe(self) -> str:
        """The loss."""
        return getattr(self.loss, "__name__", repr(self.loss))

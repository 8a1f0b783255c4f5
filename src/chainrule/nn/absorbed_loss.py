"""The loss as the last activation of a network."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.nn.module import Module
from chainrule.tensor import Tensor, TensorLike


class AbsorbedLoss(Module):
    """A loss and its target as an activation: a -> loss(a, target).

    Appended to a network F it makes the network F~(x) = loss(F(x), y), whose gradient is the gradient of the
    loss: back-propagation needs no special case for losses. ``target`` [batch] or [batch, outputs] must
    match the rows passed in, in number and order. ``cr.fit`` therefore takes the loss as an argument
    instead: it passes the rows in minibatches.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> net = nn.Linear(2, 1, weight_initialiser=nn.initialisers.constant(1.0))
    >>> absorbed = nn.Sequential(net, nn.AbsorbedLoss(nn.squared_error, [[1.0]]))
    >>> absorbed([[2.0, 3.0]]).backward()
    >>> net.weight.grad
    tensor([[16., 24.]])

    Lectures: D3; erratum 33.
    """

    def __init__(self, loss: Callable[[Tensor, TensorLike], Tensor], target: TensorLike) -> None:
        self.loss, self.target = loss, target

    def forward(self, x: Tensor) -> Tensor:
        """The loss of the network's output: a scalar, or one number per row."""
        return self.loss(x, self.target)

    def describe(self) -> str:
        """The name of the loss."""
        return getattr(self.loss, "__name__", repr(self.loss))

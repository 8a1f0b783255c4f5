"""A model as a function of its parameters, for the transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from chainrule import functions as f
from chainrule.errors import ShapeError, describe_line, user_line
from chainrule.nn.module import Module
from chainrule.tensor import Tensor, as_tensor


def as_function(model: Module) -> Callable[[Any, Any], Tensor]:
    """The function (theta, x) -> output, theta being all parameters as one vector (row C1, E29).

    theta [parameters] is ordered as ``flatten_parameters`` returns it, x is [batch, features]. The transforms
    apply to the result: ``cr.hessian``, ``cr.jvp``, ``cr.second_derivative_test``. The model itself keeps its
    parameters; its mode (``train`` or ``eval``) counts, and so do updates of running moments in training
    mode. Raises ShapeError for a vector of another length.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> f = nn.as_function(nn.Linear(2, 1))
    >>> cr.jacobian(lambda theta: f(theta, [[3.0, 4.0]])[0, 0])(cr.tensor([1.0, 2.0, 0.5]))
    tensor([3., 4., 1.])
    """
    return partial(_output, model)


def _output(model: Module, theta: Any, x: Any) -> Tensor:
    theta = as_tensor(theta)
    parameters = model.parameters()
    total = sum(p.size for p in parameters)
    if theta.shape != (total,):
        raise ShapeError(
            "theta does not fit this model",
            expected=(total,),
            got=theta.shape,
            where=describe_line(user_line()),
        )
    pieces, start = [], 0
    for p in parameters:
        pieces.append(f.reshape(theta[start : start + p.size], p.shape))
        start += p.size
    with standing_in(parameters, pieces):
        return model(x)


@contextmanager
def standing_in(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """While this lasts, whoever uses one of the parameters gets the value in its place."""
    own = [(p, p.node, p.data, p._requires_grad) for p in parameters]
    try:
        for p, value in zip(parameters, values, strict=True):
            p.node, p.data, p._requires_grad = value.node, value.data, value.requires_grad
        yield
    finally:
        for p, node, data, wanted in own:
            p.node, p.data, p._requires_grad = node, data, wanted

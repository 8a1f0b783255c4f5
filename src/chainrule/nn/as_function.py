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


#: what makes a tensor stand for a value
_STATE = ("node", "_data", "_requires_grad", "_memory", "_kept")


@contextmanager
def standing_in(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """While this lasts, whoever uses one of the parameters gets the value in its place."""
    own = [(p, *(getattr(p, name) for name in _STATE)) for p in parameters]
    try:
        for p, value in zip(parameters, values, strict=True):
            for name in _STATE:
                setattr(p, name, getattr(value, name))
        yield
    finally:
        for p, *state in own:
            for name, value in zip(_STATE, state, strict=True):
                setattr(p, name, value)

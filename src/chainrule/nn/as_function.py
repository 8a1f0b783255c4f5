"""Views a model as a function of its parameters, so that ``cr.grad``, ``cr.hessian`` and the like apply to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from chainrule import functions as f
from chainrule.errors import ShapeError, caller_line
from chainrule.nn.module import Module
from chainrule.tensor import Tensor, TensorLike, as_tensor


def as_function(model: Module) -> Callable[[TensorLike, TensorLike], Tensor]:
    """Return the function (theta, x) -> output, where theta is the vector of all parameters.

    theta [parameters] is in the order of ``nn.flatten_parameters``; x is [batch, features]. Pass the function to
    ``cr.hessian``, ``cr.jvp`` or ``cr.second_derivative_test``. The model keeps its own parameters. It runs in
    its current mode, so in training mode running moments are updated. The function raises ShapeError for a theta
    of another length.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> f = nn.as_function(nn.Linear(2, 1))
    >>> cr.jacobian(lambda theta: f(theta, [[3.0, 4.0]])[0, 0])(cr.tensor([1.0, 2.0, 0.5]))
    tensor([3., 4., 1.])

    Lectures: C1, E29.
    """
    return partial(_output, model)


def _output(model: Module, theta: TensorLike, x: TensorLike) -> Tensor:
    theta = as_tensor(theta)
    parameters = model.parameters()
    total = sum(p.size for p in parameters)
    if theta.shape != (total,):
        raise ShapeError(
            "theta has the wrong length for this model",
            expected=(total,),
            got=theta.shape,
            where=caller_line(),
        )
    pieces, start = [], 0
    for p in parameters:
        pieces.append(f.reshape(theta[start : start + p.size], p.shape))
        start += p.size
    with standing_in(parameters, pieces):
        return model(x)


#: the attributes that hold a tensor's value and history
_STATE = ("node", "_data", "_requires_grad", "_memory", "_kept")


@contextmanager
def standing_in(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Replace the value of each parameter inside the block, and restore it afterwards."""
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

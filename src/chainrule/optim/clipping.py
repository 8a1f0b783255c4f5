"""Gradient clipping, against steps off cliffs of high curvature.

Lectures: E30.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from chainrule import functions as f
from chainrule.optim.settings import check_number
from chainrule.tensor import TRACE, Tensor, no_grad


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, a float64 scalar; 0 if there are no gradients.

    Squares are summed in float64, so that those of float32 gradients neither overflow nor underflow.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> w = cr.tensor([1.5, -2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> optim.gradient_norm([w]).item()
    5.0
    """
    with no_grad():
        total = Tensor.leaf(np.zeros((), np.float64))
        for p in parameters:
            if p.grad is not None:
                total = total + f.sum(f.square(p.grad.astype(np.float64)))
        return f.sqrt(total)


def clip_norm(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients by one factor so that their joint norm is at most ``max_norm``; returns the norm before.

    Gradients that are zero stay zero; a gradient that is not finite makes the returned norm non-finite. Raises
    SettingError unless max_norm > 0.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> w = cr.tensor([1.5, -2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> optim.clip_norm([w], 1.0).item(), w.grad
    (5.0, tensor([ 0.6, -0.8]))
    """
    limit = check_number("max_norm", max_norm, above=0)
    parameters = list(parameters)
    norm = gradient_norm(parameters)
    with no_grad():
        scale = limit / f.maximum(norm, limit)
        by_dtype = {dtype: scale.astype(dtype) for dtype in {p.dtype: None for p in parameters}}
        for p in parameters:
            if p.grad is not None:
                _replace_gradient(p, p.grad * by_dtype[p.dtype])
    return norm


def clip_value(parameters: Iterable[Tensor], limit: float) -> None:
    """Clip every element of the gradients to [-limit, limit]. Raises SettingError unless limit > 0.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> w = cr.tensor([1.5, -0.25], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> optim.clip_value([w], 1.0)
    >>> w.grad
    tensor([ 1. , -0.5])
    """
    bound = check_number("limit", limit, above=0)
    with no_grad():
        for p in parameters:
            if p.grad is not None:
                _replace_gradient(p, f.clip(p.grad, -bound, bound))


def _replace_gradient(p: Tensor, gradient: Tensor) -> None:
    trace = TRACE.get()
    if trace is not None:  # so that the end of the trace gives back the gradient that was there
        trace.gradients.setdefault(p, p.grad)
    p.grad = gradient

"""Gradients kept from growing too large, against cliffs of high curvature (row E30)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from chainrule import functions as f
from chainrule.optim.settings import check_number
from chainrule.tensor import TRACE, Tensor, no_grad


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, a float64 scalar; 0 where there is none.

    Squares are summed in float64, so that a float32 gradient neither overflows nor vanishes in it.

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
    """Shorten all gradients together to norm ``max_norm`` where theirs is larger; returns the norm before.

    Zero gradients stay zero; non-finite ones make the returned norm non-finite. Raises SettingError unless
    max_norm > 0.

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
    """Keep every element of the gradients within [-limit, limit]. Raises SettingError unless limit > 0.

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

"""Batch normalisation."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError, caller_line
from chainrule.foreign_text import quoted
from chainrule.nn.initialisers import constant, zeros
from chainrule.nn.layers import need_count
from chainrule.nn.module import Buffer, Module, Parameter
from chainrule.per_replica import is_number
from chainrule.tensor import Tensor, TensorLike, as_tensor, no_grad

Moments = tuple[Tensor, Tensor]


class BatchNorm1d(Module):
    """Batch normalisation: standardise each feature over the minibatch, then scale and shift it.

    In training mode z~ = (z - mean) / sqrt(var + eps), with the minibatch's mean and biased variance (1/B); the
    output is weight z~ + bias (gamma and beta in the lectures). The running moments move towards the minibatch's
    by the fraction ``momentum``, the variance as an unbiased estimate, as in PyTorch. At inference the running
    moments are used. ``x`` is [batch, features]. Penalties and weight decay spare the parameters.

    For a minibatch of one row, the output is ``bias``, the gradient of the input is 0, and the running variance is
    left unchanged. An empty minibatch changes nothing. Raises SettingError for settings out of range, ShapeError
    for an input with another number of features (Ioffe and Szegedy, 2015).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.BatchNorm1d(1, eps=0.0)(cr.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]

    Lectures: B22 to B24.
    """

    def __init__(
        self,
        features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if not (is_number(eps) and 0 <= eps < np.inf and is_number(momentum) and 0 <= momentum <= 1):
            raise SettingError(
                "BatchNorm1d: a setting is out of range",
                expected="eps >= 0 and 0 <= momentum <= 1",
                got=f"eps={quoted(eps)}, momentum={quoted(momentum)}",
                hint="BatchNorm1d(features, eps=1e-5, momentum=0.1)",
            )
        self.features, self.eps, self.momentum = need_count("features", features), float(eps), float(momentum)
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if affine:
            self.weight = Parameter.drawn((features,), constant(1.0), 0, dtype=dtype, penalised=False)
            self.bias = Parameter.drawn((features,), zeros(), 0, dtype=dtype, penalised=False)
        self.running_mean = Buffer.made(np.zeros(features, dtype))
        self.running_var = Buffer.made(np.ones(features, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised input, of the same shape."""
        self._need_rows(x)
        if not self.training or x.shape[0] == 0:
            return self._standardised(x, self.running_mean, self.running_var)
        mean, var = _moments(x)
        self._track(x.shape[0], mean, var)
        return self._standardised(x, mean, var)

    def moments(self, x: TensorLike) -> tuple[Moments, Moments]:
        """Return (mean, biased variance), each [features], of a minibatch before and after normalisation.

        Lectures: B22.
        """
        x = as_tensor(x)
        self._need_rows(x)
        before = _moments(x)
        return before, _moments(self._standardised(x, *before))

    def _standardised(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        result = (x - mean) / f.sqrt(var + self.eps)
        return result if self.weight is None or self.bias is None else self.weight * result + self.bias

    def _track(self, rows: int, mean: Tensor, var: Tensor) -> None:
        with no_grad():
            old = 1.0 - self.momentum
            mean = old * self.running_mean + self.momentum * mean
            self.running_mean.assign(mean.astype(self.running_mean.dtype))
            if rows > 1:
                var = old * self.running_var + self.momentum * (rows / (rows - 1)) * var
                self.running_var.assign(var.astype(self.running_var.dtype))

    def _need_rows(self, x: Tensor) -> None:
        if len(x.shape) != 2 or x.shape[1] != self.features:
            raise ShapeError(
                f"{self!r}: the input has the wrong shape",
                expected=f"[batch, {self.features}]",
                got=list(x.shape),
                where=caller_line(),
                hint="check the width of the layer before, or the columns of the data",
            )

    def describe(self) -> str:
        """The number of features and the settings."""
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.features}, eps={self.eps:g}, momentum={self.momentum:g}{affine}"


def _moments(x: Tensor) -> Moments:
    mean = f.mean(x, 0)
    return mean, f.mean(f.square(x - mean), 0)

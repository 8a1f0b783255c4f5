"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError, ShapeError, describe_line, user_line
from chainrule.nn.initialisers import constant, zeros
from chainrule.nn.layers import need_count
from chainrule.nn.module import Buffer, Module, Parameter
from chainrule.tensor import Tensor, as_tensor, no_grad

Moments = tuple[Tensor, Tensor]


class BatchNorm1d(Module):
    """Standardises each feature over the minibatch, then scales and shifts it (row B22 to B24).

    While training: z~ = (z - mean) / sqrt(var + eps) with the minibatch's biased variance (1/B), and
    weight z~ + bias (the lectures' gamma and beta). The running moments move by ``momentum`` towards the
    minibatch's, the variance as its unbiased estimate, as in PyTorch. At inference the running moments are
    used. ``x`` is [batch, features]; the parameters are not penalised.

    A minibatch of one row has no spread: the output is ``bias``, the input's gradient is 0, and the running
    variance stays as it is. One without rows changes nothing. (Ioffe and Szegedy, 2015.)

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.BatchNorm1d(1, eps=0.0)(cr.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(
        self,
        features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        self.features, self.eps, self.momentum = need_count("features", features), float(eps), float(momentum)
        if not (self.eps >= 0 and 0 <= self.momentum <= 1):
            raise SettingError(
                "BatchNorm1d: a setting is out of range",
                expected="eps >= 0 and 0 <= momentum <= 1",
                got=f"eps={eps}, momentum={momentum}",
            )
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if affine:
            self.weight = Parameter.drawn((features,), constant(1.0), 0, dtype=dtype, penalised=False)
            self.bias = Parameter.drawn((features,), zeros(), 0, dtype=dtype, penalised=False)
        self.running_mean = Buffer.made(np.zeros(features, dtype))
        self.running_var = Buffer.made(np.ones(features, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        self._need_rows(x)
        if not self.training or x.shape[0] == 0:
            return self._standardised(x, self.running_mean, self.running_var)
        mean, var = _moments(x)
        self._track(x.shape[0], mean, var)
        return self._standardised(x, mean, var)

    def moments(self, x: Any) -> tuple[Moments, Moments]:
        """Mean and biased variance [features] of a minibatch before and after normalisation (row B22)."""
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
                f"{self!r}: the input does not fit",
                expected=f"[batch, {self.features}]",
                got=list(x.shape),
                where=describe_line(user_line()),
                hint="check the width of the layer before, or the columns of the data",
            )

    def describe(self) -> str:
        """Features and settings."""
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.features}, eps={self.eps:g}, momentum={self.momentum:g}{affine}"


def _moments(x: Tensor) -> Moments:
    mean = f.mean(x, 0)
    return mean, f.mean(f.square(x - mean), 0)

"""Activation functions: as functions of a tensor, as modules, and by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.nn.choices import choose
from chainrule.nn.module import Module
from chainrule.tensor import Tensor, as_tensor


def step(x: Any) -> Any:
    """1 where x >= 0, else 0; its derivative is 0. A tie fires (row E5, erratum 38).

    >>> import chainrule as cr
    >>> step(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])
    """
    x = as_tensor(x)
    return (x >= 0).astype(x.dtype)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """x where x > 0, else slope x; the derivative at 0 is ``slope``.

    >>> leaky_relu([-1.0, 0.0, 2.0], slope=0.1)
    tensor([-0.1,  0. ,  2. ])
    """
    x = as_tensor(x)
    return f.where(x > 0, x, slope * x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (exp(x) - 1); the derivative at 0 is ``alpha``.

    >>> elu([-1000.0, 0.0, 2.0])
    tensor([-1.,  0.,  2.])
    """
    x = as_tensor(x)
    # the inner where keeps exp, and with it the derivative, finite for large x
    return f.where(x > 0, x, alpha * f.expm1(f.where(x > 0, 0, x)))


def gelu(x: Any) -> Any:
    """x times the standard normal distribution function of x, by erf, not by its tanh approximation.

    >>> gelu([0.0, 10.0])
    tensor([ 0., 10.])
    """
    x = as_tensor(x)
    return 0.5 * x * (1.0 + f.erf(x * 0.5**0.5))


def silu(x: Any) -> Any:
    """x logistic(x).

    >>> silu([0.0, 100.0])
    tensor([  0., 100.])
    """
    x = as_tensor(x)
    return x * f.logistic(x)


def identity(x: Any) -> Any:
    """x itself.

    >>> identity(3.0)
    3.0
    """
    return x


class Sign(Module):
    """-1, 0 or 1; its derivative is 0 (row B2).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Sign()(cr.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return f.sign(x)


class Step(Module):
    """1 where x >= 0, else 0; its derivative is 0 (row E5, erratum 38).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Step()(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return step(x)


class Logistic(Module):
    """1 / (1 + exp(-x)) (row A3).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Logistic()(cr.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return f.logistic(x)


Sigmoid = Logistic


class Tanh(Module):
    """Hyperbolic tangent.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Tanh()(cr.tensor([-1000.0, 0.0, 1000.0]))
    tensor([-1.,  0.,  1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return f.tanh(x)


class ReLU(Module):
    """max(x, 0); its derivative at 0 is 0 (row A14, C13, erratum 30).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.ReLU()(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return f.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else slope x.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.LeakyReLU(slope=0.1)(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([-0.1,  0. ,  2. ])
    """

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return leaky_relu(x, self.slope)

    def describe(self) -> str:
        """The slope."""
        return f"{self.slope:g}"


class ELU(Module):
    """x where x > 0, else alpha (exp(x) - 1) (Clevert et al., 2016).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.ELU(alpha=2.0)(cr.tensor([-1000.0, 0.0, 2.0]))
    tensor([-2.,  0.,  2.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return elu(x, self.alpha)

    def describe(self) -> str:
        """The factor."""
        return f"{self.alpha:g}"


class GELU(Module):
    """x times the standard normal distribution function of x, exactly (Hendrycks and Gimpel, 2016).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.GELU()(cr.tensor([0.0, 10.0]))
    tensor([ 0., 10.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return gelu(x)


class SiLU(Module):
    """x logistic(x).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.SiLU()(cr.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return silu(x)


class Softplus(Module):
    """log(1 + exp(beta x)) / beta; with a ``threshold``, x itself where beta x is larger, as PyTorch has it.

    Raises SettingError unless beta > 0.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Softplus()(cr.tensor([-1000.0, 1000.0]))
    tensor([   0., 1000.])
    >>> nn.Softplus(threshold=1.0)(cr.tensor([0.0, 2.0]))
    tensor([0.6931472, 2.       ])
    """

    def __init__(self, beta: float = 1.0, threshold: float | None = None) -> None:
        if not beta > 0:
            raise SettingError("Softplus: beta scales the input", expected="> 0", got=beta)
        self.beta, self.threshold = float(beta), None if threshold is None else float(threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        result = f.softplus(x) if self.beta == 1.0 else f.softplus(self.beta * x) / self.beta
        return result if self.threshold is None else f.where(self.beta * x > self.threshold, x, result)

    def describe(self) -> str:
        """What is not the default."""
        parts = {"beta": self.beta if self.beta != 1.0 else None, "threshold": self.threshold}
        return ", ".join(f"{name}={value:g}" for name, value in parts.items() if value is not None)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis (row C16); ``cross_entropy`` wants what comes before it.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Softmax()(cr.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    tensor([[0.5, 0.5],
            [1. , 0. ]])
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape; sums to 1 along the axis."""
        return f.softmax(x, self.axis)

    def describe(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class Identity(Module):
    """The input itself.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Identity()(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """``x``."""
        return x


@dataclass(frozen=True)
class Activation:
    """An activation that can be chosen by name.

    >>> find_activation("relu").initialiser, find_activation("relu").range
    ('he_uniform', '[0, inf)')
    """

    function: Callable[[Any], Any]
    module: Callable[[], Module]
    #: infimum and supremum of its values
    bounds: tuple[float, float]
    #: the same as text: "(0, 1)" is open, since the logistic never reaches 0 or 1 (erratum 20)
    range: str
    #: which initialiser suits the weights of a layer that it follows
    initialiser: str


_INF = np.inf

ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(identity, Identity, (-_INF, _INF), "(-inf, inf)", "lecun_uniform"),
    "sign": Activation(f.sign, Sign, (-1, 1), "{-1, 0, 1}", "lecun_uniform"),
    "step": Activation(step, Step, (0, 1), "{0, 1}", "lecun_uniform"),
    "logistic": Activation(f.logistic, Logistic, (0, 1), "(0, 1)", "glorot_uniform"),
    "sigmoid": Activation(f.logistic, Sigmoid, (0, 1), "(0, 1)", "glorot_uniform"),
    "tanh": Activation(f.tanh, Tanh, (-1, 1), "(-1, 1)", "glorot_uniform"),
    "relu": Activation(f.relu, ReLU, (0, _INF), "[0, inf)", "he_uniform"),
    "leaky_relu": Activation(leaky_relu, LeakyReLU, (-_INF, _INF), "(-inf, inf)", "he_uniform"),
    "elu": Activation(elu, ELU, (-1, _INF), "(-1, inf)", "he_uniform"),
    "gelu": Activation(gelu, GELU, (-0.17, _INF), "[-0.17, inf)", "he_uniform"),
    "silu": Activation(silu, SiLU, (-0.2785, _INF), "[-0.2785, inf)", "he_uniform"),
    "softplus": Activation(f.softplus, Softplus, (0, _INF), "(0, inf)", "he_uniform"),
    "softmax": Activation(f.softmax, Softmax, (0, 1), "(0, 1)", "glorot_uniform"),
}


def find_activation(name: Any) -> Activation:
    """The activation of this name; a SettingError with the nearest names if there is none.

    >>> find_activation("tanh").range
    '(-1, 1)'
    """
    return choose("activation", name, ACTIVATIONS)

"""Activation functions: as functions of a tensor, as modules, and by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from chainrule import functions as f
from chainrule.errors import SettingError
from chainrule.nn.choices import choose
from chainrule.nn.module import Module
from chainrule.ops import movement
from chainrule.tensor import Tensor, TensorLike, as_tensor

T = TypeVar("T")


def step(x: TensorLike) -> Tensor:
    """1 where x >= 0, else 0; its derivative is 0. At exactly 0 the unit fires.

    >>> import chainrule as cr
    >>> step(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])

    Lectures: E5; erratum 38.
    """
    x = as_tensor(x)
    return (movement.stop_gradient(x) >= 0).astype(x.dtype)  # a derivative of 0 is meant


def leaky_relu(x: TensorLike, slope: float = 0.01) -> Tensor:
    """x where x > 0, else slope x; the derivative at 0 is ``slope``.

    >>> leaky_relu([-1.0, 0.0, 2.0], slope=0.1)
    tensor([-0.1,  0. ,  2. ])
    """
    x = as_tensor(x)
    return f.where(x > 0, x, slope * x)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha (exp(x) - 1); the derivative at 0 is ``alpha``.

    >>> elu([-1000.0, 0.0, 2.0])
    tensor([-1.,  0.,  2.])
    """
    x = as_tensor(x)
    # the inner where keeps exp, and with it the derivative, finite for large x
    return f.where(x > 0, x, alpha * f.expm1(f.where(x > 0, 0, x)))


def gelu(x: TensorLike) -> Tensor:
    """x times the standard normal cumulative distribution function of x, computed with erf (no tanh approximation).

    >>> gelu([0.0, 10.0])
    tensor([ 0., 10.])
    """
    x = as_tensor(x)
    return 0.5 * x * (1.0 + f.erf(x * 0.5**0.5))


def silu(x: TensorLike) -> Tensor:
    """x times logistic(x), also called swish.

    >>> silu([0.0, 100.0])
    tensor([  0., 100.])
    """
    x = as_tensor(x)
    return x * f.logistic(x)


def identity(x: T) -> T:
    """x itself.

    >>> identity(3.0)
    3.0
    """
    return x


class Sign(Module):
    """-1, 0 or 1; its derivative is 0.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Sign()(cr.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])

    Lectures: B2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each element of ``x``, of any shape."""
        return f.sign(x)


class Step(Module):
    """1 where x >= 0, else 0; its derivative is 0.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Step()(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])

    Lectures: E5; erratum 38.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each element of ``x``, of any shape."""
        return step(x)


class Logistic(Module):
    """1 / (1 + exp(-x)).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Logistic()(cr.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0. , 0.5, 1. ])

    Lectures: A3.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each element of ``x``, of any shape."""
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
        """Apply the function to each element of ``x``, of any shape."""
        return f.tanh(x)


class ReLU(Module):
    """max(x, 0); its derivative at 0 is 0.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.ReLU()(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])

    Lectures: A14, C13; erratum 30.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each element of ``x``, of any shape."""
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
        """Apply the function to each element of ``x``, of any shape."""
        return leaky_relu(x, self.slope)

    def describe(self) -> str:
        """The slope for negative inputs."""
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
        """Apply the function to each element of ``x``, of any shape."""
        return elu(x, self.alpha)

    def describe(self) -> str:
        """The setting alpha."""
        return f"{self.alpha:g}"


class GELU(Module):
    """x times the standard normal cumulative distribution function of x (Hendrycks and Gimpel, 2016).

    Computed with erf, without the tanh approximation.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.GELU()(cr.tensor([0.0, 10.0]))
    tensor([ 0., 10.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each element of ``x``, of any shape."""
        return gelu(x)


class SiLU(Module):
    """x times logistic(x), also called swish (Elfwing et al., 2018).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.SiLU()(cr.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each element of ``x``, of any shape."""
        return silu(x)


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, a smooth ReLU.

    With a ``threshold`` the result is x itself where beta x exceeds it, as in PyTorch. Raises SettingError unless
    beta > 0.

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
        """Apply the function to each element of ``x``, of any shape."""
        result = f.softplus(x) if self.beta == 1.0 else f.softplus(self.beta * x) / self.beta
        return result if self.threshold is None else f.where(self.beta * x > self.threshold, x, result)

    def describe(self) -> str:
        """The settings that differ from their defaults."""
        parts = {"beta": self.beta if self.beta != 1.0 else None, "threshold": self.threshold}
        return ", ".join(f"{name}={value:g}" for name, value in parts.items() if value is not None)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis.

    For training, leave it out and pass logits to ``nn.cross_entropy``, which applies it.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Softmax()(cr.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    tensor([[0.5, 0.5],
            [1. , 0. ]])

    Lectures: C16.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities of the same shape, which sum to 1 along the axis."""
        return f.softmax(x, self.axis)

    def describe(self) -> str:
        """The axis along which probabilities sum to 1."""
        return f"axis={self.axis}"


class Identity(Module):
    """The input itself.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> nn.Identity()(cr.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """The input, unchanged."""
        return x


@dataclass(frozen=True)
class Activation:
    """An activation that can be chosen by name.

    >>> find_activation("relu").initialiser, find_activation("relu").range
    ('he_uniform', '[0, inf)')
    """

    function: Callable[[Tensor], Tensor]
    module: Callable[[], Module]
    #: infimum and supremum of its values, for plots and checks
    bounds: tuple[float, float]
    #: the same as text: "(0, 1)" is open, since the logistic never reaches 0 or 1 (erratum 20)
    range: str
    #: the default initialiser for the weights of the layer before it
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


def find_activation(name: object) -> Activation:
    """Return the activation of this name.

    Raises SettingError, with the nearest names as a hint, if there is none.

    >>> find_activation("tanh").range
    '(-1, 1)'
    """
    return choose("activation", name, ACTIVATIONS)

"""Initial values of parameters: each function here returns an initialiser, ``(rng, shape) -> array``.

Weights are [outputs, inputs]; "fan in" is the number of inputs, "fan out" the number of outputs. The values
depend only on the random generator and the shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.nn.choices import choose
from chainrule.ops.record import Array

Initialiser = Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True)
class Named:
    """An initialiser whose ``repr`` is the call that made it."""

    name: str
    draw: Initialiser

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return initial values of this shape."""
        return self.draw(rng, shape)

    def __repr__(self) -> str:
        return self.name


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (fan in, fan out) of a weight [outputs, inputs]; raise ShapeError for any other number of axes.

    >>> fans((3, 2))
    (2, 3)
    """
    if len(shape) != 2:
        raise ShapeError(
            "this initialiser needs a weight with inputs and outputs",
            expected="a weight [outputs, inputs]",
            got=shape,
            hint="give a bias initialisers.zeros(), uniform(low, high) or normal(std)",
        )
    return max(shape[1], 1), max(shape[0], 1)


# Each initialiser is a partial of a function in this module: parameters keep it, and pickle finds it by name


def _draw_uniform(
    variance: Callable[[int, int], float], rng: np.random.Generator, shape: tuple[int, ...]
) -> Array:
    limit = np.sqrt(3.0 * variance(*fans(shape)))
    return rng.uniform(-limit, limit, shape)


def _draw_normal(
    variance: Callable[[int, int], float], rng: np.random.Generator, shape: tuple[int, ...]
) -> Array:
    return rng.normal(0.0, np.sqrt(variance(*fans(shape))), shape)


def _glorot(gain: float, fan_in: int, fan_out: int) -> float:
    return 2.0 * gain**2 / (fan_in + fan_out)


def _he(fan_in: int, fan_out: int) -> float:
    return 2.0 / fan_in


def _lecun(fan_in: int, fan_out: int) -> float:
    return 1.0 / fan_in


def _draw_between(low: float, high: float, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(low, high, shape)


def _draw_of_deviation(std: float, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(0.0, std, shape)


def _fill(value: float, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.full(shape, value)


def glorot_uniform(gain: float = 1.0) -> Named:
    """Uniform with variance 2 gain^2 / (fan in + fan out), suited to tanh and logistic (Glorot and Bengio, 2010).

    >>> import numpy as np
    >>> glorot_uniform()(np.random.default_rng(0), (2, 1)).round(3)
    array([[ 0.387],
           [-0.651]])
    """
    return Named(f"glorot_uniform({_shown(gain)})", partial(_draw_uniform, partial(_glorot, gain)))


def glorot_normal(gain: float = 1.0) -> Named:
    """Normal with variance 2 gain^2 / (fan in + fan out), suited to tanh and logistic (Glorot and Bengio, 2010).

    >>> import numpy as np
    >>> w = glorot_normal()(np.random.default_rng(0), (500, 300))
    >>> float(w.std().round(2))  # (2 / (500 + 300)) ** 0.5
    0.05
    """
    return Named(f"glorot_normal({_shown(gain)})", partial(_draw_normal, partial(_glorot, gain)))


def he_uniform() -> Named:
    """Uniform with variance 2 / fan in, suited to ReLU and its variants (He et al., 2015).

    >>> import numpy as np
    >>> w = he_uniform()(np.random.default_rng(0), (1000, 200))
    >>> float(w.std().round(2))  # (2 / 200) ** 0.5
    0.1
    """
    return Named("he_uniform()", partial(_draw_uniform, _he))


def he_normal() -> Named:
    """Normal with variance 2 / fan in, suited to ReLU and its variants (He et al., 2015).

    >>> import numpy as np
    >>> w = he_normal()(np.random.default_rng(0), (1000, 200))
    >>> float(w.std().round(2))  # (2 / 200) ** 0.5
    0.1
    """
    return Named("he_normal()", partial(_draw_normal, _he))


def lecun_uniform() -> Named:
    """Uniform with variance 1 / fan in, which preserves the variance of standardised inputs (LeCun et al., 1998).

    >>> import numpy as np
    >>> w = lecun_uniform()(np.random.default_rng(0), (1000, 100))
    >>> float(w.std().round(2))  # (1 / 100) ** 0.5
    0.1
    """
    return Named("lecun_uniform()", partial(_draw_uniform, _lecun))


def lecun_normal() -> Named:
    """Normal with variance 1 / fan in, which preserves the variance of standardised inputs (LeCun et al., 1998).

    >>> import numpy as np
    >>> w = lecun_normal()(np.random.default_rng(0), (1000, 100))
    >>> float(w.std().round(2))  # (1 / 100) ** 0.5
    0.1
    """
    return Named("lecun_normal()", partial(_draw_normal, _lecun))


def uniform(low: float, high: float) -> Named:
    """Uniform on [low, high), for any shape. Raises SettingError if low > high.

    >>> import numpy as np
    >>> w = uniform(-0.5, 0.5)(np.random.default_rng(0), (3, 2))
    >>> bool((abs(w) <= 0.5).all())
    True
    """
    if not low <= high:
        raise SettingError("uniform: low is greater than high", expected="low <= high", got=(low, high))
    return Named(f"uniform({low:g}, {high:g})", partial(_draw_between, low, high))


def normal(std: float) -> Named:
    """Normal with mean 0 and standard deviation ``std``, for any shape. Raises SettingError if std < 0.

    >>> import numpy as np
    >>> w = normal(0.1)(np.random.default_rng(0), (1000, 100))
    >>> float(w.std().round(2))
    0.1
    """
    if not std >= 0:
        raise SettingError("normal: a standard deviation must not be negative", expected=">= 0", got=std)
    return Named(f"normal({std:g})", partial(_draw_of_deviation, std))


def orthogonal(gain: float = 1.0) -> Named:
    """A random matrix with orthogonal rows of length ``gain`` (Saxe et al., 2014).

    With more rows than columns, the columns are orthogonal instead. The draw is uniform over all such matrices.
    Raises ShapeError for anything but a matrix.

    >>> import numpy as np
    >>> w = orthogonal()(np.random.default_rng(0), (3, 5))
    >>> np.allclose(w @ w.T, np.eye(3))
    True
    """
    return Named(f"orthogonal({_shown(gain)})", partial(_draw_orthogonal, gain))


def _draw_orthogonal(gain: float, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    fans(shape)
    tall = (max(shape), min(shape))
    q, r = np.linalg.qr(rng.normal(size=tall))
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # or the draw is not uniform
    return gain * (q if shape == tall else q.T)


def constant(value: float) -> Named:
    """The same value everywhere, for any shape.

    >>> import numpy as np
    >>> constant(0.1)(np.random.default_rng(0), (3,))
    array([0.1, 0.1, 0.1])
    """
    return Named(f"constant({value:g})", partial(_fill, float(value)))


def zeros() -> Named:
    """Zero everywhere, the default for biases. Weights that start at zero keep all hidden units of a layer identical.

    >>> import numpy as np
    >>> zeros()(np.random.default_rng(0), (3,))
    array([0., 0., 0.])
    """
    return Named("zeros()", partial(_fill, 0.0))


def _shown(gain: float) -> str:
    return "" if gain == 1.0 else f"{gain:g}"


#: the initialisers that can be chosen by name: those without a required argument
INITIALISERS: dict[str, Callable[[], Named]] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "orthogonal": orthogonal,
    "zeros": zeros,
}


def find_initialiser(given: str | Initialiser) -> Initialiser:
    """Return the initialiser of this name, or ``given`` itself if it is one. Raises SettingError for an unknown name.

    >>> find_initialiser("he_normal")
    he_normal()
    """
    return given if callable(given) else choose("initialiser", given, INITIALISERS)()

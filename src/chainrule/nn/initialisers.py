"""First values of parameters: each function here makes an initialiser, ``(rng, shape) -> array``.

Weights are [outputs, inputs]; "fan in" is the number of inputs, "fan out" that of outputs. What is drawn
depends on the generator and the shape alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.nn.choices import choose
from chainrule.ops.record import Array

Initialiser = Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True)
class Named:
    """An initialiser that shows how it was made."""

    name: str
    draw: Initialiser

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Draw an array."""
        return self.draw(rng, shape)

    def __repr__(self) -> str:
        return self.name


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a weight [outputs, inputs]; a ShapeError for anything else.

    >>> fans((3, 2))
    (2, 3)
    """
    if len(shape) != 2:
        raise ShapeError(
            "this initialiser needs to know inputs and outputs",
            expected="a weight [outputs, inputs]",
            got=shape,
            hint="give a bias initialisers.zeros(), uniform(low, high) or normal(std)",
        )
    return max(shape[1], 1), max(shape[0], 1)


# What draws is a function of this module with its numbers filled in, since parameters keep it: a pickle finds it


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
    """Uniform with variance 2 gain^2 / (fan in + fan out), for tanh and logistic (Glorot and Bengio, 2010).

    >>> import numpy as np
    >>> glorot_uniform()(np.random.default_rng(0), (2, 1)).round(3)
    array([[ 0.387],
           [-0.651]])
    """
    return Named(f"glorot_uniform({_shown(gain)})", partial(_draw_uniform, partial(_glorot, gain)))


def glorot_normal(gain: float = 1.0) -> Named:
    """Normal with variance 2 gain^2 / (fan in + fan out).

    >>> import numpy as np
    >>> w = glorot_normal()(np.random.default_rng(0), (500, 300))
    >>> float(w.std().round(2))  # (2 / (500 + 300)) ** 0.5
    0.05
    """
    return Named(f"glorot_normal({_shown(gain)})", partial(_draw_normal, partial(_glorot, gain)))


def he_uniform() -> Named:
    """Uniform with variance 2 / fan in, for relu and its relatives (He et al., 2015).

    >>> import numpy as np
    >>> w = he_uniform()(np.random.default_rng(0), (1000, 200))
    >>> float(w.std().round(2))  # (2 / 200) ** 0.5
    0.1
    """
    return Named("he_uniform()", partial(_draw_uniform, _he))


def he_normal() -> Named:
    """Normal with variance 2 / fan in.

    >>> import numpy as np
    >>> w = he_normal()(np.random.default_rng(0), (1000, 200))
    >>> float(w.std().round(2))  # (2 / 200) ** 0.5
    0.1
    """
    return Named("he_normal()", partial(_draw_normal, _he))


def lecun_uniform() -> Named:
    """Uniform with variance 1 / fan in, which keeps that of standardised inputs (LeCun et al., 1998).

    >>> import numpy as np
    >>> w = lecun_uniform()(np.random.default_rng(0), (1000, 100))
    >>> float(w.std().round(2))  # (1 / 100) ** 0.5
    0.1
    """
    return Named("lecun_uniform()", partial(_draw_uniform, _lecun))


def lecun_normal() -> Named:
    """Normal with variance 1 / fan in.

    >>> import numpy as np
    >>> w = lecun_normal()(np.random.default_rng(0), (1000, 100))
    >>> float(w.std().round(2))  # (1 / 100) ** 0.5
    0.1
    """
    return Named("lecun_normal()", partial(_draw_normal, _lecun))


def uniform(low: float, high: float) -> Named:
    """Uniform on [low, high), for any shape.

    >>> import numpy as np
    >>> w = uniform(-0.5, 0.5)(np.random.default_rng(0), (3, 2))
    >>> bool((abs(w) <= 0.5).all())
    True
    """
    if not low <= high:
        raise SettingError(
            "uniform: the bounds are the wrong way round", expected="low <= high", got=(low, high)
        )
    return Named(f"uniform({low:g}, {high:g})", partial(_draw_between, low, high))


def normal(std: float) -> Named:
    """Normal with mean 0 and standard deviation ``std``, for any shape.

    >>> import numpy as np
    >>> w = normal(0.1)(np.random.default_rng(0), (1000, 100))
    >>> float(w.std().round(2))
    0.1
    """
    if not std >= 0:
        raise SettingError("normal: a standard deviation is not negative", expected=">= 0", got=std)
    return Named(f"normal({std:g})", partial(_draw_of_deviation, std))


def orthogonal(gain: float = 1.0) -> Named:
    """A random matrix whose rows (or columns, if it has more rows) are orthogonal, of length ``gain``.

    Drawn uniformly among those (Saxe et al., 2014).

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
    """The same number everywhere.

    >>> import numpy as np
    >>> constant(0.1)(np.random.default_rng(0), (3,))
    array([0.1, 0.1, 0.1])
    """
    return Named(f"constant({value:g})", partial(_fill, float(value)))


def zeros() -> Named:
    """Zero everywhere, as biases start; weights need something that tells hidden units apart.

    >>> import numpy as np
    >>> zeros()(np.random.default_rng(0), (3,))
    array([0., 0., 0.])
    """
    return Named("zeros()", partial(_fill, 0.0))


def _shown(gain: float) -> str:
    return "" if gain == 1.0 else f"{gain:g}"


#: those that need no number, by name
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


def find_initialiser(given: Any) -> Initialiser:
    """The initialiser of this name, or the one that was given; a SettingError for an unknown name.

    >>> find_initialiser("he_normal")
    he_normal()
    """
    return given if callable(given) else choose("initialiser", given, INITIALISERS)()

"""The second-derivative test: what kind of critical point a point is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from chainrule import tree
from chainrule.errors import GradientError, describe_line, user_line
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, as_tensor
from chainrule.transforms import hessian, value_and_grad

Kind = Literal["minimum", "maximum", "saddle", "inconclusive"]
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class SecondDerivativeTest:
    """What the Hessian says about a critical point.

    ``kind`` is "minimum", "maximum", "saddle" or "inconclusive", and ``reason`` says why in words.
    ``eigenvalues`` [n] of the Hessian are in ascending order, ``directions`` [n, n] holds their unit
    eigenvectors, one a row: at a saddle, ``directions[0]`` leads down on both sides. ``value`` is the
    function's value. ``gradient_norm`` and ``newton_step``, the length of Newton's step to where the gradient
    vanishes, say how far the point is from being critical.

    >>> import chainrule as cr
    >>> test = cr.second_derivative_test(lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0])
    >>> test.kind, test.eigenvalues.tolist()
    ('saddle', [-2.0, 2.0])
    """

    kind: Kind
    reason: str
    eigenvalues: Array
    directions: Array = field(repr=False)
    value: float
    gradient_norm: float
    newton_step: float


def second_derivative_test(
    f: Callable[[Any], Any],
    point: Any,
    *,
    tolerance: float = 1e-8,
    gradient_tolerance: float = 1e-6,
    step_tolerance: float = 1e-3,
) -> SecondDerivativeTest:
    """Whether a critical point of a scalar function is a minimum, a maximum or a saddle (row E29).

    ``point`` is an array (a list of numbers is one), or nested dicts, lists and tuples of arrays, n numbers in
    all; they are converted to float64. All eigenvalues of the Hessian above 0 mean a minimum, all below 0 a
    maximum, both signs a saddle. Otherwise higher derivatives decide, and the test is inconclusive: an
    eigenvalue counts as 0 up to ``tolerance`` times the largest one's size, up to the rounding of f, and up to
    what the Hessian changes by over Newton's step and by rounding.

    The test speaks of critical points only, so it is inconclusive too where the gradient's norm is larger than
    ``gradient_tolerance``, and where Newton's step is longer than ``step_tolerance`` times the point's norm (or
    1, if that is more): a function may be flat far from any critical point, as exp(-x) is at 20.
    ``step_tolerance=inf`` takes the point as critical. It costs 2n sweeps and n^2 numbers.

    For a network, ``f = lambda theta: loss(nn.as_function(model)(theta, X), y)``, and the point is
    ``nn.flatten_parameters(model)``. Raises GradientError where the second derivatives are not finite.

    >>> import chainrule as cr
    >>> cr.second_derivative_test(lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0]).kind
    'saddle'
    >>> cr.second_derivative_test(lambda x: (x**4).sum(), [0.0, 0.0]).kind
    'inconclusive'
    """
    if isinstance(point, list | tuple) and all(isinstance(leaf, int | float) for leaf in tree.leaves(point)):
        point = np.array(point, np.float64)
    leaves = [np.asarray(as_tensor(leaf), np.float64) for leaf in tree.leaves(point)]
    flat = np.concatenate([leaf.ravel() for leaf in leaves] or [np.zeros(0)])

    def of_vector(theta: Tensor) -> Any:
        pieces, start = [], 0
        for leaf in leaves:
            pieces.append(theta[start : start + leaf.size].reshape(leaf.shape))
            start += leaf.size
        return f(tree.rebuild(point, iter(pieces)))

    value, gradient = value_and_grad(of_vector)(flat)
    slope = gradient.numpy()
    matrix = _hessian(of_vector, flat)
    if not np.isfinite(matrix).all():
        raise GradientError(
            "second_derivative_test: the second derivatives are not finite at this point",
            expected="finite numbers",
            got=f"{np.count_nonzero(~np.isfinite(matrix))} that are not, of {matrix.size}",
            where=describe_line(user_line()),
            hint="look for a division by 0, or a root or logarithm of 0, on the way",
        )
    eigenvalues, vectors = np.linalg.eigh(matrix)
    zero = max(tolerance * _size(eigenvalues), 4 * len(flat) * _EPSILON * abs(value.item()))
    counted = np.abs(eigenvalues) > zero
    step = vectors[:, counted] @ ((vectors.T @ slope)[counted] / eigenvalues[counted])
    lengths = float(np.linalg.norm(slope)), float(np.linalg.norm(step))
    kind: Kind = "inconclusive"
    reason = _is_no_critical_point(
        lengths, gradient_tolerance, step_tolerance * max(1.0, float(np.linalg.norm(flat)))
    )
    if not reason:
        near = flat if step_tolerance == np.inf else flat - step
        changed = _hessian(of_vector, near + _last_digits(near))
        change = _size(np.linalg.eigvalsh(changed - matrix)) if np.isfinite(changed).all() else np.inf
        kind, reason = _judge(eigenvalues, max(zero, change))
    return SecondDerivativeTest(kind, reason, eigenvalues, vectors.T, value.item(), *lengths)


def _hessian(f: Callable[[Tensor], Any], at: Array) -> Array:
    matrix = hessian(f)(at).numpy()
    return np.asarray((matrix + matrix.T) / 2)


def _size(eigenvalues: Array) -> float:
    return float(np.abs(eigenvalues).max(initial=0.0))


def _last_digits(point: Array) -> Array:
    """A displacement by a few units in the last place, in a direction without meaning: rounding shows in it."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], len(point))
    return 8 * _EPSILON * np.maximum(np.abs(point), 1.0) * signs


def _is_no_critical_point(lengths: tuple[float, float], slope: float, step: float) -> str:
    """Why a point with such lengths of gradient and Newton step is not critical; nothing if it is."""
    if not lengths[0] <= slope:
        return f"no critical point: the gradient's norm is {lengths[0]:.3g}"
    if not lengths[1] <= step:
        return f"no critical point: Newton's step to where the gradient is 0 is {lengths[1]:.3g} long"
    return ""


def _judge(eigenvalues: Array, zero: float) -> tuple[Kind, str]:
    up, down = int((eigenvalues > zero).sum()), int((eigenvalues < -zero).sum())
    flat = len(eigenvalues) - up - down
    if up and down:
        return "saddle", f"of {len(eigenvalues)} directions {up} curve up and {down} down"
    if flat or not len(eigenvalues):
        return "inconclusive", f"{flat} of {len(eigenvalues)} directions are flat to second order"
    kind: Kind = "minimum" if up else "maximum"
    return kind, f"the function curves {'up' if up else 'down'} in every direction"

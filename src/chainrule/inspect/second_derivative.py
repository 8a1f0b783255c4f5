"""The second-derivative test: classifies a critical point as minimum, maximum or saddle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from chainrule import tree
from chainrule.errors import GradientError, caller_line
from chainrule.missing import as_array
from chainrule.ops.record import Array
from chainrule.tensor import Tensor, as_tensor
from chainrule.transforms import hessian, value_and_grad

Kind = Literal["minimum", "maximum", "saddle", "inconclusive"]
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class SecondDerivativeTest:
    """The result of the second-derivative test at a point.

    ``kind`` is "minimum", "maximum", "saddle" or "inconclusive"; ``reason`` explains it in words. ``eigenvalues``
    [n] of the Hessian are in ascending order, and ``directions`` [n, n] holds the unit eigenvectors as rows: at a
    saddle the function decreases along ``directions[0]`` on both sides. ``value`` is the function's value.
    ``gradient_norm`` and ``newton_step`` (the length of Newton's step to where the gradient vanishes) say how far the
    point is from a critical one.

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
    f: Callable[..., Tensor],
    point: object,
    *,
    tolerance: float = 1e-8,
    gradient_tolerance: float = 1e-6,
    step_tolerance: float = 1e-3,
) -> SecondDerivativeTest:
    """Decide whether a critical point of a scalar function is a minimum, a maximum or a saddle.

    ``point`` is an array or a list of numbers, or nested dicts, lists and tuples of arrays, with n numbers in all;
    they are converted to float64. If all eigenvalues of the Hessian are positive the point is a minimum, if all are
    negative a maximum, if both signs occur a saddle. Otherwise higher derivatives decide and the test is
    inconclusive. An eigenvalue counts as 0 if its size is at most ``tolerance`` times the largest one's, or at most
    the rounding error of f, or at most what the Hessian changes by along Newton's step.

    The test applies to critical points only. It is inconclusive if the gradient's norm exceeds
    ``gradient_tolerance``, or if Newton's step is longer than ``step_tolerance`` times the point's norm (or times 1,
    if that is larger): a function may be flat far from any critical point, like exp(-x) at 20.
    ``step_tolerance=inf`` assumes that the point is critical. The cost is 2n reverse sweeps and n^2 numbers of
    memory.

    For a network use ``f = lambda theta: loss(nn.as_function(model)(theta, X), y)`` at the point
    ``nn.flatten_parameters(model)``. Raises GradientError if the second derivatives are not finite.

    >>> import chainrule as cr
    >>> cr.second_derivative_test(lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0]).kind
    'saddle'
    >>> cr.second_derivative_test(lambda x: (x**4).sum(), [0.0, 0.0]).kind
    'inconclusive'

    Lectures: E29.
    """
    if isinstance(point, list | tuple) and all(isinstance(leaf, int | float) for leaf in tree.leaves(point)):
        point = as_array(point, np.float64, "point")
    leaves = [np.asarray(as_tensor(leaf), np.float64) for leaf in tree.leaves(point)]
    flat = np.concatenate([leaf.ravel() for leaf in leaves] or [np.zeros(0)])

    def of_vector(theta: Tensor) -> Tensor:
        pieces, start = [], 0
        for leaf in leaves:
            pieces.append(theta[start : start + leaf.size].reshape(leaf.shape))
            start += leaf.size
        return f(tree.rebuild(point, iter(pieces)))

    value, gradient = value_and_grad(of_vector)(flat)
    slope = gradient.numpy()
    matrix = _hessian(of_vector, flat)
    _need_finite(matrix)
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


def _hessian(f: Callable[[Tensor], Tensor], at: Array) -> Array:
    matrix = hessian(f)(at).numpy()
    return np.asarray((matrix + matrix.T) / 2)


def _need_finite(matrix: Array) -> None:
    if not np.isfinite(matrix).all():
        raise GradientError(
            "second_derivative_test: the second derivatives are not finite at this point",
            expected="finite numbers",
            got=f"{np.count_nonzero(~np.isfinite(matrix))} that are not, of {matrix.size}",
            where=caller_line(),
            hint="look for a division by 0, or a root or logarithm of 0, in the function",
        )


def _size(eigenvalues: Array) -> float:
    return float(np.abs(eigenvalues).max(initial=0.0))


def _last_digits(point: Array) -> Array:
    """A displacement by a few units in the last place in an arbitrary direction, which reveals rounding errors."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], len(point))
    return 8 * _EPSILON * np.maximum(np.abs(point), 1.0) * signs


def _is_no_critical_point(lengths: tuple[float, float], slope: float, step: float) -> str:
    """Why a point with these lengths of gradient and Newton step is not critical; empty if it is."""
    if not lengths[0] <= slope:
        return f"not a critical point: the gradient's norm is {lengths[0]:.3g}"
    if not lengths[1] <= step:
        return f"not a critical point: Newton's step to where the gradient is 0 is {lengths[1]:.3g} long"
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

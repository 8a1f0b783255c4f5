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


@dataclass(frozen=True)
class SecondDerivativeTest:
    """What the Hessian says about a critical point.

    ``kind`` is "minimum", "maximum", "saddle" or "inconclusive", and ``reason`` says why in words.
    ``eigenvalues`` [n] of the Hessian are in ascending order, ``directions`` [n, n] holds their unit
    eigenvectors, one a row: at a saddle, ``directions[0]`` leads down on both sides. ``value`` is the
    function's value, ``gradient_norm`` how far the point is from being critical.

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


def second_derivative_test(
    f: Callable[[Any], Any], point: Any, *, tolerance: float = 1e-8, gradient_tolerance: float = 1e-6
) -> SecondDerivativeTest:
    """Whether a critical point of a scalar function is a minimum, a maximum or a saddle (row E29).

    ``point`` is an array (a list of numbers is one), or nested dicts, lists and tuples of arrays, n numbers in
    all; they are converted to float64. All eigenvalues of the Hessian above 0 mean a minimum, all below 0 a
    maximum, both signs a saddle. Otherwise higher derivatives decide, and the test is inconclusive: an
    eigenvalue counts as 0 up to ``tolerance`` times the largest one's size. It is also inconclusive where the
    gradient's norm is larger than ``gradient_tolerance``, for it speaks of critical points only. It costs
    n sweeps and n^2 numbers.

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
    matrix = hessian(of_vector)(flat).numpy()
    if not np.isfinite(matrix).all():
        raise GradientError(
            "second_derivative_test: the second derivatives are not finite at this point",
            expected="finite numbers",
            got=f"{np.count_nonzero(~np.isfinite(matrix))} that are not, of {matrix.size}",
            where=describe_line(user_line()),
            hint="look for a division by 0, or a root or logarithm of 0, on the way",
        )
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    slope = float(np.linalg.norm(gradient.numpy()))
    kind, reason = _judge(eigenvalues, slope, tolerance, gradient_tolerance)
    return SecondDerivativeTest(kind, reason, eigenvalues, vectors.T, value.item(), slope)


def _judge(eigenvalues: Array, slope: float, tolerance: float, gradient_tolerance: float) -> tuple[Kind, str]:
    if not slope <= gradient_tolerance:
        return "inconclusive", f"no critical point: the gradient's norm is {slope:.3g}"
    zero = tolerance * float(np.abs(eigenvalues).max(initial=0.0))
    up, down = int((eigenvalues > zero).sum()), int((eigenvalues < -zero).sum())
    flat = len(eigenvalues) - up - down
    if up and down:
        return "saddle", f"of {len(eigenvalues)} directions {up} curve up and {down} down"
    if flat or not len(eigenvalues):
        return "inconclusive", f"{flat} of {len(eigenvalues)} directions are flat to second order"
    kind: Kind = "minimum" if up else "maximum"
    return kind, f"the function curves {'up' if up else 'down'} in every direction"

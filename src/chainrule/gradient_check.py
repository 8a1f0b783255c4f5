"""Compares the gradient that the sweep gives with central finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from chainrule import tree
from chainrule.errors import GradientError, caller_line
from chainrule.ops.record import Array, is_float
from chainrule.tensor import Tensor, as_tensor, no_grad
from chainrule.transforms import vjp

_ROUNDING = 20.0  # how many times the rounding error of the outputs a difference may be off


class _Entry(NamedTuple):
    """One partial derivative by the sweep and by differences, and how far rounding may put the latter off."""

    name: str
    got: float
    expected: float
    rounding: float

    def excess(self, rtol: float) -> float:
        """How many times the allowed distance lies between them; infinite where one of them is not finite."""
        distance = abs(self.got - self.expected)
        if not np.isfinite(distance):
            return np.inf
        return distance / (rtol * max(abs(self.got), abs(self.expected)) + self.rounding) if distance else 0.0


def check_gradients(f: Callable[..., object], *args: object, rtol: float = 1e-5) -> None:
    """Compare the gradient of ``f`` at ``args`` with finite differences, entry by entry.

    ``args`` are numbers, arrays, or nested dicts, lists and tuples of them. Floats are varied, and converted
    to float64 first; integers and booleans (labels, indices) are passed as they are. What ``f`` returns may
    be a tree of arrays too: its entries are weighted with fixed random numbers and summed. An entry of the
    gradient may be off by ``rtol`` of its size, and by what rounding does to a difference. The differences
    are of fourth order and cost four evaluations of ``f`` an entry.

    Raises GradientError with the entry that is furthest off. At a kink of ``f`` that is to be expected.

    >>> import chainrule as cr
    >>> cr.check_gradients(lambda p: cr.tanh(p["w"] * 2.0 + p["b"]), {"w": cr.tensor([0.5, -1.0]), "b": 0.1})

    Lectures: A5, E19.
    """
    given = list(tree.leaves(args))
    varied = [i for i, leaf in enumerate(given) if is_float(as_tensor(leaf).dtype)]
    points = [np.array(as_tensor(given[i]).numpy(), dtype=np.float64) for i in varied]

    def outputs(*values: object) -> list[Tensor]:
        leaves = [*given]
        for i, value in zip(varied, values, strict=True):
            leaves[i] = as_tensor(value)
        found = [as_tensor(out) for out in tree.leaves(f(*tree.rebuild(args, iter(leaves))))]
        return [out for out in found if is_float(out.dtype)]

    out, pullback = vjp(outputs, *points)
    if not out or not points:
        raise GradientError(
            "there is no gradient to check",
            expected="floats among the arguments and in what the function returns",
            got=f"{len(points)} float arguments, {len(out)} float outputs",
            where=caller_line(),
        )
    rng = np.random.default_rng(0)
    weights = [np.asarray(rng.uniform(0.5, 1.5, o.shape) * rng.choice([-1.0, 1.0], o.shape)) for o in out]
    precision = max(float(np.finfo(o.dtype).eps) for o in out)
    swept = [gradient.numpy() for gradient in pullback(weights)]
    names = list(tree.names(args, "argument "))
    entries = [
        _Entry(
            names[i] + (str(list(at)) if at else ""),
            float(gradient[at]),
            *_difference(outputs, points, (k, at), weights, precision),
        )
        for k, (i, gradient) in enumerate(zip(varied, swept, strict=True))
        for at in np.ndindex(gradient.shape)
    ]
    worst = max(entries, key=lambda entry: entry.excess(rtol), default=None)
    if worst is not None and worst.excess(rtol) > 1.0:
        _report(worst)


def _difference(
    f: Callable[..., list[Tensor]],
    points: Sequence[Array],
    entry: tuple[int, tuple[int, ...]],
    weights: Sequence[Array],
    precision: float,
) -> tuple[float, float]:
    """The derivative of the weighted outputs by one entry, and how far rounding may have put it off."""
    (k, at), moved = entry, list(points)

    def terms(x: float) -> Array:
        moved[k] = points[k].copy()
        moved[k][at] = x
        with no_grad():
            values = [(w * out.numpy()).ravel() for w, out in zip(weights, f(*moved), strict=True)]
        return np.concatenate(values)

    x = points[k][at]
    # the fourth root balances rounding, precision / h, with truncation, h^4
    h = float(precision**0.25 * max(abs(x), 1e-5) ** 0.5)
    up, down = terms(x + h), terms(x - h)
    slope = np.sum(8 * (up - down) - (terms(x + 2 * h) - terms(x - 2 * h))) / (12 * h)
    # terms that do not depend on x leave no rounding error, but it may be that rounding hides that they do
    size = _ROUNDING * np.sum(np.abs(up), where=up != down) + np.linalg.norm(up)
    return float(slope), float(precision * size / h)


def _report(worst: _Entry) -> None:
    size = max(abs(worst.got), abs(worst.expected))
    relative = abs(worst.got - worst.expected) / size if size else np.inf
    raise GradientError(
        f"the gradient by {worst.name} disagrees with finite differences",
        expected=f"{worst.expected:.10g}, by finite differences",
        got=f"{worst.got:.10g}, relative error {relative:.3g}",
        where=caller_line(),
        hint="look at the derivatives of the operations on the way; at a kink, move the point",
    )

"""Functions composed from primitives, for everything that primitives apply to.

Names and meanings are those of the array API standard where it has them. ``axis`` is None (all axes), an
integer or a tuple. Users reach these as ``cr.exp(x)`` and ``x.exp()``.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from chainrule.errors import ShapeError, caller_line
from chainrule.missing import shaped
from chainrule.ops import contract, dtypes, elementwise, indexing, movement, reduce
from chainrule.ops.operand import Operable, Operand
from chainrule.ops.record import T as AnyTensor
from chainrule.ops.record import is_float, need_axis

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Axis = int | tuple[int, ...] | None
P = ParamSpec("P")


# Elementwise


def exp(x: AnyTensor) -> AnyTensor:
    """Exponential of each element.

    >>> import chainrule as cr
    >>> cr.exp([0.0, 1.0])
    tensor([1.      , 2.718282])
    """
    return elementwise.exp(x)


def expm1(x: AnyTensor) -> AnyTensor:
    """exp(x) - 1, accurate for small x.

    >>> import chainrule as cr
    >>> cr.expm1(1e-10)  # exp(1e-10) - 1 would be 0 in float32
    tensor(1.e-10)
    """
    return elementwise.expm1(x)


def log(x: AnyTensor) -> AnyTensor:
    """Natural logarithm; -inf at 0, NaN below.

    >>> import chainrule as cr
    >>> cr.log([1.0, 0.0])
    tensor([  0., -inf])
    """
    return elementwise.log(x)


def log1p(x: AnyTensor) -> AnyTensor:
    """log(1 + x), accurate for small x.

    >>> import chainrule as cr
    >>> cr.log1p(1e-10)  # log(1 + 1e-10) would be 0 in float32
    tensor(1.e-10)
    """
    return elementwise.log1p(x)


def sqrt(x: AnyTensor) -> AnyTensor:
    """Square root; NaN below 0.

    >>> import chainrule as cr
    >>> cr.sqrt([4.0, 9.0])
    tensor([2., 3.])
    """
    return elementwise.sqrt(x)


def square(x: AnyTensor) -> AnyTensor:
    """The square of each element, x * x.

    >>> import chainrule as cr
    >>> cr.square([-3.0, 2.0])
    tensor([9., 4.])
    """
    return elementwise.multiply(x, x)


def abs(x: AnyTensor) -> AnyTensor:
    """Absolute value; its derivative at 0 is 0.

    >>> import chainrule as cr
    >>> cr.abs([-3.0, 2.0])
    tensor([3., 2.])
    >>> cr.grad(cr.abs)(0.0)
    tensor(0.)
    """
    return elementwise.abs(x)


def sign(x: AnyTensor) -> AnyTensor:
    """The sign of each element: -1, 0 or 1; its derivative is 0.

    >>> import chainrule as cr
    >>> cr.sign([-3.0, 0.0, 2.0])
    tensor([-1.,  0.,  1.])

    Lectures: B2.
    """
    return elementwise.sign(x)


def floor(x: AnyTensor) -> AnyTensor:
    """Round down to the nearest integer, in the dtype of x; the derivative is 0.

    >>> import chainrule as cr
    >>> cr.floor([-1.5, 1.5])
    tensor([-2.,  1.])
    """
    return elementwise.floor(x)


def sin(x: AnyTensor) -> AnyTensor:
    """Sine, in radians.

    >>> import chainrule as cr
    >>> cr.sin([0.0, 1.57079633])
    tensor([0., 1.])
    >>> cr.grad(cr.sin)(0.0)
    tensor(1.)
    """
    return elementwise.sin(x)


def cos(x: AnyTensor) -> AnyTensor:
    """Cosine, in radians.

    >>> import chainrule as cr
    >>> cr.cos([0.0, 3.14159265])
    tensor([ 1., -1.])
    """
    return elementwise.cos(x)


def tanh(x: AnyTensor) -> AnyTensor:
    """Hyperbolic tangent; its derivative keeps full relative accuracy where tanh saturates.

    >>> import chainrule as cr
    >>> print(f"{cr.grad(cr.tanh)(cr.tensor(40.0, dtype=cr.float64)).item():.12g}")
    7.21940555138e-35
    """
    return elementwise.tanh(x)


def logistic(x: AnyTensor) -> AnyTensor:
    """1 / (1 + exp(-x)), the sigmoid of the lectures.

    Its derivative is computed as s(x) s(-x), which does not vanish where s(x) rounds to 1.

    >>> import chainrule as cr
    >>> print(f"{cr.grad(cr.logistic)(cr.tensor(40.0, dtype=cr.float64)).item():.12g}")
    4.24835425529e-18

    Lectures: A3; erratum 20.
    """
    return elementwise.logistic(x)


def erf(x: AnyTensor) -> AnyTensor:
    """The error function.

    >>> import chainrule as cr
    >>> cr.erf([-10.0, 0.0, 10.0])
    tensor([-1.,  0.,  1.])
    """
    return elementwise.erf(x)


def relu(x: AnyTensor) -> AnyTensor:
    """max(x, 0); its derivative at 0 is 0.

    >>> import chainrule as cr
    >>> cr.relu([-1.0, 0.0, 2.0])
    tensor([0., 0., 2.])
    >>> cr.grad(lambda x: cr.relu(x).sum())(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 1.])

    Lectures: A14, C13.
    """
    return elementwise.relu(x)


def softplus(x: AnyTensor) -> AnyTensor:
    """log(1 + exp(x)), without overflow.

    >>> import chainrule as cr
    >>> cr.softplus([-1000.0, 1000.0])
    tensor([   0., 1000.])
    """
    return elementwise.softplus(x)


def maximum(x: AnyTensor, y: Operable) -> AnyTensor:
    """The larger of two values, element by element; where they are equal, each gets half of the derivative.

    >>> import chainrule as cr
    >>> cr.maximum([1.0, 5.0], [3.0, 2.0])
    tensor([3., 5.])
    >>> cr.grad(cr.maximum)(2.0, 2.0)
    tensor(0.5)
    """
    return elementwise.maximum(x, y)


def minimum(x: AnyTensor, y: Operable) -> AnyTensor:
    """The smaller of two values, element by element; where they are equal, each gets half of the derivative.

    >>> import chainrule as cr
    >>> cr.minimum([1.0, 5.0], [3.0, 2.0])
    tensor([1., 2.])
    >>> cr.grad(cr.minimum)(2.0, 2.0)
    tensor(0.5)
    """
    return elementwise.minimum(x, y)


def where(condition: AnyTensor, x: Operable, y: Operable) -> AnyTensor:
    """Choose from x where the boolean condition is true, from y elsewhere.

    The condition gets no gradient. Raises DtypeError for a condition that is not boolean.

    >>> import chainrule as cr
    >>> x = cr.tensor([-1.0, 2.0])
    >>> cr.where(x > 0, x, 0.1 * x)
    tensor([-0.1,  2. ])
    """
    return elementwise.where(condition, x, y)


def clip(x: AnyTensor, min: Operable | None = None, max: Operable | None = None) -> AnyTensor:
    """Limit x to [min, max], either of which may be left out.

    The derivative is 1 inside and at the bounds, 0 outside.

    >>> import chainrule as cr
    >>> cr.clip([-2.0, 0.5, 2.0], 0, 1)
    tensor([0. , 0.5, 1. ])
    >>> cr.clip([-2.0, 0.5, 2.0], min=0)
    tensor([0. , 0.5, 2. ])
    """
    low = -np.inf if min is None else min
    high = np.inf if max is None else max
    if not is_float(x.dtype) and (min is None or max is None):
        limits = (0, 1) if x.dtype.kind == "b" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        low, high = (limits[0] if min is None else min), (limits[1] if max is None else max)
    return elementwise.clip(x, low, high)


def equal(x: AnyTensor, y: Operable) -> AnyTensor:
    """Compare element by element: True where x equals y. Truth values have no derivative.

    >>> import chainrule as cr
    >>> cr.equal([1, 2, 3], [1, 0, 3])
    tensor([ True, False,  True])
    """
    return elementwise.equal(x, y)


def not_equal(x: AnyTensor, y: Operable) -> AnyTensor:
    """Compare element by element: True where x differs from y. Truth values have no derivative.

    >>> import chainrule as cr
    >>> cr.not_equal([1, 2, 3], [1, 0, 3])
    tensor([False,  True, False])
    """
    return elementwise.not_equal(x, y)


# Reductions


def _axes(name: str, x: Operand, axis: Axis) -> tuple[int, ...]:
    ndim = len(x.shape)
    if axis is None:
        return tuple(range(ndim))
    given = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    return tuple(sorted(need_axis(name, a, ndim) for a in given))


def sum(x: AnyTensor, axis: Axis = None, keepdims: bool = False) -> AnyTensor:
    """Sum over axes.

    Integers and booleans are added as 64-bit integers. Long sums of floats are added in blocks, which keeps the
    rounding error small.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.sum(x), cr.sum(x, axis=0)
    (tensor(10.), tensor([4., 6.]))
    >>> cr.sum(x, axis=1, keepdims=True).shape
    (2, 1)
    >>> cr.sum(x > 1)
    tensor(3)
    """
    return reduce.sum(x, axis=_axes("sum", x, axis), keepdims=keepdims)


def prod(x: AnyTensor, axis: Axis = None, keepdims: bool = False) -> AnyTensor:
    """Product over axes; the derivative is exact where elements are 0, too.

    >>> import chainrule as cr
    >>> cr.prod([2.0, 3.0, 4.0])
    tensor(24.)
    >>> cr.grad(cr.prod)(cr.tensor([0.0, 2.0, 3.0]))
    tensor([6., 0., 0.])
    """
    return reduce.prod(x, axis=_axes("prod", x, axis), keepdims=keepdims)


def max(x: AnyTensor, axis: Axis = None, keepdims: bool = False) -> AnyTensor:
    """The largest element over axes; equal largest elements share the derivative equally.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.max(x), cr.max(x, axis=0)
    (tensor(4.), tensor([3., 4.]))
    >>> cr.grad(cr.max)(cr.tensor([5.0, 1.0, 5.0]))
    tensor([0.5, 0. , 0.5])
    """
    return reduce.max(x, axis=_axes("max", x, axis), keepdims=keepdims)


def min(x: AnyTensor, axis: Axis = None, keepdims: bool = False) -> AnyTensor:
    """The smallest element over axes; equal smallest elements share the derivative equally.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.min(x), cr.min(x, axis=0)
    (tensor(1.), tensor([1., 2.]))
    >>> cr.grad(cr.min)(cr.tensor([1.0, 5.0, 1.0]))
    tensor([0.5, 0. , 0.5])
    """
    return reduce.min(x, axis=_axes("min", x, axis), keepdims=keepdims)


def logsumexp(x: AnyTensor, axis: Axis = None, keepdims: bool = False) -> AnyTensor:
    """log(sum(exp(x))) over axes, without overflow; -inf for an empty axis.

    >>> import chainrule as cr
    >>> cr.logsumexp([1000.0, 0.0])
    tensor(1000.)

    Lectures: C17.
    """
    return reduce.logsumexp(x, axis=_axes("logsumexp", x, axis), keepdims=keepdims)


def argmax(x: AnyTensor, axis: int | None = None) -> AnyTensor:
    """Index of the first largest element, along one axis or among all elements.

    An index has no derivative; :func:`softmax` is a smooth argmax.

    >>> import chainrule as cr
    >>> cr.argmax([[1.0, 7.0], [3.0, 7.0]])
    tensor(1)
    >>> cr.argmax([[1.0, 7.0], [8.0, 7.0]], axis=1)
    tensor([1, 0])
    """
    if axis is None:
        return reduce.argmax(reshape(x, (-1,)), axis=0)
    return reduce.argmax(x, axis=need_axis("argmax", axis, len(x.shape)))


def _in_float64(
    f: Callable[Concatenate[AnyTensor, P], AnyTensor], x: AnyTensor, *settings: P.args, **named: P.kwargs
) -> AnyTensor:
    """A function of integers or booleans, whose squares and sums could leave their dtype, or float32's digits."""
    return astype(f(astype(x, dtypes.float64), *settings, **named), dtypes.DEFAULT_FLOAT)


def mean(x: AnyTensor, axis: Axis = None, keepdims: bool = False) -> AnyTensor:
    """Arithmetic mean over axes; that of integers and booleans is taken in 64 bits and rounded to float32.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.mean(x), cr.mean(x, axis=0)
    (tensor(2.5), tensor([2., 3.]))
    """
    if not is_float(x.dtype):
        return _in_float64(mean, x, axis, keepdims)
    axes = _axes("mean", x, axis)
    count = math.prod(x.shape[a] for a in axes)
    return elementwise.divide(reduce.sum(x, axis=axes, keepdims=keepdims), float(count))


def var(x: AnyTensor, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> AnyTensor:
    """Variance over axes: the sum of squared deviations from the mean, divided by count - ``correction``.

    Where the correction is the count or more, it is infinite, or NaN if all elements are equal, as in NumPy.

    >>> import chainrule as cr
    >>> cr.var([1.0, 2.0, 3.0, 4.0])
    tensor(1.25)
    >>> cr.var([1.0, 2.0, 3.0], correction=1)
    tensor(1.)
    """
    if not is_float(x.dtype):
        return _in_float64(var, x, axis, keepdims, correction)
    axes = _axes("var", x, axis)
    count = math.prod(x.shape[a] for a in axes)
    deviation = x - mean(x, axes, keepdims=True)
    total = reduce.sum(square(deviation), axis=axes, keepdims=keepdims)
    return elementwise.divide(total, builtins.max(count - correction, 0.0))


def std(x: AnyTensor, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> AnyTensor:
    """Standard deviation, the square root of the variance; the derivative is 0 where all elements are equal.

    >>> import chainrule as cr
    >>> cr.std([1.0, 3.0, 1.0, 3.0])
    tensor(1.)
    >>> cr.std([1.0, 2.0, 3.0], correction=1)
    tensor(1.)
    >>> cr.grad(cr.std)(cr.tensor([1.0, 1.0]))
    tensor([0., 0.])
    """
    return elementwise.root(var(x, axis, keepdims, correction))


def norm(x: AnyTensor, axis: Axis = None, keepdims: bool = False) -> AnyTensor:
    """Euclidean norm over axes; its derivative at 0 is 0.

    Derivatives of its square are exact at 0 as well.

    >>> import chainrule as cr
    >>> cr.norm([3.0, 4.0])
    tensor(5.)
    >>> cr.grad(cr.norm)(cr.tensor([0.0, 0.0]))
    tensor([0., 0.])
    >>> cr.hessian(lambda x: cr.norm(x) ** 2)(cr.tensor([0.0, 0.0]))
    tensor([[2., 0.],
            [0., 2.]])
    """
    if not is_float(x.dtype):
        return _in_float64(norm, x, axis, keepdims)
    return elementwise.root(sum(square(x), axis, keepdims))


def softmax(x: AnyTensor, axis: int = -1) -> AnyTensor:
    """exp(x) / sum(exp(x)) along an axis, without overflow.

    >>> import chainrule as cr
    >>> cr.softmax(cr.tensor([10000.0, 0.0, -10000.0]))
    tensor([1., 0., 0.])

    Lectures: C16.
    """
    return exp(log_softmax(x, axis))


def log_softmax(x: AnyTensor, axis: int = -1) -> AnyTensor:
    """Logarithm of the softmax, exact where the softmax rounds to 0.

    >>> import chainrule as cr
    >>> cr.log_softmax([1000.0, 0.0])
    tensor([    0., -1000.])
    """
    # the largest score goes first: beside 10000 float32 has no room for the digits of a logarithm
    some = x.shape[need_axis("log_softmax", axis, len(x.shape))] > 0
    shifted = x - (movement.stop_gradient(max(x, axis, keepdims=True)) if some else 0.0)
    return shifted - logsumexp(shifted, axis, keepdims=True)


# Products


def matmul(x: AnyTensor, y: Operable) -> AnyTensor:
    """Matrix product over the last two axes; leading axes broadcast, one axis alone is a vector.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.matmul(x, x)
    tensor([[ 7., 10.],
            [15., 22.]])
    >>> cr.matmul(x, cr.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    a, b = shaped(x), shaped(y)
    if len(a.shape) == 0 or len(b.shape) == 0:
        raise ShapeError(
            "matmul: a scalar has no matrix product",
            expected="at least one axis on both sides",
            got=f"{tuple(a.shape)} @ {tuple(b.shape)}",
            where=caller_line(),
            hint="use * to scale",
        )
    left, right = len(a.shape) == 1, len(b.shape) == 1
    result: AnyTensor = contract.matmul(
        _as_matrix(a, (1, -1)) if left else a, _as_matrix(b, (-1, 1)) if right else b
    )
    if left or right:
        shape = result.shape
        kept = shape[:-2] + (() if left else shape[-2:-1]) + (() if right else shape[-1:])
        return movement.reshape(result, shape=kept)
    return result


def _as_matrix(x: Any, shape: tuple[int, int]) -> Any:
    """A vector, of whatever kind, as a matrix of one row or column."""
    return reshape(x, shape) if hasattr(x, "records_primitives") else np.reshape(x, shape)


# Movement


def reshape(x: AnyTensor, shape: int | Sequence[int], *more: int) -> AnyTensor:
    """The same elements in another shape; one length may be -1, and is worked out from the others.

    >>> import chainrule as cr
    >>> cr.reshape([1, 2, 3, 4, 5, 6], (2, -1))
    tensor([[1, 2, 3],
            [4, 5, 6]])
    """
    wanted = [shape, *more] if isinstance(shape, int | np.integer) else list(shape)
    if wanted.count(-1) == 1:
        known = math.prod(n for n in wanted if n != -1)
        size = math.prod(x.shape)
        wanted[wanted.index(-1)] = size // known if known else 0
    return movement.reshape(x, shape=tuple(int(n) for n in wanted))


def transpose(x: AnyTensor, axes: Sequence[int] | None = None) -> AnyTensor:
    """Permute the axes; without an order they are reversed.

    >>> import chainrule as cr
    >>> cr.transpose([[1, 2, 3], [4, 5, 6]])
    tensor([[1, 4],
            [2, 5],
            [3, 6]])
    >>> cr.transpose([[[1, 2, 3]]], (1, 2, 0)).shape
    (1, 3, 1)
    """
    ndim = len(x.shape)
    order = range(ndim)[::-1] if axes is None else [need_axis("transpose", a, ndim) for a in axes]
    return movement.transpose(x, axes=tuple(order))


def broadcast_to(x: AnyTensor, shape: Sequence[int]) -> AnyTensor:
    """Repeat x along new leading axes and along axes of length 1, without a copy.

    >>> import chainrule as cr
    >>> cr.broadcast_to([1, 2, 3], (2, 3))
    tensor([[1, 2, 3],
            [1, 2, 3]])
    """
    return movement.broadcast(x, shape=tuple(shape))


def expand_dims(x: AnyTensor, axis: int | tuple[int, ...]) -> AnyTensor:
    """Insert axes of length 1 at the given positions of the result.

    >>> import chainrule as cr
    >>> cr.expand_dims([1, 2, 3], 0)
    tensor([[1, 2, 3]])
    """
    given = (axis,) if isinstance(axis, int) else axis
    ndim = len(x.shape) + len(given)
    return movement.expand(x, axes=tuple(sorted(need_axis("expand_dims", a, ndim) for a in given)))


def squeeze(x: AnyTensor, axis: Axis = None) -> AnyTensor:
    """Remove axes of length 1: the given ones, or all.

    >>> import chainrule as cr
    >>> cr.squeeze([[[1, 2, 3]]])
    tensor([1, 2, 3])
    >>> cr.squeeze([[[1, 2, 3]]], axis=0)
    tensor([[1, 2, 3]])
    """
    if axis is None:
        return movement.squeeze(x, axes=tuple(a for a, n in enumerate(x.shape) if n == 1))
    return movement.squeeze(x, axes=_axes("squeeze", x, axis))


def _need_some(name: str, xs: Sequence[AnyTensor]) -> None:
    if len(xs) == 0:
        raise ShapeError(f"{name}: nothing to join", expected="at least one array", where=caller_line())


def concat(xs: Sequence[AnyTensor], axis: int = 0) -> AnyTensor:
    """Join arrays along an axis that they have.

    >>> import chainrule as cr
    >>> cr.concat([cr.tensor([1, 2]), cr.tensor([3])])
    tensor([1, 2, 3])
    """
    _need_some("concat", xs)
    return movement.concat(*xs, axis=need_axis("concat", axis, len(xs[0].shape)))


def stack(xs: Sequence[AnyTensor], axis: int = 0) -> AnyTensor:
    """Join arrays of one shape along a new axis.

    >>> import chainrule as cr
    >>> cr.stack([cr.tensor([1, 2]), cr.tensor([3, 4])], axis=1)
    tensor([[1, 3],
            [2, 4]])
    """
    _need_some("stack", xs)
    return movement.stack(*xs, axis=need_axis("stack", axis, len(xs[0].shape) + 1))


def pad(x: AnyTensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> AnyTensor:
    """Pad x with ``value``; ``widths`` has a pair (before, after) for each axis.

    >>> import chainrule as cr
    >>> cr.pad([1.0, 2.0], [(1, 2)])
    tensor([0., 1., 2., 0., 0.])
    """
    low, high = zip(*widths, strict=True) if widths else ((), ())
    return movement.pad(x, low=tuple(low), high=tuple(high), interior=(0,) * len(low), value=value)


def astype(x: AnyTensor, dtype: DTypeLike) -> AnyTensor:
    """Convert x to another dtype.

    Floats that become integers are cut off towards 0; those beyond the dtype's range become its smallest or largest
    number, and NaN becomes 0. Integers wrap around. A conversion to integers has no derivative.

    >>> import chainrule as cr
    >>> cr.astype([1.7, -1.7], cr.int32)
    tensor([ 1, -1], dtype=int32)
    >>> cr.astype([300.0, -1.0, float("nan")], cr.uint8)
    tensor([255,   0,   0], dtype=uint8)
    """
    wanted = dtypes.check_dtype(dtype)
    return x if x.dtype == wanted else movement.cast(x, dtype=wanted)


def flip(x: AnyTensor, axis: Axis = None) -> AnyTensor:
    """Reverse the order of the elements along axes, along all of them by default.

    >>> import chainrule as cr
    >>> cr.flip([[1, 2], [3, 4]], axis=1)
    tensor([[2, 1],
            [4, 3]])
    """
    axes = _axes("flip", x, axis)
    start = tuple(builtins.max(n - 1, 0) if a in axes else 0 for a, n in enumerate(x.shape))
    step = tuple(-1 if a in axes else 1 for a in range(len(x.shape)))
    return movement.slice(x, start=start, count=tuple(x.shape), step=step)


def take(x: AnyTensor, indices: Operable, axis: int = 0) -> AnyTensor:
    """Select elements at integer indices along an axis; negative indices count from the end.

    Raises IndexOutOfRangeError for an index that the axis does not have.

    >>> import chainrule as cr
    >>> cr.take([10, 20, 30], [0, -1])
    tensor([10, 30])
    >>> cr.take([[1, 2], [3, 4]], [1], axis=1)
    tensor([[2],
            [4]])
    """
    return indexing.gather(x, indices, axis=need_axis("take", axis, len(x.shape)))


def one_hot(labels: AnyTensor, classes: int, dtype: DTypeLike = dtypes.DEFAULT_FLOAT) -> AnyTensor:
    """Labels [...] as indicator rows [..., classes]: 1 at the label, 0 elsewhere.

    >>> import chainrule as cr
    >>> cr.one_hot([0, 2], 3)
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """
    return astype(equal(expand_dims(labels, -1), np.arange(classes)), dtype)


#: what users reach as ``cr.exp(x)``: every function here without an underscore, in this order
PUBLIC: Mapping[str, Callable[..., Any]] = {
    name: function
    for name, function in list(globals().items())
    if isfunction(function) and function.__module__ == __name__ and not name.startswith("_")
}
#: and as ``x.exp()``: all but those that are not about their first operand
METHODS: Mapping[str, Callable[..., Any]] = {
    name: function
    for name, function in PUBLIC.items()
    if name not in ("where", "equal", "not_equal", "concat", "stack", "pad", "one_hot")
}

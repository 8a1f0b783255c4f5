"""Functions composed from primitives, for everything that primitives apply to.

Names and meanings are those of the array API standard where it has them. ``axis`` is None (all axes), an
integer or a tuple. Users reach these as ``cr.exp(x)`` and ``x.exp()``.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError, describe_line, user_line
from chainrule.ops import contract, dtypes, elementwise, indexing, movement, reduce
from chainrule.ops.record import is_float, need_axis

Axis = int | tuple[int, ...] | None


# Elementwise


def exp(x: Any) -> Any:
    """Exponential of each element.

    >>> import chainrule as cr
    >>> cr.exp([0.0, 1.0])
    tensor([1.      , 2.718282])
    """
    return elementwise.exp(x)


def expm1(x: Any) -> Any:
    """exp(x) - 1, accurate for small x.

    >>> import chainrule as cr
    >>> cr.expm1(1e-10)  # exp(1e-10) - 1 would be 0 in float32
    tensor(1.e-10)
    """
    return elementwise.expm1(x)


def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below.

    >>> import chainrule as cr
    >>> cr.log([1.0, 0.0])
    tensor([  0., -inf])
    """
    return elementwise.log(x)


def log1p(x: Any) -> Any:
    """log(1 + x), accurate for small x.

    >>> import chainrule as cr
    >>> cr.log1p(1e-10)  # log(1 + 1e-10) would be 0 in float32
    tensor(1.e-10)
    """
    return elementwise.log1p(x)


def sqrt(x: Any) -> Any:
    """Square root; NaN below 0.

    >>> import chainrule as cr
    >>> cr.sqrt([4.0, 9.0])
    tensor([2., 3.])
    """
    return elementwise.sqrt(x)


def square(x: Any) -> Any:
    """x times x.

    >>> import chainrule as cr
    >>> cr.square([-3.0, 2.0])
    tensor([9., 4.])
    """
    return elementwise.multiply(x, x)


def abs(x: Any) -> Any:
    """Absolute value; its derivative at 0 is 0.

    >>> import chainrule as cr
    >>> cr.abs([-3.0, 2.0])
    tensor([3., 2.])
    >>> cr.grad(cr.abs)(0.0)
    tensor(0.)
    """
    return elementwise.abs(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1; its derivative is 0 (row B2).

    >>> import chainrule as cr
    >>> cr.sign([-3.0, 0.0, 2.0])
    tensor([-1.,  0.,  1.])
    """
    return elementwise.sign(x)


def floor(x: Any) -> Any:
    """Largest integer not above x; its derivative is 0.

    >>> import chainrule as cr
    >>> cr.floor([-1.5, 1.5])
    tensor([-2.,  1.])
    """
    return elementwise.floor(x)


def sin(x: Any) -> Any:
    """Sine, in radians.

    >>> import chainrule as cr
    >>> cr.sin([0.0, 1.57079633])
    tensor([0., 1.])
    >>> cr.grad(cr.sin)(0.0)
    tensor(1.)
    """
    return elementwise.sin(x)


def cos(x: Any) -> Any:
    """Cosine, in radians.

    >>> import chainrule as cr
    >>> cr.cos([0.0, 3.14159265])
    tensor([ 1., -1.])
    """
    return elementwise.cos(x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent; its derivative keeps full relative accuracy where tanh saturates.

    >>> import chainrule as cr
    >>> print(f"{cr.grad(cr.tanh)(cr.tensor(40.0, dtype=cr.float64)).item():.12g}")
    7.21940555138e-35
    """
    return elementwise.tanh(x)


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)), the sigmoid of the lectures (row A3).

    Its derivative is computed as s(x) s(-x), which does not vanish where s(x) rounds to 1 (erratum 20).

    >>> import chainrule as cr
    >>> print(f"{cr.grad(cr.logistic)(cr.tensor(40.0, dtype=cr.float64)).item():.12g}")
    4.24835425529e-18
    """
    return elementwise.logistic(x)


def erf(x: Any) -> Any:
    """The error function.

    >>> import chainrule as cr
    >>> cr.erf([-10.0, 0.0, 10.0])
    tensor([-1.,  0.,  1.])
    """
    return elementwise.erf(x)


def relu(x: Any) -> Any:
    """max(x, 0); its derivative at 0 is 0 (row A14, C13).

    >>> import chainrule as cr
    >>> cr.relu([-1.0, 0.0, 2.0])
    tensor([0., 0., 2.])
    >>> cr.grad(lambda x: cr.relu(x).sum())(cr.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 1.])
    """
    return elementwise.relu(x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow.

    >>> import chainrule as cr
    >>> cr.softplus([-1000.0, 1000.0])
    tensor([   0., 1000.])
    """
    return elementwise.softplus(x)


def maximum(x: Any, y: Any) -> Any:
    """The larger of two elements; a tie shares the derivative equally.

    >>> import chainrule as cr
    >>> cr.maximum([1.0, 5.0], [3.0, 2.0])
    tensor([3., 5.])
    >>> cr.grad(cr.maximum)(2.0, 2.0)
    tensor(0.5)
    """
    return elementwise.maximum(x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two elements; a tie shares the derivative equally.

    >>> import chainrule as cr
    >>> cr.minimum([1.0, 5.0], [3.0, 2.0])
    tensor([1., 2.])
    >>> cr.grad(cr.minimum)(2.0, 2.0)
    tensor(0.5)
    """
    return elementwise.minimum(x, y)


def where(condition: Any, x: Any, y: Any) -> Any:
    """Elements of x where the boolean condition holds, of y elsewhere.

    >>> import chainrule as cr
    >>> x = cr.tensor([-1.0, 2.0])
    >>> cr.where(x > 0, x, 0.1 * x)
    tensor([-0.1,  2. ])
    """
    return elementwise.where(condition, x, y)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """x kept within [min, max]; at a bound the derivative is 1.

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


def equal(x: Any, y: Any) -> Any:
    """Whether elements are equal.

    >>> import chainrule as cr
    >>> cr.equal([1, 2, 3], [1, 0, 3])
    tensor([ True, False,  True])
    """
    return elementwise.equal(x, y)


def not_equal(x: Any, y: Any) -> Any:
    """Whether elements differ.

    >>> import chainrule as cr
    >>> cr.not_equal([1, 2, 3], [1, 0, 3])
    tensor([False,  True, False])
    """
    return elementwise.not_equal(x, y)


# Reductions


def _axes(name: str, x: Any, axis: Axis) -> tuple[int, ...]:
    ndim = len(x.shape)
    if axis is None:
        return tuple(range(ndim))
    given = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    return tuple(sorted(need_axis(name, a, ndim) for a in given))


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over axes; integers and booleans in 64 bits, very many floats in blocks with a small error.

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


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Product over axes; its derivative is exact at zeros too.

    >>> import chainrule as cr
    >>> cr.prod([2.0, 3.0, 4.0])
    tensor(24.)
    >>> cr.grad(cr.prod)(cr.tensor([0.0, 2.0, 3.0]))
    tensor([6., 0., 0.])
    """
    return reduce.prod(x, axis=_axes("prod", x, axis), keepdims=keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest element; elements that tie share the derivative equally.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.max(x), cr.max(x, axis=0)
    (tensor(4.), tensor([3., 4.]))
    >>> cr.grad(cr.max)(cr.tensor([5.0, 1.0, 5.0]))
    tensor([0.5, 0. , 0.5])
    """
    return reduce.max(x, axis=_axes("max", x, axis), keepdims=keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest element; elements that tie share the derivative equally.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.min(x), cr.min(x, axis=0)
    (tensor(1.), tensor([1., 2.]))
    >>> cr.grad(cr.min)(cr.tensor([1.0, 5.0, 1.0]))
    tensor([0.5, 0. , 0.5])
    """
    return reduce.min(x, axis=_axes("min", x, axis), keepdims=keepdims)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))), shifted so that nothing overflows (row C17); of nothing it is -inf.

    >>> import chainrule as cr
    >>> cr.logsumexp([1000.0, 0.0])
    tensor(1000.)
    """
    return reduce.logsumexp(x, axis=_axes("logsumexp", x, axis), keepdims=keepdims)


def argmax(x: Any, axis: int | None = None) -> Any:
    """Index of the first largest element, over one axis or over all elements.

    >>> import chainrule as cr
    >>> cr.argmax([[1.0, 7.0], [3.0, 7.0]])
    tensor(1)
    >>> cr.argmax([[1.0, 7.0], [8.0, 7.0]], axis=1)
    tensor([1, 0])
    """
    if axis is None:
        return reduce.argmax(reshape(x, (-1,)), axis=0)
    return reduce.argmax(x, axis=need_axis("argmax", axis, len(x.shape)))


def _in_float64(f: Callable[..., Any], x: Any, *settings: Any) -> Any:
    """A function of integers or booleans, whose squares and sums could leave their dtype, or float32's digits."""
    return astype(f(astype(x, dtypes.float64), *settings), dtypes.DEFAULT_FLOAT)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
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


def var(x: Any, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> Any:
    """Variance: squared deviations from the mean, summed and divided by their number less ``correction``.

    With a correction of their number or more it is infinite, or NaN where all elements are equal, as NumPy's.

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


def std(x: Any, axis: Axis = None, keepdims: bool = False, correction: float = 0.0) -> Any:
    """Square root of the variance; its derivative where all elements are equal is 0.

    >>> import chainrule as cr
    >>> cr.std([1.0, 3.0, 1.0, 3.0])
    tensor(1.)
    >>> cr.std([1.0, 2.0, 3.0], correction=1)
    tensor(1.)
    >>> cr.grad(cr.std)(cr.tensor([1.0, 1.0]))
    tensor([0., 0.])
    """
    return elementwise.root(var(x, axis, keepdims, correction))


def norm(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Euclidean norm; its derivative at 0 is 0, and the square's derivatives are right there too.

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


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis, without overflow (row C16).

    >>> import chainrule as cr
    >>> cr.softmax(cr.tensor([10000.0, 0.0, -10000.0]))
    tensor([1., 0., 0.])
    """
    return exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
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


def _as_matrix(x: Any, shape: tuple[int, int]) -> Any:
    return reshape(x, shape) if hasattr(x, "apply") else np.reshape(x, shape)


def matmul(x: Any, y: Any) -> Any:
    """Matrix product over the last two axes; leading axes broadcast, one axis alone is a vector.

    >>> import chainrule as cr
    >>> x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cr.matmul(x, x)
    tensor([[ 7., 10.],
            [15., 22.]])
    >>> cr.matmul(x, cr.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    x, y = (a if hasattr(a, "apply") else np.asarray(a) for a in (x, y))
    if len(x.shape) == 0 or len(y.shape) == 0:
        raise ShapeError(
            "matmul: a scalar has no matrix product",
            expected="at least one axis on both sides",
            got=f"{tuple(x.shape)} @ {tuple(y.shape)}",
            where=describe_line(user_line()),
            hint="use * to scale",
        )
    left, right = len(x.shape) == 1, len(y.shape) == 1
    x = _as_matrix(x, (1, -1)) if left else x
    y = _as_matrix(y, (-1, 1)) if right else y
    result = contract.matmul(x, y)
    shape = result.shape
    if left or right:
        kept = shape[:-2] + (() if left else shape[-2:-1]) + (() if right else shape[-1:])
        return movement.reshape(result, shape=kept)
    return result


# Movement


def reshape(x: Any, shape: int | Sequence[int], *more: int) -> Any:
    """The same elements in another shape; one length may be -1.

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


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Axes in another order; reversed if none is given.

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


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """x repeated along new axes and axes of length 1.

    >>> import chainrule as cr
    >>> cr.broadcast_to([1, 2, 3], (2, 3))
    tensor([[1, 2, 3],
            [1, 2, 3]])
    """
    return movement.broadcast(x, shape=tuple(shape))


def expand_dims(x: Any, axis: int | tuple[int, ...]) -> Any:
    """x with new axes of length 1.

    >>> import chainrule as cr
    >>> cr.expand_dims([1, 2, 3], 0)
    tensor([[1, 2, 3]])
    """
    given = (axis,) if isinstance(axis, int) else axis
    ndim = len(x.shape) + len(given)
    return movement.expand(x, axes=tuple(sorted(need_axis("expand_dims", a, ndim) for a in given)))


def squeeze(x: Any, axis: Axis = None) -> Any:
    """x without axes of length 1: the given ones, or all.

    >>> import chainrule as cr
    >>> cr.squeeze([[[1, 2, 3]]])
    tensor([1, 2, 3])
    >>> cr.squeeze([[[1, 2, 3]]], axis=0)
    tensor([[1, 2, 3]])
    """
    if axis is None:
        return movement.squeeze(x, axes=tuple(a for a, n in enumerate(x.shape) if n == 1))
    return movement.squeeze(x, axes=_axes("squeeze", x, axis))


def _need_some(name: str, xs: Sequence[Any]) -> None:
    if len(xs) == 0:
        raise ShapeError(
            f"{name}: nothing to join", expected="at least one array", where=describe_line(user_line())
        )


def concat(xs: Sequence[Any], axis: int = 0) -> Any:
    """Arrays joined along an axis that they have.

    >>> import chainrule as cr
    >>> cr.concat([cr.tensor([1, 2]), cr.tensor([3])])
    tensor([1, 2, 3])
    """
    _need_some("concat", xs)
    return movement.concat(*xs, axis=need_axis("concat", axis, len(xs[0].shape)))


def stack(xs: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis.

    >>> import chainrule as cr
    >>> cr.stack([cr.tensor([1, 2]), cr.tensor([3, 4])], axis=1)
    tensor([[1, 3],
            [2, 4]])
    """
    _need_some("stack", xs)
    return movement.stack(*xs, axis=need_axis("stack", axis, len(xs[0].shape) + 1))


def pad(x: Any, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    """x with ``value`` before and behind, (before, behind) for each axis.

    >>> import chainrule as cr
    >>> cr.pad([1.0, 2.0], [(1, 2)])
    tensor([0., 1., 2., 0., 0.])
    """
    low, high = zip(*widths, strict=True) if widths else ((), ())
    return movement.pad(x, low=tuple(low), high=tuple(high), interior=(0,) * len(low), value=value)


def astype(x: Any, dtype: Any) -> Any:
    """x in another dtype.

    Floats lose what stands behind the point; beyond an integer dtype's range they become its smallest or largest
    number, and NaN becomes 0. Integers wrap around.

    >>> import chainrule as cr
    >>> cr.astype([1.7, -1.7], cr.int32)
    tensor([ 1, -1], dtype=int32)
    >>> cr.astype([300.0, -1.0, float("nan")], cr.uint8)
    tensor([255,   0,   0], dtype=uint8)
    """
    wanted = dtypes.check_dtype(dtype)
    return x if x.dtype == wanted else movement.cast(x, dtype=wanted)


def flip(x: Any, axis: Axis = None) -> Any:
    """x read backwards along axes.

    >>> import chainrule as cr
    >>> cr.flip([[1, 2], [3, 4]], axis=1)
    tensor([[2, 1],
            [4, 3]])
    """
    axes = _axes("flip", x, axis)
    start = tuple(builtins.max(n - 1, 0) if a in axes else 0 for a, n in enumerate(x.shape))
    step = tuple(-1 if a in axes else 1 for a in range(len(x.shape)))
    return movement.slice(x, start=start, count=tuple(x.shape), step=step)


def take(x: Any, indices: Any, axis: int = 0) -> Any:
    """Elements of x at integer indices along an axis; negative indices count from the end.

    >>> import chainrule as cr
    >>> cr.take([10, 20, 30], [0, -1])
    tensor([10, 30])
    >>> cr.take([[1, 2], [3, 4]], [1], axis=1)
    tensor([[2],
            [4]])
    """
    return indexing.gather(x, indices, axis=need_axis("take", axis, len(x.shape)))


def one_hot(labels: Any, classes: int, dtype: Any = dtypes.DEFAULT_FLOAT) -> Any:
    """Labels [...] as indicator rows [..., classes].

    >>> import chainrule as cr
    >>> cr.one_hot([0, 2], 3)
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """
    return astype(equal(expand_dims(labels, -1), np.arange(classes)), dtype)

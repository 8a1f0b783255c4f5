"""Primitives that reduce axes. ``axis`` is a sorted tuple of axes; ``keepdims`` leaves them with length 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops import instructions as i
from chainrule.ops import movement as m
from chainrule.ops.dtypes import int64, uint64
from chainrule.ops.elementwise import divide, equal, exp, log, not_equal, where
from chainrule.ops.notation import Expression, call, total
from chainrule.ops.operand import Application, Cotangents, Factors, Operand
from chainrule.ops.record import (
    Array,
    Case,
    Computed,
    Form,
    Formula,
    Lowering,
    Primitive,
    Reduction,
    Shape,
    Undefined,
    expect,
    is_float,
)
from chainrule.sums import total as total_of

Axes = tuple[int, ...]


def reduced_shape(shape: Shape, axis: Axes, keepdims: bool) -> Shape:
    """The shape left when ``axis`` is reduced."""
    if keepdims:
        return tuple(1 if i in axis else length for i, length in enumerate(shape))
    return tuple(length for i, length in enumerate(shape) if i not in axis)


def _check_axes(name: str, x: Operand, axis: Axes) -> None:
    expect(
        all(0 <= a < len(x.shape) for a in axis) and len(set(axis)) == len(axis),
        ShapeError,
        f"{name}: axes do not fit the operand",
        expected=f"distinct axes in [0, {len(x.shape)})",
        got=axis,
    )


def _domain(rng: np.random.Generator) -> Iterator[Case]:
    for shape, axis in (((5,), (0,)), ((3, 4), (0,)), ((3, 4), (1,)), ((2, 3, 4), (0, 2)), ((3, 2), (0, 1))):
        for keepdims in (False, True):
            yield Case((rng.uniform(0.3, 2.0, size=shape),), {"axis": axis, "keepdims": keepdims})


_BAD = (
    Case((np.ones((2, 3)),), {"axis": (2,), "keepdims": False}),
    Case((np.ones((2, 3)),), {"axis": (0, 0), "keepdims": False}),
)


def _reduction(
    name: str,
    value: Callable[..., Computed],
    derivative: Callable[..., Cotangents],
    *,
    lowering: Lowering,
    written: Callable[..., Expression],
    partials: Callable[..., Factors] | None = None,
    widen: bool = False,
    floating: bool = False,
    empty: bool = True,
) -> Primitive:
    """A record of one reduction; ``widen``: small integers in 64 bits; ``empty``: has a neutral element."""

    def form(x: Operand, axis: Axes, keepdims: bool) -> Form:
        _check_axes(name, x, axis)
        expect(
            empty or all(x.shape[a] > 0 for a in axis),
            ShapeError,
            f"{name}: an empty axis has no {name}",
            expected="at least one element on every reduced axis",
            got=f"shape {x.shape}, axis {axis}",
        )
        dtype = x.dtype
        if widen and not is_float(dtype):
            dtype = uint64 if dtype.kind == "u" else int64
        return Form(reduced_shape(x.shape, axis, keepdims), dtype)

    return Primitive(
        name,
        form,
        value,
        derivative,
        _domain,
        _BAD,
        promoted=(0, 1),
        floating=floating,
        lowering=lowering,
        written=written,
        partials=partials,
    )


def _named(name: str, latex: str) -> Callable[..., Expression]:
    """Written as a function of the elements, with the axes where it does not take all of them."""

    def written(node: Application, x: Expression) -> Expression:
        axes, shape = node.params["axis"], node.inputs[0].shape
        every = all(n == 1 or i in axes for i, n in enumerate(shape))
        over = "" if every else f", {'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
        return call(f"{name}({{0}}{over})", rf"{latex}\left({{0}}{over}\right)", x, shape=node.shape)

    return written


def _sum_written(node: Application, x: Expression) -> Expression:
    counted = math.prod(node.inputs[0].shape[a] for a in node.params["axis"])
    if counted == 1:
        return x
    if math.prod(node.shape) == 1:
        return total(x, node.shape)
    return _named("sum", r"\operatorname{{sum}}")(node, x)


def _kept(g: Operand, x: Operand, axis: Axes) -> Operand:
    """``g`` with the reduced axes back as axes of length 1."""
    return m.reshape(g, shape=reduced_shape(x.shape, axis, True))


def _sum(x: Array, axis: Axes, keepdims: bool) -> Array:
    if is_float(x.dtype):
        return total_of(x, axis, keepdims=keepdims)
    return np.sum(x, axis=axis, keepdims=keepdims)


sum: Primitive = _reduction(
    "sum",
    _sum,
    lambda g, y, x, axis, keepdims: (m.broadcast(_kept(g, x, axis), shape=x.shape),),
    widen=True,
    lowering=Reduction(lambda node: 0, i.arithmetic("fadd", "add"), in_blocks=True),
    written=_sum_written,
)


def _extremum_derivative(g: Operand, y: Operand, x: Operand, axis: Axes, keepdims: bool) -> Cotangents:
    # elements that tie share the cotangent equally
    chosen = m.cast(equal(x, _kept(y, x, axis)), dtype=x.dtype)
    return (chosen * divide(_kept(g, x, axis), sum(chosen, axis=axis, keepdims=True)),)


max: Primitive = _reduction(
    "max",
    lambda x, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims),
    _extremum_derivative,
    empty=False,
    lowering=Reduction(i.lowest, i.extremum("gt")),
    written=_named("max", r"\max"),
)
min: Primitive = _reduction(
    "min",
    lambda x, axis, keepdims: np.min(x, axis=axis, keepdims=keepdims),
    _extremum_derivative,
    empty=False,
    lowering=Reduction(i.highest, i.extremum("lt")),
    written=_named("min", r"\min"),
)


def _products_before(x: Operand, *, reverse: bool) -> Operand:
    """On the last axis, the product of all elements before each one (after it, if ``reverse``)."""
    *lead, length = x.shape
    none = (0,) * len(lead)

    def shifted(x: Operand, by: int) -> Operand:
        start, low, high = (by, 0, by) if reverse else (0, by, 0)
        kept = m.slice(x, start=(*none, start), count=(*lead, length - by), step=(1,) * (len(lead) + 1))
        return m.pad(kept, low=(*none, low), high=(*none, high), interior=(*none, 0), value=1.0)

    x = shifted(x, 1)
    by = 1
    while by < length:
        x = x * shifted(x, by)
        by *= 2
    return x


def _prod_derivative(g: Operand, y: Operand, x: Operand, axis: Axes, keepdims: bool) -> Cotangents:
    # the product of all other elements, without dividing by an element that may be 0
    kept = tuple(a for a in range(len(x.shape)) if a not in axis)
    order = kept + axis
    moved = m.transpose(x, axes=order)
    length = math.prod(x.shape[a] for a in axis)
    if length == 0:
        return (m.broadcast(_kept(g, x, axis), shape=x.shape),)
    flat = m.reshape(moved, shape=(*(x.shape[a] for a in kept), length))
    others = _products_before(flat, reverse=False) * _products_before(flat, reverse=True)
    back = m.transpose(m.reshape(others, shape=moved.shape), axes=tuple(int(i) for i in np.argsort(order)))
    return (_kept(g, x, axis) * back,)


prod: Primitive = _reduction(
    "prod",
    lambda x, axis, keepdims: np.prod(x, axis=axis, keepdims=keepdims),
    _prod_derivative,
    widen=True,
    lowering=Reduction(lambda node: 1, i.arithmetic("fmul", "mul")),
    written=_named("prod", r"\operatorname{{prod}}"),
    partials=lambda y, x: (y / x,),
)


def _logsumexp(x: Array, axis: Axes, keepdims: bool) -> Array:
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, x.dtype.type(0))
    result = np.log(total_of(np.exp(x - top), axis, keepdims=True)) + top
    return result.reshape(reduced_shape(x.shape, axis, keepdims))


def _logsumexp_expanded(node: Application, x: Operand) -> Operand:
    axis = node.params["axis"]
    if any(x.shape[a] == 0 for a in axis):
        return log(sum(x, axis=axis, keepdims=node.params["keepdims"]))  # of a sum of nothing
    top = max(x, axis=axis, keepdims=True)
    top = where(equal(top - top, 0), top, 0)  # an infinite maximum is not subtracted
    result = log(sum(exp(x - top), axis=axis, keepdims=True)) + top
    return result if result.shape == node.shape else m.reshape(result, shape=node.shape)


#: log of the sum of exponentials, shifted by the maximum so that nothing overflows (row C17)
logsumexp: Primitive = _reduction(
    "logsumexp",
    _logsumexp,
    lambda g, y, x, axis, keepdims: (_kept(g, x, axis) * exp(x - _kept(y, x, axis)),),
    floating=True,
    lowering=Formula(_logsumexp_expanded),
    written=_named("logsumexp", r"\operatorname{{logsumexp}}"),
)


def _argmax_form(x: Operand, axis: int) -> Form:
    _check_axes("argmax", x, (axis,))
    expect(x.shape[axis] > 0, ShapeError, "argmax: an empty axis has no argmax", got=f"shape {x.shape}")
    return Form(reduced_shape(x.shape, (axis,), False), int64)


def _argmax_domain(rng: np.random.Generator) -> Iterator[Case]:
    for shape, axis in (((5,), 0), ((3, 4), 0), ((3, 4), 1)):
        yield Case((rng.normal(size=shape),), {"axis": axis})


def _argmax_expanded(node: Application, x: Operand) -> Operand:
    axis = node.params["axis"]
    top = max(x, axis=(axis,), keepdims=True)
    place = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(x.shape))])
    at_top = equal(x, top) | not_equal(x, x)  # the first NaN counts as largest
    return min(where(at_top, place, x.shape[axis]), axis=(axis,), keepdims=False)


#: the first of several largest elements
argmax: Primitive = Primitive(
    "argmax",
    _argmax_form,
    lambda x, axis: np.argmax(x, axis=axis),
    Undefined("cr.softmax(x) is a smooth argmax; x.detach() where a gradient of 0 is meant"),
    _argmax_domain,
    (Case((np.ones((2, 3)),), {"axis": 2}),),
    lowering=Formula(_argmax_expanded),
    written=lambda node, x: call("argmax({0})", r"\arg\max\left({0}\right)", x, shape=node.shape),
)

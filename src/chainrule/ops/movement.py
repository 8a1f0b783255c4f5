"""Primitives that move, join or convert elements without computing on them."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterator

import numpy as np

from chainrule.errors import DtypeError, ShapeError
from chainrule.ops import instructions
from chainrule.ops.dtypes import check_dtype, float32, float64, int32
from chainrule.ops.notation import SUBSCRIPTS, Expression, call, symbol, transposed
from chainrule.ops.operand import Application, Cotangents, Dtype, Operand, Params
from chainrule.ops.record import (
    MANY,
    ZERO,
    Array,
    Case,
    Elementwise,
    Form,
    OwnLoop,
    Primitive,
    Shape,
    ViewOnly,
    expect,
    is_float,
)

Ints = tuple[int, ...]


def _size(shape: Shape) -> int:
    return math.prod(shape)


def _same(node: Application, x: Expression) -> Expression:
    """Written as its operand: the elements stay what and, as a person sees it, where they are."""
    return x


def _moved(name: str) -> Callable[..., Expression]:
    """Written as a function."""

    def written(node: Application, *operands: Expression) -> Expression:
        slots = ", ".join(f"{{{i}}}" for i in range(len(operands)))
        latex = rf"\operatorname{{{{{name}}}}}\left({slots}\right)"
        return call(f"{name}({slots})", latex, *operands, shape=node.shape)

    return written


def _reshape_written(node: Application, x: Expression) -> Expression:
    """Lengths of 1 come and go unwritten, but for a vector that is laid down as the row of a product."""
    given = node.inputs[0].shape
    if [n for n in given if n != 1] != [n for n in node.shape if n != 1]:
        return _moved("reshape")(node, x)
    lies_down = len(given) == 1 and len(node.shape) == 2 and node.shape[0] == 1 != node.shape[1]
    stands_up = len(given) == 2 and len(node.shape) == 1 and given[0] == 1 != given[1]
    return transposed(x, node.shape) if lies_down or stands_up else x


def _transpose_written(node: Application, x: Expression) -> Expression:
    axes = node.params["axes"]
    ndim = len(axes)
    if axes == tuple(range(ndim)):
        return x
    last_two = ndim >= 2 and axes == (*range(ndim - 2), ndim - 1, ndim - 2)
    return transposed(x, node.shape) if last_two else _moved("transpose")(node, x)


def _slice_written(node: Application, x: Expression) -> Expression:
    """As in Python: x[1:3], or x[2] where one element of an axis is taken."""
    parts = []
    for a, k, s, n in zip(
        node.params["start"], node.params["count"], node.params["step"], node.inputs[0].shape, strict=True
    ):
        if k == 1 != n:
            parts.append(str(a))
        elif s < 0:
            parts.append(f"{a}:{a + k * s if a + k * s >= 0 else ''}:{s}")
        else:
            stop = a + (k - 1) * s + 1 if k else a
            parts.append(":" if (a, stop, s) == (0, n, 1) else f"{a}:{stop}" + (f":{s}" if s != 1 else ""))
    while len(parts) > 1 and parts[-1] == ":":
        parts.pop()
    if parts in ([], [":"]):
        return x
    return call(f"{{0}}[{', '.join(parts)}]", rf"{{0}}\left[{', '.join(parts)}\right]", x, shape=node.shape)


def _pad_written(node: Application, x: Expression) -> Expression:
    """One number among zeros is that number times a unit vector, e0 for the first."""
    if len(node.shape) == 1 != node.shape[0] and node.inputs[0].shape == (1,) and node.params["value"] == 0:
        place = node.params["low"][0]
        return x * symbol(f"e{str(place).translate(SUBSCRIPTS)}", f"e_{{{place}}}", node.shape)
    return _moved("pad")(node, x)


def _joined(node: Application, *operands: Expression) -> Expression:
    slots = ", ".join(f"{{{i}}}" for i in range(len(operands)))
    return call(f"[{slots}]", rf"\left[{slots}\right]", *operands, shape=node.shape)


def _cast_written(node: Application, x: Expression) -> Expression:
    """A person does not write a change of precision; a float made an integer is."""
    if node.dtype.kind == "f" or node.inputs[0].dtype.kind != "f":
        return x
    return call("int({0})", r"\operatorname{{int}}\left({0}\right)", x, shape=node.shape)


def _cases(*rows: tuple[Shape, Params]) -> Callable[[np.random.Generator], Iterator[Case]]:
    def domain(rng: np.random.Generator) -> Iterator[Case]:
        for shape, params in rows:
            yield Case((rng.normal(size=shape),), params)

    return domain


def _reshape_form(x: Operand, shape: Shape) -> Form:
    expect(
        _size(x.shape) == _size(shape) and min(shape, default=0) >= 0,
        ShapeError,
        "reshape: the number of elements differs",
        expected=f"{_size(x.shape)} elements, as in {x.shape}",
        got=f"{_size(shape)} elements, as in {shape}",
    )
    return Form(shape, x.dtype)


reshape: Primitive = Primitive(
    "reshape",
    _reshape_form,
    lambda x, shape: np.reshape(x, shape),  # noqa: PLW0108 - NumPy has other names for the keywords
    lambda g, y, x, shape: (reshape(g, shape=x.shape),),
    _cases(((3, 4), {"shape": (2, 6)}), ((6,), {"shape": (2, 3)}), ((1,), {"shape": ()})),
    (Case((np.ones((2, 3)),), {"shape": (4,)}), Case((np.ones((2, 3)),), {"shape": (-2, -3)})),
    lowering=ViewOnly(),
    written=_reshape_written,
)


def _transpose_form(x: Operand, axes: Ints) -> Form:
    expect(
        sorted(axes) == list(range(len(x.shape))),
        ShapeError,
        "transpose: axes are not a permutation",
        expected=f"a permutation of {tuple(range(len(x.shape)))}",
        got=axes,
    )
    return Form(tuple(x.shape[a] for a in axes), x.dtype)


transpose: Primitive = Primitive(
    "transpose",
    _transpose_form,
    lambda x, axes: np.transpose(x, axes),  # noqa: PLW0108
    lambda g, y, x, axes: (transpose(g, axes=tuple(int(i) for i in np.argsort(axes))),),
    _cases(((3, 4), {"axes": (1, 0)}), ((2, 3, 4), {"axes": (2, 0, 1)}), ((), {"axes": ()})),
    (Case((np.ones((2, 3)),), {"axes": (0, 0)}),),
    lowering=ViewOnly(),
    written=_transpose_written,
)


def _broadcast_form(x: Operand, shape: Shape) -> Form:
    lead = len(shape) - len(x.shape)
    fits = lead >= 0 and all(a in (1, b) for a, b in zip(x.shape, shape[lead:], strict=True))
    expect(
        fits, ShapeError, "broadcast: the shape does not broadcast", expected=f"to fit {shape}", got=x.shape
    )
    return Form(shape, x.dtype)


# the sweep sums the broadcast axes away again, as for every record that broadcasts
broadcast: Primitive = Primitive(
    "broadcast",
    _broadcast_form,
    lambda x, shape: np.broadcast_to(x, shape),  # noqa: PLW0108
    lambda g, y, x, shape: (g,),
    _cases(((4,), {"shape": (3, 4)}), ((3, 1), {"shape": (2, 3, 4)}), ((), {"shape": (2,)})),
    (Case((np.ones((2, 3)),), {"shape": (2, 4)}), Case((np.ones((2, 3)),), {"shape": (3,)})),
    lowering=ViewOnly(),
    written=_same,
)


def _expand_form(x: Operand, axes: Ints) -> Form:
    ndim = len(x.shape) + len(axes)
    expect(
        len(set(axes)) == len(axes) and all(0 <= a < ndim for a in axes),
        ShapeError,
        "expand: axes do not fit the result",
        expected=f"distinct axes in [0, {ndim})",
        got=axes,
    )
    lengths = iter(x.shape)
    return Form(tuple(1 if a in axes else next(lengths) for a in range(ndim)), x.dtype)


expand: Primitive = Primitive(
    "expand",
    _expand_form,
    lambda x, axes: np.expand_dims(x, axes),  # noqa: PLW0108
    lambda g, y, x, axes: (squeeze(g, axes=axes),),
    _cases(((3, 4), {"axes": (1,)}), ((3,), {"axes": (0, 2)}), ((), {"axes": (0,)})),
    (Case((np.ones((2, 3)),), {"axes": (3,)}),),
    lowering=ViewOnly(),
    written=_same,
)


def _squeeze_form(x: Operand, axes: Ints) -> Form:
    expect(
        all(0 <= a < len(x.shape) and x.shape[a] == 1 for a in axes),
        ShapeError,
        "squeeze: only axes of length 1 can be dropped",
        expected="axes of length 1",
        got=f"axes {axes} of shape {x.shape}",
    )
    return Form(tuple(n for a, n in enumerate(x.shape) if a not in axes), x.dtype)


squeeze: Primitive = Primitive(
    "squeeze",
    _squeeze_form,
    lambda x, axes: np.squeeze(x, axis=axes),
    lambda g, y, x, axes: (expand(g, axes=axes),),
    _cases(((3, 1, 4), {"axes": (1,)}), ((1, 3, 1), {"axes": (0, 2)}), ((1,), {"axes": (0,)})),
    (Case((np.ones((2, 3)),), {"axes": (0,)}),),
    lowering=ViewOnly(),
    written=_same,
)


def _slice_form(x: Operand, start: Ints, count: Ints, step: Ints) -> Form:
    fits = len(start) == len(count) == len(step) == len(x.shape) and all(
        k == 0 or (s != 0 and 0 <= a < n and 0 <= a + (k - 1) * s < n)
        for a, k, s, n in zip(start, count, step, x.shape, strict=True)
    )
    expect(
        fits,
        ShapeError,
        "slice: elements outside the operand",
        expected=f"start + i * step inside {x.shape}",
        got=f"start {start}, count {count}, step {step}",
    )
    return Form(tuple(count), x.dtype)


def _slice(x: Array, start: Ints, count: Ints, step: Ints) -> Array:
    index = []
    for a, k, s in zip(start, count, step, strict=True):
        stop = a + k * s
        index.append(builtins.slice(0, 0) if k == 0 else builtins.slice(a, stop if stop >= 0 else None, s))
    return x[(*index, ...)]  # with the dots a scalar stays an array, and a view


def _slice_derivative(g: Operand, y: Operand, x: Operand, start: Ints, count: Ints, step: Ints) -> Cotangents:
    if any(s < 0 for s in step):  # read the cotangent backwards, then as for a positive step
        flips = [s < 0 for s in step]
        g = slice(
            g,
            start=tuple(max(k - 1, 0) if flip else 0 for flip, k in zip(flips, count, strict=True)),
            count=count,
            step=tuple(-1 if flip else 1 for flip in flips),
        )
        start = tuple(
            a + max(k - 1, 0) * s if s < 0 else a for a, k, s in zip(start, count, step, strict=True)
        )
        step = tuple(abs(s) for s in step)
    low, high = [], []
    for a, k, s, n in zip(start, count, step, x.shape, strict=True):
        low.append(a if k else 0)
        high.append(n - (a + (k - 1) * s + 1) if k else n)
    interior = tuple(s - 1 if k else 0 for k, s in zip(count, step, strict=True))
    return (pad(g, low=tuple(low), high=tuple(high), interior=interior, value=0.0),)


#: element i of the result on an axis is element ``start + i * step``
slice: Primitive = Primitive(
    "slice",
    _slice_form,
    _slice,
    _slice_derivative,
    _cases(
        ((), {"start": (), "count": (), "step": ()}),
        ((7,), {"start": (1,), "count": (3,), "step": (2,)}),
        ((7,), {"start": (6,), "count": (3,), "step": (-2,)}),
        ((7,), {"start": (5,), "count": (6,), "step": (-1,)}),
        ((3, 4), {"start": (0, 1), "count": (3, 2), "step": (1, 1)}),
        ((3, 4), {"start": (0, 3), "count": (0, 4), "step": (1, -1)}),
    ),
    (Case((np.ones(3),), {"start": (1,), "count": (3,), "step": (1,)}),),
    lowering=ViewOnly(),
    written=_slice_written,
)


def _pad_form(x: Operand, low: Ints, high: Ints, interior: Ints, value: float) -> Form:
    expect(
        len(low) == len(high) == len(interior) == len(x.shape)
        and min((*low, *high, *interior), default=0) >= 0,
        ShapeError,
        "pad: widths do not fit the operand",
        expected=f"non-negative widths for each of the {len(x.shape)} axes",
        got=f"low {low}, high {high}, interior {interior}",
    )
    expect(
        x.dtype.kind not in "iu" or np.iinfo(x.dtype).min <= value <= np.iinfo(x.dtype).max,
        DtypeError,
        "pad: the value does not fit the operand's dtype",
        expected=f"a number that {x.dtype} has",
        got=value,
        hint="cast the operand first: x.astype(cr.float32)",
    )
    return Form(
        tuple(a + b + n + max(n - 1, 0) * i for a, b, i, n in zip(low, high, interior, x.shape, strict=True)),
        x.dtype,
    )


def _inside(x: Operand, low: Ints, interior: Ints) -> dict[str, Ints]:
    """Where the operand's elements stand in the padded result."""
    start = tuple(a if n else 0 for a, n in zip(low, x.shape, strict=True))
    return {"start": start, "count": tuple(x.shape), "step": tuple(i + 1 for i in interior)}


def _pad(x: Array, low: Ints, high: Ints, interior: Ints, value: float) -> Array:
    result = np.full(_pad_form(x, low, high, interior, value).shape, value, dtype=x.dtype)
    _slice(result, **_inside(x, low, interior))[...] = x
    return result


#: ``value`` before, behind and (``interior``) between the elements
pad: Primitive = Primitive(
    "pad",
    _pad_form,
    _pad,
    lambda g, y, x, low, high, interior, value: (slice(g, **_inside(x, low, interior)),),
    _cases(
        ((), {"low": (), "high": (), "interior": (), "value": 0.0}),
        ((3,), {"low": (1,), "high": (2,), "interior": (0,), "value": 0.0}),
        ((3, 2), {"low": (0, 1), "high": (0, 0), "interior": (2, 1), "value": 1.5}),
        ((0, 2), {"low": (1, 1), "high": (2, 0), "interior": (0, 0), "value": 0.0}),
    ),
    (
        Case((np.ones(3),), {"low": (-1,), "high": (0,), "interior": (0,), "value": 0.0}),
        Case((np.ones(3, np.uint8),), {"low": (1,), "high": (0,), "interior": (0,), "value": 300}),
        Case((np.ones(3, int),), {"low": (1,), "high": (0,), "interior": (0,), "value": np.nan}),
    ),
    lowering=OwnLoop("pad"),
    written=_pad_written,
)


def _concat_form(*xs: Operand, axis: int) -> Form:
    first = xs[0]
    rest = [tuple(n for a, n in enumerate(x.shape) if a != axis) for x in xs]
    expect(
        0 <= axis < len(first.shape)
        and all(len(x.shape) == len(first.shape) for x in xs)
        and all(r == rest[0] for r in rest),
        ShapeError,
        "concat: shapes differ off the joined axis",
        expected=f"shapes equal except on axis {axis}",
        got=", ".join(str(x.shape) for x in xs),
    )
    shape = list(first.shape)
    shape[axis] = builtins.sum(x.shape[axis] for x in xs)
    return Form(tuple(shape), first.dtype)


def _part(g: Operand, axis: int, start: int, count: int) -> Operand:
    """``count`` elements of ``g`` from ``start`` on one axis, all on the others."""
    starts, counts = [0] * len(g.shape), list(g.shape)
    starts[axis], counts[axis] = start, count
    return slice(g, start=tuple(starts), count=tuple(counts), step=(1,) * len(counts))


def _concat_derivative(g: Operand, y: Operand, *xs: Operand, axis: int) -> Cotangents:
    starts = np.cumsum([0, *(x.shape[axis] for x in xs)]).tolist()
    return tuple(_part(g, axis, start, x.shape[axis]) for start, x in zip(starts, xs, strict=False))


def _concat_domain(rng: np.random.Generator) -> Iterator[Case]:
    yield Case((rng.normal(size=3), rng.normal(size=2)), {"axis": 0})
    yield Case(tuple(rng.normal(size=(2, n)) for n in (1, 3, 0)), {"axis": 1})


concat: Primitive = Primitive(
    "concat",
    _concat_form,
    lambda *xs, axis: np.concatenate(xs, axis=axis),
    _concat_derivative,
    _concat_domain,
    (Case((np.ones((2, 3)), np.ones((3, 3))), {"axis": 1}),),
    promoted=(0, MANY),
    lowering=OwnLoop("join"),
    written=_joined,
)


def _stack_form(*xs: Operand, axis: int) -> Form:
    expect(
        all(x.shape == xs[0].shape for x in xs) and 0 <= axis <= len(xs[0].shape),
        ShapeError,
        "stack: shapes differ",
        expected=f"all of shape {xs[0].shape}, axis in [0, {len(xs[0].shape)}]",
        got=", ".join(str(x.shape) for x in xs) + f", axis {axis}",
    )
    return Form((*xs[0].shape[:axis], len(xs), *xs[0].shape[axis:]), xs[0].dtype)


def _stack_domain(rng: np.random.Generator) -> Iterator[Case]:
    for axis in (0, 1, 2):
        yield Case((rng.normal(size=(2, 3)), rng.normal(size=(2, 3))), {"axis": axis})
    yield Case(tuple(np.asarray(rng.normal()) for _ in range(3)), {"axis": 0})


stack: Primitive = Primitive(
    "stack",
    _stack_form,
    lambda *xs, axis: np.stack(xs, axis=axis),
    lambda g, y, *xs, axis: tuple(squeeze(_part(g, axis, i, 1), axes=(axis,)) for i in range(len(xs))),
    _stack_domain,
    (Case((np.ones(3), np.ones(2)), {"axis": 0}),),
    promoted=(0, MANY),
    lowering=OwnLoop("join"),
    written=_joined,
)


def _cast(x: Array, dtype: Dtype) -> Array:
    """NumPy's astype; a float beyond an integer's range is the nearest integer that there is, and NaN is 0.

    What NumPy makes of such floats differs between processors.
    """
    if x.dtype.kind != "f" or dtype.kind not in "iu":
        return x.astype(dtype)
    limits = np.iinfo(dtype)
    low, beyond = float(limits.min), float(limits.max // 2 + 1) * 2  # both are floats of any width
    inside = (x > low) & (x < beyond)
    result = np.where(inside, x, 0).astype(dtype)
    return np.where(x >= beyond, limits.max, np.where(x <= low, limits.min, result)).astype(dtype)


def _cast_domain(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (float64, float32, int32):
        yield Case((rng.normal(size=(3, 4)) * 3,), {"dtype": dtype})


def _cast_derivative(g: Operand, y: Operand, x: Operand, dtype: Dtype) -> Cotangents:
    return (cast(g, dtype=x.dtype) if is_float(x.dtype) and is_float(dtype) else None,)


cast: Primitive = Primitive(
    "cast",
    lambda x, dtype: Form(x.shape, check_dtype(dtype)),
    _cast,
    _cast_derivative,
    _cast_domain,
    (Case((np.ones(2),), {"dtype": np.dtype(np.float16)}),),
    lowering=Elementwise(instructions.cast),
    written=_cast_written,
)
#: the same value under another node, so that a derivative can be taken with respect to it alone
identity: Primitive = Primitive(
    "identity",
    lambda x: Form(x.shape, x.dtype),
    lambda x: x,
    lambda g, y, x: (g,),
    _cases(((3, 4), {}), ((), {})),
    lowering=Elementwise(instructions.same),
    written=_same,
)

#: the same value, a constant to every derivative
stop_gradient: Primitive = Primitive(
    "stop_gradient",
    lambda x: Form(x.shape, x.dtype),
    lambda x: x,
    ZERO,
    _cases(((3, 4), {})),
    lowering=Elementwise(instructions.same),
    written=_same,
)

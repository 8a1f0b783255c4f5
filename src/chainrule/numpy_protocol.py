"""NumPy's own functions on tensors: those that chainrule has too go on with ours, so that derivatives stay.

``UFUNCS`` and ``FUNCTIONS`` say which those are. Any other function of NumPy is computed on the values, where no
derivative can be lost by that: no tensor carries one, or the function is among ``FLAT``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from chainrule import functions as f
from chainrule.errors import ChainruleError, GradientError, TracingError, caller_line
from chainrule.functions import Axis
from chainrule.graph import describe_form
from chainrule.missing import shaped
from chainrule.ops import elementwise as e
from chainrule.ops.dtypes import bool_
from chainrule.ops.operand import Operable, Operand
from chainrule.ops.record import T as AnyTensor
from chainrule.ops.record import need_axis

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

N = TypeVar("N")  # nested lists, tuples and dicts
Limit: TypeAlias = "Operable | None"

Call = Callable[..., object]


class Unlike(Exception):  # noqa: N818 - a message within this package
    """A call that means something in NumPy which ours do not have; the text says what."""


#: the universal functions that chainrule has, by NumPy's own, with the same meaning
UFUNCS: Mapping[np.ufunc, Call] = {
    np.add: e.add,
    np.subtract: e.subtract,
    np.multiply: e.multiply,
    np.divide: e.divide,
    np.power: lambda x, y: x**y if hasattr(x, "records_primitives") else e.power(x, y),
    np.negative: e.negative,
    np.positive: lambda x: x,
    np.matmul: f.matmul,
    np.absolute: f.abs,
    np.fabs: f.abs,
    np.sign: f.sign,
    np.floor: f.floor,
    np.exp: f.exp,
    np.exp2: lambda x: 2.0**x,
    np.expm1: f.expm1,
    np.log: f.log,
    np.log2: lambda x: f.log(x) * (1.0 / math.log(2.0)),
    np.log10: lambda x: f.log(x) * (1.0 / math.log(10.0)),
    np.log1p: f.log1p,
    np.sqrt: f.sqrt,
    np.square: f.square,
    np.reciprocal: lambda x: 1.0 / x,
    np.sin: f.sin,
    np.cos: f.cos,
    np.tan: lambda x: f.sin(x) / f.cos(x),
    np.tanh: f.tanh,
    np.degrees: lambda x: x * (180.0 / math.pi),
    np.rad2deg: lambda x: x * (180.0 / math.pi),
    np.radians: lambda x: x * (math.pi / 180.0),
    np.deg2rad: lambda x: x * (math.pi / 180.0),
    np.maximum: f.maximum,
    np.minimum: f.minimum,
    np.less: e.less,
    np.less_equal: e.less_equal,
    np.greater: e.greater,
    np.greater_equal: e.greater_equal,
    np.equal: f.equal,
    np.not_equal: f.not_equal,
    np.logical_and: lambda x, y: e.logical_and(_truth(x), _truth(y)),
    np.logical_or: lambda x, y: e.logical_or(_truth(x), _truth(y)),
    np.logical_not: lambda x: e.logical_not(_truth(x)),
    np.bitwise_and: e.logical_and,
    np.bitwise_or: e.logical_or,
    np.invert: e.logical_not,
}


def _truth(x: object) -> Operand:
    truth = shaped(x)
    return truth if truth.dtype == bool_ else truth != 0


def _flat(a: object) -> Any:
    return shaped(a).reshape((-1,))


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise Unlike(what)


def _joined(rank: int, axis: int) -> Call:
    """Arrays of at least ``rank`` axes, where missing ones come first, joined along an axis."""

    def join(tup: Sequence[object]) -> Operand:
        parts = [shaped(x) for x in tup]
        wide = [x.reshape((1,) * (rank - len(x.shape)) + tuple(x.shape)) for x in parts]
        return f.concat(wide, axis if len(wide[0].shape) > 1 else 0)

    return join


def _column_stack(tup: Sequence[object]) -> Operand:
    parts = [shaped(x) for x in tup]
    return f.concat([x.reshape((-1, 1)) if len(x.shape) < 2 else x for x in parts], 1)


def _dot(a: object, b: object) -> Operand:
    x, y = shaped(a), shaped(b)
    if len(x.shape) == 0 or len(y.shape) == 0:
        return x * y
    _need(len(y.shape) <= 2, "a second operand of more than two axes")
    return f.matmul(x, y)


def _inner(a: object, b: object) -> Operand:
    x, y = shaped(a), shaped(b)
    return _dot(x, y.T if len(x.shape) > 0 and len(y.shape) == 2 else y)


def _where(condition: object, x: Operable, y: Operable) -> Operand:
    return f.where(_truth(condition), x, y)


def _clip(
    a: object, a_min: Limit = None, a_max: Limit = None, *, min: Limit = None, max: Limit = None
) -> Operand:
    x, low, high = shaped(a), (a_min if min is None else min), (a_max if max is None else max)
    if all(isinstance(limit, int | float | None) for limit in (low, high)):
        return f.clip(x, low, high)
    x = x if low is None else f.maximum(x, low)
    return x if high is None else f.minimum(x, high)


def _moment(of: Call) -> Call:
    def moment(
        a: object,
        axis: Axis = None,
        *,
        ddof: float | None = None,
        correction: float = 0,
        keepdims: bool = False,
    ) -> object:
        return of(a, axis, keepdims, correction if ddof is None else ddof)

    return moment


def _norm(x: AnyTensor, ord: object = None, axis: Axis = None, keepdims: bool = False) -> AnyTensor:
    vectors = isinstance(axis, int) or (axis is None and len(x.shape) == 1)
    _need(ord is None or (ord == 2 and vectors) or (ord == "fro" and not vectors), f"ord={ord!r}")
    return f.norm(x, axis, keepdims)


def _reduction(of: Call) -> Call:
    def reduction(a: object, axis: Axis = None, *, keepdims: bool = False) -> object:
        return of(a, axis, keepdims)

    return reduction


def _reshape(a: AnyTensor, shape: int | Sequence[int]) -> AnyTensor:
    return f.reshape(a, shape)


def _swapaxes(a: AnyTensor, axis1: int, axis2: int) -> AnyTensor:
    order = list(range(len(a.shape)))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return f.transpose(a, order)


def _moveaxis(a: AnyTensor, source: int | Sequence[int], destination: int | Sequence[int]) -> AnyTensor:
    ndim = len(a.shape)
    from_, to = (
        [need_axis("moveaxis", x, ndim) for x in ([given] if isinstance(given, int) else given)]
        for given in (source, destination)
    )
    order = [axis for axis in range(ndim) if axis not in from_]
    for place, axis in sorted(zip(to, from_, strict=True)):
        order.insert(place, axis)
    return f.transpose(a, order)


def _matrix_transpose(x: AnyTensor) -> AnyTensor:
    return _swapaxes(x, -1, -2)


def _take(a: AnyTensor, indices: Operable, axis: int | None = None) -> AnyTensor:
    return f.take(_flat(a) if axis is None else a, indices, 0 if axis is None else axis)


def _pad(
    array: AnyTensor, pad_width: object, mode: str = "constant", *, constant_values: object = 0
) -> AnyTensor:
    if mode != "constant" or not isinstance(constant_values, int | float):
        raise Unlike(f"mode={mode!r} or several values")
    _need(not isinstance(pad_width, dict), "a dict of widths")
    widths = np.broadcast_to(np.asarray(pad_width), (len(array.shape), 2)).tolist()
    return f.pad(array, [(low, high) for low, high in widths], constant_values)


#: the other functions that chainrule has, by NumPy's own; a call that ours do not understand is refused
FUNCTIONS: Mapping[Call, Call] = {
    np.sum: _reduction(f.sum),
    np.prod: _reduction(f.prod),
    np.max: _reduction(f.max),
    np.amax: _reduction(f.max),
    np.min: _reduction(f.min),
    np.amin: _reduction(f.min),
    np.mean: _reduction(f.mean),
    np.var: _moment(f.var),
    np.std: _moment(f.std),
    np.argmax: f.argmax,
    np.linalg.norm: _norm,
    np.dot: _dot,
    np.vdot: lambda a, b: f.matmul(_flat(a), _flat(b)),
    np.inner: _inner,
    np.outer: lambda a, b: _flat(a).reshape((-1, 1)) * _flat(b),
    np.where: _where,
    np.clip: _clip,
    np.concatenate: lambda arrays, axis=0: (
        f.concat([_flat(x) for x in arrays]) if axis is None else f.concat([shaped(x) for x in arrays], axis)
    ),
    np.stack: lambda arrays, axis=0: f.stack([shaped(x) for x in arrays], axis),
    np.vstack: _joined(2, 0),
    np.hstack: _joined(1, 1),
    np.column_stack: _column_stack,
    np.reshape: _reshape,
    np.ravel: _flat,
    np.transpose: f.transpose,
    np.matrix_transpose: _matrix_transpose,
    np.swapaxes: _swapaxes,
    np.moveaxis: _moveaxis,
    np.squeeze: f.squeeze,
    np.expand_dims: f.expand_dims,
    np.broadcast_to: lambda array, shape: f.broadcast_to(
        array, (shape,) if isinstance(shape, int) else shape
    ),
    np.atleast_1d: lambda ary: ary if ary.shape else ary.reshape((1,)),
    np.flip: f.flip,
    np.flipud: lambda m: f.flip(m, 0),
    np.fliplr: lambda m: f.flip(m, 1),
    np.take: _take,
    np.pad: _pad,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.zeros_like: lambda a, dtype=None: np.zeros(a.shape, a.dtype if dtype is None else dtype),
    np.ones_like: lambda a, dtype=None: np.ones(a.shape, a.dtype if dtype is None else dtype),
}

#: universal functions whose results are constant but for jumps: the derivative of the value alone is the right one
FLAT_UFUNCS = frozenset(
    {np.isnan, np.isfinite, np.isinf, np.signbit, np.rint, np.trunc, np.ceil, np.logical_xor, np.floor_divide}
)

#: functions of which the same holds, that look only at form, or that give text or a file
FLAT = frozenset(
    {np.allclose, np.array_equal, np.array_equiv, np.isclose, np.isin, np.all, np.any, np.iscomplexobj}
    | {np.isrealobj, np.isreal, np.iscomplex, np.isneginf, np.isposinf, np.argmin, np.argsort, np.argwhere}
    | {
        np.argpartition,
        np.nonzero,
        np.flatnonzero,
        np.count_nonzero,
        np.searchsorted,
        np.digitize,
        np.lexsort,
    }
    | {np.round, np.around, np.fix, np.result_type, np.can_cast, np.min_scalar_type, np.common_type}
    | {np.shares_memory, np.may_share_memory}
    | {np.array2string, np.array_str, np.array_repr, np.save, np.savez, np.savez_compressed, np.savetxt}
)

#: functions that write into their first argument
WRITERS = frozenset({np.copyto, np.put, np.putmask, np.place, np.fill_diagonal, np.put_along_axis})

#: universal functions whose ``reduce`` chainrule has
REDUCTIONS: Mapping[np.ufunc, Call] = {
    np.add: f.sum,
    np.multiply: f.prod,
    np.maximum: f.max,
    np.minimum: f.min,
}


def _reduced(ufunc: np.ufunc) -> Call | None:
    """``ufunc.reduce`` by ours, if we have it."""
    of = REDUCTIONS.get(ufunc)
    if of is None:
        return None

    def reduce(array: object, axis: Axis = 0, *, keepdims: bool = False) -> object:
        return of(array, axis, keepdims)

    return reduce


# What a tensor does when NumPy asks it


def call_ufunc(
    tensor: type[Tensor],
    ufunc: np.ufunc,
    method: str,
    inputs: tuple[object, ...],
    kwargs: dict[str, object],
) -> object:
    """A universal function of tensors, or one of its methods; GradientError where a derivative would be lost."""
    if method == "__call__" and ufunc in UFUNCS and not kwargs:
        return UFUNCS[ufunc](*inputs)
    if any(isinstance(x, tensor) for x in leaves(kwargs.get("out"))):
        raise not_assigned()
    carrying = _carrying(tensor, (inputs, kwargs))
    if carrying is None:
        return getattr(ufunc, method)(*_lent(tensor, inputs), **_lent(tensor, kwargs))
    if ufunc in FLAT_UFUNCS and carrying.node.value is not None and not kwargs:
        return getattr(ufunc, method)(*_looked_at(tensor, inputs))
    name = f"np.{ufunc.__name__}" + (f".{method}" if method != "__call__" else "")
    ours = _reduced(ufunc) if method == "reduce" else None
    if ours is None:
        raise _lost(carrying, name, "with a result in an array" if "out" in kwargs else "")
    return _ours(name, carrying, ours, inputs, kwargs)


def call_function(
    tensor: type[Tensor], function: Call, args: tuple[object, ...], kwargs: dict[str, object]
) -> object:
    """Another function of NumPy's on tensors; GradientError where a derivative would be lost."""
    written = args[0] if function in WRITERS and args else kwargs.get("out")
    if any(isinstance(x, tensor) for x in leaves(written)):
        raise not_assigned()
    carrying, ours = _carrying(tensor, (args, kwargs)), FUNCTIONS.get(function)
    if carrying is None:
        return function(*_lent(tensor, args), **_lent(tensor, kwargs))
    if function in FLAT and carrying.node.value is not None:
        return function(*_looked_at(tensor, args), **_looked_at(tensor, kwargs))
    name = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
    if ours is None:
        raise _lost(carrying, name)
    return _ours(name, carrying, ours, args, kwargs)


def leaves(x: object) -> Iterator[object]:
    """What stands in nested lists, tuples and dicts."""
    if isinstance(x, list | tuple | dict):
        for item in x.values() if isinstance(x, dict) else x:
            yield from leaves(item)
    else:
        yield x


def _carrying(tensor: type[Tensor], given: object) -> Tensor | None:
    """A tensor among the arguments that carries a derivative or has no value yet, the latter first; or None."""
    found = [x for x in leaves(given) if isinstance(x, tensor) and x.carries()]
    return min(found, key=lambda x: x.node.value is not None, default=None)


def _lent(tensor: type[Tensor], given: N) -> N:
    """The arguments with the tensors' own memory, of which the result may be a part."""
    return _replaced(given, lambda x: x.numpy() if isinstance(x, tensor) else x)


def _looked_at(tensor: type[Tensor], given: N) -> N:
    """The arguments with the tensors' values, where nothing of them remains in the result."""
    return _replaced(given, lambda x: x.peek() if isinstance(x, tensor) else x)


def _replaced(x: Any, by: Call) -> Any:
    if isinstance(x, list):
        return [_replaced(item, by) for item in x]
    if isinstance(x, tuple):
        return tuple(_replaced(item, by) for item in x)
    return {name: _replaced(item, by) for name, item in x.items()} if isinstance(x, dict) else by(x)


def _ours(
    name: str, carrying: Tensor, ours: Call, args: Sequence[object], kwargs: Mapping[str, object]
) -> object:
    """Our function with NumPy's arguments; an error for arguments that it does not have."""
    given = {key: value for key, value in kwargs.items() if not (key in ("dtype", "out") and value is None)}
    try:
        bound = signature(ours).bind(*args, **given)
    except TypeError as error:
        raise _lost(carrying, name, f"({error})") from None
    try:
        return ours(*bound.args, **bound.kwargs)
    except Unlike as reason:
        raise _lost(carrying, name, f"({reason})") from None


def not_assigned() -> GradientError:
    """The error for whoever writes into a tensor."""
    return GradientError(
        "tensors are not assigned into, so that their history stays true",
        where=caller_line(),
        hint="use cr.where, or write into .data of a leaf",
    )


def _lost(carrying: Tensor, name: str, how: str = "") -> ChainruleError:
    """The error for a function of NumPy that would drop the derivative of a tensor, or look for its value."""
    text, where = f"{name} {how}".rstrip(), caller_line()
    if carrying.node.value is None:
        return TracingError(
            f"{text} has no counterpart here, and a traced tensor has no value yet",
            expected="operations on tensors only",
            got=describe_form(carrying.node),
            where=where,
            hint="use the functions of chainrule",
        )
    return GradientError(
        f"{text} would drop the derivative of a tensor",
        expected="a function of chainrule, or one of NumPy's that chainrule has too",
        got=f"{describe_form(carrying.node)}, which requires a gradient",
        where=where,
        hint="write it with chainrule's functions, or pass x.detach() where the value is meant to be a constant",
    )

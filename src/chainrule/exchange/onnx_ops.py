"""Writes each primitive in ONNX: one function ``(writer, part, *names of the operands)`` per primitive.

What ONNX or onnxruntime cannot compute in a dtype is computed in one that it can, and converted back. Records that
lower by a formula (logsumexp, argmax) arrive as that formula. ``random_bits`` has no counterpart: ONNX's random numbers
differ, and nothing is random at inference.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.exchange.dynamic import Affine, Filled, Part, as_length
from chainrule.exchange.onnx_writer import Writer
from chainrule.ops.operand import Dtype

Write = Callable[..., str]
FLOATS = ("float32", "float64")
NUMBERS = (*FLOATS, "int32", "int64")


def _elementwise(kind: str, dtypes: tuple[str, ...] = NUMBERS, boolean: str = "") -> Write:
    """One ONNX operation on operands of equal dtype; ``boolean`` is the operation for booleans."""

    def write(w: Writer, part: Part, *names: str) -> str:
        dtype = part.inputs[-1].dtype
        if dtype == np.bool_ and boolean:
            return w.op(boolean, *names)
        near = _near(dtype, dtypes)
        result = w.op(kind, *(w.cast(name, dtype, near) for name in names))
        return w.cast(result, near, part.dtype)

    return write


def _near(dtype: Dtype, dtypes: tuple[str, ...]) -> Dtype:
    """A dtype among those that an operation accepts, which can hold the same values."""
    if dtype.name in dtypes:
        return dtype
    return np.dtype(np.float64 if "float64" in dtypes and dtype.kind == "f" else dtypes[-1])


def _number(w: Writer, part: Part, value: float) -> str:
    return w.constant(value, part.inputs[0].dtype)


def _same(w: Writer, part: Part, name: str) -> str:
    return name


def _floats_only(write: Write) -> Write:
    """Apply to floats only; integers and booleans are unchanged."""
    return lambda w, part, name: write(w, part, name) if part.dtype.kind == "f" else name


def _absolute(w: Writer, part: Part, name: str) -> str:
    return name if part.dtype.kind in "ub" else _elementwise("Abs")(w, part, name)


def _relu(w: Writer, part: Part, name: str) -> str:
    if part.dtype.kind in "ub":
        return name
    if part.dtype.kind == "f":
        return w.op("Relu", name)
    near = _near(part.dtype, NUMBERS)
    result = w.op("Max", w.cast(name, part.dtype, near), w.constant(0, near))
    return w.cast(result, near, part.dtype)


def _expm1(w: Writer, part: Part, name: str) -> str:
    # tanh(x / 2) (exp(x) + 1), which is accurate for small x
    half = w.op("Tanh", w.op("Mul", name, _number(w, part, 0.5)))
    return w.op("Mul", half, w.op("Add", w.op("Exp", name), _number(w, part, 1)))


def _log1p(w: Writer, part: Part, name: str) -> str:
    # Kahan: the rounding of u = 1 + x is made good by (x - (u - 1)) / u
    one = _number(w, part, 1)
    u = w.op("Add", name, one)
    lost = w.op("Div", w.op("Sub", name, w.op("Sub", u, one)), u)
    exact = w.op("Or", w.op("Equal", u, name), w.op("Equal", u, _number(w, part, 0)))
    log = w.op("Log", u)
    return w.op("Where", exact, log, w.op("Add", log, lost))


def _logistic(w: Writer, part: Part, name: str) -> str:
    if part.dtype == np.float32:
        return w.op("Sigmoid", name)
    one = _number(w, part, 1)
    return w.op("Div", one, w.op("Add", one, w.op("Exp", w.op("Neg", name))))


def _softplus(w: Writer, part: Part, name: str) -> str:
    tail = _log1p(w, part, w.op("Exp", w.op("Neg", w.op("Abs", name))))
    return w.op("Add", w.op("Relu", name), tail)


def _erf(w: Writer, part: Part, name: str) -> str:
    if part.dtype == np.float32:
        return w.op("Erf", name)
    return w.cast(w.op("Erf", w.cast(name, part.dtype, np.float32)), np.float32, part.dtype)


def _not_equal(w: Writer, part: Part, a: str, b: str) -> str:
    return w.op("Not", _comparison("Equal")(w, part, a, b))


def _comparison(kind: str) -> Write:
    def write(w: Writer, part: Part, *names: str) -> str:
        dtype = part.inputs[0].dtype
        near = _near(dtype, NUMBERS)
        return w.op(kind, *(w.cast(name, dtype, near) for name in names))

    return write


def _where(w: Writer, part: Part, condition: str, a: str, b: str) -> str:
    near = _near(part.dtype, NUMBERS)
    result = w.op("Where", condition, *(w.cast(name, part.dtype, near) for name in (a, b)))
    return w.cast(result, near, part.dtype)


def _clip(w: Writer, part: Part, name: str, low: str, high: str) -> str:
    return MAPPINGS["minimum"](w, part, MAPPINGS["maximum"](w, part, name, low), high)


# Reductions


def _reduction(kind: str, dtypes: tuple[str, ...] = NUMBERS) -> Write:
    def write(w: Writer, part: Part, name: str) -> str:
        if not part.params["axis"]:
            return w.cast(name, part.inputs[0].dtype, part.dtype)
        near = _near(part.dtype, dtypes)
        axes = w.constant(part.params["axis"], np.int64)
        operand = w.cast(name, part.inputs[0].dtype, near)
        return w.cast(w.op(kind, operand, axes, keepdims=int(part.params["keepdims"])), near, part.dtype)

    return write


# Movement


def _reshape(w: Writer, part: Part, name: str) -> str:
    return w.op("Reshape", name, w.lengths(part.params["shape"]), allowzero=1)


def _transpose(w: Writer, part: Part, name: str) -> str:
    axes = part.params["axes"]
    return w.op("Transpose", name, perm=list(axes)) if axes else name


def _broadcast(w: Writer, part: Part, name: str) -> str:
    return w.op("Expand", name, w.lengths(part.params["shape"]))


def _with_axes(kind: str) -> Write:
    def write(w: Writer, part: Part, name: str) -> str:
        axes = part.params["axes"]
        return w.op(kind, name, w.constant(axes, np.int64)) if axes else name

    return write


def _slice(w: Writer, part: Part, name: str) -> str:
    starts, ends, p = [], [], part.params
    for start, count, step, length in zip(
        p["start"], p["count"], p["step"], part.inputs[0].shape, strict=True
    ):
        first = as_length(start)
        end = first + as_length(count) * step
        if step < 0 and count != 0:  # counted from behind, where -1 is not the last element
            end = end - as_length(step) - 1 - length
        starts.append(first)
        ends.append(end)
    axes = w.constant(range(len(starts)), np.int64)
    if not starts:
        return name
    return w.op("Slice", name, w.lengths(starts), w.lengths(ends), axes, w.constant(p["step"], np.int64))


def _pad(w: Writer, part: Part, name: str) -> str:
    p, lengths, value = part.params, list(part.inputs[0].shape), w.constant(part.params["value"], part.dtype)
    if not lengths:
        return name
    for axis, between in enumerate(p["interior"]):
        if between and lengths[axis] != 0:  # [.., n, 1] is padded to [.., n, 1 + between] and cut at the end
            name = w.op("Unsqueeze", name, w.constant([axis + 1], np.int64))
            name = w.op("Pad", name, _pad_behind(w, len(lengths) + 1, axis + 1, between), value)
            n = as_length(lengths[axis]) * (1 + between)
            name = w.op("Reshape", name, w.lengths([*lengths[:axis], n, *lengths[axis + 1 :]]), allowzero=1)
            lengths[axis] = n - between
            start, along = w.constant([0], np.int64), w.constant([axis], np.int64)
            name = w.op("Slice", name, start, w.lengths([lengths[axis]]), along)
    return w.op("Pad", name, w.lengths([*p["low"], *p["high"]]), value)


def _pad_behind(w: Writer, ndim: int, axis: int, behind: int) -> str:
    pads = np.zeros(2 * ndim, np.int64)
    pads[ndim + axis] = behind
    return w.constant(pads)


def _concat(w: Writer, part: Part, *names: str) -> str:
    return w.op("Concat", *names, axis=part.params["axis"])


def _stack(w: Writer, part: Part, *names: str) -> str:
    axis = part.params["axis"]
    rows = [w.op("Unsqueeze", name, w.constant([axis], np.int64)) for name in names]
    return w.op("Concat", *rows, axis=axis)


def _cast(w: Writer, part: Part, name: str) -> str:
    return w.cast(name, part.inputs[0].dtype, part.dtype)


# Indexing


def _gather(w: Writer, part: Part, name: str, indices: str) -> str:
    wide = w.cast(indices, part.inputs[1].dtype, np.int64)
    return w.op("Gather", name, wide, axis=part.params["axis"])


def _scatter_add(w: Writer, part: Part, updates: str, indices: str) -> str:
    axis, size = part.params["axis"], part.params["size"]
    ndim, picked = len(part.inputs[0].shape), len(part.inputs[1].shape)
    # the indexed axes first, for ScatterND adds whole slices of the first axis
    order = [*range(axis, axis + picked), *range(axis), *range(axis + picked, ndim)]
    moved = w.op("Transpose", updates, perm=order)
    rest = [part.inputs[0].shape[i] for i in order[picked:]]
    zeros = w.op("Expand", w.constant(0, part.dtype), w.lengths([size, *rest]))
    wide = w.cast(indices, part.inputs[1].dtype, np.int64)
    places = w.op("Unsqueeze", wide, w.constant([-1], np.int64))
    added = w.op("ScatterND", zeros, places, moved, reduction="add")
    back = [*range(1, axis + 1), 0, *range(axis + 1, 1 + len(rest))]
    return w.op("Transpose", added, perm=back)


# Edges of a sparse graph (``ops/edges.py``): weights in the order of the upper neurons, targets in that of the lower


def _edges(w: Writer, part: Part, incidence: tuple[str, ...]) -> tuple[str, str, str, str, str]:
    """Each edge's lower and upper neuron in the weights' order, then target, lower neuron and weight in the other."""
    source, target, position = (w.cast(incidence[i], np.int32, np.int64) for i in (1, 3, 4))
    place = w.op("Sub", position, w.constant(part.params["first"], np.int64))
    zeros = w.constant(np.zeros(part.inputs[3].shape, np.int64))
    upper = w.op("ScatterElements", zeros, place, target, axis=0)
    return source, upper, target, w.op("Gather", source, place, axis=0), position


def _summed(w: Writer, part: Part, messages: str, where: str) -> str:
    """Messages [edges, batch] added up at the neurons that they go to."""
    zeros = w.op("Expand", w.constant(0, part.dtype), w.lengths(part.shape))
    places = w.op("Unsqueeze", where, w.constant([-1], np.int64))
    return w.op("ScatterND", zeros, places, messages, reduction="add")


def _times(w: Writer, values: str, weights: str) -> str:
    return w.op("Mul", values, w.op("Unsqueeze", weights, w.constant([1], np.int64)))


def _edge_sum(w: Writer, part: Part, values: str, weights: str, *incidence: str) -> str:
    lower, upper, _, _, _ = _edges(w, part, incidence)
    first, count = part.params["first"], part.inputs[3].shape[0]
    own = w.op("Slice", weights, w.constant([first], np.int64), w.constant([first + count], np.int64))
    return _summed(w, part, _times(w, w.op("Gather", values, lower, axis=0), own), upper)


def _edge_sum_down(w: Writer, part: Part, values: str, weights: str, *incidence: str) -> str:
    _, _, upper, lower, position = _edges(w, part, incidence)
    own = w.op("Gather", weights, position, axis=0)
    return _summed(w, part, _times(w, w.op("Gather", values, upper, axis=0), own), lower)


def _edge_dot(w: Writer, part: Part, upper: str, lower: str, *incidence: str) -> str:
    below, above, _, _, _ = _edges(w, part, incidence)
    ends = (w.op("Gather", values, place, axis=0) for values, place in ((upper, above), (lower, below)))
    return w.op("ReduceSum", w.op("Mul", *ends), w.constant([1], np.int64), keepdims=0)


# Where values enter


def _given(w: Writer, part: Part) -> str:
    value = part.params["value"]
    if isinstance(value, Affine):
        return w.affine(value, part.dtype)
    if isinstance(value, Filled):
        return w.op("Expand", w.constant(value.value, part.dtype), w.lengths(value.shape))
    return w.constant(value, part.dtype)


MAPPINGS: dict[str, Write] = {
    "constant": _given,
    "leaf": _given,
    "add": _elementwise("Add", boolean="Or"),
    "subtract": _elementwise("Sub"),
    "multiply": _elementwise("Mul", boolean="And"),
    "divide": _elementwise("Div"),
    "negative": _elementwise("Neg"),
    "power": _elementwise("Pow"),
    "exp": _elementwise("Exp"),
    "expm1": _expm1,
    "log": _elementwise("Log"),
    "log1p": _log1p,
    "sqrt": _elementwise("Sqrt"),
    "root": _elementwise("Sqrt"),
    "abs": _absolute,
    "sign": _elementwise("Sign"),
    "floor": _floats_only(_elementwise("Floor")),
    "sin": _elementwise("Sin"),
    "cos": _elementwise("Cos"),
    "logistic": _logistic,
    "tanh": _elementwise("Tanh"),
    "softplus": _softplus,
    "erf": _erf,
    "relu": _relu,
    "maximum": _elementwise("Max", boolean="Or"),
    "minimum": _elementwise("Min", boolean="And"),
    "where": _where,
    "clip": _clip,
    "equal": _comparison("Equal"),
    "not_equal": _not_equal,
    "less": _comparison("Less"),
    "less_equal": _comparison("LessOrEqual"),
    "greater": _comparison("Greater"),
    "greater_equal": _comparison("GreaterOrEqual"),
    "logical_and": _elementwise("And", ("bool",)),
    "logical_or": _elementwise("Or", ("bool",)),
    "logical_not": _elementwise("Not", ("bool",)),
    "sum": _reduction("ReduceSum"),
    "prod": _reduction("ReduceProd"),
    "max": _reduction("ReduceMax"),
    "min": _reduction("ReduceMin"),
    "matmul": _elementwise("MatMul"),
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "expand": _with_axes("Unsqueeze"),
    "squeeze": _with_axes("Squeeze"),
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "stack": _stack,
    "cast": _cast,
    "identity": _same,
    "stop_gradient": _same,
    "gather": _gather,
    "scatter_add": _scatter_add,
    "edge_sum": _edge_sum,
    "edge_sum_down": _edge_sum_down,
    "edge_dot": _edge_dot,
}
"""By a record's name, how it is written."""

"""What a program's lines may be: for each operation an expression in values that it is given, or None.

An operation is called ``(builder, x, y, z, option)``; ``option`` is a small number that picks an axis, a length, a
dtype. Values come up again and again, so that what is computed is shared: as an operand and after the product, inside a
reduction and after it, transposed, repeated, twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Value(NamedTuple):
    """A value of the program."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"


Operation = Callable[[Any, Value, Value, Value, int], str | None]
OPERATIONS: dict[str, Operation] = {}
CHOICES: list[str] = []  # names, as often as their weight
SMOOTH: list[str] = []  # those that round


def operation(weight: int = 1, *, smooth: bool = False) -> Callable[[Operation], Operation]:
    """Put an operation into the tables."""

    def add(function: Operation) -> Operation:
        name = function.__name__
        OPERATIONS[name] = function
        (SMOOTH if smooth else CHOICES).extend([name] * weight)
        return function

    return add


def broadcast(x: Value, y: Value) -> bool:
    """Whether two values can stand in one elementwise operation, without repeating much."""
    return all(a == b or 1 in (a, b) for a, b in zip(x.shape[::-1], y.shape[::-1], strict=False))


def elementwise(
    template: str, only: str = "biuf", *, weight: int = 1, smooth: bool = False, name: str
) -> None:
    """An operation on values that broadcast; ``only`` these kinds of dtypes."""

    def build(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
        used = [v for slot, v in zip("xyz", (x, y, z), strict=True) if f"{{{slot}}}" in template]
        pairs = [(a, b) for a in used for b in used]
        if not all(broadcast(a, b) for a, b in pairs) or any(v.dtype.kind not in only for v in used):
            return None
        return template.format(x=x.name, y=y.name, z=z.name, k=option)

    build.__name__ = name
    operation(weight, smooth=smooth)(build)


# Exact on small whole numbers

for name, template, kinds, weight in (
    ("add", "{x} + {y}", "biuf", 3),
    ("subtract", "{x} - {y}", "iuf", 2),
    ("multiply", "{x} * {y}", "biuf", 3),
    ("multiply_add", "{x} * {y} + {z}", "biuf", 2),
    ("square", "cr.square({x})", "f", 1),
    ("negative", "-{x}", "if", 1),
    ("plus_number", "{x} + {k}", "iuf", 1),
    ("times_number", "{x} * 2", "iuf", 1),
    ("times_one", "{x} * 1", "iuf", 2),
    ("times_zero", "{x} * 0", "iuf", 1),
    ("plus_zero", "{x} + 0", "iuf", 1),
    ("minus_minus_zero", "{x} - (-0.0)", "f", 1),
    ("abs", "cr.abs({x})", "iuf", 1),
    ("sign", "cr.sign({x})", "iuf", 1),
    ("floor", "cr.floor({x} * 0.5)", "f", 1),
    ("relu", "cr.relu({x})", "if", 2),
    ("residual_relu", "{x} + cr.relu({y})", "f", 2),
    ("maximum", "cr.maximum({x}, {y})", "iuf", 1),
    ("minimum", "cr.minimum({x}, {y})", "iuf", 1),
    ("where", "cr.where({x} > {y}, {y}, {z})", "iuf", 2),
    ("clip", "cr.clip({x}, 0, 2)", "iuf", 1),
    ("bound", "cr.clip({x}, -3, 3)", "if", 2),
    ("less", "{x} < {y}", "iuf", 1),
    ("equal", "cr.equal({x}, {y})", "biuf", 1),
    ("both", "{x} & ~{y}", "b", 1),
    ("either", "{x} | {y}", "b", 1),
    ("power", "{x} ** 3", "iuf", 1),
    ("power_of", "{x} ** cr.abs({y})", "iu", 1),
    ("detached", "{x} * as_tensor({y}).detach()", "f", 1),
):
    elementwise(template, kinds, weight=weight, name=name)

DTYPES = [
    "float32",
    "float64",
    "int64",
    "int32",
    "int8",
    "uint8",
    "int16",
    "uint32",
    "uint64",
    "uint16",
    "bool",
]


@operation()
def cast(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Another dtype; only where the number fits, for a float that does not is undefined in NumPy."""
    name = DTYPES[option % len(DTYPES)] if builder.exact else DTYPES[option % 2]
    if builder.numbers == "special" and x.is_float and name[0] != "b":  # NaN as an integer is anything
        name = DTYPES[option % 2]
    source = x.name
    if x.is_float and name[0] in "ui":
        source = f"cr.clip({x.name}, 0, 100)"
    return f"cr.astype({source}, np.{name if name != 'bool' else 'bool_'})"


def axes_of(x: Value, option: int) -> int | tuple[int, ...] | None:
    """One axis, several, or all."""
    if not x.shape or option % 4 == 3:
        return None
    if len(x.shape) > 1 and option % 4 == 2:
        return tuple(range(len(x.shape)))[option // 4 % 2 :][:2]
    return option // 2 % len(x.shape)


def reduction(
    function: str, weight: int = 1, *, smooth: bool = False, kinds: str = "biuf", empty: bool = True
) -> None:
    """A reduction of a value, or of a product that only it reads, over some axes."""

    def build(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
        axis, keep = axes_of(x, option), option % 3 == 0
        if x.dtype.kind not in kinds or (not empty and 0 in x.shape):
            return None
        inner = x.name
        if (
            x.is_float
            and y.is_float
            and broadcast(x, y)
            and math.prod(y.shape) <= math.prod(x.shape)
            and option % 2
        ):
            inner = f"{x.name} * {y.name}"
            if len(y.shape) > len(x.shape):
                return None
        return f"{function}({inner}, axis={axis}, keepdims={keep})"

    build.__name__ = function.split(".")[1] + "_over"
    operation(weight, smooth=smooth)(build)


reduction("cr.sum", 4)
reduction("cr.max", kinds="iuf", empty=False)
reduction("cr.min", kinds="iuf", empty=False)


@operation(3)
def with_its_own_view(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """A value and the same one in another order, which an update in place must not read."""
    if not x.shape or x.dtype.kind not in "if":
        return None
    axis = option % len(x.shape)
    view = f"cr.flip({x.name}, axis={axis})"
    if len(x.shape) > 1 and x.shape[-1] == x.shape[-2] and option % 3:
        view = f"cr.transpose({x.name}, {_swapped(len(x.shape))})"
    return [f"{x.name} + 2 * {view}", f"{view} - {x.name}", f"cr.relu({x.name}) - {view}"][option // 3 % 3]


@operation(2)
def reduce_and_reuse(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """A value inside a reduction, and once more after it."""
    vectors = [v for v in builder.pool if v.is_float and v.shape == x.shape[1:]]
    if not (x.is_float and len(x.shape) == 2 and vectors):
        return None
    y = vectors[option // 2 % len(vectors)]
    axis = option % 2
    if y.shape[0] != x.shape[1] or y.shape[0] != x.shape[1 - axis]:
        return None
    if option % 3 == 2:
        return f"{y.name} * 2 - cr.sum({x.name} * {y.name}, axis={axis})"
    return f"cr.sum({x.name} * {y.name}, axis={axis}) + {y.name}"


@operation()
def argmax(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    if not x.shape or not builder.exact:
        return None
    axis = option % len(x.shape)
    return None if x.shape[axis] == 0 else f"cr.argmax({x.name}, axis={axis})"


@operation(4)
def product(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """A matrix product, either operand transposed where that makes it fit."""
    return _product(x, y, option)


def _product(x: Value, y: Value, option: int) -> str | None:
    if (
        len(x.shape) < 2
        or len(y.shape) < 2
        or x.shape[:-2] not in ((), y.shape[:-2])
        or ("b" in (x.dtype.kind, y.dtype.kind) and x.dtype != y.dtype)
    ) and (len(y.shape) != 2 or len(x.shape) < 2):
        return None
    transposed = "cr.transpose({0}, {1})"
    a, b = x.name, y.name
    rows = x.shape
    for turn_a, turn_b in ((option % 2, option // 2 % 2), (0, 0), (0, 1), (1, 0), (1, 1)):
        k_a = rows[-2] if turn_a else rows[-1]
        k_b = y.shape[-1] if turn_b else y.shape[-2]
        if k_a == k_b:
            left = transposed.format(a, _swapped(len(rows))) if turn_a else a
            right = transposed.format(b, _swapped(len(y.shape))) if turn_b else b
            if option % 5 == 4 and 0 not in (*x.shape, *y.shape):  # with a column and a row after it
                return f"({left} @ {right} + ({left}[..., :1] * {right}[..., :1, :] - {left}[..., :1]))"
            return f"{left} @ {right}"
    return None


def _swapped(ndim: int) -> list[int]:
    return [*range(ndim - 2), ndim - 1, ndim - 2]


@operation(3)
def product_and_reuse(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """An operand of a product, a value that joins after it, or both: a residual layer."""
    inner = _product(x, y, option)
    if inner is None:
        return None
    after = [x.name, y.name, z.name][option % 3]
    join = ["{0} + {1}", "{1} * {0}", "{1} + cr.relu({0})", "cr.maximum({0}, {1})"][option % 4]
    if x.dtype.kind in "bu" and option % 4 == 2:
        return None
    return join.format(f"({inner})", after)


@operation(2)
def product_twice(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Both operands the same, one of them transposed."""
    if len(x.shape) != 2:
        return None
    return [f"{x.name} @ {x.name}.T", f"{x.name}.T @ {x.name}"][option % 2]


@operation()
def transpose(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    return f"{x.name}.T"


VIEWS = [
    "cr.flip({0}, axis=0)", "cr.flip({0}, axis=-1)", "{0}.T", "{0}[1:]", "{0}[::2]", "{0}[::-2]", "{0}[..., 1:]",
    "{0}[..., ::2]", "cr.reshape({0}, (-1,))", "cr.reshape({0}, (2, -1))", "cr.transpose({0}, [1, 2, 0])",
    "cr.transpose({0}, [0, 2, 1])",
]  # fmt: skip


@operation(5)
def view_of_a_view(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Two or three views, one upon the other."""
    if not x.shape or 0 in x.shape:
        return None
    views = VIEWS if len(x.shape) == 3 else VIEWS[:-2]
    mixed = np.random.default_rng([option, len(builder.pool), math.prod(x.shape)])
    text = x.name
    for picked in mixed.integers(len(views), size=2 + option % 2):
        text = views[picked].format(text)
    return text


@operation(4)
def reshape_of_a_view(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Elements that do not lie as the new shape wants them."""
    if len(x.shape) < 2 or 0 in x.shape:
        return None
    view = [
        "cr.flip({0}, axis=0)",
        "cr.flip({0}, axis=-1)",
        "{0}.T",
        "{0}[::-1, ::-1]",
        "{0}[..., ::2]",
        "{0}[1:]",
    ]
    return f"cr.reshape({view[option % 6].format(x.name)}, (-1,))"


@operation()
def permute(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    if len(x.shape) < 3:
        return None
    order = [(1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2)][option % 4]
    return f"cr.transpose({x.name}, {[*order, *range(3, len(x.shape))]})"


@operation()
def flip(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    return f"cr.flip({x.name}, axis={option % len(x.shape)})" if x.shape else None


@operation()
def reshape(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    size = math.prod(x.shape)
    if option % 3 == 0 or size == 0:
        return f"cr.reshape({x.name}, ({size},))"
    if size == math.prod(y.shape):
        return f"cr.reshape({x.name}, {y.shape})"
    factor = next((n for n in (2, 3, 5) if size % n == 0), 1)
    return f"cr.reshape({x.name}, ({factor}, {size // factor}))"


@operation()
def slice(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    if not x.shape:
        return None
    axis = option % len(x.shape)
    picked = ["::2", "1:", ":-1", "::-1", "::-2", "0", "-1:", "1:3"][option % 8]
    if picked == "0" and x.shape[axis] == 0:
        return None
    return f"{x.name}[{', '.join([':'] * axis + [picked])}]"


@operation(2)
def take(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Rows at indices, some of them twice; a value that is an index itself is used as one."""
    if not x.shape:
        return None
    axis = option % len(x.shape)
    if x.shape[axis] == 0:
        return None
    if y.dtype.kind in "iu" and builder.exact and len(y.shape) == 1 and option % 2:
        return f"cr.take({x.name}, cr.clip({y.name}, 0, {x.shape[axis] - 1}), axis={axis})"
    indices = [0, -1, x.shape[axis] // 2, 0][: 1 + option % 4]
    return f"cr.take({x.name}, np.array({indices}), axis={axis})"


@operation()
def own_rows(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """An array of indices that picks from itself."""
    if x.dtype.kind not in "iu" or len(x.shape) != 1 or x.shape[0] < 4:
        return None
    return f"cr.take(cr.clip({x.name}, 0, 3), cr.clip({x.name}, 0, 3), axis=0)"


@operation()
def pad(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    if not x.shape or x.dtype.kind == "b":
        return None
    widths = [(option % 2, option // 2 % 3)] * len(x.shape)
    return f"cr.pad({x.name}, {widths}, {option % 2})"


@operation(2)
def sum_of_padded(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Rows between rows of zeros, or of something else, added to others: as gradients of slices are."""
    if (
        not (x.shape and y.shape)
        or 0 in x.shape
        or x.dtype != y.dtype
        or x.shape[1:] != y.shape[1:]
        or x.dtype.kind == "b"
    ):
        return None
    rest = [(0, 0)] * (len(x.shape) - 1)
    (m, n), gap = (x.shape[0], y.shape[0]), [0, 1, 0, -1, 2][option % 5]
    if n + gap < 0:
        return None
    first, second = ((0, n + gap), *rest), ((m + gap, 0), *rest)
    if m + gap < 0:
        return None
    return f"cr.pad({x.name}, {list(first)}, {option % 7 == 6:d}) + cr.pad({y.name}, {list(second)}, 0)"


@operation()
def two_slices(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Two parts of an array, whose gradients are put into rows of zeros and added up."""
    if not x.shape or x.shape[0] < 2 or not x.is_float:
        return None
    first, second = [("::2", "-1"), ("1::2", "0"), ("::2", "1::2"), ("1:", "0"), ("::-1", ":2")][option % 5]
    return f"cr.sum({x.name}[{first}], axis=0) * 2 + {x.name}[{second}]" + (
        "" if second.lstrip("-").isdigit() else "[0]"
    )


@operation(3)
def concat(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    if not x.shape or (option % 3 and x == y):
        return None
    axis = option % len(x.shape)
    both = x if x.dtype != y.dtype or len(y.shape) != len(x.shape) else y
    if any(a != b for i, (a, b) in enumerate(zip(x.shape, both.shape, strict=True)) if i != axis):
        both = x
    return f"cr.concat([{x.name}, {both.name}], axis={axis})"


@operation()
def stack(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    both = y if (x.shape, x.dtype) == (y.shape, y.dtype) else x
    return f"cr.stack([{x.name}, {both.name}], axis={option % (len(x.shape) + 1)})"


@operation()
def broadcast_to(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    if not broadcast(x, y) or len(x.shape) > len(y.shape):
        return None
    shape = np.broadcast_shapes(x.shape, y.shape)
    return f"cr.broadcast_to({x.name}, {shape})"


@operation()
def expand(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    return f"cr.expand_dims({x.name}, {option % (len(x.shape) + 1)})"


@operation()
def one_hot(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    return f"cr.one_hot(cr.clip({x.name}, 0, 4), 5)" if x.dtype.kind in "iu" else None


# Rounded

for name, template, weight in (
    ("sin", "cr.sin({x})", 1),
    ("cos", "cr.cos({x}) * {y}", 1),
    ("tanh", "cr.tanh({x})", 2),
    ("residual_tanh", "{x} + cr.tanh({y})", 1),
    ("logistic", "cr.logistic({x})", 1),
    ("gate", "cr.logistic({x}) * {y}", 1),
    ("softplus", "cr.softplus({x})", 1),
    ("erf", "cr.erf({x})", 1),
    ("exp", "cr.exp(cr.tanh({x}))", 1),
    ("expm1", "cr.expm1(cr.tanh({x}))", 1),
    ("log", "cr.log(1.5 + cr.sin({x}))", 1),
    ("log1p", "cr.log1p({x} * {x})", 1),
    ("sqrt", "cr.sqrt(1.0 + {x} * {x})", 1),
    ("divide", "{x} / (1.5 + cr.sin({y}))", 2),
    ("power_real", "(1.5 + cr.sin({x})) ** cr.tanh({y})", 1),
    ("silu", "nn.silu({x})", 1),
    ("gelu", "nn.gelu({x})", 1),
    ("elu", "nn.elu({x})", 1),
    ("leaky_relu", "nn.leaky_relu({x})", 1),
    ("scale", "0.3 * {x}", 1),
):
    elementwise(template, "f", weight=weight, smooth=True, name=name)

reduction("cr.mean", 2, smooth=True, kinds="f", empty=False)
reduction("cr.var", smooth=True, kinds="f", empty=False)
reduction("cr.logsumexp", smooth=True, kinds="f", empty=False)


@operation(smooth=True)
def norm(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    return f"cr.norm({x.name} + 3.0, axis={axes_of(x, option)})" if x.is_float and 0 not in x.shape else None


@operation(smooth=True)
def prod(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    return f"cr.prod(cr.tanh({x.name}), axis={axes_of(x, option)})" if x.is_float else None


@operation(2, smooth=True)
def softmax(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    if not x.is_float or not x.shape or 0 in x.shape:
        return None
    function = ["softmax", "log_softmax"][option % 2]
    return f"cr.{function}({x.name}, axis={option // 2 % len(x.shape)})"


@operation(3, smooth=True)
def standardised(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """A normalised matrix, with its mean used once more."""
    if not x.is_float or len(x.shape) != 2 or 0 in x.shape:
        return None
    axis = option % 2
    mean = f"cr.mean({x.name}, axis={axis}, keepdims=True)"
    return f"({x.name} - {mean}) / cr.sqrt(cr.var({x.name}, axis={axis}, keepdims=True) + 0.1) + {mean}"


@operation(3, smooth=True)
def linear(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """A layer, of as many outputs as it has inputs or not."""
    if not x.is_float or len(x.shape) != 2 or x.shape[1] == 0:
        return None
    outputs = x.shape[1] if option % 2 else 1 + option
    name = builder.module(f"nn.Linear({x.shape[1]}, {outputs}, seed={option}, dtype=np.{x.dtype})")
    return f"{name}({x.name})"


@operation(3, smooth=True)
def residual_layer(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """x + activation(layer(x)), and its kin."""
    if not x.is_float or len(x.shape) != 2 or x.shape[1] == 0:
        return None
    name = builder.module(f"nn.Linear({x.shape[1]}, {x.shape[1]}, seed={option}, dtype=np.{x.dtype})")
    template = [
        "{x} + cr.tanh({m}({x}))",
        "cr.relu({x} + {m}({x}))",
        "{x} * {m}({x}) + {x}",
        "{m}({x} + {m}({x}))",
    ]
    return template[option % 4].format(x=x.name, m=name)


@operation(2, smooth=True)
def batch_norm(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """A layer that updates buffers of its own."""
    if not x.is_float or len(x.shape) != 2 or 0 in x.shape or x.shape[0] < 2:
        return None
    name = builder.module(f"nn.BatchNorm1d({x.shape[1]}, dtype=np.{x.dtype})")
    return f"{name}({x.name})" + (f" + {x.name}" if option % 2 else "")


@operation(3, smooth=True)
def dropout(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Random bits, drawn anew at each call."""
    if not x.is_float or not x.shape:
        return None
    name = builder.module(f"nn.Dropout(0.{1 + option % 5}, seed={option})")
    if option % 2 == 0:  # as the values lie, which may be transposed
        return f"{name}({x.name}.T).T + {x.name}"
    return f"{name}({x.name})" + (f" * {x.name}" if option % 2 else "")


@operation(smooth=True)
def embedding_like(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Rows of a table, some many times, in a loss."""
    if not x.is_float or not x.shape or x.shape[0] == 0:
        return None
    return f"cr.mean(cr.square(cr.take({x.name}, np.arange({option + 1}) % {x.shape[0]}, axis=0)), axis=0)"


@operation(2, smooth=True)
def number_embedding(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """A small product for each column, of cosines or of codes, beside the columns as they are."""
    if not x.is_float or len(x.shape) != 2 or x.shape[1] == 0:
        return None
    columns, size = 1 + option % x.shape[1], [2, 1, None, 3][option % 4]
    kind = f"edges={[[-1.0, -0.25, 0.5, 2.0]] * columns}" if option % 3 == 0 else "frequencies=3"
    name = builder.module(
        f"nn.NumberEmbedding({columns}, {'piecewise' if option % 3 == 0 else 'periodic'!r}, {kind}, "
        f"in_features={x.shape[1]}, size={size}, keep={option % 2 == 0}, seed={option}, dtype=np.{x.dtype})"
    )
    return f"{name}({x.name})"


@operation(smooth=True)
def embedding(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """Vectors of codes, some unseen, added to a value."""
    if not x.is_float or len(x.shape) != 2 or x.shape[1] == 0:
        return None
    name = builder.module(
        f"nn.Embedding({1 + option % 3}, {x.shape[1]}, unseen='mean', seed={option}, dtype=np.{x.dtype})"
    )
    return f"{x.name} + {name}(np.arange({x.shape[0]}) % {2 + option % 3})"


@operation(2, smooth=True)
def loss(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    """A loss of two values of one shape."""
    if not (x.is_float and x.shape == y.shape and x.dtype == y.dtype) or 0 in x.shape or not x.shape:
        return None
    name = ["squared_error", "half_squared_error", "absolute_error", "huber"][option % 4]
    way = ["mean", "none", "sum"][option % 3]
    return (
        f"nn.{name}({x.name}, {y.name}, {way!r})"
        if way != "sum"
        else f"0.1 * nn.{name}({x.name}, {y.name}, 'sum')"
    )


@operation(smooth=True)
def cross_entropy(builder: Any, x: Value, y: Value, z: Value, option: int) -> str | None:
    if not x.is_float or len(x.shape) != 2 or 0 in x.shape:
        return None
    return f"nn.cross_entropy({x.name}, np.arange({x.shape[0]}) % {x.shape[1]})"
